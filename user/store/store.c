/* Shards, locks and the operations on keys.
 *
 * Every function here that changes a key tells the observer before it returns, so inside the shard's critical
 * section; commands cannot forget it. A change that the observer is not told of would leave a stale value in the
 * kernel.
 *
 * Lock order: shards by ascending index, then the observer's own locks. wc_store.reap_lock is never held together
 * with any of them.
 */
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* ---- life ---- */

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

struct wc_store *wc_store_new(uint32_t shards, int databases)
{
    struct wc_store *s;
    size_t bytes;

    if (shards == 0 || shards & (shards - 1) || shards > WC_STORE_SHARDS_MAX || databases < 1)
        return NULL;
    s = aligned_alloc(64, round_up(sizeof(*s), 64));
    if (!s)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->nshards = shards;
    s->hash_shift = 64 - (uint32_t)__builtin_ctz(shards);
    s->databases = databases;
    s->shard_stride = round_up(sizeof(struct wc_shard) + (size_t)databases * sizeof(struct wc_table *), 64);
    bytes = shards * s->shard_stride;
    s->shards = aligned_alloc(64, bytes);
    if (!s->shards) {
        free(s);
        return NULL;
    }
    memset(s->shards, 0, bytes);
    for (uint32_t i = 0; i < shards; i++)
        wc_store_shard(s, i)->random = (uint32_t)wc_store_hash((char *)&i, sizeof(i)) | 1;
    atomic_store(&s->clock, wc_entry_clock(wc_store_now_ms()));
    pthread_mutex_init(&s->reap_lock, NULL);
    pthread_cond_init(&s->reap_done, NULL);
    return s;
}

void wc_store_free(struct wc_store *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->reap_lock);
    while (s->reapers)
        pthread_cond_wait(&s->reap_done, &s->reap_lock);
    pthread_mutex_unlock(&s->reap_lock);
    for (uint32_t i = 0; i < s->nshards; i++) {
        for (int db = 0; db < s->databases; db++)
            wc_table_free(wc_store_shard(s, i)->tables[db]);
    }
    pthread_mutex_destroy(&s->reap_lock);
    pthread_cond_destroy(&s->reap_done);
    free(s->shards);
    free(s);
}

void wc_store_observe(struct wc_store *s, const struct wc_store_observer *obs)
{
    s->observer = obs ? *obs : (struct wc_store_observer){0};
}

int64_t wc_store_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- locks ---- */

uint32_t wc_store_shard_of(const struct wc_store *s, uint64_t hash)
{
    return s->nshards == 1 ? 0 : (uint32_t)(hash >> s->hash_shift);
}

uint32_t wc_store_shards(const struct wc_store *s)
{
    return s->nshards;
}

void wc_store_lock(struct wc_store *s, uint32_t shard)
{
    wc_mutex_lock(&wc_store_shard(s, shard)->lock);
}

void wc_store_unlock(struct wc_store *s, uint32_t shard)
{
    wc_mutex_unlock(&wc_store_shard(s, shard)->lock);
}

/* The shards of n keys as a bit set: walked in order it gives each shard once, without sorting or allocating. */
static void shard_set(const struct wc_store *s, const struct wc_key *keys, size_t n, uint64_t *set)
{
    memset(set, 0, (s->nshards + 63) / 64 * sizeof(*set));
    for (size_t i = 0; i < n; i++) {
        uint32_t shard = wc_store_shard_of(s, keys[i].hash);

        set[shard / 64] |= UINT64_C(1) << shard % 64;
    }
}

static void each_in_set(struct wc_store *s, const uint64_t *set, void (*fn)(struct wc_store *, uint32_t))
{
    for (uint32_t base = 0; base < s->nshards; base += 64) {
        for (uint64_t bits = set[base / 64]; bits; bits &= bits - 1)
            fn(s, base + (uint32_t)__builtin_ctzl(bits));
    }
}

void wc_store_lock_keys(struct wc_store *s, const struct wc_key *keys, size_t n)
{
    uint64_t set[WC_STORE_SHARDS_MAX / 64];

    shard_set(s, keys, n, set);
    each_in_set(s, set, wc_store_lock);
}

void wc_store_begin_many(struct wc_store *s)
{
    if (s->observer.many)
        s->observer.many(s->observer.arg, true);
}

void wc_store_end_many(struct wc_store *s)
{
    if (s->observer.many)
        s->observer.many(s->observer.arg, false);
}

void wc_store_unlock_keys(struct wc_store *s, const struct wc_key *keys, size_t n)
{
    uint64_t set[WC_STORE_SHARDS_MAX / 64];

    shard_set(s, keys, n, set);
    each_in_set(s, set, wc_store_unlock);
}

void wc_store_lock_all(struct wc_store *s)
{
    for (uint32_t i = 0; i < s->nshards; i++)
        wc_store_lock(s, i);
}

void wc_store_unlock_all(struct wc_store *s)
{
    for (uint32_t i = 0; i < s->nshards; i++)
        wc_store_unlock(s, i);
}

/* ---- accounting ---- */

/* A shard reports to the shared counter in steps of about this much: workers would fight for its line otherwise. */
#define REPORT_BYTES 1024

void wc_store_account(struct wc_store *s, struct wc_shard *shard, int64_t delta)
{
    int64_t sum = atomic_load_explicit(&shard->unreported, memory_order_relaxed) + delta;

    if (delta == 0)
        return;
    if (sum >= REPORT_BYTES || sum <= -REPORT_BYTES) {
        uint64_t used = atomic_fetch_add_explicit(&s->used, (uint64_t)sum, memory_order_relaxed) + (uint64_t)sum;

        /* Two racing raises can lose the higher one by a little; the next report mends it. */
        if (used > atomic_load_explicit(&s->peak, memory_order_relaxed))
            atomic_store_explicit(&s->peak, used, memory_order_relaxed);
        sum = 0;
    }
    atomic_store_explicit(&shard->unreported, sum, memory_order_relaxed);
}

uint64_t wc_store_used_estimate(const struct wc_store *s)
{
    int64_t used = (int64_t)atomic_load_explicit(&s->used, memory_order_relaxed);

    return used > 0 ? (uint64_t)used : 0;
}

uint64_t wc_store_used_bytes(const struct wc_store *s)
{
    uint64_t used = atomic_load_explicit(&s->used, memory_order_relaxed);

    for (uint32_t i = 0; i < s->nshards; i++)
        used += (uint64_t)atomic_load_explicit(&wc_store_shard(s, i)->unreported, memory_order_relaxed);
    return (int64_t)used > 0 ? used : 0;
}

uint64_t wc_store_peak_bytes(const struct wc_store *s)
{
    uint64_t peak = atomic_load_explicit(&s->peak, memory_order_relaxed), used = wc_store_used_bytes(s);

    return used > peak ? used : peak;
}

uint64_t wc_store_expired_total(const struct wc_store *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->nshards; i++)
        sum += atomic_load_explicit(&wc_store_shard(s, i)->expired, memory_order_relaxed);
    return sum;
}

uint64_t wc_store_evicted_total(const struct wc_store *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->nshards; i++)
        sum += atomic_load_explicit(&wc_store_shard(s, i)->evicted, memory_order_relaxed);
    return sum;
}

void wc_store_stats(struct wc_store *s, int db, struct wc_store_stats *out)
{
    unsigned __int128 sum = 0;

    *out = (struct wc_store_stats){0};
    for (uint32_t i = 0; i < s->nshards; i++) {
        const struct wc_table *t;

        wc_store_lock(s, i);
        t = wc_store_shard(s, i)->tables[db];
        if (t) {
            out->keys += t->nentries;
            out->expires += t->nvolatile;
            sum += t->expire_sum;
        }
        wc_store_unlock(s, i);
    }
    if (out->expires)
        out->avg_ttl_ms = (int64_t)(sum / out->expires) - wc_store_now_ms();
    if (out->avg_ttl_ms < 0)
        out->avg_ttl_ms = 0;
}

/* ---- telling the observer ---- */

static void tell_changed(struct wc_store *s, int db, const struct wc_key *key, const struct wc_entry *e)
{
    struct wc_value value = {.ptr = wc_entry_value_bytes(e), .len = e->vlen};

    if (s->observer.changed)
        s->observer.changed(s->observer.arg, db, key, &value, wc_entry_expire(e));
}

void wc_store_remove(struct wc_store *s, struct wc_shard *shard, int db, const struct wc_key *key, uint64_t *word)
{
    struct wc_table *t = shard->tables[db];
    uint64_t before = t->bytes;

    if (s->observer.removed)
        s->observer.removed(s->observer.arg, db, key);
    wc_table_remove(t, key->hash, word);
    wc_store_account(s, shard, (int64_t)(t->bytes - before));
}

void wc_store_shrink(struct wc_store *s, struct wc_shard *shard, int db)
{
    struct wc_table *t = shard->tables[db];
    uint64_t before = t->bytes;

    wc_table_shrink(t);
    wc_store_account(s, shard, (int64_t)(t->bytes - before));
}

/* ---- keys ---- */

/* The word of the key's entry, expired or not, or NULL. */
static uint64_t *find_word(const struct wc_shard *shard, int db, const struct wc_key *key)
{
    const struct wc_table *t = shard->tables[db];

    return t ? wc_table_find(t, key) : NULL;
}

void wc_store_prefetch(struct wc_store *s, int db, const struct wc_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct wc_table *t = wc_store_shard_of_key(s, &keys[i])->tables[db];

        if (t)
            wc_table_prefetch_bucket(t, keys[i].hash);
    }
    for (size_t i = 0; i < n; i++) {
        const struct wc_table *t = wc_store_shard_of_key(s, &keys[i])->tables[db];

        if (t)
            wc_table_prefetch_entry(t, keys[i].hash);
    }
}

struct wc_entry *wc_store_find(struct wc_store *s, int db, const struct wc_key *key, int64_t now_ms)
{
    struct wc_shard *shard = wc_store_shard_of_key(s, key);
    uint64_t *word = find_word(shard, db, key);
    struct wc_entry *e;

    if (!word)
        return NULL;
    e = wc_slot_entry(*word);
    if (!wc_entry_expired(e, now_ms))
        return e;
    wc_store_remove(s, shard, db, key, word);
    wc_store_shrink(s, shard, db);
    wc_shard_count(&shard->expired);
    return NULL;
}

static int create(struct wc_store *s, struct wc_shard *shard, int db, const struct wc_key *key, const char *value,
                  uint32_t len, int64_t expire_at_ms, struct wc_entry **out)
{
    struct wc_table *t = shard->tables[db];
    struct wc_entry *e;
    uint64_t before;
    int err;

    if (key->len > WC_ENTRY_KEY_MAX)
        return -E2BIG;
    if (!t) {
        t = wc_table_new();
        if (!t)
            return -ENOMEM;
        shard->tables[db] = t;
        wc_store_account(s, shard, (int64_t)t->bytes);
    }
    e = wc_entry_new(key->ptr, key->len, value, len, expire_at_ms);
    if (!e)
        return -ENOMEM;
    wc_entry_start(e, atomic_load_explicit(&s->clock, memory_order_relaxed));
    before = t->bytes;
    err = wc_table_insert(t, key->hash, e);
    if (err)
        free(e);
    wc_store_account(s, shard, (int64_t)(t->bytes - before));
    *out = e;
    return err;
}

/* Give the entry at word a new value and expiry. */
static int overwrite(struct wc_store *s, struct wc_shard *shard, int db, const struct wc_key *key, uint64_t *word,
                     const char *value, uint32_t len, int64_t expire_at_ms, struct wc_entry **out)
{
    struct wc_table *t = shard->tables[db];
    struct wc_entry *old = wc_slot_entry(*word), *e = old;
    uint64_t before = t->bytes;

    if (wc_entry_size(key->len, len, expire_at_ms != WC_NO_EXPIRE) == wc_entry_bytes(old)) {
        wc_table_uncount(t, old);
        wc_entry_fill(e, key->ptr, key->len, value, len, expire_at_ms);
    } else {
        e = wc_entry_new(key->ptr, key->len, value, len, expire_at_ms);
        if (!e)
            return -ENOMEM;
        e->clock = old->clock;
        e->freq = old->freq;
        wc_table_uncount(t, old);
        free(old);
    }
    wc_table_recount(t, word, e);
    wc_store_account(s, shard, (int64_t)(t->bytes - before));
    *out = e;
    return 0;
}

int wc_store_set(struct wc_store *s, int db, const struct wc_key *key, const char *value, uint32_t len,
                 int64_t expire_at_ms)
{
    struct wc_shard *shard = wc_store_shard_of_key(s, key);
    uint64_t *word = find_word(shard, db, key);
    struct wc_entry *e;
    int err;

    err = word ? overwrite(s, shard, db, key, word, value, len, expire_at_ms, &e)
               : create(s, shard, db, key, value, len, expire_at_ms, &e);
    if (!err)
        tell_changed(s, db, key, e);
    return err;
}

/* Change the value's length and the expiry of the key's entry e. Returns it, or NULL when out of memory. */
static struct wc_entry *reshape(struct wc_store *s, struct wc_shard *shard, int db, const struct wc_key *key,
                                struct wc_entry *e, uint32_t len, int64_t expire_at_ms)
{
    struct wc_table *t = shard->tables[db];
    uint64_t *word = wc_table_find(t, key);
    uint64_t before = t->bytes;
    struct wc_entry *to;

    wc_table_uncount(t, e);
    to = wc_entry_reshape(e, len, expire_at_ms != WC_NO_EXPIRE);
    if (to && expire_at_ms != WC_NO_EXPIRE)
        wc_entry_store_expire(to, expire_at_ms);
    wc_table_recount(t, word, to ? to : e);
    wc_store_account(s, shard, (int64_t)(t->bytes - before));
    return to;
}

int wc_store_write_range(struct wc_store *s, int db, const struct wc_key *key, struct wc_entry *e, uint32_t offset,
                         const char *data, uint32_t len)
{
    struct wc_shard *shard = wc_store_shard_of_key(s, key);
    uint32_t end = offset + len;
    int err;

    if (end < offset)
        return -E2BIG;
    if (!e) {
        err = create(s, shard, db, key, NULL, end, WC_NO_EXPIRE, &e);
        if (err)
            return err;
    } else if (end > e->vlen) {
        uint32_t old_len = e->vlen;

        e = reshape(s, shard, db, key, e, end, wc_entry_expire(e));
        if (!e)
            return -ENOMEM;
        if (offset > old_len)
            memset(wc_entry_value_bytes(e) + old_len, 0, offset - old_len);
    }
    memcpy(wc_entry_value_bytes(e) + offset, data, len);
    tell_changed(s, db, key, e);
    return 0;
}

bool wc_store_delete(struct wc_store *s, int db, const struct wc_key *key, int64_t now_ms)
{
    struct wc_shard *shard = wc_store_shard_of_key(s, key);

    if (!wc_store_find(s, db, key, now_ms))
        return false;
    wc_store_remove(s, shard, db, key, find_word(shard, db, key));
    wc_store_shrink(s, shard, db);
    return true;
}

struct wc_entry *wc_store_set_expire(struct wc_store *s, int db, const struct wc_key *key, struct wc_entry *e,
                                     int64_t expire_at_ms)
{
    struct wc_entry *to = reshape(s, wc_store_shard_of_key(s, key), db, key, e, e->vlen, expire_at_ms);

    if (to)
        tell_changed(s, db, key, to);
    return to;
}
