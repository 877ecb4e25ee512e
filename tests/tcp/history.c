/* See history.h. */
#include "history.h"

#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCKS_DIFFER_NS (10 * MSEC) /* between what the server and we call a key's end */
#define LOOK_BACK        100000      /* versions to search when a value is wrong */

static char expected[VALUE_MAX];

static uint64_t draw(const struct history *h, uint64_t v, unsigned what)
{
    return rng_mix(h->seed ^ rng_mix(v * 4 + what + 1));
}

struct history *history_new(enum kind kind, unsigned slot, unsigned generation, uint64_t seed)
{
    static const char letter[KINDS] = "pcbg";
    struct history *h = calloc(1, sizeof(*h));
    size_t len;

    if (!h)
        abort();
    h->kind = kind;
    h->slot = slot;
    h->generation = generation;
    h->seed = rng_mix(seed ^ rng_mix(((uint64_t)kind << 56) + ((uint64_t)slot << 32) + generation + 1));
    len = (size_t)snprintf(h->name, sizeof(h->name), "%c%u.%u", letter[kind], slot, generation);
    /* Names of all lengths, some as long as the kernel holds and some longer than they need be. */
    if (h->seed % 4 == 0) {
        size_t more = h->seed / 4 % (KEY_NAME_MAX - len + 1);

        memset(h->name + len, 'k', more);
        len += more;
    }
    h->name_len = len;
    return h;
}

bool history_is_deletion(const struct history *h, uint64_t v)
{
    return v == 0 || ((h->kind == PLAIN || h->kind == BRIEF) && draw(h, v, 0) % 8 == 0);
}

unsigned history_ttl_ms(const struct history *h, uint64_t v)
{
    return h->kind == BRIEF ? 5 + draw(h, v, 1) % 300 : 0;
}

static size_t value_len(const struct history *h, uint64_t v)
{
    uint64_t r = draw(h, v, 2), of = r >> 8;

    if (h->kind == BIG)
        return 100000 + of % (VALUE_MAX - 100000);
    switch (r % 16) {
    case 0:
        return 1 + of % 8000;
    case 1:
        return 1000 + of % 50; /* about what the kernel holds */
    case 2:
    case 3:
        return 400 + of % 624;
    case 4 ... 7:
        return 64 + of % 400;
    default:
        return 1 + of % 64;
    }
}

size_t history_value(const struct history *h, uint64_t v, char *out)
{
    size_t len, at = 0;
    uint64_t word = draw(h, v, 3);

    if (h->kind == COUNTER)
        return (size_t)sprintf(out, "%llu", (unsigned long long)v);
    len = value_len(h, v);
    if (len >= 64) /* for the person who reads a dump */
        at = (size_t)sprintf(out, "<%.12s v%llu of %zu>", h->name, (unsigned long long)v, len);
    for (; at + 8 <= len; at += 8) {
        word = word * 6364136223846793005ull + 1442695040888963407ull;
        memcpy(out + at, &word, 8);
    }
    memset(out + at, (int)(word >> 32), len - at);
    return len;
}

void history_sent(struct history *h, uint64_t v, uint64_t now)
{
    h->sent = v;
    h->at[v % TIMES].sent = now;
    h->at[v % TIMES].acked = 0;
}

void history_acked(struct history *h, uint64_t v, uint64_t now)
{
    h->acked = v;
    h->at[v % TIMES].acked = now;
}

void history_read_sent(struct read *r, uint64_t now)
{
    r->sent_ns = now;
    r->low = r->key->acked > r->key->seen ? r->key->acked : r->key->seen;
    if (r->exact != UINT64_MAX)
        r->low = r->exact;
}

/* Can version v be what a read says, whose value has these bytes? */
static bool matches(const struct history *h, uint64_t v, const char *value, size_t len)
{
    if (history_is_deletion(h, v) || !value)
        return !value && history_is_deletion(h, v);
    if (h->kind != COUNTER && len != value_len(h, v))
        return false;
    return len == history_value(h, v, expected) && memcmp(value, expected, len) == 0;
}

/* A value with a limited life may be gone, or must be. */
static bool may_have_expired(const struct history *h, uint64_t v, uint64_t now)
{
    unsigned ttl = history_ttl_ms(h, v);

    return ttl && now + CLOCKS_DIFFER_NS > h->at[v % TIMES].sent + ttl * MSEC;
}

static bool must_have_expired(const struct history *h, uint64_t v, uint64_t now)
{
    unsigned ttl = history_ttl_ms(h, v);
    uint64_t acked = h->at[v % TIMES].acked;

    return ttl && acked && now > acked + ttl * MSEC + CLOCKS_DIFFER_NS;
}

static bool explain(const struct read *r, uint64_t high, const char *value, size_t len, char *why, size_t size)
{
    const struct history *h = r->key;
    uint64_t newest = h->composed + 100, oldest = newest > LOOK_BACK ? newest - LOOK_BACK : 0;
    int n = snprintf(why, size, "key %s: versions %llu to %llu are possible (sent %llu acked %llu seen %llu), but ",
                     h->name, (unsigned long long)r->low, (unsigned long long)high, (unsigned long long)h->sent,
                     (unsigned long long)h->acked, (unsigned long long)h->seen);
    size_t same = 0;

    why += n;
    size -= (size_t)n;
    for (uint64_t v = newest + 1; value && v-- > oldest;) {
        if (!matches(h, v, value, len))
            continue;
        snprintf(why, size, "it is %s version %llu, expired %d", v > high ? "FUTURE" : "STALE", (unsigned long long)v,
                 must_have_expired(h, v, r->sent_ns));
        return false;
    }
    if (!value) {
        snprintf(why, size, "it is ABSENT");
        return false;
    }
    for (uint64_t v = r->low; v <= high; v++) {
        size_t n_expected = history_is_deletion(h, v) ? 0 : history_value(h, v, expected), i = 0;

        while (i < len && i < n_expected && value[i] == expected[i])
            i++;
        same = i > same ? i : same;
    }
    n = snprintf(why, size, "%zu WRONG BYTES, from byte %zu on; it begins", len, same);
    for (size_t i = 0; i < len && i < 48 && (size_t)n < size; i++)
        n += snprintf(why + n, size - (size_t)n, " %02x", (unsigned char)value[i]);
    return false;
}

bool history_read_ok(const struct read *r, const char *value, size_t len, uint64_t now, char *why, size_t why_size)
{
    struct history *h = r->key;
    uint64_t high = r->exact != UINT64_MAX ? r->exact : h->sent;

    for (uint64_t v = r->low; v <= high; v++) {
        if (!value && may_have_expired(h, v, now))
            return true;
        if (!matches(h, v, value, len) || (value && must_have_expired(h, v, r->sent_ns)))
            continue;
        /* Values of one byte look alike; the oldest that it can be is certain. */
        if (v > h->seen)
            h->seen = v;
        return true;
    }
    return explain(r, high, value, len, why, why_size);
}
