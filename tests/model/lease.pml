/*
 * lease: the protocol by which submissions are leased to workers, as a model for spin.  docs/design/STORE.md describes
 * it in words.
 *
 * The store is a few variables, and each of its calls is an atomic step: a script on Redis, an op in a transaction on
 * SQLite.  The transitions have the names of docs/design/STORE.md: add, claim, finish, release, cancel, lease lost.
 * Everything that can go wrong may go wrong at any moment:
 *
 *   - A worker dies between any two steps, with all it knew, and another one starts in its place.
 *   - A worker pauses (SIGSTOP, a network cut) for any time, so its lease may expire at any moment.
 *   - The answer of a claim, a finish or a release is lost after the store has done the work.  The worker repeats the
 *     call under the same name, any number of times, or stops asking.
 *   - A client cancels at any moment.
 *
 * Proved properties (numbers are those of queue/queue.h):
 *
 *   2. one_holder     At most one worker holds the current attempt of a submission in PROCESSING.
 *   3. redelivery     An attempt number is leased to one worker only, and only grows.
 *      attempts_cap   A submission becomes a dead letter exactly when ATTEMPTS_MAX of its leases have expired; a
 *                     release never counts.
 *      ends           (liveness, -DLIVENESS) A submission that was added ends, if workers die only a few times.
 *   4. first_finish   A final state never changes.  A result that is kept is that of the attempt current at that time.
 *      told_kept      A worker that was answered "kept" finds its own result there for ever; one that was answered "not
 *                     kept" does not.
 *   8. cancelled      A submission cancelled while it waits is never claimed.
 *
 * Deaths, lost answers and releases are bounded together (TROUBLES), so that the search ends.  A pause is no event, and
 * a lease may expire in every state, so both happen without bound.  Therefore a heartbeat needs no transition here: it
 * would only remove states in which a lease may expire.
 *
 * The mutants are mistakes an implementation could make, one line each.  spin must find what each of them breaks: a
 * check that cannot fail proves nothing.  tests/model/check.py runs all of them.
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
#define TROUBLES 3      /* deaths, lost answers and releases, of all workers together, in any mixture */
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

/* The last answer to each worker's claims, stored so that a claim whose answer was lost can be repeated. */
typedef answer {
    byte sub = NONE;
    byte attempt;
}
answer asked[WORKERS];

/* ---- ghosts: variables that the properties use and no implementation has -------------------------------------------- */

typedef worker_view {
    byte sub = NONE;    /* what the worker believes it holds */
    byte attempt;
}
worker_view view[WORKERS];

byte troubles = TROUBLES;
byte given[SUBS];       /* the highest attempt ever leased */

#define is_final(s) (subs[s].state == COMPLETED || subs[s].state == FAILED)

hidden byte h, holders; /* counters: no part of the state */

/* 2: counts the workers that believe they hold the current attempt of a submission in PROCESSING. */
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


/* Every transition into a final state.  4: no transition leaves a final state. */
inline end_as(s, new_state, call)
{
    assert(!is_final(s));
    assert(subs[s].dead == (subs[s].lost == ATTEMPTS_MAX)); /* 3: attempts_cap */
    subs[s].state = new_state;
    subs[s].by = call
}

/* ---- the transitions, each one step of the store -------------------------------------------------------------------------- */

inline add(s)
{
    if
    :: subs[s].state == FRESH -> subs[s].state = QUEUED
    :: else -> skip /* an add whose answer was lost is repeated with its token: the same add */
    fi
}

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

inline release(s, with_attempt)
{
    if
#ifdef MUTANT_RELEASE_UNFENCED
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

/* ---- workers and clients ----------------------------------------------------------------------------------------------------- */

inline forget(w)
{
    view[w].sub = NONE; view[w].attempt = 0
}

/* A dead worker loses all it knew.  The next one in its place claims under a new name. */
inline die(w)
{
    forget(w);
    asked[w].sub = NONE; asked[w].attempt = 0
}

#define may_go_wrong (troubles > 0)

/* Back to claiming, with nothing held. */
inline back_to_idle()
{
    s = 0; kept = false;
    goto end_idle
}

proctype worker(byte w)
{
    byte s = 0;
    bool kept = false;
#define call (16 * w + view[w].attempt) /* the name of a finish: worker and attempt */

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
            :: goto answered
            :: may_go_wrong -> troubles--; goto unanswered
            fi
        :: else -> back_to_idle() /* another worker was faster */
        fi
    }

unanswered: /* The store leased something to it, but the answer was lost.  It repeats the same claim. */
    atomic {
        if
        :: subs[asked[w].sub].state == PROCESSING &&
           subs[asked[w].sub].attempt == asked[w].attempt -> s = asked[w].sub; goto answered
#ifdef MUTANT_OLD_ANSWER
        :: subs[asked[w].sub].state == PROCESSING ->
            s = asked[w].sub;
            asked[w].attempt = subs[s].attempt; /* returns what another worker holds by now */
            goto answered
#endif
        :: true -> back_to_idle() /* that has ended, or the stored answer expired: a new claim */
        :: may_go_wrong -> troubles--; goto unanswered
        :: may_go_wrong -> troubles--; die(w); back_to_idle()
        fi
    }

answered:
    atomic {
        view[w].sub = s;
        view[w].attempt = asked[w].attempt;
        asked[w].sub = NONE; asked[w].attempt = 0; /* never repeated: the next claim has another number */
        check_one_holder(s)
    }

running: /* This may last any time: meanwhile the lease may expire, or a client may cancel. */
    atomic {
        if
        :: goto finishing
        :: may_go_wrong -> troubles--; goto releasing
        /* A heartbeat answered "lost" or "cancelled" ends the job; "kept" changes nothing here. */
        :: subs[s].state != PROCESSING || subs[s].attempt != view[w].attempt -> forget(w); back_to_idle()
        :: may_go_wrong -> troubles--; die(w); back_to_idle()
        fi
    }

finishing:
    atomic {
        finish(s, view[w].attempt, call, kept);
        if
        :: assert(kept == (subs[s].by == call)); /* 4: told_kept; a final state never changes, so it stays true */
           forget(w);
           back_to_idle()
        :: may_go_wrong -> troubles--; goto finishing
        :: may_go_wrong -> troubles--; forget(w); back_to_idle() /* its heartbeat learns that it has ended: nothing to repeat */
        :: may_go_wrong -> troubles--; die(w); back_to_idle()
        fi
    }

releasing:
    atomic {
        release(s, view[w].attempt);
        if
        :: forget(w); back_to_idle()
        :: may_go_wrong -> troubles--; goto releasing
        :: may_go_wrong -> troubles--; die(w); back_to_idle()
        fi
    }
}

/* A lease may have expired whenever a submission is in PROCESSING. */
proctype reap_expired()
{
end:
    do
#ifndef MUTANT_NO_REAP
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
        run reap_expired()
    }
}

#ifdef LIVENESS
/* 3: under weak fairness: a process that can always continue does so at some time. */
ltl ends { <> is_final(0) }
#endif
