/*
 * worker_images: which images of the worker's languages work.
 *
 * An image is broken while the self-test fails in it and passes in another.  Then the worker claims no submission of
 * its languages and returns those it holds.  The others go on.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "worker/worker_internal.h"

#define RETRY_MIN_MS 1000u
#define RETRY_MAX_MS 60000u

static struct worker_image *find(const struct worker *worker, const char *name)
{
    for (size_t i = 0; i < worker->images_len; i++)
        if (strcmp(worker->images[i].name, name) == 0)
            return &worker->images[i];
    return NULL;
}

struct worker_image *worker_image(struct worker *worker, const char *name, bool *ret_is_new)
{
    struct worker_image *image = find(worker, name);

    *ret_is_new = image == NULL;
    if (image == NULL) {
        image = &worker->images[worker->images_len++];
        *image = (struct worker_image){ .name = name };
    }
    return image;
}

const char *worker_image_other(const struct worker *worker, const char *name)
{
    for (size_t i = 0; i < worker->images_len; i++)
        if (!worker->images[i].broken && strcmp(worker->images[i].name, name) != 0)
            return worker->images[i].name;
    return NULL;
}

bool worker_image_works(const struct worker *worker, const char *name)
{
    return worker->images_broken == 0 || !find(worker, name)->broken;
}

bool worker_image_of_job_is_broken(const struct worker *worker, const struct job *job)
{
    for (size_t i = 0; i < job->submission.programs_len; i++)
        if (!worker_image_works(worker, job->submission.programs[i].language->image.at))
            return true;
    return false;
}

static void note_change(struct worker *worker)
{
    metrics_images_broken(worker->images_broken);
    worker->beat_now = true; /* the store has to hear which queues are served */
    cond_signal(&worker->heartbeat_due);
    cond_signal(&worker->capacity_freed);
}

void worker_image_tested(struct worker *worker, const char *name, const struct error *failure)
{
    struct worker_image *image = find(worker, name);
    uint64_t now_us = clock_mono_us();

    if (failure == NULL) {
        if (!image->broken)
            return;
        *image = (struct worker_image){ .name = image->name };
        worker->images_broken--;
        log_info("image %s works again; claiming submissions of its languages", name);
        note_change(worker);
        return;
    }
    if (now_us >= image->retry_us) /* the executors test at the same time, which counts once */
        image->retry_us = now_us + backoff_ms(++image->tries, RETRY_MIN_MS, RETRY_MAX_MS) * 1000;
    if (image->broken)
        return;
    image->broken = true;
    worker->images_broken++;
    log_error("image %s does not work: %s; no submission of its languages is claimed until it passes the self-test",
              name, failure->text);
    note_change(worker);
    for (struct job *job = worker->jobs; job != NULL; job = job->next)
        if (job->end == JOB_COMPLETE && !job->with_reporter && worker_image_of_job_is_broken(worker, job))
            worker_abort_job(worker, job, JOB_RETURN);
}

void worker_images_retry(struct worker *worker, uint64_t now_us)
{
    for (size_t i = 0; i < worker->images_len && worker->slots_open > 0; i++)
        if (worker->images[i].broken && now_us >= worker->images[i].retry_us) {
            worker->probe_image = worker->images[i].name;
            worker->image_tests++;
            cond_broadcast(&worker->step_ready);
            return;
        }
}
