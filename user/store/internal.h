/* What store.c and expire.c share. */
#ifndef WC_STORE_INTERNAL_H
#define WC_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/lock.h"
#include "store/store.h"
#include "store/table.h"

/* One shard: 56 bytes and a table per database, created with its first key. Shards start on cache lines of their own,
 * and database 0's table pointer shares the lock's line. */
struct wc_shard {
    struct wc_mutex lock;
    /* position of the active expiry cycle */
    uint32_t cursor_db;
    size_t cursor_bucket;
    /* written under the lock, read without */
    _Atomic int64_t unreported; /* bytes not yet added to store.used */
    _Atomic uint64_t expired, evicted;
    uint32_t random; /* state of wc_shard_random() */
    struct wc_table *tables[];
};

struct wc_store {
    uint32_t nshards;
    uint32_t hash_shift; /* hash >> hash_shift is the shard; 64 stands for "always 0" */
    int databases;
    size_t shard_stride;
    char *shards;
    struct wc_store_observer observer;
    _Atomic uint32_t clock;       /* wc_entry_clock() of the last expiry cycle: access time of new entries */
    _Atomic uint32_t next_shard;  /* where the next expiry cycle begins */
    _Atomic uint32_t next_victim; /* which shard the next eviction is from */
    _Atomic uint64_t peak;
    /* flushed tables being freed in the background */
    pthread_mutex_t reap_lock;
    pthread_cond_t reap_done;
    unsigned reapers;
    _Atomic uint64_t used __attribute__((aligned(64))); /* every worker writes it */
};

static inline struct wc_shard *wc_store_shard(const struct wc_store *s, uint32_t i)
{
    return (struct wc_shard *)(s->shards + i * s->shard_stride);
}

static inline struct wc_shard *wc_store_shard_of_key(const struct wc_store *s, const struct wc_key *key)
{
    return wc_store_shard(s, wc_store_shard_of(s, key->hash));
}

/* A table of the shard has changed its bytes by delta. */
void wc_store_account(struct wc_store *s, struct wc_shard *shard, int64_t delta);
/* Remove the entry that word points to and tell the observer. wc_store_shrink() is to follow. */
void wc_store_remove(struct wc_store *s, struct wc_shard *shard, int db, const struct wc_key *key, uint64_t *word);
/* Give a bucket back after a removal; not during a walk over buckets. */
void wc_store_shrink(struct wc_store *s, struct wc_shard *shard, int db);
/* Count under the lock what is read without. */
static inline void wc_shard_count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Good enough for sampling: xorshift. */
static inline uint32_t wc_shard_random(struct wc_shard *shard)
{
    uint32_t x = shard->random;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return shard->random = x;
}

/* Access time and frequency of a new entry. */
void wc_entry_start(struct wc_entry *e, uint32_t clock);

#endif
