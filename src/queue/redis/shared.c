/* redis_shared: what workers keep for each other (store.h); one script each. */
#include "queue/redis/redis_store.h"

int redis_cache_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err)
{
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (redis_args_init(&args, redis_of(base), REDIS_SHARED_GET, 1, err) < 0)
        return -1;
    redis_args_add(&args, text_of(key));
    if (redis_call(redis_of(base), REDIS_SHARED_GET, &args, REDIS_REPLY_ARRAY, &reply, err) < 0)
        return -1;
    *ret_found = reply->elements > 0;
    return *ret_found ? buf_append_text(ret, redis_text(reply->element[0]), err) : 0;
}

int redis_cache_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max, struct error *err)
{
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (redis_args_init(&args, redis_of(base), REDIS_SHARED_PUT, 3, err) < 0)
        return -1;
    redis_args_add(&args, text_of(key));
    redis_args_add(&args, bytes);
    redis_args_add_number(&args, bytes_max);
    return redis_call(redis_of(base), REDIS_SHARED_PUT, &args, REDIS_REPLY_INTEGER, &reply, err);
}
