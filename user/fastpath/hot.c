/* Which keys are hot.
 *
 * Workers report every GET that userspace answered. A small sketch (count-min, four counters per key in one cache line,
 * aged by halving) estimates how often a key was asked for. A key that reaches the frequency needed is queued; the
 * manager gives it a slot: a free one, or the coldest of a few that the CLOCK hand passes, if the key is asked for more
 * often than that slot is hit (admission as in TinyLFU, so that a scan does not wash the hot set away).
 */
#include "internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WC_SKETCH_LINE    64
#define WC_SKETCH_MAX     255
#define WC_SKETCH_SAMPLES 10 /* ageing after this many GETs per slot */
#define WC_RECENT         4096
#define WC_HAND_LOOKS     8
#define WC_FIRST_FREQ     2 /* with room, a key's second GET promotes it */

static uint64_t wc_power_of_two(uint64_t at_least)
{
    uint64_t n = 1;

    while (n < at_least)
        n *= 2;
    return n;
}

int wc_hot_init(struct wc_hot *h, struct wc_kernel *k, struct wc_mirror *m, const struct wc_config *cfg)
{
    uint64_t lines = wc_power_of_two((uint64_t)k->nslots * 4 / (WC_SKETCH_LINE / 4) + 1);

    memset(h, 0, sizeof(*h));
    h->k = k;
    h->mirror = m;
    h->key_max = cfg->fastpath_key_max;
    h->value_max = cfg->fastpath_value_max;
    h->line_mask = lines - 1;
    atomic_store(&h->admit, WC_FIRST_FREQ);
    pthread_mutex_init(&h->queue_lock, NULL);
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    h->sketch = aligned_alloc(WC_SKETCH_LINE, lines * WC_SKETCH_LINE);
    h->recent = calloc(WC_RECENT, sizeof(*h->recent));
    h->queue = calloc(WC_HOT_QUEUE, sizeof(*h->queue));
    h->work = calloc(WC_HOT_QUEUE, sizeof(*h->work));
    h->heat = calloc(k->nslots, sizeof(*h->heat));
    h->hits = calloc(k->nslots, sizeof(*h->hits));
    if (h->wake_fd < 0 || !h->sketch || !h->recent || !h->queue || !h->work || !h->heat || !h->hits) {
        wc_hot_free(h);
        return -ENOMEM;
    }
    memset((void *)h->sketch, 0, lines * WC_SKETCH_LINE);
    return 0;
}

void wc_hot_free(struct wc_hot *h)
{
    if (h->wake_fd >= 0)
        close(h->wake_fd);
    free((void *)h->sketch);
    free((void *)h->recent);
    free(h->queue);
    free(h->work);
    free(h->heat);
    free(h->hits);
    pthread_mutex_destroy(&h->queue_lock);
    memset(h, 0, sizeof(*h));
    h->wake_fd = -1;
}

/* Count the key once more (add) and estimate its frequency. Counters are shared without locks; a lost count is one
 * count. */
static uint32_t wc_hot_frequency(struct wc_hot *h, uint64_t hash, bool add)
{
    uint64_t mixed = hash * UINT64_C(0xff51afd7ed558ccd);
    _Atomic uint8_t *line = h->sketch + ((mixed >> 32) & h->line_mask) * WC_SKETCH_LINE;
    uint32_t least = WC_SKETCH_MAX, at[4];

    for (int i = 0; i < 4; i++) {
        uint32_t v;

        /* one counter in each quarter of the line */
        at[i] = i * (WC_SKETCH_LINE / 4) + ((mixed >> (i * 4)) & (WC_SKETCH_LINE / 4 - 1));
        v = atomic_load_explicit(&line[at[i]], memory_order_relaxed);
        if (v < least)
            least = v;
    }
    if (!add || least == WC_SKETCH_MAX)
        return least;
    /* conservative update: only the smallest counters grow */
    for (int i = 0; i < 4; i++)
        if (atomic_load_explicit(&line[at[i]], memory_order_relaxed) == least)
            atomic_store_explicit(&line[at[i]], least + 1, memory_order_relaxed);
    return least + 1;
}

void wc_hot_saw(struct wc_hot *h, const struct wc_key *key, bool hit, uint32_t value_len)
{
    _Atomic uint64_t *recent;
    uint64_t one = 1;
    bool wake = false;

    if (!key->len || key->len > h->key_max || (hit && value_len > h->value_max))
        return;
    atomic_fetch_add_explicit(&h->seen, 1, memory_order_relaxed);
    if (wc_hot_frequency(h, key->hash, true) < atomic_load_explicit(&h->admit, memory_order_relaxed))
        return;
    recent = &h->recent[(key->hash >> 20) & (WC_RECENT - 1)];
    if (atomic_load_explicit(recent, memory_order_relaxed) == key->hash)
        return;
    if (pthread_mutex_trylock(&h->queue_lock))
        return; /* it will come again */
    if (h->queued < WC_HOT_QUEUE) {
        struct wc_candidate *c = &h->queue[h->queued++];

        c->hash = key->hash;
        c->len = key->len;
        memcpy(c->key, key->ptr, key->len);
        atomic_store_explicit(recent, key->hash, memory_order_relaxed);
        wake = h->queued == 1;
    }
    pthread_mutex_unlock(&h->queue_lock);
    if (wake && write(h->wake_fd, &one, sizeof(one)) < 0)
        return; /* the manager looks at the queue ten times a second anyway */
}

static void wc_hot_map_key(struct wc_hot_key *to, const char *key, uint32_t len)
{
    memset(to, 0, sizeof(*to));
    to->len = len;
    memcpy(to->bytes, key, len);
}

/* The coldest of the next few slots under the hand. */
static uint32_t wc_hot_victim(struct wc_hot *h)
{
    uint32_t coldest = h->hand;

    for (int i = 0; i < WC_HAND_LOOKS; i++) {
        uint32_t slot = h->hand;
        uint32_t fresh = h->k->slots[slot].hits - h->hits[slot];

        if (h->heat[slot] + fresh < h->heat[coldest] + (uint32_t)(h->k->slots[coldest].hits - h->hits[coldest]))
            coldest = slot;
        h->hand = (h->hand + 1) % h->k->nslots;
    }
    return coldest;
}

static void wc_hot_demote(struct wc_hot *h, uint32_t slot)
{
    const struct wc_owner *o = &h->mirror->owners[slot];
    struct wc_hot_key key;

    wc_hot_map_key(&key, o->key, o->key_len);
    wc_mirror_revoke(h->mirror, slot);
    bpf_map_delete_elem(h->k->hot_keys_fd, &key);
    atomic_fetch_add_explicit(&h->demotions, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&h->assigned, 1, memory_order_relaxed);
}

static void wc_hot_give(struct wc_hot *h, const struct wc_candidate *c)
{
    struct wc_key key = {.ptr = c->key, .len = c->len, .hash = c->hash};
    struct wc_hot_key map_key;
    uint32_t slot;

    wc_hot_map_key(&map_key, c->key, c->len);
    if (!bpf_map_lookup_elem(h->k->hot_keys_fd, &map_key, &slot))
        return; /* it has a slot already: take nobody else's */
    if (h->used < h->k->nslots) {
        slot = h->used;
    } else {
        slot = wc_hot_victim(h);
        if (h->mirror->owners[slot].linked) {
            uint32_t heat = h->heat[slot] + (uint32_t)(h->k->slots[slot].hits - h->hits[slot]);

            if (wc_hot_frequency(h, c->hash, false) <= heat)
                return;
            wc_hot_demote(h, slot);
        }
    }
    if (!wc_mirror_assign(h->mirror, slot, &key))
        return; /* it has a slot already */
    if (slot == h->used)
        h->used++;
    h->heat[slot] = wc_hot_frequency(h, c->hash, false);
    h->hits[slot] = 0;
    atomic_fetch_add_explicit(&h->assigned, 1, memory_order_relaxed);
    if (bpf_map_update_elem(h->k->hot_keys_fd, &map_key, &slot, BPF_ANY)) {
        wc_hot_demote(h, slot);
        return;
    }
    atomic_fetch_add_explicit(&h->promotions, 1, memory_order_relaxed);
}

void wc_hot_promote(struct wc_hot *h)
{
    struct wc_candidate *work;
    uint32_t n;

    pthread_mutex_lock(&h->queue_lock);
    work = h->queue;
    n = h->queued;
    h->queue = h->work;
    h->queued = 0;
    h->work = work;
    pthread_mutex_unlock(&h->queue_lock);
    for (uint32_t i = 0; i < n; i++)
        wc_hot_give(h, &work[i]);
}

/* Halve the sketch, so that old fame fades. */
static void wc_hot_age_sketch(struct wc_hot *h)
{
    uint64_t n = (h->line_mask + 1) * WC_SKETCH_LINE;

    for (uint64_t i = 0; i < n; i++) {
        uint8_t v = atomic_load_explicit(&h->sketch[i], memory_order_relaxed);

        if (v)
            atomic_store_explicit(&h->sketch[i], v / 2, memory_order_relaxed);
    }
    atomic_store_explicit(&h->seen, 0, memory_order_relaxed);
}

void wc_hot_age(struct wc_hot *h)
{
    uint32_t coldest = UINT32_MAX;
    int64_t now_ms = wc_store_now_ms();

    for (uint32_t slot = 0; slot < h->used; slot++) {
        uint64_t hits = h->k->slots[slot].hits;
        uint64_t fresh = hits - h->hits[slot];

        h->heat[slot] = h->heat[slot] / 2 + (fresh > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)fresh);
        h->hits[slot] = hits;
        if (fresh)
            wc_mirror_touch(h->mirror, slot, fresh, now_ms);
        if (h->heat[slot] < coldest)
            coldest = h->heat[slot];
    }
    /* With every slot taken a key must beat the coldest at least. */
    if (h->used < h->k->nslots || coldest + 1 < WC_FIRST_FREQ)
        coldest = WC_FIRST_FREQ - 1;
    atomic_store(&h->admit, coldest < WC_SKETCH_MAX ? coldest + 1 : WC_SKETCH_MAX);
    if (atomic_load_explicit(&h->seen, memory_order_relaxed) > WC_SKETCH_SAMPLES * h->k->nslots)
        wc_hot_age_sketch(h);
    for (int i = 0; i < WC_RECENT; i++)
        atomic_store_explicit(&h->recent[i], 0, memory_order_relaxed);
}
