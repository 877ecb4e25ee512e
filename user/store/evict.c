/* Which keys go when memory is full.
 *
 * As in Redis, there are no lists to keep in order: a handful of keys is looked at and the worst of them goes. The keys
 * of neighbouring buckets of one shard are such a sample, since a key's place is random; they cost one lock and
 * few cache lines.
 *
 * Every entry has the time of its last access (for LRU) and a count of accesses (for LFU): eight bits that grow
 * ever more rarely, one step per 1/((freq - FREQ_START) * 10 + 1) accesses, and shrink by one for each minute or so of
 * idleness. Both are always kept, so the policy can change at run time.
 */
#include "store/internal.h"

#define SAMPLES     8  /* keys to look at, in each database of the shard */
#define WALK_MAX    32 /* buckets to look at for them, in the first round */
#define FREQ_START  5  /* of a new key, so that it is not the first to go */
#define FREQ_MAX    255
#define FREQ_RARITY 10
#define FREQ_DECAY  64 /* clock units of idleness that cost one */

/* ---- what eviction goes by ---- */

void wc_entry_start(struct wc_entry *e, uint32_t clock)
{
    e->clock = clock & WC_CLOCK_MASK;
    e->freq = FREQ_START;
}

static uint32_t idle_time(const struct wc_entry *e, uint32_t clock)
{
    return (clock - e->clock) & WC_CLOCK_MASK;
}

void wc_store_touch(struct wc_store *s, const struct wc_key *key, struct wc_entry *e, int64_t now_ms)
{
    struct wc_shard *shard = wc_store_shard_of_key(s, key);
    uint32_t clock = wc_entry_clock(now_ms), random = wc_shard_random(shard);

    if (e->clock != clock) { /* most accesses of a hot key fall into the same second and leave the entry clean */
        uint32_t idle = idle_time(e, clock);
        /* Fractions of a step count as their probability, or a key used every second would never age. */
        uint32_t decay = idle / FREQ_DECAY + (random % FREQ_DECAY < idle % FREQ_DECAY);

        e->freq = e->freq > decay ? e->freq - decay : 0;
        e->clock = clock;
    }
    if (e->freq < FREQ_MAX) {
        uint32_t above = e->freq > FREQ_START ? e->freq - FREQ_START : 0;

        if ((random >> 8) % (above * FREQ_RARITY + 1) == 0)
            e->freq++;
    }
}

/* The higher, the sooner it goes. */
static uint64_t badness(const struct wc_entry *e, enum wc_evict_by by, uint32_t clock)
{
    uint32_t idle = idle_time(e, clock), aged = e->freq;

    switch (by) {
    case WC_EVICT_LRU:
        return idle;
    case WC_EVICT_LFU:
        aged = aged > idle / FREQ_DECAY ? aged - idle / FREQ_DECAY : 0;
        return (uint64_t)(FREQ_MAX - aged) << 24 | idle;
    case WC_EVICT_TTL:
        return e->has_expire ? (uint64_t)(INT64_MAX - wc_entry_expire(e)) : 0;
    case WC_EVICT_RANDOM:
        break;
    }
    return 0;
}

/* ---- choosing ---- */

struct choice {
    enum wc_evict_by by;
    bool volatile_only;
    uint32_t clock;
    /* the worst so far */
    uint64_t *word;
    uint64_t badness;
    int db;
};

/* Look at a chain's keys. Returns how many were eligible. */
static unsigned look_at_chain(struct wc_bucket *b, int db, struct choice *c)
{
    unsigned seen = 0;

    for (; b; b = wc_bucket_next(b)) {
        for (unsigned i = 0; i < WC_BUCKET_SLOTS && b->slot[i]; i++) {
            uint64_t word = b->slot[i], bad;

            if (word & WC_SLOT_LINK || (c->volatile_only && !(word & WC_SLOT_VOLATILE)))
                continue;
            bad = badness(wc_slot_entry(word), c->by, c->clock);
            if (!c->word || bad > c->badness) {
                c->word = &b->slot[i];
                c->badness = bad;
                c->db = db;
            }
            seen++;
        }
    }
    return seen;
}

static void look_at_shard(const struct wc_store *s, struct wc_shard *shard, bool all_buckets, struct choice *c)
{
    for (int db = 0; db < s->databases; db++) {
        const struct wc_table *t = shard->tables[db];
        size_t walk, start;
        unsigned seen = 0;

        if (!t || t->nentries == 0 || (c->volatile_only && t->nvolatile == 0))
            continue;
        start = wc_shard_random(shard) % t->nbuckets;
        walk = all_buckets || t->nbuckets < WALK_MAX ? t->nbuckets : WALK_MAX;
        for (size_t i = 0; i < walk && seen < SAMPLES; i++)
            seen += look_at_chain(wc_table_bucket(t, (start + i) % t->nbuckets), db, c);
    }
}

static size_t evict_from_shard(struct wc_store *s, struct wc_shard *shard, bool all_buckets, struct choice *c)
{
    const struct wc_entry *e;
    struct wc_key key;
    size_t bytes;

    c->word = NULL;
    look_at_shard(s, shard, all_buckets, c);
    if (!c->word)
        return 0;
    e = wc_slot_entry(*c->word);
    key = (struct wc_key){.ptr = wc_entry_key(e), .len = e->klen};
    key.hash = wc_store_hash(key.ptr, key.len);
    bytes = wc_entry_bytes(e);
    wc_store_remove(s, shard, c->db, &key, c->word);
    wc_store_shrink(s, shard, c->db);
    wc_shard_count(&shard->evicted);
    return bytes;
}

size_t wc_store_evict(struct wc_store *s, enum wc_evict_by by, bool volatile_only, int64_t now_ms)
{
    struct choice c = {.by = by, .volatile_only = volatile_only, .clock = wc_entry_clock(now_ms)};

    /* Few volatile keys may hide from the first round; the second looks everywhere. */
    for (int round = 0; round < 2; round++) {
        for (uint32_t n = 0; n < s->nshards; n++) {
            uint32_t i = atomic_fetch_add_explicit(&s->next_victim, 1, memory_order_relaxed) % s->nshards;
            size_t bytes;

            wc_store_lock(s, i);
            bytes = evict_from_shard(s, wc_store_shard(s, i), round > 0, &c);
            wc_store_unlock(s, i);
            if (bytes)
                return bytes;
        }
    }
    return 0;
}
