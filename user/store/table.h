/* A hash table of entries that grows and shrinks one bucket at a time (linear hashing).
 *
 * Purpose: never pause for a resize, never hold two tables, and keep memory per key even at every size.
 *
 *   segs                segment: up to 64 buckets           bucket: one cache line, 8 words
 *   ┌───┐              ┌────┬────┬────┬───────┬────┐        ┌────┬────┬────┬────┬────┬────┬────┬────┐
 *   │ ●─┼─────────────▶│ b0 │ b1 │ b2 │  ...  │b63 │        │ w0 │ w1 │ w2 │ w3 │ w4 │ w5 │ w6 │ w7 │
 *   ├───┤              └────┴────┴────┴───────┴────┘        └────┴────┴────┴────┴────┴────┴────┴─┬──┘
 *   │ ●─┼──▶ ...                                               w7 is the eighth entry, or a link │
 *   └───┘                                                                       overflow bucket  ▼
 *
 *   word of an entry:  63    48 47                        4 3   1     0
 *                     │   tag  │ address of a wc_entry      │ 0 │ volatile │ 0 │      tag: odd, so never 0
 *   word of a link:   │   0    │ address of a wc_bucket     │ 0 │    0     │ 1 │
 *   empty word: 0
 *
 * The bucket of a hash is `hash & mask`, or with the top bit of that cleared when there are not yet so many buckets.
 * Growing by one appends bucket n and moves into it about half of the keys of its image, n without its top bit.
 * Shrinking is the reverse.
 *
 * Invariants:
 *   - chains are packed: every bucket but the last is full (seven entries and the link), and in the last one entries
 *     come before empty words; so a lookup stops at the first empty word, and a bucket is never searched in vain;
 *   - an overflow bucket holds at least two entries (one would go into its parent's w7);
 *   - at most MAX_LOAD entries per bucket on average, unless memory ran out;
 *   - `bytes` is what the table, its buckets and its entries take from the allocator.
 *
 * Addresses are below 2^48 on every Linux architecture unless asked otherwise, and malloc aligns them to 16 bytes.
 * Not thread-safe: the shard's lock guards it.
 */
#ifndef WC_STORE_TABLE_H
#define WC_STORE_TABLE_H

#include "store/entry.h"

#define WC_BUCKET_SLOTS 8

struct wc_bucket {
    uint64_t slot[WC_BUCKET_SLOTS];
} __attribute__((aligned(64)));

struct wc_table {
    struct wc_bucket **segs;
    size_t nbuckets; /* 0: nothing allocated yet */
    size_t mask;     /* smallest 2^k - 1 >= nbuckets - 1 */
    size_t nentries;
    size_t nvolatile;             /* entries with an expiry */
    unsigned __int128 expire_sum; /* of their expiry times; 64 bits overflow at five million */
    uint64_t bytes;
    size_t segs_cap;
    size_t seg0_cap;       /* buckets allocated in the first segment, which grows by doubling */
    struct wc_table *next; /* in a list of tables to be freed */
};

#define WC_SLOT_LINK     UINT64_C(1)
#define WC_SLOT_VOLATILE UINT64_C(2)
#define WC_SLOT_ADDR     ((UINT64_C(1) << 48) - 16)

static inline struct wc_entry *wc_slot_entry(uint64_t word)
{
    return (struct wc_entry *)(uintptr_t)(word & WC_SLOT_ADDR);
}

static inline struct wc_bucket *wc_bucket_next(const struct wc_bucket *b)
{
    uint64_t last = b->slot[WC_BUCKET_SLOTS - 1];

    return (last & WC_SLOT_LINK) ? (struct wc_bucket *)(uintptr_t)(last & WC_SLOT_ADDR) : NULL;
}

/* Bucket number i. */
struct wc_bucket *wc_table_bucket(const struct wc_table *t, size_t i);
size_t wc_table_index(const struct wc_table *t, uint64_t hash);

/* NULL when out of memory. */
struct wc_table *wc_table_new(void);
/* Frees the entries too. NULL is allowed. */
void wc_table_free(struct wc_table *t);

/* The word that points to the key's entry, or NULL. Valid until the table changes. */
uint64_t *wc_table_find(const struct wc_table *t, const struct wc_key *key);
/* Prefetch the key's bucket; a moment later its entry. */
void wc_table_prefetch_bucket(const struct wc_table *t, uint64_t hash);
void wc_table_prefetch_entry(const struct wc_table *t, uint64_t hash);
/* Add an entry whose key is not in the table; the table owns it from here on. 0 or -ENOMEM. */
int wc_table_insert(struct wc_table *t, uint64_t hash, struct wc_entry *e);
/* The entry is about to change its size or expiry, or to be replaced: take it out of the sums. */
void wc_table_uncount(struct wc_table *t, const struct wc_entry *e);
/* It has changed, or there is a new one for the same key: point the word at it and put it into the sums. */
void wc_table_recount(struct wc_table *t, uint64_t *word, struct wc_entry *e);
/* Take the entry out and free it. Other words of the same chain move. */
void wc_table_remove(struct wc_table *t, uint64_t hash, uint64_t *word);
/* Give one bucket back if the table has become too large. Call once after each removal, outside of any walk. */
void wc_table_shrink(struct wc_table *t);

#endif
