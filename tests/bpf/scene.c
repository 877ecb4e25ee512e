#include "scene.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define COOKIE 0x1122334455667788

/* ---- the quiet connection ---- */

static void quiet_tcp(struct wc_tcp *t, const struct variant *v)
{
    wc_tcp_open(t, BASE_IN, BASE_OUT);
    t->fwd_nxt = t->srv_ack = K_IN;
    t->snd_nxt = t->fed_ack = K_OUT;
    t->rcv_edge = EDGE;
    t->x.din = C_IN - K_IN;
    t->x.dout = C_OUT - K_OUT;
    t->ts_recent = v->ts ? TSVAL : 0;
    t->ts_offset = v->ts ? TS_OFFSET : 0;
    t->flow = v->v6 ? htonl(0x28 << 20 | 0x54321) : 0x28;
    t->srv_window = 502;
    t->fed_window = 501;
    t->mss = 1400;
    t->hop_limit = 63;
    t->cli_wscale = t->srv_wscale = 7;
    t->ts_on = v->ts;
    t->spoken = 1;
}

static void quiet_packet(struct pkt_spec *p, const struct variant *v)
{
    p->v6 = v->v6;
    p->client_port = PKT_CLIENT_PORT;
    p->server_port = PKT_PORT;
    p->flags = PKT_PSH | PKT_ACK;
    p->ip_id = 0x1234;
    p->ip_frag = 0x4000;
    p->sack_pad = 2;
    p->ts = v->ts;
    if (v->hook == FIX_TC_OUT) {
        p->from_server = 1;
        p->payload = "+OK\r\n";
        p->seq = K_OUT;
        p->ack = K_IN;
        p->window = 502;
        p->tos = 0x28;
        p->ttl = 63;
        p->flow_label = 0x54321;
        p->tsval = fix_now() / 1000000 + TS_OFFSET - 1000; /* not the largest offset seen */
        p->tsecr = TSVAL;
    } else {
        p->payload = GET_K;
        p->seq = C_IN;
        p->ack = C_OUT;
        p->window = 501;
        p->ttl = 57;
        p->flow_label = 0x12345;
        p->tsval = TSVAL;
        p->tsecr = TSECR;
    }
    p->len = strlen(p->payload);
}

void scene_quiet(struct scene *s, const struct variant *v)
{
    memset(s, 0, sizeof(*s));
    quiet_tcp(&s->tcp, v);
    quiet_packet(&s->in, v);
    s->consumed = K_IN - BASE_IN;
    s->produced = K_OUT - BASE_OUT;
    s->ctl_flags = WC_CONN_ELIGIBLE;
    s->value = "v";
    s->value_len = 1;
    s->reply = REPLY_V;
    s->reply_len = REP;
}

/* ---- into the maps ---- */

static void install_saved(struct fix *f, const struct scene *s)
{
    struct wc_saved saved = {.len = s->reply_len, .start = WC_HEAD_MAX - 4};

    saved.sum = htons(pkt_sum(0, (const uint8_t *)s->reply, s->reply_len));
    memcpy(saved.bytes + saved.start, s->reply, s->reply_len);
    if (s->tcp.x.reply_len && !s->unsaved)
        saved.stamp = WC_SAVED_VALID | (uint32_t)(s->tcp.x.inj_out + s->tcp.x.dout - s->tcp.x.reply_len);
    fix_saved_put(f, &saved);
}

static void install_slot(struct fix *f, const struct scene *s)
{
    const struct wc_owner *o = &f->mirror.owners[f->slot_k];
    struct wc_slot *slot = &f->k.slots[f->slot_k];

    fix_set(f, o->key, o->key_len, s->slot_null ? NULL : s->value, s->value_len);
    slot->version = (slot->version & ~1u) | !!s->slot_odd;
    slot->key_len = s->slot_empty ? 0 : o->key_len;
    slot->key[0] = s->slot_other_key ? o->key[0] ^ 1 : o->key[0];
    slot->expires_ns = s->slot_expires == 1 ? fix_now() - 1 : s->slot_expires ? fix_now() + 3600000000000 : 0;
    fix_point(f, o->key, o->key_len, s->not_hot ? WC_NO_SLOT : f->slot_k);
}

void scene_install(struct fix *f, const struct scene *s, struct wc_conn *conn)
{
    struct wc_conn_ctl *ctl = &f->k.ctl[FIX_NUMBER];
    struct pkt_spec pair = s->in;

    pair.client_port = PKT_CLIENT_PORT;
    pair.server_port = PKT_PORT;
    *conn = (struct wc_conn){.number = FIX_NUMBER, .cookie = COOKIE, .tcp = s->tcp};
    pkt_conn_key(&pair, &conn->self);
    fix_conn_remove(f, &conn->self);
    if (!s->unknown) {
        struct wc_conn_key key = conn->self;

        if (s->recycled)
            conn->self.client_port ^= 1;
        fix_conn_put(f, &key, conn);
        conn->self = key;
    }
    ctl->progress = s->consumed | (uint64_t)s->produced << 32;
    ctl->cookie = s->stale ? COOKIE + 1 : COOKIE;
    ctl->flags = s->ctl_flags;
    f->k.control->answering = !s->off;
    install_saved(f, s);
    install_slot(f, s);
}

/* ---- what is expected ---- */

static void poke(struct scene *s, const struct poke *p, size_t n)
{
    for (size_t i = 0; i < n && p[i].size; i++)
        memcpy((char *)s + p[i].at, &p[i].value, p[i].size); /* little-endian */
}

void scene_reply(const struct scene *s, uint32_t seq, uint32_t ack, enum fix_hook hook, struct pkt_spec *reply)
{
    uint32_t flow = s->in.v6 ? ntohl(s->tcp.flow) : s->tcp.flow << 20;

    *reply = (struct pkt_spec){
        .payload = s->reply,
        .len = s->reply_len,
        .v6 = s->in.v6,
        .from_server = 1,
        .tos = flow >> 20 & 0xff,
        .flow_label = flow & 0xfffff,
        .ttl = s->tcp.hop_limit,
        .ip_frag = 0x4000,
        .client_port = s->in.client_port,
        .server_port = s->in.server_port,
        .seq = seq,
        .ack = ack,
        .flags = PKT_PSH | PKT_ACK,
        .window = s->tcp.srv_window,
        .ts = s->in.ts,
        .tsecr = s->in.tsval,
        .sum = hook == FIX_TC_IN && s->in.sum == SUM_BARE ? SUM_BARE : SUM_FULL,
    };
}

static bool is_answer(const struct row *row)
{
    return row->verdict == ANSWER || row->verdict == FEED;
}

static bool is_replay(const struct row *row)
{
    return row->verdict == REPLAY || row->verdict == REPLAY_TC;
}

static void expect_answer(struct scene *s)
{
    s->after.x.inj_in = s->tcp.fwd_nxt;
    s->after.x.inj_out = s->tcp.snd_nxt;
    s->after.x.req_len = s->in.len;
    s->after.x.reply_len = s->reply_len;
    s->after.x.din += s->in.len;
    s->after.x.dout += s->reply_len;
    s->after.ts_recent = s->in.ts ? s->in.tsval : 0;
}

static void expect(struct scene *s, const struct row *row, enum fix_hook hook)
{
    s->out = s->in;
    s->after = s->tcp;
    switch (row->verdict) {
    case ANSWER:
        expect_answer(s);
        scene_reply(s, s->in.ack, s->in.seq + s->in.len, hook, &s->out);
        break;
    case FEED:
        expect_answer(s);
        s->after.fed_ack = s->tcp.snd_nxt;
        s->after.fed_window = s->in.window;
        s->out.len = 0;
        s->out.padding = 0;
        s->out.flags = PKT_ACK;
        s->out.seq = K_IN;
        s->out.ack = K_OUT;
        break;
    case REPLAY:
    case REPLAY_TC:
        scene_reply(s, s->tcp.x.inj_out + s->tcp.x.dout - s->tcp.x.reply_len, C_IN + REQ, hook, &s->out);
        s->out.ip_frag = 0; /* it may have been too big for the path: may be fragmented, and has an ID for that */
        break;
    default:
        break;
    }
    poke(s, row->then, sizeof(row->then) / sizeof(row->then[0]));
}

/* ---- the same with other numbers ---- */

static void shift_tcp(struct wc_tcp *t, const struct variant *v)
{
    t->base_in += v->in_shift;
    t->fwd_nxt += v->in_shift;
    t->srv_ack += v->in_shift;
    t->rcv_edge += v->in_shift;
    t->x.inj_in += v->in_shift;
    t->base_out += v->out_shift;
    t->snd_nxt += v->out_shift;
    t->fed_ack += v->out_shift;
    t->x.inj_out += v->out_shift;
    t->x.din += v->din_shift;
    t->x.dout += v->dout_shift;
}

static void shift_packet(struct pkt_spec *p, const struct variant *v, bool client_space)
{
    uint32_t in = v->in_shift + (client_space ? v->din_shift : 0);
    uint32_t out = v->out_shift + (client_space ? v->dout_shift : 0);

    p->seq += p->from_server ? out : in;
    if (p->flags & PKT_ACK)
        p->ack += p->from_server ? in : out;
    for (uint32_t i = 0; i < p->nsack; i++)
        for (int edge = 0; edge < 2; edge++)
            p->sack[i][edge] += p->from_server ? in : out;
}

static void shift(struct scene *s, const struct row *row, const struct variant *v)
{
    bool from_client = v->hook != FIX_TC_OUT, kernel = row->verdict == PASS || row->verdict == FEED;

    shift_tcp(&s->tcp, v);
    shift_tcp(&s->after, v);
    shift_packet(&s->in, v, from_client);
    if (row->verdict == RAW)
        shift_packet(&s->out, v, from_client);
    else
        shift_packet(&s->out, v, from_client ? !kernel : true);
    if (is_replay(row))
        s->out.ip_id = s->out.seq & 0xffff;
}

/* ---- comparing ---- */

#define FIELD(name)                                                                                                    \
    {                                                                                                                  \
#name, offsetof(struct wc_tcp, name), sizeof(((struct wc_tcp *)0)->name)                                       \
    }

static const struct {
    const char *name;
    size_t at, size;
} fields[] = {
    FIELD(state),      FIELD(base_in),     FIELD(base_out),  FIELD(fwd_nxt),    FIELD(snd_nxt),    FIELD(fed_ack),
    FIELD(srv_ack),    FIELD(rcv_edge),    FIELD(x.din),     FIELD(x.dout),     FIELD(x.inj_in),   FIELD(x.inj_out),
    FIELD(x.req_len),  FIELD(x.reply_len), FIELD(ts_recent), FIELD(ts_offset),  FIELD(flow),       FIELD(srv_window),
    FIELD(fed_window), FIELD(mss),         FIELD(hop_limit), FIELD(cli_wscale), FIELD(srv_wscale), FIELD(ts_on),
    FIELD(ts_usec),    FIELD(probed),      FIELD(spoken),
};

bool scene_same_tcp(const char *what, const struct wc_tcp *want, const struct wc_tcp *got)
{
    bool same = true;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        uint32_t w = 0, g = 0;

        memcpy(&w, (const char *)want + fields[i].at, fields[i].size);
        memcpy(&g, (const char *)got + fields[i].at, fields[i].size);
        if (w == g)
            continue;
        fprintf(stderr, "  %s: %s is %u, should be %u\n", what, fields[i].name, g, w);
        same = false;
    }
    return same;
}

/* The clock is read somewhere between the start and the end of the run. */
bool scene_same_reply(struct pkt_spec *want, const struct scene *s, const struct fix_run *r, const struct pkt *got)
{
    uint32_t unit = s->tcp.ts_usec ? 1000 : 1000000;
    struct pkt built;
    struct pkt_view v;

    if (!pkt_parse(got->data, got->len, &v)) {
        fprintf(stderr, "  the reply is not a TCP packet\n");
        return false;
    }
    if (want->ts) {
        want->tsval = v.tsval;
        if (v.tsval - s->tcp.ts_offset - (uint32_t)(r->began_ns / unit) > r->ended_ns / unit - r->began_ns / unit) {
            fprintf(stderr, "  TSval %u is not the clock's\n", v.tsval);
            return false;
        }
    }
    pkt_build(&built, want);
    return pkt_same("reply", &built, got);
}

struct seen {
    uint64_t counters[WC_CTR_COUNT];
    struct wc_saved saved;
    struct wc_slot slot;
    struct wc_conn_ctl ctl;
};

static void look(struct fix *f, struct seen *seen)
{
    fix_counters(f, seen->counters);
    fix_saved_get(f, &seen->saved);
    seen->slot = f->k.slots[f->slot_k];
    seen->ctl = f->k.ctl[FIX_NUMBER];
}

static bool same_counters(const struct scene *s, const struct row *row, const struct variant *v,
                          const struct seen *before, const struct seen *now)
{
    uint64_t want[WC_CTR_COUNT + 1] = {0};
    bool same = true;

    want[row->counter] = 1;
    if (is_replay(row))
        want[WC_CTR_REPLAYS] = 1;
    if (is_answer(row)) {
        want[WC_CTR_HITS] = 1;
        want[WC_CTR_HITS_NULL] = s->slot_null;
        want[WC_CTR_HITS_XDP] = v->hook == FIX_XDP;
        want[WC_CTR_IN_BYTES] = s->in.len;
        want[WC_CTR_OUT_BYTES] = s->reply_len;
    }
    for (uint32_t i = 0; i < WC_CTR_COUNT; i++) {
        uint64_t moved = now->counters[i] - before->counters[i];

        if (moved == want[i])
            continue;
        fprintf(stderr, "  counter %s moved by %lu, should by %lu\n", fix_counter_name(i), moved, want[i]);
        same = false;
    }
    return same;
}

/* A count and the time of its last rise. */
static bool same_hits(const char *of, uint64_t count, uint64_t was, uint64_t at, uint64_t was_at, bool hit,
                      const struct fix_run *r)
{
    if (count == was + hit && (hit ? at >= r->began_ns && at <= r->ended_ns : at == was_at))
        return true;
    fprintf(stderr, "  %s: %lu hits, the last at %lu; before %lu at %lu\n", of, count, at, was, was_at);
    return false;
}

/* What a hit leaves behind: on the slot, on the connection, and the reply for retransmission. */
static bool same_traces(const struct scene *s, const struct row *row, const struct fix_run *r,
                        const struct seen *before, const struct seen *now)
{
    const struct wc_saved *saved = &now->saved;
    uint64_t stamp = WC_SAVED_VALID | s->in.ack;
    bool hit = is_answer(row), same;

    same =
        same_hits("slot", now->slot.hits, before->slot.hits, now->slot.last_hit_ns, before->slot.last_hit_ns, hit, r);
    same = same_hits("connection", now->ctl.hits, before->ctl.hits, now->ctl.last_hit_ns, before->ctl.last_hit_ns, hit,
                     r) &&
           same;
    if (hit && (saved->stamp != stamp || saved->len != s->reply_len || saved->null != s->slot_null ||
                saved->sum != htons(pkt_sum(0, (const uint8_t *)s->reply, s->reply_len)) ||
                memcmp(saved->bytes + saved->start, s->reply, s->reply_len) != 0))
        same = !fprintf(stderr, "  saved reply: stamp %llx, %u bytes\n", saved->stamp, saved->len);
    if (!hit && memcmp(&before->saved, saved, sizeof(*saved)) != 0)
        same = !fprintf(stderr, "  the saved reply has changed\n");
    return same;
}

static const enum fix_verdict verdicts[] = {
    [RAW] = FIX_NEXT,    [PASS] = FIX_NEXT,      [ANSWER] = FIX_SENT,  [FEED] = FIX_NEXT,
    [REPLAY] = FIX_SENT, [REPLAY_TC] = FIX_SENT, [DROP] = FIX_DROPPED,
};

/* The packet that came out, and for FEED the copy that was sent. */
static bool same_packet(struct fix *f, struct scene *s, const struct row *row, const struct fix_run *r)
{
    struct pkt_spec reply;
    struct pkt want, sent;
    bool same;

    if (r->verdict != verdicts[row->verdict]) {
        fprintf(stderr, "  verdict %d, should be %d\n", r->verdict, verdicts[row->verdict]);
        return false;
    }
    if (row->verdict == DROP)
        return true;
    if (row->verdict == ANSWER || is_replay(row))
        return scene_same_reply(&s->out, s, r, &r->out);
    pkt_build(&want, &s->out);
    same = pkt_same("packet out", &want, &r->out);
    if (row->verdict != FEED || f->capture < 0)
        return same;
    scene_reply(s, s->in.ack, s->in.seq + s->in.len, FIX_TC_IN, &reply);
    if (!fix_captured(f, &sent)) {
        fprintf(stderr, "  no copy was sent\n");
        return false;
    }
    return scene_same_reply(&reply, s, r, &sent) && same;
}

/* What XDP does not send it leaves alone, and to TC. */
static struct row as_xdp_does(const struct row *row)
{
    struct row left = *row;

    if (!(row->only & ONLY_XDP) && row->verdict != ANSWER && row->verdict != REPLAY) {
        left.verdict = RAW;
        left.counter = row->verdict == FEED ? WC_CTR_PASS_FEED : NO_COUNTER;
        memset(left.then, 0, sizeof(left.then));
    }
    return left;
}

/* Resizing makes an skb CHECKSUM_NONE, but BPF_PROG_TEST_RUN looks at skb->csum all the same. */
static bool keeps_length(const struct row *row, const struct scene *s)
{
    return row->verdict == RAW || row->verdict == PASS ||
           (row->verdict == ANSWER && s->reply_len == s->in.len && !s->in.padding);
}

bool scene_run(struct fix *f, const struct row *given, const struct variant *v)
{
    struct row row = v->hook == FIX_XDP ? as_xdp_does(given) : *given;
    struct seen before, now;
    struct scene s;
    struct wc_conn conn;
    struct fix_run r;
    struct pkt in;
    bool same;

    scene_quiet(&s, v);
    poke(&s, row.given, sizeof(row.given) / sizeof(row.given[0]));
    expect(&s, &row, v->hook);
    shift(&s, &row, v);
    scene_install(f, &s, &conn);
    pkt_build(&in, &s.in);
    fix_capture_flush(f);
    look(f, &before);
    s.how.linear = v->how.linear;
    s.how.complete = v->how.complete && keeps_length(&row, &s);
    fix_run(f, v->hook, &in, &s.how, &r);
    look(f, &now);
    same = same_packet(f, &s, &row, &r);
    same = same_counters(&s, &row, v, &before, &now) && same;
    if (!s.unknown) {
        if (!fix_conn_get(f, &conn.self, &conn))
            same = !fprintf(stderr, "  the entry is gone\n");
        same = same_traces(&s, &row, &r, &before, &now) && same;
        same = scene_same_tcp("state after", &s.after, &conn.tcp) && same;
    }
    if (!same)
        fprintf(stderr, "^ %s (%s, IPv%d, timestamps %s, shifted by %d %d %d %d)\n", given->what,
                (const char *[]){"XDP", "TC in", "TC out"}[v->hook], v->v6 ? 6 : 4, v->ts ? "on" : "off",
                (int)v->in_shift, (int)v->out_shift, (int)v->din_shift, (int)v->dout_shift);
    return same;
}
