/* evalx server: the HTTP API; without a Redis, the whole engine. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/settings.h"
#include "daemon/service.h"

/* The address with the port that was bound, where "listen" left the choice to the kernel. */
static void address_of(const struct service *service, char ret_address[CONFIG_STRING_BYTES + 8])
{
    const char *listen = service->config.listen;
    const char *colon = strrchr(listen, ':');

    (void)snprintf(ret_address, CONFIG_STRING_BYTES + 8, "%.*s:%u", colon != NULL ? (int)(colon - listen) : 0, listen,
                   (unsigned)api_port(service->api));
}

static int start(struct service *service, const struct invocation *invocation, struct error *err)
{
    if (service_begin(service, invocation, err) < 0)
        return -1;
    bool embedded = !settings_use_redis(&service->config);
    service->languages.require_available = embedded;
    if (embedded && service_start_sandbox(service, err) < 0)
        return -1;
    if (service_become_user(service, embedded, err) < 0 || service_open_store(service, true, err) < 0)
        return -1;
    if (embedded && service_start_worker(service, err) < 0)
        return -1;
    return service_start_api(service, err);
}

static int run(const struct invocation *invocation)
{
    char address[CONFIG_STRING_BYTES + 8];
    struct service service;
    struct error err = { 0 };
    int status;

    if (start(&service, invocation, &err) < 0) {
        status = command_failed(&err);
        service.config.drain_s = 0; /* nothing was promised yet */
    } else {
        address_of(&service, address);
        service_say_ready(&service, "listening", address);
        status = service_wait(&service);
    }
    service_stop(&service);
    if (status == EVALX_EXIT_OK)
        log_info("ended");
    return status;
}

const struct subcommand server_command = {
    .name = "server",
    .operands = "",
    .summary = "the HTTP API; without a Redis it also runs what is submitted",
    .details =
        "\nWith REDIS_HOST (or EVALX_STORE=redis://...) it is an API server only: its workers are `evalx worker`,\n"
        "here or elsewhere.  Otherwise it keeps the queue in its data folder and runs programs itself; for that\n"
        "it must be started as root, which it gives up before it opens the port.\n"
        "SIGTERM and SIGINT drain: nothing new is taken, what runs is finished.  A second one ends it at once.",
    .run = run,
};
