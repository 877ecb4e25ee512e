/* The way between the two stacks of the model: an impaired network, and the fast path at the server's end. */
#include "tcp_model_sim.h"

#include <string.h>

enum {
    REPLAYS_MAX = 200,
    LURE_REPLY = 9,
};

/* ---- network ---- */

static void put_packet(struct model *m, enum packet_place place, uint32_t at, const struct model_seg *s)
{
    int i = 0;

    while (i < m->used && m->place[i] != PLACE_FREE)
        i++;
    if (i == MODEL_PACKETS_MAX) {
        model_fail(m, "packet storm");
        return;
    }
    if (i == m->used)
        m->used++;
    m->place[i] = place;
    m->packets[i].at = at;
    m->packets[i].order = m->order++;
    memcpy(&m->packets[i].seg, s, offsetof(struct model_seg, data) + s->len);
}

static void transmit(struct model *m, int way, const struct model_seg *s)
{
    const struct model_cfg *c = m->cfg;
    enum packet_place place = way == MODEL_TO_SERVER ? PLACE_TO_SERVER : PLACE_TO_CLIENT;
    uint32_t at = m->now + c->delay_us;

    if (!model_impaired(m)) {
        put_packet(m, place, at, s);
        return;
    }
    if (model_chance(m, c->reorder[way]))
        at += model_random(m, c->delay_us * 4 + 300);
    if (model_chance(m, c->loss[way])) {
        m->stats->lost++;
        model_trace(m, "  lost", s, way == MODEL_TO_SERVER);
    } else {
        put_packet(m, place, at, s);
    }
    if (model_chance(m, c->dup[way])) {
        uint32_t extra = model_chance(m, c->late) ? 1500000 : c->delay_us * 2 + 100;

        m->stats->duplicated++;
        put_packet(m, place, at + model_random(m, extra), s);
    }
}

/* ---- the fast path, as bpf/ uses wc_tcp.h ---- */

static struct wc_seg parse(const struct model *m, const struct model_seg *s)
{
    struct wc_seg w = {
        .seq = s->seq,
        .ack = s->ack,
        .len = s->len,
        .tsval = s->tsval,
        .clock = m->now / 1000,
        .flow = 64,
        .window = s->window,
        .flags = s->flags,
        .ts = s->ts,
        .plain = !s->nsack,
        .hop_limit = 64,
    };

    return w;
}

/* The item that a payload asks for as a whole; -1: none. */
static int match(const struct model_seg *s)
{
    if (s->len < 3 || s->data[0] != 'H' || s->data[2] != s->len || s->nsack || (s->flags & ~MODEL_PSH) != MODEL_ACK)
        return -1;
    return s->data[1];
}

static void send_reply(struct model *m, const struct model_seg *cause, const struct wc_tcp_out *out)
{
    const struct model_item *item = &m->cfg->items[m->saved_item];
    struct model_seg s = {.in_kernel = true, .flags = MODEL_ACK | MODEL_PSH};

    if (out->seq != m->saved_seq)
        model_fail(m, "replay of another reply");
    s.seq = out->seq;
    s.ack = out->ack;
    s.window = out->window;
    s.ts = m->tcp.ts_on;
    s.tsval = out->tsval;
    s.tsecr = cause->ts ? cause->tsval : m->tcp.ts_recent;
    s.len = (uint16_t)item->reply_len;
    memcpy(s.data, m->replies + m->reply_at[m->saved_item], s.len);
    transmit(m, MODEL_TO_CLIENT, &s);
}

static void to_stack(struct model *m, const struct model_seg *s)
{
    const struct model_cfg *c = m->cfg;
    /* until there is an entry, packets are of one batch */
    uint32_t at = m->now + (m->tcp.state == WC_TCP_NEW ? 0 : model_random(m, c->host_delay_us));

    if (model_impaired(m) && model_chance(m, c->host_drop)) {
        model_trace(m, "  lost in the host", s, true);
        return;
    }
    if (at < m->host_free_at)
        at = m->host_free_at;
    m->host_free_at = at;
    put_packet(m, PLACE_HOST, at, s);
}

static void answer(struct model *m, int item, const struct model_seg *s, const struct wc_tcp_out *out, bool feed)
{
    model_trace(m, feed ? "  answer, feed" : "  answer", s, true);
    if (item >= m->cfg->nitems) {
        model_fail(m, "answered what was no request");
        return;
    }
    model_execute(m, item, DONE_KERNEL);
    if (m->client.rcv_nxt < m->reply_at[item])
        model_fail(m, "answered before earlier replies arrived");
    m->stats->answered++;
    m->answered_in += s->len;
    m->saved_item = item;
    m->saved_seq = out->seq;
    send_reply(m, s, out);
    if (m->cfg->end == MODEL_END_SERVER && m->next_item == m->cfg->nitems)
        m->kill_at = m->now + model_random(m, m->cfg->kill_us); /* nobody tells the worker that this was the last */
    if (feed) {
        struct model_seg bare = *s;

        bare.len = 0;
        bare.flags = MODEL_ACK;
        bare.seq = out->feed_seq;
        bare.ack = out->feed_ack;
        m->stats->fed++;
        model_trace(m, "  fed", &bare, true);
        to_stack(m, &bare);
    }
}

/* True if the segment is dealt with. */
static bool verdict_in(struct model *m, const struct model_seg *s, int item, bool xdp, struct wc_tcp_out *out,
                       __u32 *verdict)
{
    struct wc_seg w = parse(m, s);
    struct wc_offer offer = {.consumed = m->published_in, .produced = m->published_out, .xdp = xdp};

    if (m->cfg->late_open && !m->eligible)
        item = -1;
    if (item == MODEL_LURE_ID)
        offer.reply_len = LURE_REPLY;
    else if (item >= 0 && !m->cfg->items[item].missing)
        offer.reply_len = (__u32)m->cfg->items[item].reply_len;
    *verdict = wc_tcp_ingress(&m->tcp, &w, &offer, out);
    m->stats->refused[out->refusal]++;
    switch (*verdict) {
    case WC_TCP_ANSWER:
    case WC_TCP_ANSWER_FEED:
        if (xdp && *verdict == WC_TCP_ANSWER_FEED)
            model_fail(m, "XDP cannot feed");
        answer(m, item, s, out, *verdict == WC_TCP_ANSWER_FEED);
        return true;
    case WC_TCP_REPLAY:
        model_trace(m, "  replay", s, true);
        m->stats->replayed++;
        if (++m->replays > REPLAYS_MAX)
            model_fail(m, "replay storm");
        send_reply(m, s, out);
        return true;
    default:
        return false;
    }
}

static void host_receive(struct model *m, const struct model_seg *s)
{
    struct model_seg up = *s;
    struct wc_tcp_out out = {0};
    int item = match(s);
    __u32 verdict;

    if (m->cfg->xdp && !s->nsack && verdict_in(m, s, item, true, &out, &verdict))
        return;
    if (verdict_in(m, s, item, false, &out, &verdict))
        return;
    if (verdict == WC_TCP_DROP) {
        model_trace(m, "  drop", s, true);
        m->stats->dropped++;
        return;
    }
    if (verdict == WC_TCP_PASS) {
        up.seq = out.seq;
        up.ack = out.ack;
        for (int i = 0; i < s->nsack; i++)
            for (int j = 0; j < 2; j++)
                up.sack[i][j] = wc_ack_to_kernel(&out.x, s->sack[i][j]);
    }
    m->stats->passed++;
    model_trace(m, "  up", &up, true);
    to_stack(m, &up);
}

static void host_send(struct model *m, const struct model_seg *s)
{
    struct model_seg part = *s;
    struct wc_tcp_out out = {0};
    uint32_t mss = m->cfg->server.mss;
    struct wc_seg w;
    __u32 verdict;

    /* stamped a while ago */
    part.tsval -= model_random(m, m->cfg->clock_lag + 1);
    if ((int32_t)(part.tsval - m->last_tsval) < 0)
        part.tsval = m->last_tsval;
    m->last_tsval = part.tsval;
    w = parse(m, &part);
    verdict = wc_tcp_egress(&m->tcp, &w, &out);
    if (verdict == WC_TCP_DROP) {
        model_trace(m, "  spanning, dropped", s, false);
        m->stats->spanning++;
        return;
    }
    if (verdict == WC_TCP_PASS) {
        part.seq = out.seq;
        part.ack = out.ack;
        for (int i = 0; i < s->nsack; i++)
            for (int j = 0; j < 2; j++)
                part.sack[i][j] = wc_ack_to_client(&out.x, s->sack[i][j], false);
    }
    for (uint32_t done = 0; s->len - done > mss; done += mss) { /* segmentation offload */
        part.len = (uint16_t)mss;
        part.flags = s->flags & ~MODEL_FIN;
        memcpy(part.data, s->data + done, mss);
        transmit(m, MODEL_TO_CLIENT, &part);
        part.seq += mss;
        part.len = (uint16_t)(s->len - done - mss);
        memcpy(part.data, s->data + done + mss, part.len);
    }
    part.flags = s->flags;
    transmit(m, MODEL_TO_CLIENT, &part);
}

void model_path_open(struct model *m)
{
    const struct model_cfg *c = m->cfg;

    m->tcp.mss = (__u16)c->server.mss;
    m->tcp.cli_wscale = (__u8)c->client.wscale;
    m->tcp.srv_wscale = (__u8)c->server.wscale;
    wc_tcp_open(&m->tcp, c->client_base + (uint32_t)m->server.rcv_nxt, c->server_base + (uint32_t)m->server.nxt);
}

void model_emit(struct model_peer *p, const struct model_seg *s)
{
    struct model *m = p->m;

    model_trace(m, p == &m->client ? "client sends" : "server sends", s, p == &m->client);
    if (p == &m->client)
        transmit(m, MODEL_TO_SERVER, s);
    else
        host_send(m, s);
}

/* ---- packets under way ---- */

int model_path_next(const struct model *m)
{
    int best = -1;

    for (int i = 0; i < m->used; i++) {
        const struct packet *p = &m->packets[i], *b = &m->packets[best < 0 ? 0 : best];

        if (m->place[i] != PLACE_FREE &&
            (best < 0 || p->at < b->at || (p->at == b->at && (int32_t)(p->order - b->order) < 0)))
            best = i;
    }
    return best;
}

void model_path_deliver(struct model *m, int i)
{
    enum packet_place place = m->place[i];
    struct model_seg s;

    memcpy(&s, &m->packets[i].seg, offsetof(struct model_seg, data) + m->packets[i].seg.len);
    m->place[i] = PLACE_FREE;
    while (m->used && m->place[m->used - 1] == PLACE_FREE)
        m->used--;
    switch (place) {
    case PLACE_TO_SERVER:
        model_trace(m, "host receives", &s, true);
        host_receive(m, &s);
        break;
    case PLACE_HOST:
        if (m->tcp.state == WC_TCP_NEW)
            model_path_open(m);
        model_trace(m, "  stack receives", &s, true);
        model_peer_input(&m->server, &s);
        break;
    default:
        model_trace(m, "client receives", &s, false);
        model_peer_input(&m->client, &s);
        break;
    }
}
