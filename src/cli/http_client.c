/* http_client: see the header. */
#include "cli/http_client.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_DEFAULT "http://127.0.0.1:3000"
#define ANSWER_BYTES_MAX (1u << 30)
#define CONNECT_S 10L

struct http_client {
    CURL *curl;
    char server[256];
    char key[512]; /* a header line, or "" */
    char reason[CURL_ERROR_SIZE];
};

void http_answer_done(struct http_answer *answer)
{
    buf_done(&answer->body);
}

static size_t take_bytes(char *bytes, size_t one, size_t len, void *context)
{
    struct error ignored;

    return buf_append(context, bytes, one * len, &ignored) < 0 ? 0 : one * len;
}

/* A proxy cannot reach the loopback addresses of this machine. */
static bool is_loopback(const char *server)
{
    const char *host = strstr(server, "://");

    host = host != NULL ? host + 3 : server;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
}

int http_client_open(const char *server, struct http_client **ret, struct error *err)
{
    if (server == NULL)
        server = getenv("EVALX_SERVER");
    if (server == NULL || server[0] == '\0')
        server = SERVER_DEFAULT;
    if (strncmp(server, "http://", 7) != 0 && strncmp(server, "https://", 8) != 0)
        return error_set(err, ERROR_USAGE, 0, "server: expected http://HOST:PORT, got \"%s\"", server);
    struct http_client *http_client = calloc(1, sizeof *http_client);
    if (http_client == NULL)
        abort();
    size_t len = strlen(server);
    while (len > 0 && server[len - 1] == '/')
        len--;
    if (len >= sizeof http_client->server || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (http_client->curl = curl_easy_init()) == NULL) {
        free(http_client);
        return error_set(err, ERROR_SETUP, 0, "cannot prepare a request to %s", server);
    }
    memcpy(http_client->server, server, len);
    const char *key = getenv("EVALX_API_KEY");
    if (key != NULL && key[0] != '\0')
        (void)snprintf(http_client->key, sizeof http_client->key, "Authorization: Bearer %s", key);
    *ret = http_client;
    return 0;
}

void http_client_close(struct http_client *http_client)
{
    if (http_client == NULL)
        return;
    curl_easy_cleanup(http_client->curl);
    curl_global_cleanup();
    free(http_client);
}

static void set_up(struct http_client *http_client, const char *url, const struct text *body,
                   struct curl_slist *headers, uint32_t timeout_s, struct buf *ret_body)
{
    CURL *curl = http_client->curl;

    curl_easy_reset(curl); /* keeps the connection */
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http_client->reason);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout_s);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "evalx/" EVALX_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_body);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (is_loopback(http_client->server))
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (body != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->at != NULL ? body->at : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    }
}

static const char *hint(CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST
               ? "; is evalx running there? --server URL or EVALX_SERVER selects another server"
               : "";
}

int http_client_request(struct http_client *http_client, const char *path, const struct text *body, uint32_t timeout_s,
                        struct http_answer *ret, struct error *err)
{
    char url[1024];
    long status = 0;
    struct curl_slist *headers = NULL;

    if (snprintf(url, sizeof url, "%s%s", http_client->server, path) >= (int)sizeof url)
        return error_set(err, ERROR_REQUEST, 0, "the address is too long");
    *ret = (struct http_answer){ .body = { .max = ANSWER_BYTES_MAX } };
    if (body != NULL) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:"); /* no delay before a large body */
    }
    if (http_client->key[0] != '\0')
        headers = curl_slist_append(headers, http_client->key);
    http_client->reason[0] = '\0';
    set_up(http_client, url, body, headers, timeout_s, &ret->body);
    CURLcode code = curl_easy_perform(http_client->curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        http_answer_done(ret);
        return error_set(err, ERROR_STORE, 0, "%s: %s%s", http_client->server,
                         http_client->reason[0] != '\0' ? http_client->reason : curl_easy_strerror(code), hint(code));
    }
    (void)curl_easy_getinfo(http_client->curl, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (unsigned)status;
    return 0;
}

int http_client_refused(const struct http_answer *answer, struct error *err)
{
    const char *message = NULL, *field = NULL;
    json_t *body = json_loadb(answer->body.at != NULL ? answer->body.at : "", answer->body.len, 0, NULL);

    (void)json_unpack(body, "{s:{s:s}}", "error", "message", &message);
    (void)json_unpack(body, "{s:{s:s}}", "error", "field", &field);
    (void)error_set(err, answer->status == 404 ? ERROR_MISSING : ERROR_REQUEST, 0,
                    "the server refused (HTTP %u): %.240s", answer->status,
                    message != NULL ? message : "no reason given");
    if (field != NULL)
        (void)snprintf(err->field, sizeof err->field, "%s", field);
    json_decref(body);
    return -1;
}
