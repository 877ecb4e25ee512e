/* The store: databases of keys and string values, split into shards, each with its own lock.
 *
 * A key's 64-bit hash picks the shard (the same one in every database) and the bucket. Any thread works on
 * any shard directly, holding its lock. Lock order: shards by ascending index (wc_store_lock_keys), then
 * whatever the observer takes. A single-key command locks one shard; multi-key commands lock all shards they
 * touch and are atomic. Times are milliseconds since the epoch (wall clock); WC_NO_EXPIRE = none.
 *
 * The store knows nothing of BPF. It tells one observer about every change of a key, inside the shard's
 * critical section.
 */
#ifndef WC_STORE_H
#define WC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_NO_EXPIRE INT64_C(-1)

struct wc_store;
struct wc_entry;

struct wc_key {
    const char *ptr;
    uint32_t len;
    uint64_t hash; /* wc_store_hash(ptr, len) */
};

/* A value's bytes. Small integers may be stored as such: then ptr points to the caller's scratch. */
struct wc_value {
    const char *ptr;
    uint32_t len;
};

/* All callbacks run with the key's shard locked and must not block or call back into the store. */
struct wc_store_observer {
    /* The key now has this value and expiry (also after EXPIRE/PERSIST). */
    void (*changed)(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire_at_ms);
    /* The key is gone: DEL, expiry, eviction. */
    void (*removed)(void *arg, int db, const struct wc_key *key);
    /* Every key of db in this shard is gone (db -1: all databases). */
    void (*flushed)(void *arg, int db, uint32_t shard);
    void *arg;
};

struct wc_store *wc_store_new(uint32_t shards /* power of two */, int databases);
void wc_store_free(struct wc_store *s);
/* Must be called before threads use the store, or with all shards locked. obs is copied; NULL: none. */
void wc_store_observe(struct wc_store *s, const struct wc_store_observer *obs);

uint64_t wc_store_hash(const char *key, uint32_t len); /* seeded per process */
uint32_t wc_store_shard_of(const struct wc_store *s, uint64_t hash);
uint32_t wc_store_shards(const struct wc_store *s);
void wc_store_lock(struct wc_store *s, uint32_t shard);
void wc_store_unlock(struct wc_store *s, uint32_t shard);
/* Lock the shards of n keys in ascending order, each once. */
void wc_store_lock_keys(struct wc_store *s, const struct wc_key *keys, size_t n);
void wc_store_unlock_keys(struct wc_store *s, const struct wc_key *keys, size_t n);
void wc_store_lock_all(struct wc_store *s);
void wc_store_unlock_all(struct wc_store *s);

/* ---- the calls below need the key's shard locked ---- */

/* The live entry, or NULL. An expired entry is removed (observer told, expired_keys counted) and is NULL. */
struct wc_entry *wc_store_find(struct wc_store *s, int db, const struct wc_key *key, int64_t now_ms);
/* Create or overwrite. 0 or -ENOMEM (the old value stays). */
int wc_store_set(struct wc_store *s, int db, const struct wc_key *key, const char *value, uint32_t len,
                 int64_t expire_at_ms);
/* true when a live key was removed. */
bool wc_store_delete(struct wc_store *s, int db, const struct wc_key *key, int64_t now_ms);
/* Change the expiry of a live entry; the entry may move: the new one is returned, NULL on -ENOMEM. */
struct wc_entry *wc_store_set_expire(struct wc_store *s, int db, const struct wc_key *key, struct wc_entry *e,
                                     int64_t expire_at_ms);
/* Remove every key of db (-1: all) from one shard. */
void wc_store_flush_shard(struct wc_store *s, int db, uint32_t shard);

/* The value. scratch (at least 24 bytes) is used when the value is kept as an integer. */
struct wc_value wc_entry_value(const struct wc_entry *e, char *scratch);
int64_t wc_entry_expire(const struct wc_entry *e); /* WC_NO_EXPIRE or ms */
/* Mark as read at now (LRU/LFU). Does nothing when the policy does not need it. */
void wc_entry_touch(struct wc_entry *e, int64_t now_ms);

/* ---- these lock by themselves ---- */

/* One slice of the active expiry cycle: at most budget_us of work. Returns keys removed. */
size_t wc_store_expire_cycle(struct wc_store *s, int64_t now_ms, int64_t budget_us);

struct wc_store_stats {
    uint64_t keys, expires; /* of one database */
    int64_t avg_ttl_ms;
};
void wc_store_stats(struct wc_store *s, int db, struct wc_store_stats *out);
uint64_t wc_store_expired_total(const struct wc_store *s);
uint64_t wc_store_used_bytes(const struct wc_store *s); /* keys, values, tables */

int64_t wc_store_now_ms(void); /* wall clock, ms */

#endif
