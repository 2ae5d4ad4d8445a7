/*
 * lease: the protocol by which submissions are handed out, as a model for spin; docs/design/STORE.md has it in words.
 *
 * The store is a few variables, and each of its calls an atomic step: a script on Redis, an order on SQLite.  The
 * moves have the names of docs/design/STORE.md: add, claim, finish, hand_back, cancel, "lease lost".  Around it everything
 * that can go wrong may go wrong at any moment:
 *
 *   - a worker dies between any two steps, with all it knew, and another one starts in its place;
 *   - a worker stands still (SIGSTOP, a network cut) for as long as it likes, so its lease may run out at any moment;
 *   - the answer of a claim, a finish or a hand-back is lost, after the store did what was asked; the worker
 *     repeats the call under the same name, as often as it happens, or stops asking;
 *   - a client cancels at any moment.
 *
 * What is proved (numbers are those of store.h):
 *
 *   2. one_holder     at most one worker holds the current attempt of a submission that is being processed
 *   3. redelivery     an attempt number is handed to one worker only, and only grows
 *      attempts_cap   a submission ends as given up exactly when ATTEMPTS_MAX leases have run out, with a dead letter;
 *                     handing back never counts
 *      ends           (liveness, -DLIVENESS) what was added ends, where workers die only a few times
 *   4. first_finish   what ended never changes; a result that is kept is that of the attempt current at that moment
 *      told_kept      a worker that was told "kept" finds its own result there for ever; one that was told "not kept"
 *                     does not
 *   8. cancelled      a submission that waited when it was cancelled is never claimed
 *
 * Deaths, lost answers and hand-backs are bounded together (TROUBLES), so that the search ends.  A worker that stands
 * still is no event but the lack of one, and a lease may run out at every moment: both happen without bound.  So a
 * heartbeat that renews needs no move here: it would only take moments away at which a lease may be lost.
 *
 * The mutants are mistakes an implementation could make.  Each is one line, and spin must find what it breaks: a check
 * that cannot fail proves nothing.  tests/model/check.py runs all of them.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef SUBS
#define SUBS 1
#endif
#ifndef ATTEMPTS_MAX
#define ATTEMPTS_MAX 2
#endif
#ifndef TROUBLES
#define TROUBLES 3      /* deaths, lost answers and hand-backs, of all workers together, in any mixture */
#endif

#define NONE 255
#define CLIENT 254

mtype = { FRESH, QUEUED, PROCESSING, COMPLETED, FAILED };

/* ---- the store ------------------------------------------------------------------------------------------------- */

typedef submission {
    mtype state = FRESH;
    byte attempt;
    byte lost;
    bool cancelled;
    bool dead;          /* a dead letter was written */
    byte by = NONE;     /* name of the call that ended it; stands for the result as well */
}
submission subs[SUBS];

/* The last answer to each asker, kept so that a question whose answer was lost can be asked again. */
typedef answer {
    byte sub = NONE;
    byte attempt;
}
answer asked[WORKERS];

/* ---- ghosts: what the properties speak of, and no implementation knows -------------------------------------------- */

typedef worker_view {
    byte sub = NONE;    /* what it believes to hold */
    byte attempt;
}
worker_view view[WORKERS];

byte troubles = TROUBLES;
byte given[SUBS];       /* the highest attempt ever handed out */

#define is_final(s) (subs[s].state == COMPLETED || subs[s].state == FAILED)

hidden byte h, holders; /* counters: no part of the state */

/* 2: everybody who believes to hold the current attempt of a submission in PROCESSING. */
inline check_one_holder(s)
{
    h = 0; holders = 0;
    do
    :: h < WORKERS ->
        if
        :: view[h].sub == s && subs[s].state == PROCESSING && view[h].attempt == subs[s].attempt -> holders++
        :: else
        fi;
        h++
    :: else -> break
    od;
    assert(holders <= 1)
}


/* Every move into a final state comes through here: 4, a state that is final is left by no move. */
inline end_as(s, new_state, call)
{
    assert(!is_final(s));
    assert(subs[s].dead == (subs[s].lost == ATTEMPTS_MAX)); /* 3: attempts_cap */
    subs[s].state = new_state;
    subs[s].by = call
}

/* ---- the moves, each one step of the store -------------------------------------------------------------------------- */

inline add(s)
{
    if
    :: subs[s].state == FRESH -> subs[s].state = QUEUED
    :: else -> skip /* an add whose answer was lost is repeated with its token: the same add */
    fi
}

/* give: what an asker is handed. */
inline claim(w, s)
{
    assert(subs[s].state == QUEUED && !subs[s].cancelled);
    subs[s].state = PROCESSING;
#ifdef MUTANT_SAME_ATTEMPT
    if
    :: subs[s].attempt == 0 -> subs[s].attempt = 1
    :: else
    fi;
#else
    subs[s].attempt++;
#endif
    assert(subs[s].attempt > given[s]); /* 3: redelivery */
    given[s] = subs[s].attempt;
    asked[w].sub = s;
    asked[w].attempt = subs[s].attempt
}

inline finish(s, with_attempt, call, ret_kept)
{
    if
#ifdef MUTANT_NO_FENCE
    :: subs[s].state == PROCESSING ->
#else
    :: subs[s].state == PROCESSING && subs[s].attempt == with_attempt ->
#endif
        assert(subs[s].attempt == with_attempt); /* 4: first_finish */
        end_as(s, COMPLETED, call);
        ret_kept = true
#ifdef MUTANT_LATE_FINISH
    :: is_final(s) && subs[s].attempt == with_attempt ->
        end_as(s, COMPLETED, call);
        ret_kept = true
    :: !is_final(s) && !(subs[s].state == PROCESSING && subs[s].attempt == with_attempt) -> ret_kept = false
#else
#ifdef MUTANT_NO_CALL_NAME
    :: else -> ret_kept = false
#else
    :: else -> ret_kept = (subs[s].attempt == with_attempt && subs[s].by == call)
#endif
#endif
    fi
}

inline requeue(s)
{
    assert(subs[s].state == PROCESSING);
    subs[s].state = QUEUED
}

inline hand_back(s, with_attempt)
{
    if
#ifdef MUTANT_HAND_BACK_UNFENCED
    :: subs[s].state == PROCESSING ->
#else
    :: subs[s].state == PROCESSING && subs[s].attempt == with_attempt ->
#endif
        assert(subs[s].attempt == with_attempt);
        requeue(s)
    :: else
    fi
}

inline lease_lost(s)
{
    assert(subs[s].state == PROCESSING);
    subs[s].lost++;
    assert(subs[s].lost <= ATTEMPTS_MAX); /* 3: attempts_cap */
    if
#ifdef MUTANT_NO_CAP
    :: subs[s].lost > ATTEMPTS_MAX ->
#else
    :: subs[s].lost == ATTEMPTS_MAX ->
#endif
        subs[s].dead = true;
        end_as(s, FAILED, NONE)
    :: else -> requeue(s)
    fi
}

inline cancel(s)
{
    if
    :: subs[s].state == QUEUED || subs[s].state == PROCESSING ->
#ifdef MUTANT_CANCEL_ONLY_MARKS
        subs[s].cancelled = true
#else
        subs[s].cancelled = true;
        end_as(s, FAILED, CLIENT)
#endif
    :: else
    fi
}

/* ---- who acts ----------------------------------------------------------------------------------------------------- */

inline forget(w)
{
    view[w].sub = NONE; view[w].attempt = 0
}

/* Dying takes all a worker knew, its askers too: the next one in its place asks under a new name. */
inline die(w)
{
    forget(w);
    asked[w].sub = NONE; asked[w].attempt = 0
}

#define may_go_wrong (troubles > 0)

/* Back to asking, with nothing in hand. */
inline rest()
{
    s = 0; kept = false;
    goto end_idle
}

proctype worker(byte w)
{
    byte s = 0;
    bool kept = false, name = false; /* a worker's calls are named in turns: none is mistaken for the one before */
#define call (2 * w + name)

end_idle:
    do
    :: atomic { subs[0].state == QUEUED -> s = 0; goto asking }
#if SUBS > 1
    :: atomic { subs[1].state == QUEUED -> s = 1; goto asking }
#endif
    od;

asking:
    atomic {
        if
        :: subs[s].state == QUEUED ->
            claim(w, s);
            check_one_holder(s);
            if
            :: goto heard
            :: may_go_wrong -> troubles--; goto unheard
            fi
        :: else -> rest() /* another one was faster */
        fi
    }

unheard: /* The store gave it something, and it does not know what.  It asks the same question again. */
    atomic {
        if
        :: subs[asked[w].sub].state == PROCESSING &&
           subs[asked[w].sub].attempt == asked[w].attempt -> s = asked[w].sub; goto heard
#ifdef MUTANT_OLD_ANSWER
        :: subs[asked[w].sub].state == PROCESSING ->
            s = asked[w].sub;
            asked[w].attempt = subs[s].attempt; /* gives what is another's by now */
            goto heard
#endif
        :: true -> rest() /* that has ended, or the kept answer expired: a new question */
        :: may_go_wrong -> troubles--; goto unheard
        :: may_go_wrong -> troubles--; die(w); rest()
        fi
    }

heard:
    atomic {
        view[w].sub = s;
        view[w].attempt = asked[w].attempt;
        asked[w].sub = NONE; asked[w].attempt = 0; /* never asked for again: the next question has another number */
        check_one_holder(s)
    }

running: /* Any moment may last: meanwhile the lease may run out, somebody may cancel. */
    atomic {
        if
        :: name = !name; goto finishing
        :: may_go_wrong -> troubles--; goto handing_back
        /* A heartbeat that hears "lost" or "cancelled" gives up; one that hears "kept" changes nothing here. */
        :: subs[s].state != PROCESSING || subs[s].attempt != view[w].attempt -> forget(w); rest()
        :: may_go_wrong -> troubles--; die(w); rest()
        fi
    }

finishing:
    atomic {
        finish(s, view[w].attempt, call, kept);
        if
        :: assert(kept == (subs[s].by == call)); /* 4: told_kept; what ended never changes, so it stays the truth */
           forget(w);
           rest()
        :: may_go_wrong -> troubles--; goto finishing
        :: may_go_wrong -> troubles--; forget(w); rest() /* its heartbeat says it has ended: nothing to repeat */
        :: may_go_wrong -> troubles--; die(w); rest()
        fi
    }

handing_back:
    atomic {
        hand_back(s, view[w].attempt);
        if
        :: forget(w); rest()
        :: may_go_wrong -> troubles--; goto handing_back
        :: may_go_wrong -> troubles--; die(w); rest()
        fi
    }
}

/* The sweep: a lease may have run out whenever something is being processed. */
proctype sweep()
{
end:
    do
#ifndef MUTANT_NO_SWEEP
    :: atomic { subs[0].state == PROCESSING -> lease_lost(0) }
#endif
#if SUBS > 1
    :: atomic { subs[1].state == PROCESSING -> lease_lost(1) }
#endif
    :: false
    od
}

proctype client(byte s)
{
    atomic { add(s) }
#ifndef NO_CANCEL
    if
    :: true
    :: atomic { cancel(s) }
       do
       :: atomic { may_go_wrong -> troubles--; cancel(s) }
       :: break
       od
    fi
#endif
}

init {
    byte i = 0;
    atomic {
        do
        :: i < WORKERS -> run worker(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SUBS -> run client(i); i++
        :: else -> break
        od;
        run sweep()
    }
}

#ifdef LIVENESS
/* 3: under weak fairness (whoever can go on for ever, does at some time). */
ltl ends { <> is_final(0) }
#endif
