#include "tcp_model_sim.h"

#include <inttypes.h>
#include <string.h>

enum {
    LIMIT_US = 120000000, /* after the network became perfect */
    PROBES_MAX = 8,
    TRACE_MAX = 120,
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

bool model_chance(struct model *m, uint32_t per_mille)
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

void model_trace(struct model *m, const char *what, const struct model_seg *s, bool from_client)
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

void model_execute(struct model *m, int item, enum done how)
{
    if (item != m->next_item || m->done[item] != DONE_NOT) {
        model_fail(m, how == DONE_KERNEL ? "answered out of turn" : "worker: request out of turn");
        return;
    }
    m->done[item] = how;
    m->next_item++;
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
    m->work_at = m->now + 1 + model_random(m, us) + (model_impaired(m) && model_chance(m, m->cfg->stall) ? 350000 : 0);
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
        model_execute(m, item, DONE_WORKER);
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

static void step(struct model *m)
{
    uint32_t due = 0, client_due = model_peer_due(&m->client), server_due = model_peer_due(&m->server);
    int packet = model_path_next(m);

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
        model_path_deliver(m, packet);
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
            request[item->split + 1] = MODEL_LURE_ID;
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
        model_path_open(&m);
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
