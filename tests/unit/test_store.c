/* The store: keys and values through growth and shrinking, the observer, flushes, accounting, threads. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

#define NOW INT64_C(1700000000000)

/* ---- a store with an observer that writes down what it is told ---- */

enum event { NOTHING, CHANGED, REMOVED, FLUSHED };

struct world {
    struct wc_store *store;
    unsigned calls;
    enum event last;
    int db;
    char key[64], value[1024];
    uint32_t key_len, value_len;
    int64_t expire_at;
};

static void on_changed(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire_at)
{
    struct world *w = arg;

    w->calls++;
    w->last = CHANGED;
    w->db = db;
    w->key_len = key->len;
    w->value_len = value->len;
    memcpy(w->key, key->ptr, key->len < sizeof(w->key) ? key->len : sizeof(w->key));
    memcpy(w->value, value->ptr, value->len < sizeof(w->value) ? value->len : sizeof(w->value));
    w->expire_at = expire_at;
    assert_int_equal(key->hash, wc_store_hash(key->ptr, key->len));
}

static void on_removed(void *arg, int db, const struct wc_key *key)
{
    struct world *w = arg;

    w->calls++;
    w->last = REMOVED;
    w->db = db;
    w->key_len = key->len;
    memcpy(w->key, key->ptr, key->len < sizeof(w->key) ? key->len : sizeof(w->key));
    assert_int_equal(key->hash, wc_store_hash(key->ptr, key->len));
}

static void on_flushed(void *arg, int db, uint32_t shard)
{
    struct world *w = arg;

    (void)shard;
    w->calls++;
    w->last = FLUSHED;
    w->db = db;
}

static int setup_shards(void **state, uint32_t shards)
{
    struct world *w = calloc(1, sizeof(*w));

    w->store = wc_store_new(shards, 16);
    assert_non_null(w->store);
    wc_store_observe(w->store, &(struct wc_store_observer){on_changed, on_removed, on_flushed, w, NULL});
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_shards(state, 4);
}

static int setup_one(void **state)
{
    return setup_shards(state, 1);
}

static int teardown(void **state)
{
    struct world *w = *state;

    wc_store_free(w->store);
    free(w);
    return 0;
}

static struct wc_key make_key(const char *s, size_t len)
{
    return (struct wc_key){.ptr = s, .len = (uint32_t)len, .hash = wc_store_hash(s, (uint32_t)len)};
}

static void lock(struct world *w, const struct wc_key *key)
{
    wc_store_lock(w->store, wc_store_shard_of(w->store, key->hash));
}

static void unlock(struct world *w, const struct wc_key *key)
{
    wc_store_unlock(w->store, wc_store_shard_of(w->store, key->hash));
}

static int set(struct world *w, int db, const char *key, const char *value, size_t len, int64_t expire_at)
{
    struct wc_key k = make_key(key, strlen(key));
    int err;

    lock(w, &k);
    err = wc_store_set(w->store, db, &k, value, (uint32_t)len, expire_at);
    unlock(w, &k);
    return err;
}

static bool del(struct world *w, int db, const char *key)
{
    struct wc_key k = make_key(key, strlen(key));
    bool removed;

    lock(w, &k);
    removed = wc_store_delete(w->store, db, &k, NOW);
    unlock(w, &k);
    return removed;
}

/* Does the key have exactly this value? value NULL: it must not exist. */
static void check_value(struct world *w, int db, const char *key, const char *value, size_t len)
{
    struct wc_key k = make_key(key, strlen(key));
    struct wc_entry *e;
    char scratch[24];

    lock(w, &k);
    e = wc_store_find(w->store, db, &k, NOW);
    if (!value) {
        assert_null(e);
    } else {
        struct wc_value v;

        assert_non_null(e);
        v = wc_entry_value(e, scratch);
        assert_int_equal(v.len, len);
        assert_memory_equal(v.ptr, value, len);
    }
    unlock(w, &k);
}

/* ---- the table's invariants, as table.h states them ---- */

static size_t check_chain(const struct wc_table *t, size_t bucket, uint64_t *bytes, size_t *nvolatile,
                          unsigned __int128 *sum)
{
    const struct wc_bucket *head = wc_table_bucket(t, bucket);
    size_t n = 0;

    for (const struct wc_bucket *b = head; b; b = wc_bucket_next(b)) {
        bool ended = false;
        size_t here = 0;

        for (int i = 0; i < WC_BUCKET_SLOTS; i++) {
            uint64_t word = b->slot[i];
            const struct wc_entry *e = wc_slot_entry(word);

            if (word & WC_SLOT_LINK) {
                assert_int_equal(i, WC_BUCKET_SLOTS - 1);
                assert_false(ended);
                continue;
            }
            ended |= word == 0;
            if (!word)
                continue;
            assert_false(ended); /* entries come before empty words */
            assert_int_equal(wc_table_index(t, wc_store_hash(wc_entry_key(e), e->klen)), bucket);
            assert_int_equal((word & WC_SLOT_VOLATILE) != 0, e->has_expire);
            *bytes += wc_entry_bytes(e);
            *nvolatile += e->has_expire;
            *sum += e->has_expire ? (uint64_t)wc_entry_expire(e) : 0;
            here++;
        }
        if (wc_bucket_next(b))
            assert_int_equal(here, WC_BUCKET_SLOTS - 1);
        if (b != head) {
            assert_true(here >= 2);
            *bytes += sizeof(*b);
        }
        n += here;
    }
    return n;
}

static void check_table(const struct wc_table *t)
{
    uint64_t bytes = wc_size_class(sizeof(*t)) + wc_size_class(t->segs_cap * sizeof(*t->segs));
    size_t n = 0, nvolatile = 0;
    unsigned __int128 sum = 0;

    for (size_t i = 0; i < t->nbuckets; i++)
        n += check_chain(t, i, &bytes, &nvolatile, &sum);
    bytes += t->seg0_cap * sizeof(struct wc_bucket);
    if (t->nbuckets > 64)
        bytes += ((t->nbuckets - 1) / 64) * 64 * sizeof(struct wc_bucket);
    assert_int_equal(n, t->nentries);
    assert_int_equal(nvolatile, t->nvolatile);
    assert_true(sum == t->expire_sum);
    assert_int_equal(bytes, t->bytes);
    assert_true(t->nbuckets - 1 <= t->mask && t->nbuckets > t->mask >> 1);
    assert_true(t->nentries <= t->nbuckets * 6);
}

/* All tables are sound, and the store's accounting is the sum of theirs. Returns the number of keys. */
static size_t check_store(const struct wc_store *s)
{
    uint64_t bytes = 0;
    size_t keys = 0;

    for (uint32_t i = 0; i < s->nshards; i++) {
        for (int db = 0; db < s->databases; db++) {
            const struct wc_table *t = wc_store_shard(s, i)->tables[db];

            if (!t)
                continue;
            check_table(t);
            bytes += t->bytes;
            keys += t->nentries;
        }
    }
    assert_int_equal(wc_store_used_bytes(s), bytes);
    assert_true(llabs((long long)(wc_store_used_estimate(s) - bytes)) <= 1024LL * s->nshards);
    return keys;
}

/* ---- tests ---- */

static void test_rejects_bad_shapes(void **state)
{
    (void)state;
    assert_null(wc_store_new(0, 16));
    assert_null(wc_store_new(3, 16));
    assert_null(wc_store_new(WC_STORE_SHARDS_MAX * 2, 16));
    assert_null(wc_store_new(4, 0));
}

static void test_set_get_delete(void **state)
{
    struct world *w = *state;

    check_value(w, 0, "k", NULL, 0);
    assert_int_equal(set(w, 0, "k", "value", 5, WC_NO_EXPIRE), 0);
    check_value(w, 0, "k", "value", 5);
    assert_int_equal(set(w, 0, "k", "other", 5, WC_NO_EXPIRE), 0);
    check_value(w, 0, "k", "other", 5);
    assert_true(del(w, 0, "k"));
    assert_false(del(w, 0, "k"));
    check_value(w, 0, "k", NULL, 0);
    assert_int_equal(check_store(w->store), 0);
}

static void test_empty_and_binary(void **state)
{
    struct world *w = *state;
    struct wc_key keys[] = {make_key("", 0), make_key("\0", 1), make_key("\0\0", 2), make_key("a\r\nb", 4)};
    char scratch[24];

    for (size_t i = 0; i < 4; i++) {
        lock(w, &keys[i]);
        assert_int_equal(wc_store_set(w->store, 0, &keys[i], "\0\xff\r\n", (uint32_t)i, WC_NO_EXPIRE), 0);
        unlock(w, &keys[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        struct wc_value v;

        lock(w, &keys[i]);
        v = wc_entry_value(wc_store_find(w->store, 0, &keys[i], NOW), scratch);
        assert_int_equal(v.len, i);
        assert_memory_equal(v.ptr, "\0\xff\r\n", i);
        unlock(w, &keys[i]);
    }
    assert_int_equal(check_store(w->store), 4);
}

/* Values of every size replace each other: in place, to larger and to smaller classes, with expiry and without. */
static void test_overwrite_sizes(void **state)
{
    struct world *w = *state;
    char value[3000];

    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof(value); i += 1 + i / 7) {
            size_t len = round & 1 ? sizeof(value) - i : i;

            memset(value, (int)('a' + i % 26), sizeof(value));
            assert_int_equal(set(w, 0, "key", value, len, round & 2 ? NOW + 1000 : WC_NO_EXPIRE), 0);
            check_value(w, 0, "key", value, len);
            check_store(w->store);
        }
    }
}

static void test_size_classes_are_the_allocators(void **state)
{
    void *probe = malloc(33);
    size_t usable = malloc_usable_size(probe);

    (void)state;
    free(probe);
    if (usable != 48) /* not jemalloc: then used_bytes is a close estimate */
        skip();
    for (size_t n = 9; n < 200000; n += 1 + n / 50) {
        void *p = malloc(n);

        assert_int_equal(malloc_usable_size(p), wc_size_class(n));
        free(p);
    }
}

static void test_grow_and_shrink(void **state)
{
    struct world *w = *state;
    enum { N = 200000 };
    char key[32], value[64];

    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        assert_int_equal(set(w, 0, key, value, (size_t)snprintf(value, sizeof(value), "%d", i), WC_NO_EXPIRE), 0);
        if ((i & (i - 1)) == 0 || i % 20011 == 0)
            assert_int_equal(check_store(w->store), i + 1);
    }
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        check_value(w, 0, key, value, (size_t)snprintf(value, sizeof(value), "%d", i));
    }
    check_value(w, 0, "key:200000", NULL, 0);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        assert_true(del(w, 0, key));
        if (i % 20011 == 0 || N - i < 100)
            assert_int_equal(check_store(w->store), N - i - 1);
    }
    /* what is left are the first segments and the directories */
    assert_true(wc_store_used_bytes(w->store) < 4 * 8192);
}

/* At every single size from one to some thousand keys, all keys are there: no key is lost in a split or a merge. */
static void test_every_size(void **state)
{
    struct world *w = *state;
    enum { N = 3000 };
    char key[32];

    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(set(w, 0, key, key, strlen(key), i % 3 ? WC_NO_EXPIRE : NOW + i + 1), 0);
        assert_int_equal(check_store(w->store), i + 1);
    }
    for (int i = N - 1; i >= 0; i--) {
        snprintf(key, sizeof(key), "%d", i);
        assert_true(del(w, 0, key));
        assert_int_equal(check_store(w->store), i);
    }
}

static void test_databases_are_apart(void **state)
{
    struct world *w = *state;
    struct wc_store_stats stats;

    set(w, 0, "k", "zero", 4, WC_NO_EXPIRE);
    set(w, 15, "k", "fifteen", 7, NOW + 1000);
    check_value(w, 0, "k", "zero", 4);
    check_value(w, 15, "k", "fifteen", 7);
    check_value(w, 1, "k", NULL, 0);
    wc_store_stats(w->store, 15, &stats);
    assert_int_equal(stats.keys, 1);
    assert_int_equal(stats.expires, 1);
    assert_true(del(w, 0, "k"));
    check_value(w, 15, "k", "fifteen", 7);
}

static void check_event(struct world *w, enum event event, int db, const char *key)
{
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->last, event);
    assert_int_equal(w->db, db);
    if (key) {
        assert_int_equal(w->key_len, strlen(key));
        assert_memory_equal(w->key, key, strlen(key));
    }
    w->calls = 0;
}

static void check_changed(struct world *w, int db, const char *key, const char *value, int64_t expire_at)
{
    check_event(w, CHANGED, db, key);
    assert_int_equal(w->value_len, strlen(value));
    assert_memory_equal(w->value, value, strlen(value));
    assert_int_equal(w->expire_at, expire_at);
}

static void test_observer_sees_every_change_once(void **state)
{
    struct world *w = *state;
    struct wc_key k = make_key("k", 1);
    struct wc_entry *e;

    set(w, 3, "k", "v", 1, WC_NO_EXPIRE);
    check_changed(w, 3, "k", "v", WC_NO_EXPIRE);
    set(w, 3, "k", "w", 1, WC_NO_EXPIRE); /* in place */
    check_changed(w, 3, "k", "w", WC_NO_EXPIRE);
    set(w, 3, "k", "a value of another size class altogether", 40, NOW + 5);
    check_changed(w, 3, "k", "a value of another size class altogether", NOW + 5);

    lock(w, &k);
    e = wc_store_find(w->store, 3, &k, NOW);
    assert_int_equal(w->calls, 0); /* reading is no change */
    e = wc_store_set_expire(w->store, 3, &k, e, NOW + 9);
    check_changed(w, 3, "k", "a value of another size class altogether", NOW + 9);
    e = wc_store_set_expire(w->store, 3, &k, e, WC_NO_EXPIRE);
    check_changed(w, 3, "k", "a value of another size class altogether", WC_NO_EXPIRE);
    assert_int_equal(wc_store_write_range(w->store, 3, &k, e, 2, "VALUE", 5), 0);
    check_changed(w, 3, "k", "a VALUE of another size class altogether", WC_NO_EXPIRE);
    e = wc_store_find(w->store, 3, &k, NOW);
    assert_int_equal(wc_store_write_range(w->store, 3, &k, e, 40, "!", 1), 0);
    check_changed(w, 3, "k", "a VALUE of another size class altogether!", WC_NO_EXPIRE);
    e = wc_store_find(w->store, 3, &k, NOW);
    wc_store_set_expire(w->store, 3, &k, e, NOW + 1);
    w->calls = 0;
    assert_null(wc_store_find(w->store, 3, &k, NOW + 1)); /* expired */
    check_event(w, REMOVED, 3, "k");
    assert_null(wc_store_find(w->store, 3, &k, NOW + 1));
    assert_int_equal(w->calls, 0);
    unlock(w, &k);

    set(w, 3, "k", "v", 1, WC_NO_EXPIRE);
    w->calls = 0;
    assert_true(del(w, 3, "k"));
    check_event(w, REMOVED, 3, "k");
    assert_false(del(w, 3, "k"));
    assert_int_equal(w->calls, 0);
}

static void test_flush(void **state)
{
    struct world *w = *state;
    char key[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        set(w, i % 2, key, key, strlen(key), WC_NO_EXPIRE);
    }
    w->calls = 0;
    wc_store_flush(w->store, 1, false);
    assert_int_equal(w->calls, 4); /* each shard */
    assert_int_equal(w->last, FLUSHED);
    assert_int_equal(w->db, 1);
    assert_int_equal(check_store(w->store), 500);
    check_value(w, 0, "0", "0", 1);
    check_value(w, 1, "1", NULL, 0);

    w->calls = 0;
    wc_store_flush(w->store, -1, true);
    assert_int_equal(w->calls, 4);
    assert_int_equal(w->db, -1);
    assert_int_equal(check_store(w->store), 0);
    assert_int_equal(wc_store_used_bytes(w->store), 0);

    set(w, 0, "k", "v", 1, WC_NO_EXPIRE);
    w->calls = 0;
    for (uint32_t i = 0; i < 4; i++) {
        wc_store_lock(w->store, i);
        wc_store_flush_shard(w->store, 0, i);
        wc_store_unlock(w->store, i);
    }
    assert_int_equal(w->calls, 4);
    assert_int_equal(check_store(w->store), 0);
}

/* Freed in a thread; wc_store_free() in teardown waits for it (a leak checker would tell). */
static void test_flush_in_background(void **state)
{
    struct world *w = *state;
    char key[32];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20000; i++) {
            snprintf(key, sizeof(key), "%d", i);
            set(w, 0, key, key, strlen(key), WC_NO_EXPIRE);
        }
        wc_store_flush(w->store, -1, true);
        assert_int_equal(wc_store_used_bytes(w->store), 0);
    }
}

static void test_write_range(void **state)
{
    struct world *w = *state;
    struct wc_key k = make_key("k", 1);
    char want[5000], scratch[24];
    uint32_t len = 0;

    lock(w, &k);
    assert_int_equal(wc_store_write_range(w->store, 0, &k, NULL, 3, "abc", 3), 0);
    unlock(w, &k);
    check_value(w, 0, "k", "\0\0\0abc", 6);
    del(w, 0, "k");

    /* append bit by bit, through many size classes; the expiry stays */
    set(w, 0, "k", "", 0, NOW + 7);
    for (int i = 0; len + 40 < sizeof(want); i++) {
        char piece[40];
        uint32_t n = (uint32_t)(i % 40);
        struct wc_entry *e;

        memset(piece, 'a' + i % 26, n);
        memcpy(want + len, piece, n);
        lock(w, &k);
        e = wc_store_find(w->store, 0, &k, NOW);
        assert_int_equal(wc_store_write_range(w->store, 0, &k, e, wc_entry_value(e, scratch).len, piece, n), 0);
        assert_int_equal(wc_entry_expire(wc_store_find(w->store, 0, &k, NOW)), NOW + 7);
        unlock(w, &k);
        len += n;
        check_value(w, 0, "k", want, len);
        check_store(w->store);
    }
    lock(w, &k);
    assert_int_equal(wc_store_write_range(w->store, 0, &k, wc_store_find(w->store, 0, &k, NOW), UINT32_MAX, "ab", 2),
                     -E2BIG);
    unlock(w, &k);
    check_value(w, 0, "k", want, len);
}

/* Expiry on and off at every value length: the entry moves between classes, or its data moves by eight bytes. */
static void test_expiry_comes_and_goes(void **state)
{
    struct world *w = *state;
    struct wc_key k = make_key("some key", 8);
    char value[300];

    for (size_t len = 0; len < sizeof(value); len++) {
        memset(value, (int)('a' + len % 26), sizeof(value));
        set(w, 0, "some key", value, len, WC_NO_EXPIRE);
        for (int i = 0; i < 3; i++) {
            int64_t at = i == 2 ? WC_NO_EXPIRE : NOW + 100 + i;

            lock(w, &k);
            assert_non_null(wc_store_set_expire(w->store, 0, &k, wc_store_find(w->store, 0, &k, NOW), at));
            assert_int_equal(wc_entry_expire(wc_store_find(w->store, 0, &k, NOW)), at);
            unlock(w, &k);
            check_value(w, 0, "some key", value, len);
            check_store(w->store);
        }
    }
}

static void test_lock_keys(void **state)
{
    struct world *w = *state;
    struct wc_key keys[100];
    char names[100][8];

    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "%d", i / 2);
        keys[i] = make_key(names[i], strlen(names[i]));
    }
    /* each shard once, though each key comes twice: a second lock would hang */
    wc_store_lock_keys(w->store, keys, 100);
    wc_store_unlock_keys(w->store, keys, 100);
    wc_store_lock_keys(w->store, keys, 0);
    wc_store_unlock_keys(w->store, keys, 0);
    wc_store_lock_all(w->store);
    wc_store_unlock_all(w->store);
}

static void test_hash_spreads(void **state)
{
    (void)state;
    enum { N = 1 << 16, CELLS = 256 };
    const char *const formats[] = {"%d", "key:%012d", "%08d:some quite long suffix, beyond sixteen bytes"};

    for (size_t f = 0; f < 3; f++) {
        unsigned top[CELLS] = {0}, bottom[CELLS] = {0}, middle[CELLS] = {0};

        for (int i = 0; i < N; i++) {
            char key[128];
            uint32_t len = (uint32_t)snprintf(key, sizeof(key), formats[f], i);
            uint64_t hash = wc_store_hash(key, len);

            top[hash >> 56]++;
            middle[hash >> 33 & 0xff]++;
            bottom[hash & 0xff]++;
        }
        for (int i = 0; i < CELLS; i++) { /* 256 expected, standard deviation 16: eight of them are enough */
            assert_in_range(top[i], 128, 384);
            assert_in_range(middle[i], 128, 384);
            assert_in_range(bottom[i], 128, 384);
        }
    }
}

static void test_hash_tells_lengths_apart(void **state)
{
    char zeros[200] = {0};

    (void)state;
    for (uint32_t a = 0; a < sizeof(zeros); a++) {
        for (uint32_t b = 0; b < a; b++)
            assert_true(wc_store_hash(zeros, a) != wc_store_hash(zeros, b));
    }
}

/* ---- against a trivially simple model ---- */

#define MODEL_KEYS 400

struct model {
    char value[MODEL_KEYS][200];
    int len[MODEL_KEYS]; /* -1: no such key */
    int64_t expire_at[MODEL_KEYS];
};

static unsigned next_random(unsigned *seed)
{
    return *seed = *seed * 1103515245 + 12345, *seed >> 8;
}

static void model_check(struct world *w, const struct model *m, int i, int64_t now)
{
    char key[16], scratch[24];
    struct wc_key k = make_key(key, (size_t)snprintf(key, sizeof(key), "%d", i));
    struct wc_entry *e;

    lock(w, &k);
    e = wc_store_find(w->store, 0, &k, now);
    if (m->len[i] < 0) {
        assert_null(e);
    } else {
        assert_non_null(e);
        assert_int_equal(wc_entry_value(e, scratch).len, m->len[i]);
        assert_memory_equal(wc_entry_value(e, scratch).ptr, m->value[i], (size_t)m->len[i]);
        assert_int_equal(wc_entry_expire(e), m->expire_at[i]);
    }
    unlock(w, &k);
}

static void model_step(struct world *w, struct model *m, unsigned *seed, int64_t now)
{
    int i = (int)(next_random(seed) % MODEL_KEYS), len = (int)(next_random(seed) % 200);
    char key[16];
    struct wc_key k = make_key(key, (size_t)snprintf(key, sizeof(key), "%d", i));
    int64_t at = next_random(seed) % 2 ? WC_NO_EXPIRE : now + next_random(seed) % 500 + 1;
    struct wc_entry *e;

    if (m->expire_at[i] != WC_NO_EXPIRE && m->expire_at[i] <= now)
        m->len[i] = -1;
    lock(w, &k);
    e = wc_store_find(w->store, 0, &k, now);
    switch (next_random(seed) % 4) {
    case 0:
    case 1:
        m->len[i] = len;
        memset(m->value[i], (int)next_random(seed), sizeof(m->value[i]));
        m->expire_at[i] = at;
        assert_int_equal(wc_store_set(w->store, 0, &k, m->value[i], (uint32_t)len, at), 0);
        break;
    case 2:
        assert_int_equal(wc_store_delete(w->store, 0, &k, now), m->len[i] >= 0);
        m->len[i] = -1;
        break;
    case 3:
        assert_int_equal(e != NULL, m->len[i] >= 0);
        if (e) {
            m->expire_at[i] = at;
            assert_non_null(wc_store_set_expire(w->store, 0, &k, e, at));
        }
        break;
    }
    unlock(w, &k);
    if (m->len[i] < 0)
        m->expire_at[i] = WC_NO_EXPIRE;
    model_check(w, m, i, now);
}

static void test_random_operations(void **state)
{
    struct world *w = *state;
    struct model *m = calloc(1, sizeof(*m));
    unsigned seed = 42;

    for (int i = 0; i < MODEL_KEYS; i++) {
        m->len[i] = -1;
        m->expire_at[i] = WC_NO_EXPIRE;
    }
    for (int step = 0; step < 100000; step++) {
        model_step(w, m, &seed, NOW + step / 10);
        if (step % 1000 == 0)
            check_store(w->store);
        if (step % 5000 == 0)
            wc_store_expire_cycle(w->store, NOW + step / 10, 100000);
    }
    free(m);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, HOT = 3 };

static void *count_up(void *arg)
{
    struct world *w = arg;
    char scratch[24];

    for (int i = 0; i < ROUNDS; i++) {
        char key[2] = {(char)('a' + i % HOT), 0}, text[24];
        struct wc_key k = make_key(key, 1);
        struct wc_entry *e;
        long n = 0;

        lock(w, &k);
        e = wc_store_find(w->store, 0, &k, NOW);
        if (e) {
            struct wc_value v = wc_entry_value(e, scratch);

            snprintf(text, sizeof(text), "%.*s", (int)v.len, v.ptr);
            n = atol(text);
        }
        wc_store_set(w->store, 0, &k, text, (uint32_t)snprintf(text, sizeof(text), "%ld", n + 1), WC_NO_EXPIRE);
        unlock(w, &k);
    }
    return NULL;
}

static void *churn(void *arg)
{
    struct world *w = arg;
    struct wc_key keys[8];
    char names[8][16];

    for (int i = 0; i < ROUNDS / 4; i++) {
        for (int j = 0; j < 8; j++)
            keys[j] = make_key(names[j], (size_t)snprintf(names[j], sizeof(names[j]), "%d", (i * 7 + j * 131) % 999));
        wc_store_lock_keys(w->store, keys, 8);
        for (int j = 0; j < 8; j++) {
            if ((i + j) % 3)
                wc_store_set(w->store, 1, &keys[j], names[j], keys[j].len, NOW + 1);
            else
                wc_store_delete(w->store, 1, &keys[j], NOW);
        }
        wc_store_unlock_keys(w->store, keys, 8);
        if (i % 1000 == 0)
            wc_store_flush(w->store, 1, true);
        if (i % 100 == 0)
            wc_store_expire_cycle(w->store, NOW + 5, 1000);
    }
    return NULL;
}

static void run_threads(struct world *w, void *(*fn)(void *))
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, w), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void test_threads_do_not_lose_updates(void **state)
{
    struct world *w = *state;
    long total = 0;

    wc_store_observe(w->store, NULL); /* the recorder is not made for threads */
    run_threads(w, count_up);
    for (int i = 0; i < HOT; i++) {
        char key[1] = {(char)('a' + i)}, scratch[24], text[24];
        struct wc_key k = make_key(key, 1);
        struct wc_value v;

        lock(w, &k);
        v = wc_entry_value(wc_store_find(w->store, 0, &k, NOW), scratch);
        snprintf(text, sizeof(text), "%.*s", (int)v.len, v.ptr);
        total += atol(text);
        unlock(w, &k);
    }
    assert_int_equal(total, THREADS * ROUNDS);
    check_store(w->store);
}

static void test_threads_churn(void **state)
{
    struct world *w = *state;

    wc_store_observe(w->store, NULL);
    run_threads(w, churn);
    check_store(w->store);
    wc_store_flush(w->store, -1, false);
    assert_int_equal(wc_store_used_bytes(w->store), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rejects_bad_shapes),
        cmocka_unit_test_setup_teardown(test_set_get_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_and_binary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overwrite_sizes, setup, teardown),
        cmocka_unit_test(test_size_classes_are_the_allocators),
        cmocka_unit_test_setup_teardown(test_grow_and_shrink, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_size, setup_one, teardown),
        cmocka_unit_test_setup_teardown(test_databases_are_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_observer_sees_every_change_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flush_in_background, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock_keys, setup, teardown),
        cmocka_unit_test(test_hash_spreads),
        cmocka_unit_test(test_hash_tells_lengths_apart),
        cmocka_unit_test_setup_teardown(test_random_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_do_not_lose_updates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_churn, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
