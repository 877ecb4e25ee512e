/* Expiry: lazy on access, and the active cycle. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/store.h"

#define NOW    INT64_C(1700000000000)
#define SHARDS 16
/* Plenty: a cycle that should find everything it looks for ends by itself. */
#define LONG_US INT64_C(10000000)

struct world {
    struct wc_store *store;
    size_t removed, changed;
};

static void on_removed(void *arg, int db, const struct wc_key *key)
{
    struct world *w = arg;

    (void)db;
    assert_int_equal(key->hash, wc_store_hash(key->ptr, key->len));
    w->removed++;
}

static void on_changed(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire_at)
{
    struct world *w = arg;

    (void)db, (void)key, (void)value, (void)expire_at;
    w->changed++;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->store = wc_store_new(SHARDS, 4);
    assert_non_null(w->store);
    wc_store_observe(w->store, &(struct wc_store_observer){.changed = on_changed, .removed = on_removed, .arg = w});
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

static struct wc_key make_key(char *buf, size_t size, int i)
{
    uint32_t len = (uint32_t)snprintf(buf, size, "key:%d", i);

    return (struct wc_key){.ptr = buf, .len = len, .hash = wc_store_hash(buf, len)};
}

static void set(struct world *w, int db, int i, int64_t expire_at)
{
    char buf[32];
    struct wc_key k = make_key(buf, sizeof(buf), i);

    wc_store_lock(w->store, wc_store_shard_of(w->store, k.hash));
    assert_int_equal(wc_store_set(w->store, db, &k, "v", 1, expire_at), 0);
    wc_store_unlock(w->store, wc_store_shard_of(w->store, k.hash));
}

static bool exists(struct world *w, int db, int i, int64_t now)
{
    char buf[32];
    struct wc_key k = make_key(buf, sizeof(buf), i);
    bool found;

    wc_store_lock(w->store, wc_store_shard_of(w->store, k.hash));
    found = wc_store_find(w->store, db, &k, now) != NULL;
    wc_store_unlock(w->store, wc_store_shard_of(w->store, k.hash));
    return found;
}

static struct wc_store_stats stats(struct world *w, int db)
{
    struct wc_store_stats s;

    wc_store_stats(w->store, db, &s);
    return s;
}

static void test_lazy(void **state)
{
    struct world *w = *state;

    set(w, 0, 1, NOW + 10);
    assert_true(exists(w, 0, 1, NOW + 9));
    assert_int_equal(stats(w, 0).keys, 1);
    assert_false(exists(w, 0, 1, NOW + 10)); /* at its time a key is gone */
    assert_int_equal(w->removed, 1);
    assert_int_equal(stats(w, 0).keys, 0);
    assert_int_equal(stats(w, 0).expires, 0);
    assert_int_equal(wc_store_expired_total(w->store), 1);
    assert_false(exists(w, 0, 1, NOW + 9)); /* and does not come back with the clock */
}

static void test_delete_of_an_expired_key_deletes_nothing(void **state)
{
    struct world *w = *state;
    char buf[32];
    struct wc_key k = make_key(buf, sizeof(buf), 1);

    set(w, 0, 1, NOW);
    wc_store_lock(w->store, wc_store_shard_of(w->store, k.hash));
    assert_false(wc_store_delete(w->store, 0, &k, NOW));
    wc_store_unlock(w->store, wc_store_shard_of(w->store, k.hash));
    assert_int_equal(w->removed, 1);
}

static void test_overwriting_an_expired_key(void **state)
{
    struct world *w = *state;

    set(w, 0, 1, NOW - 1);
    set(w, 0, 1, WC_NO_EXPIRE);
    assert_true(exists(w, 0, 1, NOW));
    assert_int_equal(w->removed, 0);
    assert_int_equal(w->changed, 2);
    assert_int_equal(stats(w, 0).expires, 0);
}

static void test_cycle_removes_all_expired(void **state)
{
    struct world *w = *state;
    enum { N = 20000 };

    for (int i = 0; i < N; i++)
        set(w, i % 4, i, i % 2 ? NOW + 1 : NOW + 1000000);
    assert_int_equal(wc_store_expire_cycle(w->store, NOW, LONG_US), 0);
    for (int round = 0; w->removed < N / 2; round++) {
        assert_true(round < 2000);
        wc_store_expire_cycle(w->store, NOW + 1, LONG_US);
    }
    assert_int_equal(w->removed, N / 2);
    assert_int_equal(wc_store_expired_total(w->store), N / 2);
    for (int i = 0; i < N; i++)
        assert_int_equal(exists(w, i % 4, i, NOW + 1), i % 2 == 0);
    assert_int_equal(w->removed, N / 2); /* none was left for the lookups */
}

/* When nearly all is expired, one call goes on until it is gone. */
static void test_cycle_persists_while_it_finds_much(void **state)
{
    struct world *w = *state;
    enum { N = 20000 };

    for (int i = 0; i < N; i++)
        set(w, 0, i, NOW);
    assert_true(wc_store_expire_cycle(w->store, NOW, LONG_US) > N * 9 / 10);
}

/* A few volatile keys among many that are not are found within a few calls. */
static void test_cycle_finds_the_needle(void **state)
{
    struct world *w = *state;
    int rounds = 0;

    for (int i = 0; i < 100000; i++)
        set(w, 0, i, i == 77777 ? NOW : WC_NO_EXPIRE);
    while (w->removed == 0 && rounds++ < 20)
        wc_store_expire_cycle(w->store, NOW, LONG_US);
    assert_int_equal(w->removed, 1);
    assert_int_equal(stats(w, 0).keys, 99999);
}

static int64_t monotonic_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The budget is kept but for one visit, and every shard gets its turn. */
static void test_cycle_is_bounded(void **state)
{
    struct world *w = *state;
    int64_t best = INT64_MAX;
    enum { N = 100000 };
    size_t calls = 0;

    for (int i = 0; i < N; i++)
        set(w, 0, i, NOW);
    while (wc_store_expire_cycle(w->store, NOW, 200)) {
        int64_t start = monotonic_us(), took;

        wc_store_expire_cycle(w->store, NOW, 0);
        took = monotonic_us() - start;
        best = took < best ? took : best; /* the machine may be busy: look at the best */
        calls++;
    }
    assert_true(best < 5000);
    assert_true(calls > 10);
    for (int i = 0; i < 1000 && w->removed < N; i++)
        wc_store_expire_cycle(w->store, NOW, LONG_US);
    assert_int_equal(w->removed, N);
}

static void test_persisted_keys_stay(void **state)
{
    struct world *w = *state;
    char buf[32];

    for (int i = 0; i < 1000; i++) {
        struct wc_key k = make_key(buf, sizeof(buf), i);
        uint32_t shard = wc_store_shard_of(w->store, k.hash);

        set(w, 0, i, NOW + 1);
        wc_store_lock(w->store, shard);
        assert_non_null(wc_store_set_expire(w->store, 0, &k, wc_store_find(w->store, 0, &k, NOW), WC_NO_EXPIRE));
        wc_store_unlock(w->store, shard);
    }
    assert_int_equal(stats(w, 0).expires, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(wc_store_expire_cycle(w->store, NOW + 5, LONG_US), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(exists(w, 0, i, NOW + 5));
}

static void test_average_ttl(void **state)
{
    struct world *w = *state;
    int64_t now = wc_store_now_ms();

    assert_int_equal(stats(w, 0).avg_ttl_ms, 0);
    for (int i = 0; i < 100; i++)
        set(w, 0, i, now + 100000);
    for (int i = 100; i < 200; i++)
        set(w, 0, i, now + 300000);
    set(w, 0, 200, WC_NO_EXPIRE);
    assert_int_equal(stats(w, 0).expires, 200);
    assert_in_range(stats(w, 0).avg_ttl_ms, 190000, 200000);
    set(w, 1, 1, now - 100000);
    assert_int_equal(stats(w, 1).avg_ttl_ms, 0);
    /* the sum of such does not fit 64 bits */
    for (int i = 0; i < 10; i++)
        set(w, 2, i, INT64_MAX);
    assert_true(stats(w, 2).avg_ttl_ms > INT64_MAX - 2 * now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lazy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete_of_an_expired_key_deletes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overwriting_an_expired_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycle_removes_all_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycle_persists_while_it_finds_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycle_finds_the_needle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cycle_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_persisted_keys_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_average_ttl, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
