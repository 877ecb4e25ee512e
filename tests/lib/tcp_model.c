#include "tcp_model.h"
#include "wc_tcp.h"

#include <inttypes.h>
#include <string.h>

enum {
    PACKETS_MAX = 512,
    LIMIT_US = 120000000, /* after the network became perfect */
    PROBES_MAX = 8,
    REPLAYS_MAX = 200,
    TRACE_MAX = 120,
    LURE_ID = 0xee,
    LURE_REPLY = 9,
};

enum packet_place { PLACE_FREE, PLACE_TO_SERVER, PLACE_TO_CLIENT, PLACE_HOST };

struct packet {
    uint32_t at;
    uint32_t order;
    struct model_seg seg;
};

enum done { DONE_NOT, DONE_WORKER, DONE_KERNEL };

struct model {
    const struct model_cfg *cfg;
    struct model_stats *stats;
    FILE *trace;
    int trace_lines;
    uint64_t rng;
    uint32_t now, order;
    const char *failure;

    struct model_peer client, server;
    struct wc_tcp tcp;

    /* the saved reply */
    uint32_t saved_seq;
    int saved_item, replays;

    /* packets under way: place[i] says where packets[i] is going */
    uint8_t place[PACKETS_MAX];
    int used; /* places above are free */
    struct packet packets[PACKETS_MAX];
    uint32_t host_free_at;

    /* streams and where the items lie in them */
    uint8_t script[MODEL_STREAM_MAX], replies[MODEL_STREAM_MAX];
    int32_t item_at[MODEL_ITEMS_MAX + 1], reply_at[MODEL_ITEMS_MAX + 1];
    enum done done[MODEL_ITEMS_MAX];
    int next_item;                       /* the first one not executed */
    int32_t answered_in;                 /* bytes of requests that the stack never saw */
    int32_t reply_pos[MODEL_STREAM_MAX]; /* position in replies[] of each byte that the worker wrote */

    /* client application */
    int app_item, app_half;
    bool app_paused, app_closed;
    uint32_t app_at, read_at;

    /* worker */
    enum { WORK_IDLE, WORK_EXECUTE, WORK_PUBLISH, WORK_SEND } work;
    uint32_t work_at, kill_at;
    int32_t parsed;             /* of the bytes that the stack delivered */
    int32_t consumed, produced; /* executed */
    uint32_t published_in, published_out;
    bool asked, eligible;
    uint32_t last_tsval; /* of the server */
    bool worker_closed;
};

/* ---- small things ---- */

uint32_t model_now(const struct model *m)
{
    return m->now;
}

static uint32_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = *state;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

uint32_t model_random(struct model *m, uint32_t below)
{
    return below ? (uint32_t)(((uint64_t)next_random(&m->rng) * below) >> 32) : 0;
}

static bool chance(struct model *m, uint32_t per_mille)
{
    return per_mille && model_random(m, 1000) < per_mille;
}

void model_fail(struct model *m, const char *what)
{
    if (m->trace)
        fprintf(m->trace, "%9u  FAIL  %s\n", m->now, what);
    if (!m->failure)
        m->failure = what;
}

static void trace(struct model *m, const char *what, const struct model_seg *s, bool from_client)
{
    uint32_t seq0 = from_client ? m->cfg->client_base : m->cfg->server_base;
    uint32_t ack0 = from_client ? m->cfg->server_base : m->cfg->client_base;

    if (!m->trace || m->trace_lines++ > TRACE_MAX)
        return;
    fprintf(m->trace, "%9u  %-18s seq %d len %d ack %d win %u%s%s", m->now, what, (int)(s->seq - seq0), s->len,
            (int)(s->ack - ack0), s->window, s->flags & MODEL_FIN ? " FIN" : "", s->flags & MODEL_RST ? " RST" : "");
    for (int i = 0; i < s->nsack; i++)
        fprintf(m->trace, " sack %d-%d", (int)(s->sack[i][0] - ack0), (int)(s->sack[i][1] - ack0));
    fputc('\n', m->trace);
}

bool model_impaired(const struct model *m)
{
    return m->now < m->cfg->clean_us;
}

/* ---- network ---- */

static void put_packet(struct model *m, enum packet_place place, uint32_t at, const struct model_seg *s)
{
    int i = 0;

    while (i < m->used && m->place[i] != PLACE_FREE)
        i++;
    if (i == PACKETS_MAX) {
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
    if (chance(m, c->reorder[way]))
        at += model_random(m, c->delay_us * 4 + 300);
    if (chance(m, c->loss[way])) {
        m->stats->lost++;
        trace(m, "  lost", s, way == MODEL_TO_SERVER);
    } else {
        put_packet(m, place, at, s);
    }
    if (chance(m, c->dup[way])) {
        uint32_t extra = chance(m, c->late) ? 1500000 : c->delay_us * 2 + 100;

        m->stats->duplicated++;
        put_packet(m, place, at + model_random(m, extra), s);
    }
}

/* ---- oracle ---- */

static bool may_break_off(const struct model *m)
{
    return m->cfg->end == MODEL_END_KILL;
}

void model_check_byte(struct model_peer *p, int32_t pos, uint8_t byte)
{
    struct model *m = p->m;
    bool client = p == &m->client;
    int32_t at = client ? pos : pos + m->answered_in;
    int32_t end = client ? m->reply_at[m->cfg->nitems] : m->item_at[m->cfg->nitems];

    if (at >= end || byte != (client ? m->replies : m->script)[at])
        model_fail(m, client ? "client: wrong byte" : "server: wrong byte");
}

void model_check_ack(struct model_peer *p, int32_t ack)
{
    struct model *m = p->m;
    int32_t has;

    if (p == &m->client) {
        has = m->server.rcv_nxt + m->answered_in;
    } else {
        has = m->client.rcv_nxt;
        for (int i = 0; i < m->cfg->nitems; i++) {
            int32_t of_item = m->client.rcv_nxt - m->reply_at[i];

            if (m->done[i] == DONE_KERNEL && of_item > 0)
                has -= of_item < m->cfg->items[i].reply_len ? of_item : m->cfg->items[i].reply_len;
        }
    }
    if (ack > has)
        model_fail(m, p == &m->client ? "client: acknowledged what nobody has"
                                      : "server: acknowledged what the client has not");
}

void model_check_sack(struct model_peer *p, int32_t from, int32_t to)
{
    struct model *m = p->m;

    for (int32_t i = from; i < to; i++) {
        const struct model_peer *other = p == &m->client ? &m->server : &m->client;
        int32_t at = p == &m->client ? i - m->answered_in : m->reply_pos[i];

        if (at >= 0 && !other->have[at]) {
            model_fail(m,
                       p == &m->client ? "client: SACK of what nobody has" : "server: SACK of what the client has not");
            return;
        }
    }
}

void model_check_probes(struct model_peer *p)
{
    /* the first ones may have been lost */
    if (model_impaired(p->m))
        p->unanswered = 0;
    if (p->unanswered > PROBES_MAX && !p->m->client.dead && !p->m->server.dead)
        model_fail(p->m,
                   p == &p->m->client ? "the client's probes stay unanswered" : "the server's probes stay unanswered");
}

static void execute(struct model *m, int item, enum done how)
{
    if (item != m->next_item || m->done[item] != DONE_NOT) {
        model_fail(m, how == DONE_KERNEL ? "answered out of turn" : "worker: request out of turn");
        return;
    }
    m->done[item] = how;
    m->next_item++;
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

    if (model_impaired(m) && chance(m, c->host_drop)) {
        trace(m, "  lost in the host", s, true);
        return;
    }
    if (at < m->host_free_at)
        at = m->host_free_at;
    m->host_free_at = at;
    put_packet(m, PLACE_HOST, at, s);
}

static void answer(struct model *m, int item, const struct model_seg *s, const struct wc_tcp_out *out, bool feed)
{
    trace(m, feed ? "  answer, feed" : "  answer", s, true);
    if (item >= m->cfg->nitems) {
        model_fail(m, "answered what was no request");
        return;
    }
    execute(m, item, DONE_KERNEL);
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
        trace(m, "  fed", &bare, true);
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
    if (item == LURE_ID)
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
        trace(m, "  replay", s, true);
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
        trace(m, "  drop", s, true);
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
    trace(m, "  up", &up, true);
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
        trace(m, "  spanning, dropped", s, false);
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

static void open_entry(struct model *m)
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

    trace(m, p == &m->client ? "client sends" : "server sends", s, p == &m->client);
    if (p == &m->client)
        transmit(m, MODEL_TO_SERVER, s);
    else
        host_send(m, s);
}

/* ---- client application ---- */

static bool pauses_before(const struct model_cfg *c, int item)
{
    return item == c->nitems || c->items[item].waits || c->items[item].pause_us;
}

static void app_step(struct model *m)
{
    const struct model_cfg *c = m->cfg;
    struct model_peer *p = &m->client;

    m->app_at = 0;
    while (!m->app_closed) {
        const struct model_item *item = &c->items[m->app_item];
        bool last = m->app_item == c->nitems;
        bool waits = last ? c->end_waits : m->app_half ? item->split_waits : item->waits;
        uint32_t pause = last ? 0 : m->app_half ? item->split_pause_us : item->pause_us;
        int32_t at = m->item_at[m->app_item];

        if (p->got_fin || (last && c->end == MODEL_END_CLIENT && (!waits || p->app_read >= m->reply_at[c->nitems]))) {
            m->app_closed = true;
            model_peer_close(p);
            return;
        }
        if (last || (waits && p->app_read < m->reply_at[m->app_item]))
            return; /* woken by what arrives */
        if (pause && !m->app_paused) {
            m->app_paused = true;
            m->app_at = m->now + pause;
            return;
        }
        m->app_paused = false;
        if (item->split && !m->app_half) {
            model_peer_write(p, m->script + at, item->split, true);
            m->app_half = 1;
            continue;
        }
        at += m->app_half ? item->split : 0;
        m->app_half = 0;
        m->app_item++;
        model_peer_write(p, m->script + at, m->item_at[m->app_item] - at, item->cut || pauses_before(c, m->app_item));
    }
}

static void app_read(struct model *m)
{
    m->read_at = 0;
    model_peer_read(&m->client, m->client.rcv_nxt < m->client.highest ? m->client.rcv_nxt : m->client.highest);
    if (!m->app_at)
        app_step(m);
}

/* ---- worker ---- */

static void worker_later(struct model *m, int stage, uint32_t us)
{
    m->work = stage;
    m->work_at = m->now + 1 + model_random(m, us) + (model_impaired(m) && chance(m, m->cfg->stall) ? 350000 : 0);
}

/* Executes whole requests and leaves the rest. */
static void worker_execute(struct model *m)
{
    const struct model_cfg *c = m->cfg;
    struct model_peer *p = &m->server;
    int32_t available = p->rcv_nxt < p->highest ? p->rcv_nxt : p->highest;

    for (uint32_t n = 0; n < c->batch && m->parsed + 3 <= available && !m->failure; n++) {
        const uint8_t *request = p->in + m->parsed;
        int item = request[1];

        if (m->parsed + request[2] > available)
            break;
        if (item >= c->nitems || request[2] != c->items[item].len) {
            model_fail(m, "worker: not a request");
            return;
        }
        execute(m, item, DONE_WORKER);
        m->parsed += request[2];
        m->consumed += request[2];
        for (int32_t i = 0; i < c->items[item].reply_len; i++)
            m->reply_pos[m->produced++] = m->reply_at[item] + i;
    }
    model_peer_read(p, available);
    worker_later(m, WORK_PUBLISH, c->publish_us);
}

static void worker_send(struct model *m)
{
    const struct model_cfg *c = m->cfg;
    struct model_peer *p = &m->server;
    uint8_t bytes[MODEL_STREAM_MAX];
    int32_t sent = p->out_len, available = p->rcv_nxt < p->highest ? p->rcv_nxt : p->highest;

    for (int32_t i = sent; i < m->produced; i++)
        bytes[i - sent] = m->replies[m->reply_pos[i]];
    if (m->produced > sent)
        model_peer_write(p, bytes, m->produced - sent, true);
    m->work = WORK_IDLE;
    if (m->worker_closed)
        return;
    if (c->end == MODEL_END_SERVER && m->next_item == c->nitems) {
        m->worker_closed = true;
        model_peer_abandon(p);
    } else if (available > p->app_read ||
               (m->parsed + 3 <= available && m->parsed + p->in[m->parsed + 2] <= available)) {
        worker_later(m, WORK_EXECUTE, c->think_us);
    } else if (p->got_fin) {
        m->worker_closed = true;
        model_peer_abandon(p);
    }
}

static void worker_step(struct model *m)
{
    m->work_at = 0;
    switch (m->work) {
    case WORK_EXECUTE:
        worker_execute(m);
        break;
    case WORK_PUBLISH:
        m->published_in = (uint32_t)m->consumed;
        m->published_out = (uint32_t)m->produced;
        /* What passed before the entry existed may sit behind a hole that wc_tcp.h knows nothing of. The worker asks
         * once (tcpi_rcv_ooopack), after the first request. */
        if (!m->asked)
            m->eligible = !m->server.disordered;
        m->asked = true;
        worker_later(m, WORK_SEND, m->cfg->send_us);
        break;
    case WORK_SEND:
        worker_send(m);
        break;
    default:
        break;
    }
}

static void worker_kill(struct model *m)
{
    m->kill_at = 0;
    if (m->worker_closed)
        return;
    if (m->trace)
        fprintf(m->trace, "%9u  worker closes\n", m->now);
    m->worker_closed = true;
    m->work_at = 0;
    model_peer_abandon(&m->server);
}

void model_readable(struct model_peer *p)
{
    struct model *m = p->m;

    if (p == &m->client && !m->read_at)
        m->read_at = m->now + 1 + model_random(m, m->cfg->read_us);
    if (p == &m->server && m->work == WORK_IDLE && !m->worker_closed)
        worker_later(m, WORK_EXECUTE, m->cfg->think_us);
}

/* ---- running ---- */

static void earlier(uint32_t *due, uint32_t at)
{
    if (at && (!*due || at < *due))
        *due = at;
}

/* The packet that comes next; -1: none. */
static int next_packet(const struct model *m)
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

static void deliver(struct model *m, int i)
{
    enum packet_place place = m->place[i];
    struct model_seg s;

    memcpy(&s, &m->packets[i].seg, offsetof(struct model_seg, data) + m->packets[i].seg.len);
    m->place[i] = PLACE_FREE;
    while (m->used && m->place[m->used - 1] == PLACE_FREE)
        m->used--;
    switch (place) {
    case PLACE_TO_SERVER:
        trace(m, "host receives", &s, true);
        host_receive(m, &s);
        break;
    case PLACE_HOST:
        if (m->tcp.state == WC_TCP_NEW)
            open_entry(m);
        trace(m, "  stack receives", &s, true);
        model_peer_input(&m->server, &s);
        break;
    default:
        trace(m, "client receives", &s, false);
        model_peer_input(&m->client, &s);
        break;
    }
}

static void step(struct model *m)
{
    uint32_t due = 0, client_due = model_peer_due(&m->client), server_due = model_peer_due(&m->server);
    int packet = next_packet(m);

    if (packet >= 0)
        due = m->packets[packet].at;
    earlier(&due, client_due);
    earlier(&due, server_due);
    earlier(&due, m->app_at);
    earlier(&due, m->read_at);
    earlier(&due, m->work_at);
    earlier(&due, m->kill_at);
    if (!due) {
        model_fail(m, "stuck: nothing left to happen");
        return;
    }
    if (due > m->now)
        m->now = due;
    if (m->now > m->cfg->clean_us + LIMIT_US) {
        model_fail(m, "stuck: out of time");
        return;
    }
    if (packet >= 0 && m->packets[packet].at <= m->now)
        deliver(m, packet);
    else if (m->app_at && m->app_at <= m->now)
        app_step(m);
    else if (m->read_at && m->read_at <= m->now)
        app_read(m);
    else if (m->work_at && m->work_at <= m->now)
        worker_step(m);
    else if (m->kill_at && m->kill_at <= m->now)
        worker_kill(m);
    else if (client_due && client_due <= m->now)
        model_peer_tick(&m->client);
    else
        model_peer_tick(&m->server);
}

static void lay_out(struct model *m)
{
    const struct model_cfg *c = m->cfg;
    int32_t in = 0, out = 0;

    for (int i = 0; i < c->nitems; i++) {
        const struct model_item *item = &c->items[i];
        uint8_t *request = m->script + in;

        m->item_at[i] = in;
        m->reply_at[i] = out;
        for (int j = 0; j < item->len; j++)
            request[j] = (uint8_t)(0x80 | (i * 37 + j * 11));
        request[0] = item->kind == MODEL_HOT ? 'H' : 'C';
        request[1] = (uint8_t)i;
        request[2] = (uint8_t)item->len;
        if (item->kind == MODEL_LURE) {
            request[item->split] = 'H';
            request[item->split + 1] = LURE_ID;
            request[item->split + 2] = (uint8_t)(item->len - item->split);
        }
        for (int j = 0; j < item->reply_len; j++)
            m->replies[out + j] = (uint8_t)(i * 59 + j * 7 + (j * j >> 4));
        in += item->len;
        out += item->reply_len;
        m->stats->hot += item->kind == MODEL_HOT;
    }
    m->item_at[c->nitems] = in;
    m->reply_at[c->nitems] = out;
}

static void check_end(struct model *m)
{
    const struct model_cfg *c = m->cfg;

    if (m->failure || may_break_off(m))
        return;
    if (m->client.got_rst || m->server.got_rst || m->server.dead)
        model_fail(m, "reset");
    else if (m->client.app_read != m->reply_at[c->nitems])
        model_fail(m, "replies are missing at the end");
    else if (m->next_item != c->nitems)
        model_fail(m, "requests were not executed");
}

const char *model_run(const struct model_cfg *cfg, struct model_stats *stats, FILE *trace_to)
{
    static struct model m;
    static struct model_stats unused;

    /* the packet buffers need no clearing */
    memset(&m, 0, offsetof(struct model, packets));
    memset(&m.host_free_at, 0, sizeof(m) - offsetof(struct model, host_free_at));
    m.cfg = cfg;
    m.stats = stats ? stats : &unused;
    m.trace = trace_to;
    m.rng = cfg->seed;
    m.now = 1;
    lay_out(&m);
    model_peer_init(&m.client, &m, "client", &cfg->client);
    model_peer_init(&m.server, &m, "server", &cfg->server);
    m.client.s0 = cfg->client_base;
    m.server.s0 = cfg->server_base;
    m.last_tsval = cfg->server_base - cfg->clock_lag;
    model_peer_connect(&m.client, &m.server);
    model_peer_connect(&m.server, &m.client);
    if (cfg->gso)
        m.server.habits.mss *= 3;
    if (!cfg->late_open)
        open_entry(&m);
    m.kill_at = cfg->end == MODEL_END_KILL ? cfg->kill_us : 0;
    app_step(&m);
    while (!m.failure && !(model_peer_done(&m.client) && model_peer_done(&m.server)))
        step(&m);
    if (!m.failure && m.client.rcv_nxt > m.client.app_read)
        app_read(&m);
    check_end(&m);
    m.stats->runs++;
    m.stats->virtual_us += m.now;
    return m.failure;
}
