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
    /* Several keys are about to change as one (begin), or have changed. All their shards are locked. */
    void (*many)(void *arg, bool begin);
};

#define WC_STORE_SHARDS_MAX 4096

/* NULL when out of memory, or shards is not a power of two up to WC_STORE_SHARDS_MAX. */
struct wc_store *wc_store_new(uint32_t shards, int databases);
/* No thread may use the store any more. Waits for flushes that are still freeing. */
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
/* Around changes to several keys that readers must see as one, with the locks of all of them held. Who reads through
 * the locks needs no telling; the observer's own readers do. */
void wc_store_begin_many(struct wc_store *s);
void wc_store_end_many(struct wc_store *s);
void wc_store_lock_all(struct wc_store *s);
void wc_store_unlock_all(struct wc_store *s);

/* ---- the calls below need the key's shard locked ---- */

/* The live entry, or NULL. An expired entry is removed (observer told, expired_keys counted) and is NULL. */
struct wc_entry *wc_store_find(struct wc_store *s, int db, const struct wc_key *key, int64_t now_ms);
/* Create or overwrite. value must not point into the store. 0, -ENOMEM or -E2BIG (a key of 1 GiB); on error the old
 * value stays. An expiry in the past is stored as it is; commands delete instead. */
int wc_store_set(struct wc_store *s, int db, const struct wc_key *key, const char *value, uint32_t len,
                 int64_t expire_at_ms);
/* Overwrite part of the value of e, the key's live entry, or create the key if e is NULL. The value grows as needed, a
 * gap before offset is filled with zeros; the expiry stays. 0, -ENOMEM or -E2BIG. */
int wc_store_write_range(struct wc_store *s, int db, const struct wc_key *key, struct wc_entry *e, uint32_t offset,
                         const char *data, uint32_t len);
/* true when a live key was removed. */
bool wc_store_delete(struct wc_store *s, int db, const struct wc_key *key, int64_t now_ms);
/* Change the expiry of a live entry; the entry may move: the new one is returned, NULL on -ENOMEM. */
struct wc_entry *wc_store_set_expire(struct wc_store *s, int db, const struct wc_key *key, struct wc_entry *e,
                                     int64_t expire_at_ms);
/* Remove every key of db (-1: all) from one shard. Frees under the lock: see wc_store_flush(). */
void wc_store_flush_shard(struct wc_store *s, int db, uint32_t shard);

/* The value. scratch (at least 24 bytes) is used when the value is kept as an integer. */
struct wc_value wc_entry_value(const struct wc_entry *e, char *scratch);
int64_t wc_entry_expire(const struct wc_entry *e); /* WC_NO_EXPIRE or ms */
/* The entry was used: remember it for eviction. Also for uses elsewhere (the kernel's answers), one call for each look.
 */
void wc_store_touch(struct wc_store *s, const struct wc_key *key, struct wc_entry *e, int64_t now_ms);
/* Fetch what lookups of n keys will need into the cache. For some ten keys, not hundreds: they must fit it. */
void wc_store_prefetch(struct wc_store *s, int db, const struct wc_key *keys, size_t n);

/* ---- these lock by themselves ---- */

/* Remove every key of db (-1: all) from all shards, atomically. The locks are held only while tables are unhooked;
 * freeing follows without them: in a thread of its own if that is wanted and there is much to free. */
void wc_store_flush(struct wc_store *s, int db, bool background);
/* One slice of the active expiry cycle: at most budget_us of work. Returns keys removed. */
size_t wc_store_expire_cycle(struct wc_store *s, int64_t now_ms, int64_t budget_us);

enum wc_evict_by { WC_EVICT_LRU, WC_EVICT_LFU, WC_EVICT_RANDOM, WC_EVICT_TTL };
/* Evict one key: the worst of a few taken at random, of those with an expiry only if that is wanted. Returns the bytes
 * gained, 0 when there is no such key. */
size_t wc_store_evict(struct wc_store *s, enum wc_evict_by by, bool volatile_only, int64_t now_ms);

struct wc_store_stats {
    uint64_t keys, expires; /* of one database */
    int64_t avg_ttl_ms;
};
void wc_store_stats(struct wc_store *s, int db, struct wc_store_stats *out);
uint64_t wc_store_expired_total(const struct wc_store *s);
uint64_t wc_store_evicted_total(const struct wc_store *s);
uint64_t wc_store_used_bytes(const struct wc_store *s); /* keys, values, tables */
/* The same without a walk over the shards, at most 1 KiB per shard off: for the check before every write. */
uint64_t wc_store_used_estimate(const struct wc_store *s);
uint64_t wc_store_peak_bytes(const struct wc_store *s); /* highest estimate so far */

int64_t wc_store_now_ms(void); /* wall clock, ms */

#endif
