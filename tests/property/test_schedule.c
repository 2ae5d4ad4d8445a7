/*
 * schedule: a worker with random slots, clients, priorities and lengths of steps.  Nothing starves, nobody has more
 * than its share of the slots, and a look takes exactly what would be served next.
 */
#include "property.h"

#include "worker/schedule.h"

#define ENTRIES_MAX 24u
#define SLOTS_MAX_HERE 6u
#define STEPS 4000u
#define CLIENTS 6u

struct worker_model {
    struct schedule schedule;
    struct schedule_entry entries[ENTRIES_MAX];
    bool is_used[ENTRIES_MAX];
    unsigned waited[ENTRIES_MAX]; /* turns since it was last served, while a step was ready */
    struct {
        struct schedule_entry *entry; /* NULL: idle */
        uint64_t ends;
    } slots[SLOTS_MAX_HERE];
    unsigned slots_len, clients_len, priorities_len;
    struct {
        unsigned jobs;  /* that wait in the store */
        unsigned turns; /* how long the first of them has waited while the client held none of this priority here */
    } stored[CLIENTS][PRIORITY_COUNT_];
    uint64_t now;
};

static struct worker_model model;

static const char *name_of(uint64_t client)
{
    static const char *const names[] = { "", "a", "b", "c", "d", "e" };
    return names[client];
}

static void add(unsigned i, const char *client, enum submission_priority priority, size_t ready)
{
    model.entries[i] = (struct schedule_entry){ .ready = ready };
    model.is_used[i] = true;
    model.waited[i] = 0;
    schedule_add(&model.schedule, &model.entries[i], client, priority);
}

static void maybe_submit(void)
{
    if (random_below(3) == 0)
        model.stored[random_below(model.clients_len)][random_below(model.priorities_len)].jobs++;
}

static unsigned spare_entry(void)
{
    unsigned i = 0;

    while (i < ENTRIES_MAX && model.is_used[i])
        i++;
    return i;
}

static bool is_held(const char *client, enum submission_priority priority)
{
    for (unsigned i = 0; i < ENTRIES_MAX; i++)
        if (model.is_used[i] && model.entries[i].flow->priority == priority &&
            strcmp(model.entries[i].flow->client, client) == 0)
            return true;
    return false;
}

/* Takes what the filter passes, from one of the clients after `first`. */
static void claim(const struct store_filter *filter)
{
    static uint64_t first;

    first++;
    for (unsigned priority = 0; priority < PRIORITY_COUNT_; priority++)
        for (unsigned i = 0; i < CLIENTS; i++) {
            unsigned client = (unsigned)((first + i) % CLIENTS);
            if (model.stored[client][priority].jobs == 0 || spare_entry() == ENTRIES_MAX ||
                (filter != NULL && !store_filter_passes(filter, name_of(client), priority)))
                continue;
            model.stored[client][priority].jobs--;
            add(spare_entry(), name_of(client), priority, 1 + random_below(random_below(4) == 0 ? 200 : 3));
            return;
        }
}

/* What is started has, among what was ready in its priority, the client and then the job with the fewest steps. */
static void assert_is_fair(const struct schedule_entry *chosen)
{
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        const struct schedule_entry *other = &model.entries[i];
        if (!model.is_used[i] || other->ready == 0 || other->flow->priority != chosen->flow->priority)
            continue;
        assert_true(chosen->flow->running <= other->flow->running);
        if (other->flow == chosen->flow)
            assert_true(chosen->running <= other->running);
    }
}

/* Every 8th turn serves the lowest priority; in each round all flows, and all jobs of a flow, have a turn. */
#define TURNS_MAX (8 * 2 * CLIENTS * ENTRIES_MAX)
static void count_turn(const struct schedule_entry *chosen)
{
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        if (!model.is_used[i] || model.entries[i].ready == 0 || chosen == &model.entries[i])
            model.waited[i] = 0;
        else
            model.waited[i]++;
        assert_true(model.waited[i] <= TURNS_MAX);
    }
    for (unsigned client = 0; client < CLIENTS; client++)
        for (enum submission_priority priority = 0; priority < PRIORITY_COUNT_; priority++) {
            bool waits = model.stored[client][priority].jobs > 0 && !is_held(name_of(client), priority);
            if (!waits || spare_entry() == ENTRIES_MAX)
                model.stored[client][priority].turns = 0;
            else
                model.stored[client][priority].turns++;
            assert_true(model.stored[client][priority].turns <= TURNS_MAX);
        }
}

static uint64_t *entered_of(const char *client, enum submission_priority priority)
{
    for (struct schedule_flow *flow = model.schedule.flows; flow != NULL; flow = flow->next)
        if (flow->priority == priority && strcmp(flow->client, client) == 0)
            return &flow->entered;
    return NULL;
}

/* A step is taken if and only if the filter passes it, whatever the client and the priority. */
static void look(void)
{
    struct store_filter filter;
    unsigned spare = spare_entry();

    if (spare == ENTRIES_MAX || !schedule_look(&model.schedule, &filter))
        return;
    struct schedule before = model.schedule;
    bool any_ready = schedule_next(&model.schedule) != NULL;
    for (unsigned client = 0; client < CLIENTS; client++)
        for (enum submission_priority priority = 0; priority < PRIORITY_COUNT_; priority++) {
            if (!store_filter_passes(&filter, name_of(client), priority))
                continue;
            uint64_t *entered = entered_of(name_of(client), priority), entered_before = entered != NULL ? *entered : 0;
            add(spare, name_of(client), priority, 1);
            if (any_ready)
                assert_ptr_equal(schedule_next(&model.schedule), &model.entries[spare]);
            schedule_remove(&model.schedule, &model.entries[spare]);
            model.is_used[spare] = false;
            memcpy(model.schedule.of, before.of, sizeof before.of);
            if (entered != NULL)
                *entered = entered_before;
        }
    claim(&filter);
}

static void end_steps(void)
{
    for (unsigned i = 0; i < model.slots_len; i++) {
        struct schedule_entry *entry = model.slots[i].entry;
        if (entry == NULL || model.slots[i].ends > model.now)
            continue;
        schedule_step_ended(entry);
        model.slots[i].entry = NULL;
        if (entry->ready == 0 && entry->running == 0) {
            schedule_remove(&model.schedule, entry);
            model.is_used[entry - model.entries] = false;
        }
    }
}

static void start_steps(void)
{
    for (unsigned i = 0; i < model.slots_len; i++) {
        if (model.slots[i].entry != NULL)
            continue;
        look();
        if (schedule_next(&model.schedule) == NULL)
            claim(NULL);
        struct schedule_entry *next = schedule_next(&model.schedule);
        if (next == NULL)
            return;
        assert_true(next->ready > 0);
        assert_is_fair(next);
        count_turn(next);
        schedule_step_started(&model.schedule, next);
        next->ready--;
        model.slots[i].entry = next;
        model.slots[i].ends = model.now + 1 + random_below(random_below(8) == 0 ? 50 : 3);
    }
}

static void every_worker_is_fair_and_nothing_starves(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        model = (struct worker_model){ 0 };
        model.slots_len = 1 + (unsigned)random_below(SLOTS_MAX_HERE);
        model.clients_len = 1 + (unsigned)random_below(6);
        model.priorities_len = 1 + (unsigned)random_below(PRIORITY_COUNT_);
        model.schedule.flow_jobs = 1 + (uint32_t)random_below(3);
        for (unsigned step = 0; step < STEPS; step++) {
            model.now++;
            maybe_submit();
            end_steps();
            start_steps();
        }
        for (unsigned i = 0; i < model.slots_len; i++)
            if (model.slots[i].entry != NULL)
                schedule_step_ended(model.slots[i].entry);
        for (unsigned i = 0; i < ENTRIES_MAX; i++)
            if (model.is_used[i])
                schedule_remove(&model.schedule, &model.entries[i]);
        assert_null(model.schedule.flows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_worker_is_fair_and_nothing_starves) };

    choose_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
