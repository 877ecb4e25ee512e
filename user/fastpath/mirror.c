/* The mirror: keeps the kernel's copies exact. Its write calls run inside the store's critical sections, so a slot
 * changes before the write's reply exists, and in the order of the writes.
 *
 * A slot belongs to a key from promotion to demotion, whatever becomes of the key. When the key goes, the slot says
 * "null"; when its value is too long for the kernel, the slot is empty and userspace answers.
 *
 * Finding the slot of a changed key must cost next to nothing for keys that have none: one array element per write.
 *
 *   buckets [shard 0: ......][shard 1: ......] ...     first slot, or WC_NO_SLOT
 *                 |
 *                 v  owners[slot].next ...              chain; guarded by the shard's lock
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wc_match.h"

/* The kernel lets a value expire this much earlier than userspace would: what the kernel serves, userspace would have
 * served too. Covers slewing between two looks at the clocks. */
#define WC_EXPIRE_MARGIN_NS 1000000
#define WC_DRIFT_NS         500000
#define WC_TOUCHES_MAX      64 /* at one look: the store counts logarithmically */

static int64_t wc_clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t wc_mono_minus_wall(void)
{
    return wc_clock_ns(CLOCK_MONOTONIC) - wc_clock_ns(CLOCK_REALTIME);
}

int wc_mirror_init(struct wc_mirror *m, struct wc_kernel *k, struct wc_store *store, uint32_t value_max)
{
    uint32_t shards = wc_store_shards(store), per_shard = 1;
    size_t n;

    while ((uint64_t)per_shard * shards < 2 * (uint64_t)k->nslots)
        per_shard *= 2;
    n = (size_t)per_shard * shards;
    m->slots = k->slots;
    m->control = k->control;
    m->nslots = k->nslots;
    m->value_max = value_max;
    m->store = store;
    m->bucket_mask = per_shard - 1;
    m->owners = calloc(k->nslots, sizeof(*m->owners));
    m->buckets = malloc(n * sizeof(*m->buckets));
    if (!m->owners || !m->buckets) {
        wc_mirror_free(m);
        return -ENOMEM;
    }
    memset(m->buckets, 0xff, n * sizeof(*m->buckets));
    atomic_store(&m->mono_minus_wall_ns, wc_mono_minus_wall());
    return 0;
}

void wc_mirror_free(struct wc_mirror *m)
{
    free(m->owners);
    free(m->buckets);
    m->owners = NULL;
    m->buckets = NULL;
}

/* The bits that pick the bucket must not be those that picked the shard; mixing makes that so whichever they were. */
static uint32_t *wc_mirror_bucket(const struct wc_mirror *m, uint32_t shard, uint64_t hash)
{
    uint32_t mixed = (hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32;

    return &m->buckets[(size_t)shard * (m->bucket_mask + 1) + (mixed & m->bucket_mask)];
}

static uint32_t wc_mirror_find(const struct wc_mirror *m, uint32_t shard, const struct wc_key *key)
{
    uint32_t slot = *wc_mirror_bucket(m, shard, key->hash);

    while (slot != WC_NO_SLOT) {
        const struct wc_owner *o = &m->owners[slot];

        if (o->hash == key->hash && o->key_len == key->len && !memcmp(o->key, key->ptr, key->len))
            return slot;
        slot = o->next;
    }
    return WC_NO_SLOT;
}

/* ---- writing a slot; wc_hot_copy() in bpf/hot.h reads it ---- */

static void wc_slot_begin(struct wc_slot *s)
{
    __atomic_store_n(&s->version, s->version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* odd is visible before any field changes */
}

static void wc_slot_end(struct wc_slot *s)
{
    __atomic_store_n(&s->version, s->version + 1, __ATOMIC_RELEASE); /* even only after every field */
}

/* Ones' complement sum in memory order, as csum_partial() of the kernel makes it. */
static uint32_t wc_slot_sum(const struct wc_slot *s)
{
    uint8_t bytes[WC_REPLY_MAX + 1];
    uint32_t n = 0, sum = 0;

    memcpy(bytes, s->head + WC_HEAD_MAX - s->head_len, s->head_len);
    n = s->head_len;
    if (s->value_len != WC_VALUE_NULL) {
        memcpy(bytes + n, s->value, s->value_len);
        n += s->value_len;
        bytes[n++] = '\r';
        bytes[n++] = '\n';
    }
    bytes[n] = 0;
    for (uint32_t i = 0; i < n; i += 2) {
        uint16_t word;

        memcpy(&word, bytes + i, 2);
        sum += word;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static void wc_slot_head(struct wc_slot *s, const char *text, uint32_t len)
{
    memset(s->head, 0, sizeof(s->head));
    memcpy(s->head + WC_HEAD_MAX - len, text, len);
    s->head_len = len;
}

static void wc_slot_write_value(struct wc_slot *s, const struct wc_value *v)
{
    char head[WC_HEAD_MAX + 1];
    uint32_t old = s->value_len > WC_VALUE_MAX ? 0 : s->value_len;
    int len = snprintf(head, sizeof(head), "$%u\r\n", v->len);

    wc_slot_head(s, head, (uint32_t)len);
    memcpy(s->value, v->ptr, v->len);
    /* Zero behind the value, so that bpftool prints text as text and no older value shows through. */
    if (old > v->len)
        memset(s->value + v->len, 0, old - v->len);
    s->value_len = v->len;
}

static void wc_slot_write_null(struct wc_slot *s)
{
    wc_slot_head(s, "$-1\r\n", 5);
    memset(s->value, 0, sizeof(s->value));
    s->value_len = WC_VALUE_NULL;
}

static uint64_t wc_mirror_deadline(const struct wc_mirror *m, int64_t expire_at_ms)
{
    int64_t ns;

    if (expire_at_ms == WC_NO_EXPIRE)
        return 0;
    if (expire_at_ms > INT64_MAX / 1000000 - INT64_C(1000000000000))
        return 0; /* centuries away */
    ns = expire_at_ms * 1000000 + atomic_load_explicit(&m->mono_minus_wall_ns, memory_order_relaxed) -
         WC_EXPIRE_MARGIN_NS;
    return ns < 1 ? 1 : (uint64_t)ns;
}

/* Put the key's state into its slot: a value, a null (value NULL), or nothing when the value is too long. */
static void wc_mirror_write(struct wc_mirror *m, uint32_t slot, const struct wc_value *value, int64_t expire_at_ms)
{
    struct wc_slot *s = &m->slots[slot];
    struct wc_owner *o = &m->owners[slot];

    o->expire_at_ms = value ? expire_at_ms : WC_NO_EXPIRE;
    wc_slot_begin(s);
    if (value && value->len > m->value_max) {
        s->key_len = 0;
    } else {
        if (value)
            wc_slot_write_value(s, value);
        else
            wc_slot_write_null(s);
        s->expires_ns = wc_mirror_deadline(m, o->expire_at_ms);
        s->reply_sum = wc_slot_sum(s);
        s->key_len = o->key_len;
    }
    wc_slot_end(s);
}

/* ---- the store's observer ---- */

void wc_mirror_changed(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire_at_ms)
{
    struct wc_mirror *m = arg;
    uint32_t slot;

    if (db != 0)
        return;
    slot = wc_mirror_find(m, wc_store_shard_of(m->store, key->hash), key);
    if (slot != WC_NO_SLOT)
        wc_mirror_write(m, slot, value, expire_at_ms);
}

void wc_mirror_removed(void *arg, int db, const struct wc_key *key)
{
    wc_mirror_changed(arg, db, key, NULL, WC_NO_EXPIRE);
}

void wc_mirror_flushed(void *arg, int db, uint32_t shard)
{
    struct wc_mirror *m = arg;
    const uint32_t *bucket = &m->buckets[(size_t)shard * (m->bucket_mask + 1)];

    if (db > 0)
        return;
    for (uint32_t i = 0; i <= m->bucket_mask; i++)
        for (uint32_t slot = bucket[i]; slot != WC_NO_SLOT; slot = m->owners[slot].next)
            wc_mirror_write(m, slot, NULL, WC_NO_EXPIRE);
}

/* Both ends are full barriers: closed before the first slot changes, open again after the last. */
void wc_mirror_many(void *arg, bool begin)
{
    struct wc_mirror *m = arg;

    __atomic_add_fetch(&m->control->changing, begin ? 1u : -1u, __ATOMIC_SEQ_CST);
}

/* ---- the manager ---- */

static void wc_mirror_set_key(struct wc_mirror *m, uint32_t slot, const struct wc_key *key)
{
    struct wc_slot *s = &m->slots[slot];
    struct wc_owner *o = &m->owners[slot];

    memset(o->key, 0, sizeof(o->key));
    memcpy(o->key, key->ptr, key->len);
    o->key_len = key->len;
    o->hash = key->hash;
    o->shard = wc_store_shard_of(m->store, key->hash);
    wc_slot_begin(s);
    memset(s->key, 0, sizeof(s->key));
    memcpy(s->key, key->ptr, key->len);
    wc_slot_end(s);
    s->hits = 0;
    s->last_hit_ns = 0;
}

bool wc_mirror_assign(struct wc_mirror *m, uint32_t slot, const struct wc_key *key)
{
    uint32_t shard = wc_store_shard_of(m->store, key->hash), *bucket = wc_mirror_bucket(m, shard, key->hash);
    struct wc_entry *e;
    char scratch[32];

    wc_store_lock(m->store, shard);
    if (wc_mirror_find(m, shard, key) != WC_NO_SLOT) {
        wc_store_unlock(m->store, shard);
        return false;
    }
    wc_mirror_set_key(m, slot, key);
    e = wc_store_find(m->store, 0, key, wc_store_now_ms());
    if (e) {
        struct wc_value v = wc_entry_value(e, scratch);

        wc_mirror_write(m, slot, &v, wc_entry_expire(e));
    } else {
        wc_mirror_write(m, slot, NULL, WC_NO_EXPIRE);
    }
    m->owners[slot].next = *bucket;
    m->owners[slot].linked = true;
    *bucket = slot;
    wc_store_unlock(m->store, shard);
    return true;
}

void wc_mirror_revoke(struct wc_mirror *m, uint32_t slot)
{
    struct wc_owner *o = &m->owners[slot];
    struct wc_slot *s = &m->slots[slot];
    uint32_t *link;

    if (!o->linked)
        return;
    wc_store_lock(m->store, o->shard);
    for (link = wc_mirror_bucket(m, o->shard, o->hash); *link != slot; link = &m->owners[*link].next)
        ;
    *link = o->next;
    o->linked = false;
    wc_slot_begin(s);
    s->key_len = 0;
    memset(s->key, 0, sizeof(s->key));
    memset(s->value, 0, sizeof(s->value));
    wc_slot_end(s);
    wc_store_unlock(m->store, o->shard);
}

void wc_mirror_touch(struct wc_mirror *m, uint32_t slot, uint64_t times, int64_t now_ms)
{
    struct wc_owner *o = &m->owners[slot];
    struct wc_key key = {.ptr = o->key, .len = o->key_len, .hash = o->hash};
    struct wc_entry *e;

    if (!o->linked)
        return;
    wc_store_lock(m->store, o->shard);
    e = wc_store_find(m->store, 0, &key, now_ms);
    for (uint64_t i = 0; e && i < times && i < WC_TOUCHES_MAX; i++)
        wc_store_touch(m->store, &key, e, now_ms);
    wc_store_unlock(m->store, o->shard);
}

bool wc_mirror_drifted(const struct wc_mirror *m)
{
    int64_t d = wc_mono_minus_wall() - atomic_load_explicit(&m->mono_minus_wall_ns, memory_order_relaxed);

    return d > WC_DRIFT_NS || d < -WC_DRIFT_NS;
}

void wc_mirror_retime(struct wc_mirror *m)
{
    atomic_store_explicit(&m->mono_minus_wall_ns, wc_mono_minus_wall(), memory_order_relaxed);
    for (uint32_t slot = 0; slot < m->nslots; slot++) {
        struct wc_owner *o = &m->owners[slot];

        if (!o->linked)
            continue;
        wc_store_lock(m->store, o->shard);
        if (o->expire_at_ms != WC_NO_EXPIRE) {
            wc_slot_begin(&m->slots[slot]);
            m->slots[slot].expires_ns = wc_mirror_deadline(m, o->expire_at_ms);
            wc_slot_end(&m->slots[slot]);
        }
        wc_store_unlock(m->store, o->shard);
    }
}
