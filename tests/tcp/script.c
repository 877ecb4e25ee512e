/* See script.h. Most of what clients do is asking for one key after another, which is what the kernel answers; all else
 * is there to get in its way.
 */
#include "script.h"

#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_KIND_MAX 64

static const unsigned counts[KINDS] = {[PLAIN] = 48, [COUNTER] = 8, [BRIEF] = 8, [BIG] = 4};
static struct history *keys[KINDS][PER_KIND_MAX];
static uint64_t keys_seed;
static unsigned nclients;

void keys_make(uint64_t seed, unsigned clients)
{
    keys_seed = seed;
    nclients = clients;
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (unsigned i = 0; i < counts[kind]; i++)
            keys[kind][i] = history_new(kind, i, 0, seed);
}

static unsigned owner(enum kind kind, unsigned slot)
{
    unsigned i = slot;

    for (enum kind k = 0; k < kind; k++)
        i += counts[k];
    return i % nclients;
}

void keys_give_up(struct client *c)
{
    for (unsigned n = c->op_first; n != c->op_next; n++) {
        struct history *h = client_op(c, n)->key;

        /* Readers still hold the old one: it is never freed. */
        if (h && keys[h->kind][h->slot] == h)
            keys[h->kind][h->slot] = history_new(h->kind, h->slot, h->generation + 1, keys_seed);
    }
}

static struct history *any_key(struct client *c)
{
    uint64_t r = rng_below(&c->rng, 100);
    enum kind kind = r < 80 ? PLAIN : r < 90 ? COUNTER : BRIEF;
    unsigned slot = (unsigned)rng_below(&c->rng, counts[kind]);

    if (rng_below(&c->rng, 3)) /* some are asked for more often */
        slot = (unsigned)rng_below(&c->rng, slot + 1);
    return keys[kind][slot];
}

/* One of the keys that c writes, NULL if it has none of that kind. */
static struct history *own_key(struct client *c, bool big)
{
    struct history *own[PER_KIND_MAX * KINDS];
    unsigned n = 0;

    for (enum kind kind = 0; kind < KINDS; kind++)
        for (unsigned i = 0; i < counts[kind]; i++)
            if ((kind == BIG) == big && owner(kind, i) == c->id)
                own[n++] = keys[kind][i];
    return n ? own[rng_below(&c->rng, n)] : NULL;
}

/* ---- commands ---- */

static void add(struct client *c, unsigned n, const char *const *words)
{
    size_t lens[8];

    for (unsigned i = 0; i < n; i++)
        lens[i] = strlen(words[i]);
    client_words(c, n, words, lens);
}

static void add_read(const struct client *c, struct op *op, struct history *h)
{
    bool mine = owner(h->kind, h->slot) == c->id;

    op->reads[op->n++] = (struct read){.key = h, .exact = mine ? h->composed : UINT64_MAX};
}

static void add_get(struct client *c, struct history *h)
{
    add(c, 2, (const char *[]){"GET", h->name});
    add_read(c, client_begin(c, GET), h);
}

static void add_mget(struct client *c)
{
    const char *words[1 + MGET_MAX] = {"MGET"};
    struct history *wanted[MGET_MAX];
    unsigned n = 1 + (unsigned)rng_below(&c->rng, MGET_MAX);
    struct op *op;

    for (unsigned i = 0; i < n; i++) {
        wanted[i] = any_key(c);
        words[1 + i] = wanted[i]->name;
    }
    add(c, 1 + n, words);
    op = client_begin(c, MGET);
    for (unsigned i = 0; i < n; i++)
        add_read(c, op, wanted[i]);
}

static void add_write(struct client *c, struct history *h)
{
    static char value[VALUE_MAX];
    uint64_t v = h->composed + 1;
    enum command command = h->kind == COUNTER ? INCR : history_is_deletion(h, v) ? DEL : SET;
    struct op *op;

    if (command == SET) {
        char ttl[16];
        const char *words[] = {"SET", h->name, value, "PX", ttl};
        size_t lens[] = {3, h->name_len, history_value(h, v, value), 2, 0};

        lens[4] = (size_t)snprintf(ttl, sizeof(ttl), "%u", history_ttl_ms(h, v));
        client_words(c, history_ttl_ms(h, v) ? 5 : 3, words, lens);
    } else {
        add(c, 2, (const char *[]){command == DEL ? "DEL" : "INCR", h->name});
    }
    op = client_begin(c, command);
    op->key = h;
    op->version = h->composed = v;
}

static void add_ping(struct client *c)
{
    add(c, 1, (const char *[]){"PING"});
    client_begin(c, PING);
}

static void add_any(struct client *c)
{
    struct history *own = own_key(c, false);
    uint64_t r = rng_below(&c->rng, 10);

    if (r == 0)
        add_mget(c);
    else if (r == 1)
        add_ping(c);
    else if (r < 5 && own)
        add_write(c, own);
    else
        add_get(c, any_key(c));
}

static void add_several(struct client *c, unsigned n, void (*one)(struct client *))
{
    while (n-- && client_pending(c) < OPS_MAX)
        one(c);
}

static void get_any(struct client *c)
{
    add_get(c, any_key(c));
}

/* ---- how they are written and what follows ---- */

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* In the middle of a command or behind one. */
static uint64_t place_for_cut(struct client *c)
{
    unsigned unsent = c->op_next - c->op_unsent;

    if (unsent > 1 && rng_below(&c->rng, 2))
        return client_op(c, c->op_unsent + (unsigned)rng_below(&c->rng, unsent - 1))->end;
    return c->out_sent + 1 + rng_below(&c->rng, c->out_end - c->out_sent - 1);
}

static void cut_anywhere(struct client *c)
{
    uint64_t len = c->out_end - c->out_sent;
    unsigned n = (unsigned)rng_below(&c->rng, CUTS_MAX + 1), kept = 0;

    if (len < 2)
        return;
    for (unsigned i = 0; i < n; i++)
        c->cuts[i] = place_for_cut(c);
    qsort(c->cuts, n, sizeof(*c->cuts), ascending);
    for (unsigned i = 0; i < n; i++)
        if (!kept || c->cuts[kept - 1] != c->cuts[i])
            c->cuts[kept++] = c->cuts[i];
    c->ncuts = kept;
}

static void leave(struct client *c, uint64_t now)
{
    static const enum ending endings[] = {FIN, FIN, CLOSE, RESET};

    c->ending = endings[rng_below(&c->rng, 4)];
    add_several(c, (unsigned)rng_below(&c->rng, 6), rng_below(&c->rng, 2) ? get_any : add_any);
    if (rng_below(&c->rng, 2))
        cut_anywhere(c);
    if (rng_below(&c->rng, 2)) /* the FIN comes after a while */
        c->write_after = now + rng_below(&c->rng, 5 * MSEC);
}

static void fill_own(struct client *c)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (unsigned i = 0; i < counts[kind]; i++)
            if (owner(kind, i) == c->id)
                add_write(c, keys[kind][i]);
    c->filled = true;
}

static void large(struct client *c)
{
    struct history *own = own_key(c, true);

    if (own && rng_below(&c->rng, 3))
        add_write(c, own);
    add_get(c, keys[BIG][rng_below(&c->rng, counts[BIG])]);
    if (rng_below(&c->rng, 2))
        add_several(c, 1 + (unsigned)rng_below(&c->rng, 4), add_any);
}

void script_step(struct client *c, uint64_t now)
{
    uint64_t r = rng_below(&c->rng, 1000);

    if (!c->filled) {
        fill_own(c);
    } else if (c->id % 10 == 9 && !c->idled) {
        c->step_after = now + 4200 * MSEC + rng_below(&c->rng, 600 * MSEC);
        c->idled = true;
        c->overlap = false;
        return;
    } else if (c->burst) {
        c->burst--;
        get_any(c);
    } else if (r < 600) {
        c->burst = (unsigned)rng_below(&c->rng, 30);
        get_any(c);
    } else if (r < 700) {
        add_several(c, 2 + (unsigned)rng_below(&c->rng, 20), get_any);
    } else if (r < 780) {
        add_several(c, 2 + (unsigned)rng_below(&c->rng, 3), get_any);
        cut_anywhere(c);
    } else if (r < 850) {
        add_several(c, 1 + (unsigned)rng_below(&c->rng, 20), add_any);
        cut_anywhere(c);
    } else if (r < 900) {
        add_several(c, 1, add_any);
        if (rng_below(&c->rng, 3) == 0)
            cut_anywhere(c);
    } else if (r < 905) {
        large(c);
    } else if (r < 925) { /* asks for much and does not read for a while */
        add_several(c, 30 + (unsigned)rng_below(&c->rng, 100), get_any);
        c->read_after = now + rng_below(&c->rng, 150 * MSEC);
    } else if (r < 985) {
        c->step_after = now + rng_below(&c->rng, rng_below(&c->rng, 20) ? 60 * MSEC : SEC);
    } else {
        leave(c, now);
    }
    /* Now and then the next comes before the replies to this one. */
    c->overlap = rng_below(&c->rng, 8) == 0;
    if (c->overlap && c->step_after <= now)
        c->step_after = now + rng_below(&c->rng, 3 * MSEC);
}
