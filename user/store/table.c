/* Linear hashing with cache-line buckets; table.h has the picture and the invariants. */
#include "store/table.h"

#include <errno.h>
#include <stdlib.h>

#define SEG_SHIFT 6
#define SEG_LEN   ((size_t)1 << SEG_SHIFT)
/* Average entries per bucket at which the table grows, and below which it shrinks. At six about one lookup in five
 * follows a link, and a key costs 13 bytes of table. Shrinking waits for much less, so that a table that
 * breathes does not resize all the time. */
#define MAX_LOAD  6
#define MIN_LOAD  2
#define LAST      (WC_BUCKET_SLOTS - 1)
#define TAG_SHIFT 48

/* ---- words ---- */

/* Bits of the hash that choose neither the shard (the top) nor the bucket (the bottom). */
static inline uint64_t tag_of(uint64_t hash)
{
    return (hash >> 32 & 0xffff) | 1;
}

static inline uint64_t word_of(uint64_t tag, const struct wc_entry *e)
{
    return tag << TAG_SHIFT | (uintptr_t)e | (e->has_expire ? WC_SLOT_VOLATILE : 0);
}

static uint64_t entry_hash(const struct wc_entry *e)
{
    return wc_store_hash(wc_entry_key(e), e->klen);
}

/* ---- chains ---- */

static struct wc_bucket *bucket_alloc(size_t n)
{
    struct wc_bucket *b = aligned_alloc(sizeof(*b), n * sizeof(*b));

    if (b)
        memset(b, 0, n * sizeof(*b));
    return b;
}

static struct wc_bucket *chain_last(struct wc_bucket *b)
{
    for (struct wc_bucket *next; (next = wc_bucket_next(b)); b = next)
        ;
    return b;
}

/* Entries in one bucket (the link does not count). */
static unsigned bucket_count(const struct wc_bucket *b)
{
    unsigned n = 0;

    while (n < WC_BUCKET_SLOTS && b->slot[n] && !(b->slot[n] & WC_SLOT_LINK))
        n++;
    return n;
}

static size_t chain_count(const struct wc_bucket *b, size_t *overflow)
{
    size_t n = bucket_count(b);

    *overflow = 0;
    while ((b = wc_bucket_next(b))) {
        n += bucket_count(b);
        ++*overflow;
    }
    return n;
}

/* Overflow buckets that a chain of n entries has. */
static size_t overflow_for(size_t n)
{
    return n <= WC_BUCKET_SLOTS ? 0 : (n - WC_BUCKET_SLOTS + LAST - 1) / LAST;
}

/* Spare overflow buckets, linked through their first word. */
struct pool {
    struct wc_bucket *head;
};

static void pool_put(struct pool *p, struct wc_bucket *b)
{
    b->slot[0] = (uintptr_t)p->head;
    p->head = b;
}

static struct wc_bucket *pool_get(struct pool *p)
{
    struct wc_bucket *b = p->head;

    if (b) {
        p->head = (struct wc_bucket *)(uintptr_t)b->slot[0];
        memset(b, 0, sizeof(*b));
    }
    return b;
}

static void pool_drain(struct wc_table *t, struct pool *p)
{
    struct wc_bucket *b;

    while ((b = pool_get(p))) {
        t->bytes -= sizeof(*b);
        free(b);
    }
}

static int pool_fill(struct wc_table *t, struct pool *p, size_t n)
{
    while (n--) {
        struct wc_bucket *b = bucket_alloc(1);

        if (!b) {
            pool_drain(t, p);
            return -ENOMEM;
        }
        t->bytes += sizeof(*b);
        pool_put(p, b);
    }
    return 0;
}

/* Append a word to a chain, with an overflow bucket from the pool when its last bucket is full. */
static int chain_append(struct wc_bucket *head, uint64_t word, struct pool *pool)
{
    struct wc_bucket *b = chain_last(head), *more;
    unsigned n = bucket_count(b);

    if (n < WC_BUCKET_SLOTS) {
        b->slot[n] = word;
        return 0;
    }
    more = pool_get(pool);
    if (!more)
        return -ENOMEM;
    more->slot[0] = b->slot[LAST];
    more->slot[1] = word;
    b->slot[LAST] = (uintptr_t)more | WC_SLOT_LINK;
    return 0;
}

/* Take the chain's words out, one bucket at a time: copies the next bucket to out and gives overflow buckets back to
 * the pool. *b is the walk's position. */
static void chain_take(struct wc_bucket **b, bool is_head, struct wc_bucket *out, struct pool *pool)
{
    struct wc_bucket *next = wc_bucket_next(*b);

    *out = **b;
    if (is_head)
        memset(*b, 0, sizeof(**b));
    else
        pool_put(pool, *b);
    *b = next;
}

/* ---- buckets by number ---- */

size_t wc_table_index(const struct wc_table *t, uint64_t hash)
{
    size_t i = hash & t->mask;

    return i < t->nbuckets ? i : i & t->mask >> 1;
}

struct wc_bucket *wc_table_bucket(const struct wc_table *t, size_t i)
{
    return &t->segs[i >> SEG_SHIFT][i & (SEG_LEN - 1)];
}

/* Double the first segment: small tables must be small, and all 64 buckets of it are soon copied. */
static int seg0_grow(struct wc_table *t)
{
    size_t cap = t->seg0_cap * 2;
    struct wc_bucket *seg = bucket_alloc(cap);

    if (!seg)
        return -ENOMEM;
    memcpy(seg, t->segs[0], t->seg0_cap * sizeof(*seg));
    free(t->segs[0]);
    t->segs[0] = seg;
    t->bytes += (cap - t->seg0_cap) * sizeof(*seg);
    t->seg0_cap = cap;
    return 0;
}

static int segs_grow(struct wc_table *t)
{
    size_t cap = t->segs_cap * 2;
    struct wc_bucket **segs = realloc(t->segs, cap * sizeof(struct wc_bucket *));

    if (!segs)
        return -ENOMEM;
    t->bytes += wc_size_class(cap * sizeof(*segs)) - wc_size_class(t->segs_cap * sizeof(*segs));
    t->segs = segs;
    t->segs_cap = cap;
    return 0;
}

/* Make room for bucket number nbuckets. */
static int reserve_bucket(struct wc_table *t)
{
    size_t n = t->nbuckets, seg = n >> SEG_SHIFT;
    int err = 0;

    if (seg == 0)
        return n < t->seg0_cap ? 0 : seg0_grow(t);
    if (n & (SEG_LEN - 1))
        return 0;
    if (seg >= t->segs_cap)
        err = segs_grow(t);
    if (err)
        return err;
    t->segs[seg] = bucket_alloc(SEG_LEN);
    if (!t->segs[seg])
        return -ENOMEM;
    t->bytes += SEG_LEN * sizeof(struct wc_bucket);
    return 0;
}

/* Free the last segment if its only bucket is about to go. The first one stays. */
static void release_bucket(struct wc_table *t)
{
    size_t seg = t->nbuckets >> SEG_SHIFT;

    if (seg == 0 || t->nbuckets & (SEG_LEN - 1))
        return;
    free(t->segs[seg]);
    t->bytes -= SEG_LEN * sizeof(struct wc_bucket);
}

static size_t image_of(size_t bucket)
{
    return bucket & ~((size_t)1 << (63 - __builtin_clzl(bucket)));
}

/* ---- resize by one ---- */

static void prefetch_chain(const struct wc_bucket *b)
{
    for (; b; b = wc_bucket_next(b)) {
        unsigned n = bucket_count(b);

        for (unsigned i = 0; i < n; i++)
            __builtin_prefetch(wc_slot_entry(b->slot[i]));
    }
}

/* Split the image of bucket number nbuckets. Needs no overflow buckets beyond those the image gives back: both
 * chains together never have more of them than the old one had. */
static void table_grow(struct wc_table *t)
{
    struct wc_bucket *old, *new, *at, words;
    struct pool pool = {NULL};
    size_t n = t->nbuckets;

    if (reserve_bucket(t))
        return;                  /* chains get longer instead */
    new = wc_table_bucket(t, n); /* all zero: fresh, or emptied by wc_table_shrink() */
    old = wc_table_bucket(t, image_of(n));
    prefetch_chain(old);
    t->nbuckets++;
    if (n > t->mask)
        t->mask = t->mask << 1 | 1;

    for (at = old; at;) {
        unsigned n_words;

        chain_take(&at, at == old, &words, &pool);
        n_words = bucket_count(&words);
        for (unsigned i = 0; i < n_words; i++) {
            uint64_t hash = entry_hash(wc_slot_entry(words.slot[i]));

            chain_append(wc_table_index(t, hash) == n ? new : old, words.slot[i], &pool);
        }
    }
    pool_drain(t, &pool);
}

void wc_table_shrink(struct wc_table *t)
{
    struct wc_bucket *last, *into, *at, words;
    struct pool pool = {NULL};
    size_t unused, have, n, need;

    if (t->nbuckets <= 1 || t->nentries >= t->nbuckets * MIN_LOAD)
        return;
    last = wc_table_bucket(t, t->nbuckets - 1);
    into = wc_table_bucket(t, image_of(t->nbuckets - 1));
    n = chain_count(last, &unused) + chain_count(into, &have);
    need = overflow_for(n);
    /* Reserve all that will be needed: the overflow buckets of `last` come free only after its head is read. */
    if (need > have && pool_fill(t, &pool, need - have))
        return;

    for (at = last; at;) {
        unsigned n_words;

        chain_take(&at, at == last, &words, &pool);
        n_words = bucket_count(&words);
        for (unsigned i = 0; i < n_words; i++)
            chain_append(into, words.slot[i], &pool);
    }
    pool_drain(t, &pool);
    t->nbuckets--;
    if (t->nbuckets <= t->mask >> 1)
        t->mask >>= 1;
    release_bucket(t);
}

/* ---- life ---- */

struct wc_table *wc_table_new(void)
{
    struct wc_table *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->segs_cap = 2;
    t->seg0_cap = 1;
    t->segs = calloc(t->segs_cap, sizeof(struct wc_bucket *));
    if (t->segs)
        t->segs[0] = bucket_alloc(1);
    if (!t->segs || !t->segs[0]) {
        free(t->segs);
        free(t);
        return NULL;
    }
    t->nbuckets = 1;
    t->bytes = wc_size_class(sizeof(*t)) + wc_size_class(t->segs_cap * sizeof(*t->segs)) + sizeof(struct wc_bucket);
    return t;
}

static void chain_free(struct wc_bucket *head)
{
    for (struct wc_bucket *b = head, *next; b; b = next) {
        unsigned n = bucket_count(b);

        for (unsigned i = 0; i < n; i++)
            free(wc_slot_entry(b->slot[i]));
        next = wc_bucket_next(b);
        if (b != head)
            free(b);
    }
}

void wc_table_free(struct wc_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->nbuckets; i++) {
        if ((i & (SEG_LEN - 1)) == 0 && i)
            free(t->segs[(i >> SEG_SHIFT) - 1]);
        chain_free(wc_table_bucket(t, i));
    }
    free(t->segs[(t->nbuckets - 1) >> SEG_SHIFT]);
    free(t->segs);
    free(t);
}

/* ---- use ---- */

uint64_t *wc_table_find(const struct wc_table *t, const struct wc_key *key)
{
    struct wc_bucket *b = wc_table_bucket(t, wc_table_index(t, key->hash));
    uint64_t tag = tag_of(key->hash);

    do {
        for (unsigned i = 0; i < WC_BUCKET_SLOTS; i++) {
            if (b->slot[i] >> TAG_SHIFT == tag && wc_entry_has_key(wc_slot_entry(b->slot[i]), key->ptr, key->len))
                return &b->slot[i];
        }
    } while ((b = wc_bucket_next(b)));
    return NULL;
}

void wc_table_prefetch_bucket(const struct wc_table *t, uint64_t hash)
{
    __builtin_prefetch(wc_table_bucket(t, wc_table_index(t, hash)));
}

void wc_table_prefetch_entry(const struct wc_table *t, uint64_t hash)
{
    const struct wc_bucket *b = wc_table_bucket(t, wc_table_index(t, hash));
    uint64_t tag = tag_of(hash);

    for (unsigned i = 0; i < WC_BUCKET_SLOTS; i++) {
        if (b->slot[i] >> TAG_SHIFT == tag)
            __builtin_prefetch(wc_slot_entry(b->slot[i]));
    }
    __builtin_prefetch(wc_bucket_next(b));
}

static void count(struct wc_table *t, const struct wc_entry *e)
{
    t->bytes += wc_entry_bytes(e);
    if (e->has_expire) {
        t->nvolatile++;
        t->expire_sum += (uint64_t)wc_entry_expire(e);
    }
}

void wc_table_uncount(struct wc_table *t, const struct wc_entry *e)
{
    t->bytes -= wc_entry_bytes(e);
    if (e->has_expire) {
        t->nvolatile--;
        t->expire_sum -= (uint64_t)wc_entry_expire(e);
    }
}

void wc_table_recount(struct wc_table *t, uint64_t *word, struct wc_entry *e)
{
    *word = word_of(*word >> TAG_SHIFT, e);
    count(t, e);
}

int wc_table_insert(struct wc_table *t, uint64_t hash, struct wc_entry *e)
{
    struct wc_bucket *head = wc_table_bucket(t, wc_table_index(t, hash));
    uint64_t word = word_of(tag_of(hash), e);
    struct pool pool = {NULL};

    if (chain_append(head, word, &pool)) {
        if (pool_fill(t, &pool, 1))
            return -ENOMEM;
        chain_append(head, word, &pool);
    }
    count(t, e);
    t->nentries++;
    if (t->nentries > t->nbuckets * MAX_LOAD)
        table_grow(t);
    return 0;
}

void wc_table_remove(struct wc_table *t, uint64_t hash, uint64_t *word)
{
    struct wc_bucket *b = wc_table_bucket(t, wc_table_index(t, hash)), *parent = NULL;
    struct wc_entry *e = wc_slot_entry(*word);
    unsigned n;

    for (struct wc_bucket *next; (next = wc_bucket_next(b)); b = next)
        parent = b;
    n = bucket_count(b);
    *word = b->slot[n - 1]; /* the chain's last entry fills the hole */
    b->slot[n - 1] = 0;
    if (parent && n == 2) {
        parent->slot[LAST] = b->slot[0];
        t->bytes -= sizeof(*b);
        free(b);
    }
    wc_table_uncount(t, e);
    t->nentries--;
    free(e);
}
