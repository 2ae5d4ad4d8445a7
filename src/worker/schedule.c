/*
 * schedule: see the header.  There are so few jobs that every decision walks through all of them.
 *
 * `served` is twice the number of the turn, so that there is a number between two turns.
 */
#include "worker/schedule.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * `served` of something new among `len` others: 0, before all of them, if each may have had a turn since the last new
 * one.  Otherwise it goes before the one that had the last turn, and after the others.
 */
static uint64_t served_if_new(uint64_t turns, uint64_t entered, uint32_t len)
{
    return turns - entered >= len ? 0 : 2 * turns - 1;
}

static uint64_t served_if_new_flow(const struct schedule *schedule, enum submission_priority priority)
{
    return served_if_new(schedule->of[priority].turns, schedule->of[priority].entered, schedule->of[priority].flows);
}

static uint64_t served_if_new_job(const struct schedule_flow *flow)
{
    return served_if_new(flow->turns, flow->entered, flow->jobs);
}

static struct schedule_flow *find_flow(const struct schedule *schedule, const char *client,
                                       enum submission_priority priority)
{
    struct schedule_flow *flow = schedule->flows;

    while (flow != NULL && (flow->priority != priority || strcmp(flow->client, client) != 0))
        flow = flow->next;
    return flow;
}

static struct schedule_flow *add_flow(struct schedule *schedule, const char *client, enum submission_priority priority)
{
    struct schedule_flow *flow = calloc(1, sizeof *flow);

    if (flow == NULL)
        abort(); /* a small fixed size; the leases expire and other workers take over */
    (void)snprintf(flow->client, sizeof flow->client, "%s", client);
    flow->priority = priority;
    flow->served = served_if_new_flow(schedule, priority);
    if (flow->served == 0)
        schedule->of[priority].entered = schedule->of[priority].turns;
    schedule->of[priority].flows++;
    flow->next = schedule->flows;
    schedule->flows = flow;
    return flow;
}

void schedule_add(struct schedule *schedule, struct schedule_entry *entry, const char *client,
                  enum submission_priority priority)
{
    entry->flow = find_flow(schedule, client, priority);
    if (entry->flow == NULL)
        entry->flow = add_flow(schedule, client, priority);
    entry->served = served_if_new_job(entry->flow);
    if (entry->served == 0)
        entry->flow->entered = entry->flow->turns;
    entry->flow->jobs++;
    struct schedule_entry **end = &schedule->entries;
    while (*end != NULL)
        end = &(*end)->next;
    entry->next = NULL;
    *end = entry;
}

void schedule_remove(struct schedule *schedule, struct schedule_entry *entry)
{
    struct schedule_entry **at = &schedule->entries;
    struct schedule_flow **flow = &schedule->flows;

    assert(entry->running == 0);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (--entry->flow->jobs > 0)
        return;
    while (*flow != entry->flow)
        flow = &(*flow)->next;
    *flow = entry->flow->next;
    schedule->of[entry->flow->priority].flows--;
    free(entry->flow);
}

static bool goes_before(uint32_t running, uint64_t served, uint32_t other_running, uint64_t other_served)
{
    return running != other_running ? running < other_running : served < other_served;
}

static bool flow_goes_before(const struct schedule_flow *flow, const struct schedule_flow *other)
{
    return goes_before(flow->running, flow->served, other->running, other->served);
}

static bool entry_goes_before(const struct schedule_entry *entry, const struct schedule_entry *other)
{
    if (entry->flow != other->flow)
        return flow_goes_before(entry->flow, other->flow);
    return goes_before(entry->running, entry->served, other->running, other->served);
}

struct schedule_entry *schedule_next(const struct schedule *schedule)
{
    const enum submission_priority *priorities = submission_priority_order(schedule->turns);
    struct schedule_entry *next = NULL;

    for (size_t i = 0; i < PRIORITY_COUNT_ && next == NULL; i++)
        for (struct schedule_entry *entry = schedule->entries; entry != NULL; entry = entry->next)
            if (entry->flow->priority == priorities[i] && entry->ready > 0 &&
                (next == NULL || entry_goes_before(entry, next)))
                next = entry;
    return next;
}

void schedule_step_started(struct schedule *schedule, struct schedule_entry *entry)
{
    struct schedule_flow *flow = entry->flow;

    schedule->turns++;
    entry->running++;
    flow->running++;
    flow->served = 2 * ++schedule->of[flow->priority].turns;
    entry->served = 2 * ++flow->turns;
}

void schedule_step_ended(struct schedule_entry *entry)
{
    assert(entry->running > 0 && entry->flow->running > 0);
    entry->running--;
    entry->flow->running--;
}

/* False if the filter is full. */
static bool leave_out(struct store_filter *filter, const struct schedule_flow *flow)
{
    if (!store_filter_passes(filter, flow->client, flow->priority))
        return true;
    if (filter->flows_len == STORE_FLOWS_MAX)
        return false;
    memcpy(filter->flows[filter->flows_len].client, flow->client, sizeof flow->client);
    filter->flows[filter->flows_len++].priority = flow->priority;
    return true;
}

/* Leaves out what would not be served before `next`, although it has the same priority. */
static bool leave_out_later(const struct schedule *schedule, const struct schedule_entry *next,
                            struct store_filter *filter)
{
    const struct schedule_flow *next_flow = next->flow;
    uint64_t new_flow_served = served_if_new_flow(schedule, next_flow->priority);

    if (!goes_before(0, new_flow_served, next_flow->running, next_flow->served)) {
        filter->without[next_flow->priority] = true;
        return true;
    }
    if (!goes_before(0, served_if_new_job(next_flow), next->running, next->served) && !leave_out(filter, next_flow))
        return false;
    for (const struct schedule_flow *flow = schedule->flows; flow != NULL; flow = flow->next)
        if (flow != next_flow && flow->priority == next_flow->priority && !flow_goes_before(flow, next_flow) &&
            !leave_out(filter, flow))
            return false;
    return true;
}

bool schedule_look(const struct schedule *schedule, struct store_filter *ret)
{
    const enum submission_priority *priorities = submission_priority_order(schedule->turns);
    const struct schedule_entry *next = schedule_next(schedule);
    bool is_later = false, any = false;

    *ret = (struct store_filter){ 0 };
    for (const struct schedule_flow *flow = schedule->flows; flow != NULL; flow = flow->next)
        if (flow->jobs >= schedule->flow_jobs && !leave_out(ret, flow))
            return false;
    if (next == NULL)
        return true;
    for (size_t i = 0; i < PRIORITY_COUNT_; i++) {
        if (is_later)
            ret->without[priorities[i]] = true;
        is_later = is_later || priorities[i] == next->flow->priority;
    }
    if (!leave_out_later(schedule, next, ret))
        return false;
    for (size_t i = 0; i < PRIORITY_COUNT_; i++)
        any = any || !ret->without[i];
    return any;
}
