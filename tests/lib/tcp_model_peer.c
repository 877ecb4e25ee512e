#include "tcp_model_peer.h"

#include <string.h>

enum { RTO_US = 200000, RTO_MAX_SHIFT = 3, DELACK_US = 40000, DUP_ACKS = 3 };

static int32_t min_i32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t max_i32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static bool chance(struct model_peer *p, uint32_t per_mille)
{
    return per_mille && model_random(p->m, 1000) < per_mille;
}

static uint32_t later(const struct model_peer *p, uint32_t us)
{
    return model_now(p->m) + us;
}

void model_peer_init(struct model_peer *p, struct model *m, const char *name, const struct model_habits *habits)
{
    memset(p, 0, sizeof(*p));
    p->m = m;
    p->name = name;
    p->habits = *habits;
    p->fin_pos = -1;
    p->edge = p->max_edge = (int32_t)habits->rcvbuf;
    if (habits->keepalive_us)
        p->keepalive_at = later(p, habits->keepalive_us);
}

void model_peer_connect(struct model_peer *p, const struct model_peer *other)
{
    p->r0 = other->s0;
    p->wnd_edge = other->edge;
    p->max_window = other->edge;
    p->snd_wscale = other->habits.wscale;
}

/* ---- sending ---- */

/* Linux: __tcp_select_window(). Never takes back what was offered. */
static uint16_t select_window(struct model_peer *p)
{
    int32_t unit = 1 << p->habits.wscale;
    int32_t room = (int32_t)p->habits.rcvbuf - (min_i32(p->rcv_nxt, p->highest) - p->app_read);
    int32_t offered = max_i32(p->edge - p->rcv_nxt, 0);

    if (room < (int32_t)p->habits.rcvbuf / 4)
        room = 0; /* silly window avoidance */
    room = room / unit * unit;
    if (room < offered)
        room = (offered + unit - 1) / unit * unit;
    if (p->no_memory)
        room = 0;
    p->edge = p->rcv_nxt + room;
    p->max_edge = max_i32(p->max_edge, p->edge);
    p->rcv_wup = p->rcv_nxt;
    return (uint16_t)(room / unit);
}

static void add_sack(struct model_peer *p, struct model_seg *s)
{
    int32_t pos = p->rcv_nxt;

    if (!p->habits.sack)
        return;
    if (p->dsack_to > p->dsack_from) {
        s->sack[s->nsack][0] = p->r0 + (uint32_t)p->dsack_from;
        s->sack[s->nsack++][1] = p->r0 + (uint32_t)p->dsack_to;
        p->dsack_from = p->dsack_to = 0;
    }
    while (pos < p->highest && s->nsack < MODEL_SACK_MAX) {
        int32_t from;

        while (pos < p->highest && !p->have[pos])
            pos++;
        for (from = pos; pos < p->highest && p->have[pos]; pos++)
            ;
        if (pos > from) {
            s->sack[s->nsack][0] = p->r0 + (uint32_t)from;
            s->sack[s->nsack++][1] = p->r0 + (uint32_t)pos;
        }
    }
}

static void send_segment(struct model_peer *p, int32_t from, int32_t len, uint8_t flags)
{
    struct model_seg s = {.flags = flags | MODEL_ACK};

    s.seq = p->s0 + (uint32_t)from;
    s.ack = p->r0 + (uint32_t)p->rcv_nxt;
    s.len = (uint16_t)len;
    memcpy(s.data, p->out + max_i32(from, 0), (size_t)len);
    s.window = select_window(p);
    add_sack(p, &s);
    s.ts = p->habits.ts;
    s.tsval = model_now(p->m) / 1000 + p->s0; /* any offset will do */
    s.tsecr = p->ts_recent;
    p->delack_at = 0;
    p->unacked = 0;
    model_emit(p, &s);
}

static void send_ack(struct model_peer *p)
{
    send_segment(p, p->nxt, 0, 0);
}

static void send_probe(struct model_peer *p)
{
    bool byte = p->habits.garbage_byte && p->una > 0;

    p->unanswered++;
    model_check_probes(p);
    send_segment(p, p->una - 1, byte, 0);
}

static void send_reset(struct model_peer *p, const struct model_seg *cause)
{
    struct model_seg s = {.flags = MODEL_RST, .seq = cause->ack};

    if (!(cause->flags & MODEL_RST))
        model_emit(p, &s);
}

/* Where the segment that begins at `from` ends: at the next cut, unless the writes are joined. */
static int32_t segment_end(struct model_peer *p, int32_t from, bool join)
{
    int32_t end = min_i32(p->out_len, from + (int32_t)p->habits.mss);

    for (int i = 0; i < p->ncuts && !join; i++)
        if (p->cuts[i] > from && p->cuts[i] < end)
            return p->cuts[i];
    return end;
}

static void arm_rto(struct model_peer *p)
{
    p->rto_at = p->nxt > p->una ? later(p, (uint32_t)RTO_US << p->rto_shift) : 0;
}

static void push(struct model_peer *p)
{
    bool was_idle = p->nxt == p->una;

    while (!p->dead && !p->fin_sent) {
        int32_t end = segment_end(p, p->nxt, chance(p, p->habits.coalesce / 4));
        uint8_t flags = MODEL_PSH;
        int32_t len;

        end = min_i32(end, max_i32(p->wnd_edge, p->nxt));
        len = end - p->nxt;
        if (end == p->out_len && p->fin_wanted && (!len || chance(p, 500))) {
            flags |= MODEL_FIN;
            p->fin_sent = true;
        } else if (!len) {
            break;
        }
        p->nxt = end + p->fin_sent;
        send_segment(p, end - len, len, flags);
    }
    if (was_idle)
        arm_rto(p);
    if (p->nxt == p->una && p->nxt < p->out_len) {
        if (!p->persist_at)
            p->persist_at = later(p, RTO_US);
    } else {
        p->persist_at = 0;
        p->probe_shift = 0;
    }
}

/* Sends again from `from`: one segment, sometimes smaller, larger or with new data behind it. */
static void resend(struct model_peer *p, int32_t from)
{
    bool join = chance(p, p->habits.coalesce);
    int32_t end = segment_end(p, from, join);
    uint8_t flags = MODEL_PSH;

    for (int32_t i = from + 1; i < end; i++)
        if (p->sacked[i])
            end = i;
    if (end > p->nxt && !(join && end <= p->wnd_edge))
        end = min_i32(p->nxt, p->out_len);
    if (end - from > 1 && chance(p, 50))
        end = from + (end - from) / 2;
    if (p->fin_sent && end == p->out_len && (end == from || join))
        flags |= MODEL_FIN;
    p->nxt = max_i32(p->nxt, end);
    send_segment(p, from, end - from, flags);
}

void model_peer_write(struct model_peer *p, const void *bytes, int32_t len, bool cut)
{
    if (p->dead || p->got_rst)
        return;
    memcpy(p->out + p->out_len, bytes, (size_t)len);
    p->out_len += len;
    if (cut && p->ncuts < MODEL_CUTS_MAX)
        p->cuts[p->ncuts++] = p->out_len;
    if (cut)
        push(p);
}

void model_peer_close(struct model_peer *p)
{
    p->fin_wanted = true;
    push(p);
}

void model_peer_abandon(struct model_peer *p)
{
    p->app_gone = true;
    if (p->app_read < min_i32(p->rcv_nxt, p->highest)) { /* unread data: RFC 2525 section 2.17 */
        p->dead = true;
        send_segment(p, p->nxt, 0, MODEL_RST);
        return;
    }
    model_peer_close(p);
}

/* ---- receiving ---- */

void model_peer_read(struct model_peer *p, int32_t up_to)
{
    int32_t offered = max_i32(p->edge - p->rcv_nxt, 0), half = (int32_t)p->habits.rcvbuf / 2;
    int32_t room;

    p->no_memory = false;
    p->app_read = max_i32(p->app_read, up_to);
    room = (int32_t)p->habits.rcvbuf - (min_i32(p->rcv_nxt, p->highest) - p->app_read);
    if (!p->got_fin && room >= 2 * offered && room - offered >= min_i32(half, (int32_t)p->habits.mss))
        send_ack(p);
}

static void heard(struct model_peer *p)
{
    p->unanswered = 0;
    if (p->habits.keepalive_us)
        p->keepalive_at = later(p, p->habits.keepalive_us);
}

/* Linux: tcp_sequence() of 6.17. */
static bool in_sequence(const struct model_peer *p, int32_t from, int32_t end)
{
    int32_t edge = max_i32(p->edge, p->rcv_nxt);

    if (end < p->rcv_wup || from > edge)
        return false;
    return end <= edge || !p->habits.strict_window || p->app_read == min_i32(p->rcv_nxt, p->highest);
}

static void take_sack(struct model_peer *p, const struct model_seg *s, int32_t ack)
{
    for (int i = 0; i < s->nsack; i++) {
        int32_t from = (int32_t)(s->sack[i][0] - p->s0), to = (int32_t)(s->sack[i][1] - p->s0);

        if (from < ack || from >= to)
            continue; /* of old data, RFC 2883 */
        if (to > min_i32(p->nxt, p->out_len)) {
            model_fail(p->m, "SACK of what was never sent");
            return;
        }
        model_check_sack(p, from, to);
        memset(p->sacked + from, 1, (size_t)(to - from));
    }
}

/* False if the segment is to be ignored altogether. Linux: tcp_ack(). */
static bool take_ack(struct model_peer *p, const struct model_seg *s)
{
    int32_t ack = (int32_t)(s->ack - p->s0), from = (int32_t)(s->seq - p->r0);
    int32_t window = (int32_t)s->window << p->snd_wscale;
    bool in_flight = p->nxt > p->una, moved = false;

    if (ack > p->nxt) {
        model_fail(p->m, "ack of what was never sent");
        return false;
    }
    if (ack < p->una)
        return ack >= p->una - p->max_window;
    model_check_ack(p, ack);
    heard(p);
    if (ack > p->una || from > p->wl1 || (from == p->wl1 && ack + window > p->wnd_edge)) {
        moved = ack + window != p->wnd_edge;
        p->wnd_edge = ack + window;
        p->max_window = max_i32(p->max_window, window);
        p->wl1 = from;
    }
    take_sack(p, s, ack);
    if (ack > p->una) {
        p->una = ack;
        p->rto_shift = p->dup_acks = 0;
        if (ack < p->recover)
            resend(p, ack);
        arm_rto(p);
    } else if (in_flight && !s->len && !(s->flags & MODEL_FIN) && !moved && ++p->dup_acks == DUP_ACKS) {
        p->recover = p->nxt;
        resend(p, p->una);
        arm_rto(p);
    }
    return true;
}

static void take_data(struct model_peer *p, const struct model_seg *s, int32_t from)
{
    int32_t end = from + s->len, limit = end, before = p->rcv_nxt;
    bool fin = s->flags & MODEL_FIN;

    if (s->len && from <= p->rcv_nxt && end > p->rcv_nxt && model_impaired(p->m) && chance(p, p->habits.no_memory)) {
        p->no_memory = true;
        limit = p->rcv_nxt + (chance(p, 500) ? (int32_t)model_random(p->m, (uint32_t)(end - p->rcv_nxt)) : 0);
    }
    p->disordered += from > p->rcv_nxt;
    if (p->habits.strict_window && from > p->rcv_nxt)
        limit = min_i32(end, p->edge);
    for (int32_t i = max_i32(from, p->rcv_nxt); i < limit; i++) {
        model_check_byte(p, i, s->data[i - from]);
        p->in[i] = s->data[i - from];
        p->have[i] = 1;
        p->highest = max_i32(p->highest, i + 1);
    }
    if (fin && limit == end) {
        if (p->fin_pos >= 0 && p->fin_pos != end)
            model_fail(p->m, "FIN in two places");
        if (end < p->highest)
            model_fail(p->m, "FIN before data");
        p->fin_pos = end;
    }
    while (p->rcv_nxt < p->highest && p->have[p->rcv_nxt])
        p->rcv_nxt++;
    if (p->fin_pos >= 0 && p->rcv_nxt == p->fin_pos) {
        p->rcv_nxt++;
        p->got_fin = true;
    }
    if (end + fin <= before && s->len) {
        p->dsack_from = from;
        p->dsack_to = end;
    }
    if (p->rcv_nxt > before)
        heard(p);
    if (p->rcv_nxt > before || p->no_memory)
        model_readable(p);
    if (p->no_memory || p->rcv_nxt == before || p->got_fin || p->rcv_nxt < p->highest || ++p->unacked >= 2 ||
        chance(p, p->habits.quick_ack))
        send_ack(p);
    else if (!p->delack_at)
        p->delack_at = later(p, DELACK_US);
}

void model_peer_input(struct model_peer *p, const struct model_seg *s)
{
    int32_t from = (int32_t)(s->seq - p->r0), end = from + s->len + !!(s->flags & MODEL_FIN);

    if (p->got_rst)
        return;
    if (p->dead) {
        send_reset(p, s);
        return;
    }
    if (s->in_kernel && from >= p->rcv_nxt && end > p->max_edge)
        model_fail(p->m, "the kernel's reply does not fit the window");
    /* PAWS, RFC 7323 section 5; Linux lets a plain duplicate ACK through */
    if (p->habits.ts && s->ts && !(s->flags & MODEL_RST) && (int32_t)(s->tsval - p->ts_recent) < 0 && p->ts_recent &&
        (s->len || from != p->rcv_nxt)) {
        send_ack(p);
        return;
    }
    if (!in_sequence(p, from, end)) {
        if (!(s->flags & MODEL_RST))
            send_ack(p);
        return;
    }
    if (s->flags & MODEL_RST) { /* RFC 5961 section 3.2 */
        if (from == p->rcv_nxt)
            p->got_rst = true;
        else
            send_ack(p);
        model_readable(p);
        return;
    }
    if (!(s->flags & MODEL_ACK) || !take_ack(p, s))
        return;
    if (s->ts && from <= p->rcv_wup && (int32_t)(s->tsval - p->ts_recent) > 0)
        p->ts_recent = s->tsval;
    if (p->app_gone && end > p->rcv_nxt && s->len) {
        p->dead = true;
        send_reset(p, s);
        return;
    }
    push(p);
    if (s->len || (s->flags & MODEL_FIN))
        take_data(p, s, from);
}

/* ---- timers ---- */

static void on_rto(struct model_peer *p)
{
    int32_t from = p->una;

    memset(p->sacked, 0, (size_t)p->out_len); /* RFC 2018 section 8 */
    if (!p->rto_shift && !p->fin_sent && chance(p, p->habits.tail_probe))
        for (int i = 0; i < p->ncuts; i++)
            if (p->cuts[i] > from && p->cuts[i] < p->nxt)
                from = p->cuts[i];
    if (from == p->una)
        p->recover = p->nxt;
    if (p->rto_shift < RTO_MAX_SHIFT)
        p->rto_shift++;
    resend(p, from);
    arm_rto(p);
}

static void on_persist(struct model_peer *p)
{
    if (p->probe_shift < RTO_MAX_SHIFT)
        p->probe_shift++;
    p->persist_at = later(p, (uint32_t)RTO_US << p->probe_shift);
    send_probe(p);
}

static void on_keepalive(struct model_peer *p)
{
    p->keepalive_at = p->fin_wanted ? 0 : later(p, p->habits.keepalive_us);
    if (p->una == p->nxt && p->nxt == p->out_len && !p->fin_wanted)
        send_probe(p);
}

static void earlier(uint32_t *due, uint32_t at)
{
    if (at && (!*due || at < *due))
        *due = at;
}

uint32_t model_peer_due(const struct model_peer *p)
{
    uint32_t due = 0;

    if (p->dead || p->got_rst)
        return 0;
    earlier(&due, p->rto_at);
    earlier(&due, p->delack_at);
    earlier(&due, p->keepalive_at);
    earlier(&due, p->persist_at);
    return due;
}

static bool expired(const struct model_peer *p, uint32_t *at)
{
    if (!*at || *at > model_now(p->m))
        return false;
    *at = 0;
    return true;
}

void model_peer_tick(struct model_peer *p)
{
    if (expired(p, &p->rto_at))
        on_rto(p);
    if (expired(p, &p->delack_at))
        send_ack(p);
    if (expired(p, &p->persist_at))
        on_persist(p);
    if (expired(p, &p->keepalive_at))
        on_keepalive(p);
}

bool model_peer_done(const struct model_peer *p)
{
    return p->dead || p->got_rst || (p->got_fin && p->fin_sent && p->una == p->out_len + 1);
}
