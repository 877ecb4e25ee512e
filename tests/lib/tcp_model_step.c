#include "tcp_model_step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a number counts. The places of the first ones are free, the last three follow from them. */
enum space {
    KERNEL_IN,  /* client's bytes, as the stack numbers them */
    KERNEL_OUT, /* server's bytes, as the stack numbers them */
    DELTA_IN,
    DELTA_OUT,
    CLIENT_TS,
    CLOCK,
    TS_OFFSET,
    CLIENT_IN, /* client's bytes, as the client numbers them */
    CLIENT_OUT,
    SERVER_TS,
    SPACES,
    PLAIN = SPACES, /* the same everywhere */
};

enum { FREE_SPACES = CLIENT_IN, NUMBERS_MAX = 256 };

struct place {
    __u32 base[SPACES + 1];
};

static const struct field {
    const char *name;
    __u32 offset, size;
    enum space space;
} fields[] = {
#define FIELD(member, in_space)                                                                                        \
    {                                                                                                                  \
        .name = #member, .offset = offsetof(struct wc_tcp, member), .size = sizeof(((struct wc_tcp *)0)->member),      \
        .space = in_space                                                                                              \
    }
    FIELD(state, PLAIN),        FIELD(base_in, KERNEL_IN),  FIELD(base_out, KERNEL_OUT), FIELD(fwd_nxt, KERNEL_IN),
    FIELD(snd_nxt, KERNEL_OUT), FIELD(fed_ack, KERNEL_OUT), FIELD(srv_ack, KERNEL_IN),   FIELD(rcv_edge, KERNEL_IN),
    FIELD(x.din, DELTA_IN),     FIELD(x.dout, DELTA_OUT),   FIELD(x.inj_in, KERNEL_IN),  FIELD(x.inj_out, KERNEL_OUT),
    FIELD(x.req_len, PLAIN),    FIELD(x.reply_len, PLAIN),  FIELD(ts_recent, CLIENT_TS), FIELD(ts_offset, TS_OFFSET),
    FIELD(flow, PLAIN),         FIELD(srv_window, PLAIN),   FIELD(fed_window, PLAIN),    FIELD(mss, PLAIN),
    FIELD(hop_limit, PLAIN),    FIELD(cli_wscale, PLAIN),   FIELD(srv_wscale, PLAIN),    FIELD(ts_on, PLAIN),
    FIELD(ts_usec, PLAIN),      FIELD(probed, PLAIN),       FIELD(spoken, PLAIN),
};

/* A member was added? It belongs in the list above. */
_Static_assert(sizeof(struct wc_tcp) == 84, "members of struct wc_tcp");

#define FIELDS (sizeof(fields) / sizeof(*fields))

static char message[512];

static const char *complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return message;
}

static const char *in_step(int number)
{
    size_t len = strlen(message);

    snprintf(message + len, sizeof(message) - len, ", step %d", number);
    return message;
}

/* ---- members by their offset ---- */

static __u32 get(const struct wc_tcp *t, __u32 offset, __u32 size)
{
    const void *at = (const char *)t + offset;

    return size == 4 ? *(const __u32 *)at : size == 2 ? *(const __u16 *)at : *(const __u8 *)at;
}

static void put(struct wc_tcp *t, __u32 offset, __u32 size, __u32 value)
{
    void *at = (char *)t + offset;

    if (size == 4)
        *(__u32 *)at = value;
    else if (size == 2)
        *(__u16 *)at = (__u16)value;
    else
        *(__u8 *)at = (__u8)value;
}

static void change(struct wc_tcp *t, const struct step_change *list, size_t max)
{
    for (size_t i = 0; i < max && list[i].size; i++)
        put(t, list[i].offset, list[i].size, list[i].value);
}

/* ---- places ---- */

static __u32 next_random(void)
{
    static __u64 state = 1;

    state = state * 6364136223846793005ull + 1442695040888963407ull; /* Knuth's MMIX */
    return (__u32)(state >> 32);
}

static void derive(struct place *p)
{
    p->base[CLIENT_IN] = p->base[KERNEL_IN] + p->base[DELTA_IN];
    p->base[CLIENT_OUT] = p->base[KERNEL_OUT] + p->base[DELTA_OUT];
    p->base[SERVER_TS] = p->base[CLOCK] + p->base[TS_OFFSET];
    p->base[PLAIN] = 0;
}

/* A place where `space` begins at `at`; SPACES: every one. */
static void choose(struct place *p, enum space space, __u32 at)
{
    for (int i = 0; i < FREE_SPACES; i++)
        p->base[i] = space == SPACES ? at : next_random();
    if (space == SPACES)
        p->base[DELTA_IN] = p->base[DELTA_OUT] = p->base[TS_OFFSET] = 0;
    else if (space == CLIENT_IN)
        p->base[DELTA_IN] = at - p->base[KERNEL_IN];
    else if (space == CLIENT_OUT)
        p->base[DELTA_OUT] = at - p->base[KERNEL_OUT];
    else if (space == SERVER_TS)
        p->base[TS_OFFSET] = at - p->base[CLOCK];
    else
        p->base[space] = at;
    derive(p);
}

struct numbers {
    __u32 n, value[NUMBERS_MAX];
};

static void collect(struct numbers *set, __u32 value)
{
    for (__u32 i = 0; i < set->n; i++)
        if (set->value[i] == value)
            return;
    if (set->n < NUMBERS_MAX)
        set->value[set->n++] = value;
}

static void collect_state(struct numbers *set, const struct wc_tcp *t)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].space != PLAIN)
            collect(set, get(t, fields[i].offset, fields[i].size));
    collect(set, t->x.inj_in + t->x.din);
    collect(set, t->x.inj_out + t->x.dout);
}

/* Calls `at` for every place that the numbers make interesting, until one of them complains. */
static const char *everywhere(const struct numbers *set, const char *(*at)(const void *what, const struct place *p),
                              const void *what)
{
    static const __u32 edges[] = {0, 0xffffffff, 0x80000000, 0x7fffffff};

    for (__u32 i = 0; i < set->n; i++)
        for (size_t e = 0; e < sizeof(edges) / sizeof(*edges); e++)
            for (int space = 0; space <= SPACES; space++) {
                struct place p;
                const char *failure;

                choose(&p, space, edges[e] - set->value[i]);
                failure = at(what, &p);
                if (failure)
                    return failure;
            }
    return NULL;
}

static void move_state(struct wc_tcp *t, const struct place *p)
{
    for (size_t i = 0; i < FIELDS; i++)
        put(t, fields[i].offset, fields[i].size, get(t, fields[i].offset, fields[i].size) + p->base[fields[i].space]);
}

static void move_segment(struct wc_seg *s, bool from_client, const struct place *p)
{
    s->seq += p->base[from_client ? CLIENT_IN : KERNEL_OUT];
    if (s->flags & WC_ACK)
        s->ack += p->base[from_client ? CLIENT_OUT : KERNEL_IN];
    s->tsval += p->base[from_client ? CLIENT_TS : SERVER_TS];
    s->clock += p->base[CLOCK];
}

/* ---- checks ---- */

static const char *check_number(const char *what, __u32 want, __u32 got, __u32 base)
{
    if (want + base == got)
        return NULL;
    return complain("%s is %d instead of %d (where 0 is %#x)", what, (int)(got - base), (int)want, base);
}

static const char *check_state(const struct wc_tcp *want, const struct wc_tcp *got, const struct place *p)
{
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const char *failure =
            check_number(f->name, get(want, f->offset, f->size), get(got, f->offset, f->size), p->base[f->space]);

        if (failure)
            return failure;
    }
    return NULL;
}

#define CHECK(member, space)                                                                                           \
    do {                                                                                                               \
        const char *failure = check_number("out." #member, want->member, got->member, p->base[space]);                 \
        if (failure)                                                                                                   \
            return failure;                                                                                            \
    } while (0)

static const char *check_passed(const struct step *s, const struct wc_tcp_out *got, const struct place *p)
{
    const struct wc_tcp_out *want = &s->out;
    bool in = s->from != STEP_STACK, ack = s->seg.flags & WC_ACK;

    CHECK(seq, in ? KERNEL_IN : CLIENT_OUT);
    CHECK(ack, !ack ? PLAIN : in ? KERNEL_OUT : CLIENT_IN);
    return NULL;
}

static const char *check_reply(const struct step *s, const struct wc_tcp_out *got, const struct place *p)
{
    const struct wc_tcp_out *want = &s->out;

    CHECK(seq, CLIENT_OUT);
    CHECK(ack, CLIENT_IN);
    CHECK(tsval, SERVER_TS);
    CHECK(window, PLAIN);
    CHECK(hop_limit, PLAIN);
    CHECK(flow, PLAIN);
    if (s->verdict == WC_TCP_ANSWER_FEED) {
        CHECK(feed_seq, KERNEL_IN);
        CHECK(feed_ack, KERNEL_OUT);
    }
    return NULL;
}

static const char *check_out(const struct step *s, const struct wc_xlat *before, const struct wc_tcp_out *got,
                             const struct place *p)
{
    const struct wc_tcp_out *want = &s->out;

    if (s->from != STEP_STACK)
        CHECK(refusal, PLAIN);
    if (s->verdict == WC_TCP_PASS && s->from != STEP_XDP) {
        /* SACK blocks are translated as things stood when the segment came */
        if (memcmp(&got->x, before, sizeof(*before)))
            return complain("out.x is not the translation from before the segment");
        return check_passed(s, got, p);
    }
    if (s->verdict == WC_TCP_ANSWER || s->verdict == WC_TCP_ANSWER_FEED || s->verdict == WC_TCP_REPLAY)
        return check_reply(s, got, p);
    return NULL;
}

/* ---- running ---- */

static __u32 take(struct wc_tcp *t, const struct step *s, struct wc_tcp_out *out, const struct place *p)
{
    struct wc_offer offer = s->offer;
    struct wc_seg seg = s->seg;

    offer.xdp = s->from == STEP_XDP;
    move_segment(&seg, s->from != STEP_STACK, p);
    memset(out, 0xa5, sizeof(*out)); /* what is not set must not look right */
    return s->from == STEP_STACK ? wc_tcp_egress(t, &seg, out) : wc_tcp_ingress(t, &seg, &offer, out);
}

static const char *run_at(const void *what, const struct place *p)
{
    static const char *const verdicts[] = {"RAW", "PASS", "ANSWER", "ANSWER_FEED", "REPLAY", "DROP"};
    const struct step_case *c = what;
    struct wc_tcp want = *c->before, got;

    change(&want, c->with, sizeof(c->with) / sizeof(*c->with));
    got = want;
    move_state(&got, p);
    for (int i = 0; i < (int)(sizeof(c->steps) / sizeof(*c->steps)) && c->steps[i].from; i++) {
        const struct step *s = &c->steps[i];
        struct wc_xlat before = got.x;
        struct wc_tcp_out out;
        __u32 verdict = take(&got, s, &out, p);
        const char *failure;

        change(&want, s->after, sizeof(s->after) / sizeof(*s->after));
        if (verdict != s->verdict)
            failure = complain("%s instead of %s", verdicts[verdict], verdicts[s->verdict]);
        else
            failure = check_out(s, &before, &out, p);
        if (!failure)
            failure = check_state(&want, &got, p);
        if (failure)
            return in_step(i + 1);
    }
    return NULL;
}

const char *step_run(const struct step_case *c)
{
    struct wc_tcp state = *c->before;
    struct numbers set = {0};

    change(&state, c->with, sizeof(c->with) / sizeof(*c->with));
    collect_state(&set, &state);
    for (size_t i = 0; i < sizeof(c->steps) / sizeof(*c->steps) && c->steps[i].from; i++) {
        const struct step *s = &c->steps[i];

        change(&state, s->after, sizeof(s->after) / sizeof(*s->after));
        collect_state(&set, &state);
        collect(&set, s->seg.seq);
        collect(&set, s->seg.seq + s->seg.len);
        collect(&set, s->seg.ack);
        collect(&set, s->seg.tsval);
        collect(&set, s->seg.clock);
        collect(&set, s->out.seq);
        collect(&set, s->out.ack);
        collect(&set, s->out.tsval);
    }
    return everywhere(&set, run_at, c);
}

static const char *translate_at(const void *what, const struct place *p)
{
    const struct step_translation *t = what;
    struct wc_tcp state = *t->before;
    const struct wc_xlat *x = &state.x;

    move_state(&state, p);
    switch (t->how) {
    case ACK_TO_KERNEL:
        return check_number("ack", t->to, wc_ack_to_kernel(x, t->from + p->base[CLIENT_OUT]), p->base[KERNEL_OUT]);
    case EMPTY_TO_KERNEL:
    case DATA_TO_KERNEL:
        return check_number("seq", t->to, wc_seq_to_kernel(x, t->from + p->base[CLIENT_IN], t->how == DATA_TO_KERNEL),
                            p->base[KERNEL_IN]);
    case SEQ_TO_CLIENT:
        return check_number("seq", t->to, wc_seq_to_client(x, t->from + p->base[KERNEL_OUT]), p->base[CLIENT_OUT]);
    default:
        return check_number("ack", t->to,
                            wc_ack_to_client(x, t->from + p->base[KERNEL_IN], t->how == ACK_TO_CLIENT_HELD),
                            p->base[CLIENT_IN]);
    }
}

const char *step_translate(const struct step_translation *t)
{
    struct numbers set = {0};

    collect_state(&set, t->before);
    collect(&set, t->from);
    collect(&set, t->to);
    return everywhere(&set, translate_at, t);
}
