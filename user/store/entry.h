/* One key with its value and optional expiry, in one allocation.
 *
 *     0        4              8        12            (+8)
 *     ┌────────┬──────────────┬────────┬─ ─ ─ ─ ─ ─ ─┬───────────┬─────────────┐
 *     │  vlen  │ klen | flags │ access │  expire_at  │ key bytes │ value bytes │
 *     └────────┴──────────────┴────────┴─ ─ ─ ─ ─ ─ ─┴───────────┴─────────────┘
 *                                        if has_expire, unaligned
 *
 * Integers are kept as their decimal text: GET then copies and never prints, and INCR's parse and print of at most
 * 20 digits cost less than the system call around them.
 *
 * Invariant: the allocation is always exactly the allocator's size class for the entry's present length, so its size
 * follows from the lengths and is stored nowhere. A new value overwrites the old one in place as long as the class
 * stays the same.
 */
#ifndef WC_STORE_ENTRY_H
#define WC_STORE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/store.h"

#define WC_ENTRY_KEY_MAX ((UINT32_C(1) << 30) - 1)

struct wc_entry {
    uint32_t vlen;
    uint32_t klen : 30;
    uint32_t has_expire : 1;
    uint32_t spare : 1;
    uint32_t clock : 24; /* last access, wc_entry_clock(); eviction looks at these two, see evict.c */
    uint32_t freq : 8;   /* logarithmic count of accesses, ageing */
    char data[];
};

/* The size that jemalloc gives for a request of n bytes: multiples of 16 up to 128, then four classes per doubling. */
static inline size_t wc_size_class(size_t n)
{
    size_t quantum = 16;

    if (n > 128)
        quantum = (size_t)1 << (63 - __builtin_clzl(n - 1) - 2);
    else if (n == 0)
        n = 1;
    return (n + quantum - 1) & ~(quantum - 1);
}

static inline size_t wc_entry_size(uint32_t klen, uint32_t vlen, bool has_expire)
{
    return wc_size_class(sizeof(struct wc_entry) + (has_expire ? 8 : 0) + (size_t)klen + vlen);
}

/* Bytes that this entry takes from the allocator. */
static inline size_t wc_entry_bytes(const struct wc_entry *e)
{
    return wc_entry_size(e->klen, e->vlen, e->has_expire);
}

static inline const char *wc_entry_key(const struct wc_entry *e)
{
    return e->data + (e->has_expire ? 8 : 0);
}

static inline char *wc_entry_value_bytes(const struct wc_entry *e)
{
    return (char *)wc_entry_key(e) + e->klen;
}

static inline bool wc_entry_has_key(const struct wc_entry *e, const char *key, uint32_t len)
{
    return e->klen == len && memcmp(wc_entry_key(e), key, len) == 0;
}

static inline bool wc_entry_expired(const struct wc_entry *e, int64_t now_ms)
{
    return e->has_expire && wc_entry_expire(e) <= now_ms;
}

/* Seconds, more or less; wraps after half a year, and then a key that idle seems younger. */
#define WC_CLOCK_MASK 0xffffff
static inline uint32_t wc_entry_clock(int64_t now_ms)
{
    return (uint32_t)((uint64_t)now_ms >> 10) & WC_CLOCK_MASK;
}

/* Everything but clock and freq from the arguments (value NULL: vlen zero bytes); the allocation must have the right
 * size class already. */
void wc_entry_fill(struct wc_entry *e, const char *key, uint32_t klen, const char *value, uint32_t vlen,
                   int64_t expire_at_ms);
/* NULL when out of memory. Free with free(). */
struct wc_entry *wc_entry_new(const char *key, uint32_t klen, const char *value, uint32_t vlen, int64_t expire_at_ms);
/* Change the value's length (new bytes are undefined) and make or drop room for the expiry (undefined when new).
 * Returns the entry, which may have moved, or NULL when out of memory (then e is as it was). */
struct wc_entry *wc_entry_reshape(struct wc_entry *e, uint32_t vlen, bool has_expire);
void wc_entry_store_expire(struct wc_entry *e, int64_t expire_at_ms);

#endif
