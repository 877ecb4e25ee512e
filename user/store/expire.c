/* The active expiry cycle.
 *
 * Keys that nobody reads any more must still go. Each shard has a position (database, bucket) that moves round its
 * tables. A visit looks at buckets from there on until it has seen a handful of keys with an expiry or enough
 * buckets, then lets go of the lock. The expiry flag is in the bucket's words, so a bucket without volatile keys costs
 * one cache line and no entry is touched; a table without any is skipped. A shard that turns out to be full of expired
 * keys is visited again at once. The cycle ends when every shard was visited or the time is up; the next one goes on
 * with the next shard.
 */
#include "store/internal.h"

#include <time.h>

/* One visit, so one holding of the lock: some 10 us. */
#define VISIT_VOLATILE 32
#define VISIT_BUCKETS  256
/* Visit again when more than one in this many of the volatile keys seen had expired. */
#define AGAIN_RATIO 10

struct visit {
    unsigned buckets, seen, expired;
};

static int64_t monotonic_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void remove_expired(struct wc_store *s, struct wc_shard *shard, int db, uint64_t *word)
{
    const struct wc_entry *e = wc_slot_entry(*word);
    struct wc_key key = {.ptr = wc_entry_key(e), .len = e->klen};

    key.hash = wc_store_hash(key.ptr, key.len);
    wc_store_remove(s, shard, db, &key, word);
    wc_shard_count(&shard->expired);
}

/* The last word of the chain that is still to be looked at moves into a hole, so look at the same place again; and the
 * chain's last bucket may be freed by that, so start over. Chains are short. */
static bool expire_one(struct wc_store *s, struct wc_shard *shard, int db, size_t bucket, int64_t now_ms)
{
    for (struct wc_bucket *b = wc_table_bucket(shard->tables[db], bucket); b; b = wc_bucket_next(b)) {
        for (unsigned i = 0; i < WC_BUCKET_SLOTS && b->slot[i]; i++) {
            if (b->slot[i] & WC_SLOT_VOLATILE && wc_entry_expired(wc_slot_entry(b->slot[i]), now_ms)) {
                remove_expired(s, shard, db, &b->slot[i]);
                return true;
            }
        }
    }
    return false;
}

static unsigned count_volatile(const struct wc_bucket *b)
{
    unsigned n = 0;

    for (; b; b = wc_bucket_next(b)) {
        for (unsigned i = 0; i < WC_BUCKET_SLOTS; i++)
            n += (b->slot[i] & WC_SLOT_VOLATILE) != 0;
    }
    return n;
}

/* Walk on in one table. Returns false at its end. */
static bool visit_table(struct wc_store *s, struct wc_shard *shard, int db, int64_t now_ms, struct visit *v)
{
    struct wc_table *t = shard->tables[db];
    unsigned before = v->expired;

    while (shard->cursor_bucket < t->nbuckets && v->seen < VISIT_VOLATILE && v->buckets < VISIT_BUCKETS) {
        v->seen += count_volatile(wc_table_bucket(t, shard->cursor_bucket));
        v->buckets++;
        while (expire_one(s, shard, db, shard->cursor_bucket, now_ms))
            v->expired++;
        shard->cursor_bucket++;
    }
    for (unsigned i = before; i < v->expired; i++)
        wc_store_shrink(s, shard, db);
    return shard->cursor_bucket < t->nbuckets;
}

/* One visit to a shard, which is locked. */
static void visit_shard(struct wc_store *s, struct wc_shard *shard, int64_t now_ms, struct visit *v)
{
    for (int i = 0; i < s->databases && v->seen < VISIT_VOLATILE && v->buckets < VISIT_BUCKETS; i++) {
        const struct wc_table *t = shard->tables[shard->cursor_db];

        if (t && t->nvolatile && visit_table(s, shard, (int)shard->cursor_db, now_ms, v))
            return;
        shard->cursor_bucket = 0;
        shard->cursor_db = (shard->cursor_db + 1) % (uint32_t)s->databases;
    }
}

size_t wc_store_expire_cycle(struct wc_store *s, int64_t now_ms, int64_t budget_us)
{
    int64_t deadline = monotonic_us() + budget_us;
    size_t removed = 0;

    atomic_store_explicit(&s->clock, wc_entry_clock(now_ms), memory_order_relaxed);
    for (uint32_t n = 0; n < s->nshards; n++) {
        uint32_t i = atomic_fetch_add_explicit(&s->next_shard, 1, memory_order_relaxed) % s->nshards;
        struct visit v;

        do {
            v = (struct visit){0};
            wc_store_lock(s, i);
            visit_shard(s, wc_store_shard(s, i), now_ms, &v);
            wc_store_unlock(s, i);
            removed += v.expired;
            if (v.buckets && monotonic_us() >= deadline)
                return removed;
        } while (v.expired * AGAIN_RATIO > v.seen);
    }
    return removed;
}
