/* Eviction: which keys each way of choosing prefers, and that the observer hears. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>

#include "store/store.h"

#define NOW  INT64_C(1700000000000)
#define KEYS 2000
/* Of KEYS / 4 victims; samples of eight miss the better half now and then. */
#define GOOD (KEYS / 4 * 90 / 100)

struct world {
    struct wc_store *store;
    size_t removed;
    bool gone[KEYS];
};

static void on_removed(void *arg, int db, const struct wc_key *key)
{
    struct world *w = arg;
    char name[16];

    (void)db;
    assert_int_equal(key->hash, wc_store_hash(key->ptr, key->len));
    snprintf(name, sizeof(name), "%.*s", (int)key->len, key->ptr);
    w->gone[atoi(name)] = true;
    w->removed++;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->store = wc_store_new(16, 2);
    assert_non_null(w->store);
    wc_store_observe(w->store, &(struct wc_store_observer){.removed = on_removed, .arg = w});
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    wc_store_free(w->store);
    free(w);
    return 0;
}

static void set(struct world *w, int db, int i, int64_t expire_at)
{
    char name[16];
    struct wc_key key = {.ptr = name, .len = (uint32_t)snprintf(name, sizeof(name), "%d", i)};
    uint32_t shard;

    key.hash = wc_store_hash(key.ptr, key.len);
    shard = wc_store_shard_of(w->store, key.hash);
    wc_store_lock(w->store, shard);
    assert_int_equal(wc_store_set(w->store, db, &key, "v", 1, expire_at), 0);
    wc_store_unlock(w->store, shard);
}

static void touch(struct world *w, int i, int64_t now)
{
    char name[16];
    struct wc_key key = {.ptr = name, .len = (uint32_t)snprintf(name, sizeof(name), "%d", i)};
    struct wc_entry *e;
    uint32_t shard;

    key.hash = wc_store_hash(key.ptr, key.len);
    shard = wc_store_shard_of(w->store, key.hash);
    wc_store_lock(w->store, shard);
    e = wc_store_find(w->store, 0, &key, now);
    if (e)
        wc_store_touch(w->store, &key, e, now);
    wc_store_unlock(w->store, shard);
}

/* Evict n keys and say how many of them were in [0, good). */
static size_t evict(struct world *w, size_t n, int good, enum wc_evict_by by, bool volatile_only, int64_t now)
{
    size_t hits = 0;

    for (size_t i = 0; i < n; i++)
        assert_true(wc_store_evict(w->store, by, volatile_only, now) > 0);
    assert_int_equal(w->removed, n);
    assert_int_equal(wc_store_evicted_total(w->store), n);
    for (int i = 0; i < good; i++)
        hits += w->gone[i];
    return hits;
}

static void test_nothing_to_evict(void **state)
{
    struct world *w = *state;

    for (int volatile_only = 0; volatile_only < 2; volatile_only++)
        assert_int_equal(wc_store_evict(w->store, WC_EVICT_LRU, volatile_only, NOW), 0);
    set(w, 0, 1, WC_NO_EXPIRE);
    assert_int_equal(wc_store_evict(w->store, WC_EVICT_TTL, true, NOW), 0);
    assert_int_equal(w->removed, 0);
    assert_true(wc_store_evict(w->store, WC_EVICT_LRU, false, NOW) > 0);
    assert_int_equal(wc_store_evict(w->store, WC_EVICT_LRU, false, NOW), 0);
}

/* Half of the keys were used a while ago: nearly all victims are of them. */
static void test_lru(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < KEYS; i++) {
        set(w, 0, i, WC_NO_EXPIRE);
        touch(w, i, i < KEYS / 2 ? NOW : NOW + 100000);
    }
    assert_true(evict(w, KEYS / 4, KEYS / 2, WC_EVICT_LRU, false, NOW + 200000) > GOOD);
}

/* Half of the keys were used often, and before the others. */
static void test_lfu(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < KEYS; i++)
        set(w, 0, i, WC_NO_EXPIRE);
    for (int i = KEYS / 2; i < KEYS; i++) {
        for (int n = 0; n < 200; n++)
            touch(w, i, NOW);
    }
    for (int i = 0; i < KEYS / 2; i++)
        touch(w, i, NOW + 10000);
    assert_true(evict(w, KEYS / 4, KEYS / 2, WC_EVICT_LFU, false, NOW + 10000) > GOOD);
}

/* What was popular long ago is not any more. */
static void test_lfu_ages(void **state)
{
    struct world *w = *state;
    int64_t later = NOW + INT64_C(3600) * 1000;

    for (int i = 0; i < KEYS; i++)
        set(w, 0, i, WC_NO_EXPIRE);
    for (int i = 0; i < KEYS; i++) {
        for (int n = 0; n < (i < KEYS / 2 ? 100 : 20); n++)
            touch(w, i, i < KEYS / 2 ? NOW : later);
    }
    assert_true(evict(w, KEYS / 4, KEYS / 2, WC_EVICT_LFU, false, later) > GOOD);
}

static void test_ttl(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < KEYS; i++)
        set(w, 0, i, i < KEYS / 2 ? NOW + 1000 + i : NOW + 1000000 + i);
    assert_true(evict(w, KEYS / 4, KEYS / 2, WC_EVICT_TTL, true, NOW) > GOOD);
}

/* Each tenth key has an expiry: just these go, to the last. */
static void test_volatile_only(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < KEYS; i++)
        set(w, i % 2, i, i < KEYS / 10 ? NOW + 100000 : WC_NO_EXPIRE);
    assert_int_equal(evict(w, KEYS / 10, KEYS / 10, WC_EVICT_RANDOM, true, NOW), KEYS / 10);
    assert_int_equal(wc_store_evict(w->store, WC_EVICT_LRU, true, NOW), 0);
}

static void test_random_takes_all(void **state)
{
    struct world *w = *state;
    size_t half;

    for (int i = 0; i < KEYS; i++)
        set(w, i % 2, i, WC_NO_EXPIRE);
    half = evict(w, KEYS / 2, KEYS / 2, WC_EVICT_RANDOM, false, NOW);
    assert_in_range(half, KEYS / 4 - 150, KEYS / 4 + 150);
    for (int i = 0; i < KEYS / 2; i++)
        assert_true(wc_store_evict(w->store, WC_EVICT_RANDOM, false, NOW) > 0);
    assert_int_equal(wc_store_evict(w->store, WC_EVICT_RANDOM, false, NOW), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_to_evict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lru, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lfu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lfu_ages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ttl, setup, teardown),
        cmocka_unit_test_setup_teardown(test_volatile_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_takes_all, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
