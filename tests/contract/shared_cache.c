/* shared_cache: the cache of queue/shared_cache.h. */
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "queue/shared_cache.h"

/* "" if there is none. */
static const char *shared_at(struct store *store, const char *key)
{
    static char got[64];
    struct buf bytes = { .max = sizeof got };
    bool found = false;
    must(shared_cache_get(store, key, &bytes, &found, &err));
    (void)snprintf(got, sizeof got, "%.*s", (int)bytes.len, found ? bytes.at : "");
    assert_int_equal(found, bytes.len > 0);
    buf_done(&bytes);
    return got;
}

static void put(struct store *store, const char *key, const char *bytes, uint64_t bytes_max)
{
    must(shared_cache_put(store, key, text_of(bytes), bytes_max, &err));
}

static void a_shared_entry_is_found_or_gone(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    if (!shared_cache_exists(store)) { /* SQLite has none */
        assert_false(store_fixture.is_redis);
        store_close(store);
        return;
    }
    assert_string_equal(shared_at(store, "a"), "");
    put(store, "a", "first", 100);
    put(store, "a", "other", 100); /* the key identifies the content: the first stays */
    assert_string_equal(shared_at(store, "a"), "first");
    put(store, "large", "more than there may be of all", 20);
    assert_string_equal(shared_at(store, "large"), "");
    struct store *second = fixture_open();
    assert_string_equal(shared_at(second, "a"), "first");
    store_close(second);
    store_close(store);
}

static void the_least_recently_used_are_evicted_first(void **state)
{
    (void)state;
    struct store *store = fixture_open();
    char key[8];
    if (shared_cache_exists(store)) {
        put(store, "key0", "0123456789", 40);
        for (int i = 1; i < 20; i++) {
            nap_ms(2);                   /* the clock counts milliseconds */
            if (store_fixture.is_shards) /* several caches, each with its own maximum */
                break;
            assert_string_equal(shared_at(store, "key0"), "0123456789"); /* used, so it stays */
            nap_ms(2);
            (void)snprintf(key, sizeof key, "key%d", i);
            put(store, key, "abcdefghij", 40);
            assert_string_equal(shared_at(store, key), "abcdefghij");
            if (i >= 4) {
                (void)snprintf(key, sizeof key, "key%d", i - 3);
                assert_string_equal(shared_at(store, key), "");
            }
        }
    }
    store_close(store);
}

const struct CMUnitTest tests_shared_cache[] = {
    A_TEST(a_shared_entry_is_found_or_gone),
    A_TEST(the_least_recently_used_are_evicted_first),
};
const size_t tests_shared_cache_len = sizeof tests_shared_cache / sizeof *tests_shared_cache;
