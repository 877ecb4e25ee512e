/* Schedules of the TCP model: made from a seed, made smaller, printed. */
#include "tcp_model.h"

#include <inttypes.h>
#include <string.h>

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* low <= result <= high */
static uint32_t pick(uint64_t *rng, uint32_t low, uint32_t high)
{
    return low + (uint32_t)(((next_random(rng) >> 32) * (high - low + 1)) >> 32);
}

static bool odds(uint64_t *rng, uint32_t percent)
{
    return pick(rng, 0, 99) < percent;
}

/* Near the places where arithmetic modulo 2^32 or a sign may go wrong, most of the time. */
static uint32_t pick_base(uint64_t *rng)
{
    switch (pick(rng, 0, 3)) {
    case 0:
        return (uint32_t)next_random(rng);
    case 1:
        return 0x80000000u - pick(rng, 0, 600);
    default:
        return 0u - pick(rng, 0, 600);
    }
}

static uint32_t pick_pause(uint64_t *rng)
{
    if (odds(rng, 70))
        return 0;
    if (odds(rng, 60))
        return pick(rng, 1, 20000);
    return odds(rng, 70) ? pick(rng, 20000, 600000) : pick(rng, 600000, 8000000);
}

static void generate_item(struct model_item *item, uint64_t *rng, uint32_t mss, bool pipelining)
{
    uint32_t kind = pick(rng, 0, 99);

    item->kind = kind < 60 ? MODEL_HOT : kind < 93 ? MODEL_COLD : MODEL_LURE;
    if (item->kind == MODEL_HOT) {
        item->len = (int)pick(rng, 4, 24);
        item->reply_len = (int)pick(rng, 3, odds(rng, 95) ? (mss < 60 ? mss : 60) : mss + 5);
        item->missing = odds(rng, 5);
    } else {
        item->len = (int)pick(rng, 8, odds(rng, 80) ? 40 : 120);
        item->reply_len = (int)pick(rng, 1, odds(rng, 80) ? 40 : 300);
    }
    if (item->kind == MODEL_LURE || odds(rng, 8))
        item->split = (int)pick(rng, item->kind == MODEL_LURE ? 3 : 1, (uint32_t)item->len - 4 + (item->len == 4));
    if (item->split) {
        item->split_waits = odds(rng, 50);
        item->split_pause_us = pick_pause(rng);
    }
    item->waits = !pipelining || odds(rng, 60);
    item->cut = odds(rng, 85);
    item->pause_us = pick_pause(rng);
}

static void generate_habits(struct model_habits *h, uint64_t *rng)
{
    static const uint32_t quick[] = {0, 300, 1000};

    h->rcvbuf = odds(rng, 80) ? 20000 : pick(rng, 80, 800);
    h->wscale = odds(rng, 50) ? 0 : pick(rng, 1, 3);
    h->quick_ack = quick[pick(rng, 0, 2)];
    h->coalesce = odds(rng, 50) ? 0 : pick(rng, 100, 1000);
    h->tail_probe = odds(rng, 60) ? 0 : 500;
    h->keepalive_us = odds(rng, 60) ? 0 : pick(rng, 150000, 500000);
    h->garbage_byte = odds(rng, 20);
    h->strict_window = odds(rng, 50);
}

static void generate_impairment(struct model_cfg *c, uint64_t *rng)
{
    static const uint32_t rates[] = {0, 0, 10, 50, 150, 350};

    for (int way = 0; way < 2; way++) {
        c->loss[way] = rates[pick(rng, 0, 5)];
        c->dup[way] = rates[pick(rng, 0, 5)];
        c->reorder[way] = rates[pick(rng, 0, 5)];
    }
    c->late = odds(rng, 50) ? 0 : 500;
    c->clean_us = pick(rng, 100, 4000) * 1000;
    c->delay_us = odds(rng, 50) ? pick(rng, 10, 200) : pick(rng, 200, 30000);
    c->host_delay_us = odds(rng, 60) ? 0 : pick(rng, 1, odds(rng, 70) ? 100 : 30000);
    c->host_drop = odds(rng, 80) ? 0 : pick(rng, 5, 100);
}

void model_generate(struct model_cfg *c, uint64_t seed)
{
    uint64_t rng = seed;
    bool pipelining = odds(&rng, 60);

    memset(c, 0, sizeof(*c));
    c->seed = next_random(&rng);
    c->client_base = pick_base(&rng);
    c->server_base = pick_base(&rng);
    generate_habits(&c->client, &rng);
    generate_habits(&c->server, &rng);
    c->client.no_memory = odds(&rng, 80) ? 0 : 100;
    /* If a client has taken the ack of its request but thrown the reply away, and what it says to that is lost, there
     * is no timer left but this one. */
    if (c->client.no_memory && !c->server.keepalive_us)
        c->server.keepalive_us = 400000;
    c->client.mss = pick(&rng, 30, 200);
    c->server.mss = pick(&rng, 30, 200);
    c->client.sack = c->server.sack = odds(&rng, 60);
    c->client.ts = c->server.ts = odds(&rng, 50);
    c->nitems = (int)pick(&rng, 1, MODEL_ITEMS_MAX);
    for (int i = 0; i < c->nitems; i++)
        generate_item(&c->items[i], &rng, c->server.mss, pipelining);
    generate_impairment(c, &rng);
    c->think_us = odds(&rng, 70) ? 50 : pick(&rng, 1, 50000);
    c->publish_us = odds(&rng, 70) ? 5 : pick(&rng, 1, 50000);
    c->send_us = odds(&rng, 70) ? 5 : pick(&rng, 1, 50000);
    c->stall = odds(&rng, 70) ? 0 : 100;
    c->batch = odds(&rng, 50) ? 1 : pick(&rng, 2, 8);
    c->read_us = odds(&rng, 70) ? 5 : pick(&rng, 1, 200000);
    c->end = odds(&rng, 50) ? MODEL_END_CLIENT : odds(&rng, 70) ? MODEL_END_SERVER : MODEL_END_KILL;
    c->end_waits = odds(&rng, 50);
    c->kill_us = pick(&rng, 1, odds(&rng, 50) ? 100000 : 5000000);
    if (c->end == MODEL_END_KILL && !c->client.keepalive_us)
        c->client.keepalive_us = 300000; /* else a lost RST is never noticed */
    c->xdp = odds(&rng, 50);
    c->late_open = odds(&rng, 10);
    c->gso = odds(&rng, 30);
    c->clock_lag = odds(&rng, 50) ? 0 : 2;
}

/* ---- shrinking ---- */

/* A few runs, since what chance decides shifts with every change. */
static bool still_fails(struct model_cfg *c, const char *how)
{
    uint64_t first = c->seed;

    for (int i = 0; i < 200; i++) {
        const char *failure = model_run(c, NULL, NULL);

        if (failure && !strcmp(failure, how))
            return true;
        c->seed = first + (uint64_t)i + 1;
    }
    return false;
}

static bool try_without_item(struct model_cfg *c, const char *how, int item)
{
    struct model_cfg less = *c;

    if (less.nitems == 1)
        return false;
    memmove(&less.items[item], &less.items[item + 1], sizeof(less.items[0]) * (size_t)(less.nitems - item - 1));
    less.nitems--;
    if (!still_fails(&less, how))
        return false;
    *c = less;
    return true;
}

/* Sets one 32-bit or boolean member to a plainer value. */
static void try_value(struct model_cfg *c, const char *how, void *member, size_t size, uint32_t value)
{
    struct model_cfg before = *c;

    if (!memcmp(member, &value, size))
        return;
    memcpy(member, &value, size);
    if (!still_fails(c, how))
        *c = before;
}

#define TRY(member, value) try_value(c, how, &c->member, sizeof(c->member), value)

static void shrink_habits(struct model_cfg *c, const char *how, struct model_habits *h)
{
    try_value(c, how, &h->rcvbuf, 4, 20000);
    try_value(c, how, &h->wscale, 4, 0);
    try_value(c, how, &h->quick_ack, 4, 1000);
    try_value(c, how, &h->coalesce, 4, 0);
    try_value(c, how, &h->tail_probe, 4, 0);
    try_value(c, how, &h->no_memory, 4, 0);
    if (!c->client.no_memory)
        try_value(c, how, &h->keepalive_us, 4, 0);
    try_value(c, how, &h->garbage_byte, 1, 0);
    try_value(c, how, &h->sack, 1, 0);
    try_value(c, how, &h->ts, 1, 0);
    try_value(c, how, &h->strict_window, 1, 0);
    try_value(c, how, &h->mss, 4, 200);
}

static void shrink_item(struct model_cfg *c, const char *how, struct model_item *item)
{
    try_value(c, how, &item->pause_us, 4, 0);
    try_value(c, how, &item->split_pause_us, 4, 0);
    if (item->kind != MODEL_LURE)
        try_value(c, how, &item->split, 4, 0);
    try_value(c, how, &item->waits, 1, 1);
    try_value(c, how, &item->cut, 1, 1);
    try_value(c, how, &item->missing, 1, 0);
    if (item->kind == MODEL_COLD && !item->split)
        try_value(c, how, &item->len, 4, 10);
    try_value(c, how, &item->reply_len, 4, 10);
}

const char *model_shrink(struct model_cfg *c)
{
    const char *how = model_run(c, NULL, NULL);

    for (int round = 0; round < 3 && how; round++) {
        for (int i = c->nitems - 1; i >= 0; i--)
            if (i < c->nitems)
                try_without_item(c, how, i);
        for (int way = 0; way < 2; way++) {
            TRY(loss[way], 0);
            TRY(dup[way], 0);
            TRY(reorder[way], 0);
        }
        TRY(late, 0);
        TRY(host_drop, 0);
        TRY(host_delay_us, 0);
        TRY(delay_us, 100);
        TRY(think_us, 5);
        TRY(publish_us, 5);
        TRY(send_us, 5);
        TRY(stall, 0);
        TRY(batch, 8);
        TRY(read_us, 5);
        TRY(end, MODEL_END_CLIENT);
        TRY(end_waits, 1);
        TRY(xdp, 0);
        TRY(late_open, 0);
        TRY(gso, 0);
        TRY(clock_lag, 0);
        shrink_habits(c, how, &c->client);
        shrink_habits(c, how, &c->server);
        for (int i = 0; i < c->nitems; i++)
            shrink_item(c, how, &c->items[i]);
    }
    return model_run(c, NULL, NULL);
}

/* ---- printing ---- */

static void print_habits(const char *who, const struct model_habits *h, FILE *to)
{
    fprintf(to,
            "  %s: mss %u, buffer %u, window scale %u, quick acks %u, coalesces %u, tail probes %u, no memory %u, "
            "keepalive %u%s%s%s%s\n",
            who, h->mss, h->rcvbuf, h->wscale, h->quick_ack, h->coalesce, h->tail_probe, h->no_memory, h->keepalive_us,
            h->garbage_byte ? " with a byte" : "", h->sack ? ", SACK" : "", h->ts ? ", timestamps" : "",
            h->strict_window ? ", strict window" : "");
}

void model_print(const struct model_cfg *c, FILE *to)
{
    static const char *const kinds[] = {"hot", "cold", "lure"};
    static const char *const ends[] = {"client closes", "server closes", "killed"};

    fprintf(to, "  run seed %" PRIu64 ", bases %u %u, clean at %u us, delay %u us, %s%s%s%s%s, clock lag %u\n", c->seed,
            c->client_base, c->server_base, c->clean_us, c->delay_us, ends[c->end],
            c->end_waits ? " after the last reply" : "", c->xdp ? ", XDP" : "", c->late_open ? ", late entry" : "",
            c->gso ? ", GSO" : "", c->clock_lag);
    for (int way = 0; way < 2; way++)
        fprintf(to, "  to %s: loss %u, dup %u, reorder %u (per mille)\n", way == MODEL_TO_SERVER ? "server" : "client",
                c->loss[way], c->dup[way], c->reorder[way]);
    fprintf(to, "  late %u, host drop %u delay %u us, worker %u %u %u us stall %u batch %u, reads within %u us\n",
            c->late, c->host_drop, c->host_delay_us, c->think_us, c->publish_us, c->send_us, c->stall, c->batch,
            c->read_us);
    print_habits("client", &c->client, to);
    print_habits("server", &c->server, to);
    for (int i = 0; i < c->nitems; i++) {
        const struct model_item *item = &c->items[i];

        fprintf(to, "  %2d %s request %d reply %d%s%s%s", i, kinds[item->kind], item->len, item->reply_len,
                item->waits ? "" : ", not waiting", item->cut ? "" : ", joined with the next",
                item->missing ? ", missing" : "");
        if (item->pause_us)
            fprintf(to, ", after %u us", item->pause_us);
        if (item->split)
            fprintf(to, ", split at %d%s after %u us", item->split, item->split_waits ? " waiting" : "",
                    item->split_pause_us);
        fputc('\n', to);
    }
}
