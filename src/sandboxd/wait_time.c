/* wait_time: see the header. */
#include "sandboxd/wait_time.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandboxd/cgroup_file.h"

/* False if the task has ended. */
static bool look_at(pid_t id, struct wait_task *ret)
{
    char path[40], text[512], *second;
    *ret = (struct wait_task){ .id = id };
    /* Time on a processor, time of waiting for one (both in ns), and how often it got one. */
    (void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)id);
    if (cgroup_file_read(AT_FDCWD, path, text, sizeof text) < 0)
        return false;
    ret->ran_ns = strtoull(text, &second, 10);
    ret->waited_us = strtoull(second, NULL, 10) / 1000;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)id);
    if (cgroup_file_read(AT_FDCWD, path, text, sizeof text) < 0)
        return false;
    const char *name_end = strrchr(text, ')');
    ret->is_ready = name_end != NULL && strncmp(name_end, ") R", 3) == 0;
    return true;
}

static const struct wait_task *find(const struct wait_time *wait, pid_t id)
{
    for (size_t i = 0; i < wait->tasks_len; i++)
        if (wait->tasks[i].id == id)
            return &wait->tasks[i];
    return NULL;
}

uint64_t wait_time_of_task(const struct wait_task *before, struct wait_task *now, uint64_t passed_us)
{
    if (before == NULL || now->waited_us < before->waited_us) /* a new task */
        return now->waited_us;
    if (now->ran_ns == before->ran_ns && now->waited_us == before->waited_us) {
        bool waits = before->is_ready && now->is_ready;
        now->counted_us = waits ? before->counted_us + passed_us : before->counted_us;
        return waits ? passed_us : 0;
    }
    uint64_t more_us = now->waited_us - before->waited_us;
    return more_us > before->counted_us ? more_us - before->counted_us : 0;
}

void wait_time_add(struct wait_time *wait, uint64_t longest_us, uint64_t begun_us, uint64_t now_us, uint64_t cpu_us,
                   unsigned processors)
{
    if (longest_us == 0)
        return;
    uint64_t since_us = wait->settled_us > begun_us ? wait->settled_us : begun_us;
    uint64_t passed_us = now_us > since_us ? now_us - since_us : 0;
    uint64_t used_us = cpu_us > wait->settled_cpu_us ? (cpu_us - wait->settled_cpu_us) / processors : 0;
    uint64_t most_us = passed_us > used_us ? passed_us - used_us : 0;
    uint64_t added_us = longest_us < most_us ? longest_us : most_us, left_us = most_us - added_us;
    wait->waited_us += added_us;
    /* The rest of the time is kept for a wait that began in it and has not ended, of which only a part is known. */
    wait->settled_us = now_us - (left_us < WAIT_SAMPLE_US ? left_us : WAIT_SAMPLE_US);
    wait->settled_cpu_us = cpu_us;
}

void wait_time_sample(struct wait_time *wait, const struct cgroup_run *run, pid_t init, uint64_t begun_us,
                      uint64_t now_us, uint64_t cpu_us, unsigned processors)
{
    struct wait_task seen[WAIT_TASKS_MAX];
    pid_t ids[WAIT_TASKS_MAX] = { init };
    size_t ids_len = 1 + cgroup_run_tasks(run, ids + 1, WAIT_TASKS_MAX - 1), len = 0;
    uint64_t longest_us = 0;
    for (size_t i = 0; i < ids_len; i++) {
        struct wait_task *now = &seen[len];
        if (!look_at(ids[i], now))
            continue;
        const struct wait_task *before = find(wait, now->id);
        /* A task that the last sample may have left out is not new, and what it waited before is not known. */
        bool is_known = before != NULL || !wait->is_partial;
        uint64_t waited_us = is_known ? wait_time_of_task(before, now, now_us - wait->sampled_us) : 0;
        if (waited_us > longest_us)
            longest_us = waited_us;
        len++;
    }
    memcpy(wait->tasks, seen, len * sizeof *seen);
    wait->tasks_len = len;
    wait->is_partial = ids_len == WAIT_TASKS_MAX;
    wait->sampled_us = now_us;
    wait_time_add(wait, longest_us, begun_us, now_us, cpu_us, processors);
}
