/* The TCP connection state machine of the kernel half: pure arithmetic, no helpers, so that it runs under a BPF spin
 * lock and compiles natively for the model tests.
 *
 * Two sequence spaces. *Kernel space* is what the server's TCP stack sees, *client space* what the client sees. They
 * differ by what was answered behind the stack's back:
 *
 *     client seq = kernel seq + din      (din:  request bytes the stack never saw)
 *     client ack = kernel ack + dout     (dout: reply bytes the stack never sent)
 *
 * At most one in-kernel reply is unacknowledged at a time; it is the *open exchange*, between these points:
 *
 *     client's bytes   ... executed ...|<-- request -->|... not yet seen        stack: one point, inj_in
 *                              req_start               req_end = inj_in + din
 *     server's bytes   ... acknowledged|<--  reply  -->|                        stack: one point, inj_out
 *                            reply_start               reply_end = inj_out + dout
 *
 * While it is open a number before the injection point translates with the deltas before it. Once the client has
 * acknowledged the reply, everything older is history on both sides and the translation is a plain addition again.
 *
 * The table of rules (the tests repeat it):
 *
 *   from the client                                                     verdict
 *   I1  SYN                                                             pass untouched
 *   I2  open exchange, data overlapping the request, ack before         replay the saved reply, drop the segment
 *       reply_end and not before reply_start
 *   I3  open exchange, such an ack in a bare ACK behind the request,    replay
 *       or in a probe of its last byte
 *       (I2, I3: whatever the options; not while the window is smaller than what is missing)
 *   I4  a hot GET on a quiescent connection                             answer; open an exchange
 *   I5  the same, but its ACK is news to the stack                      XDP: leave to TC. TC: answer, feed a bare ACK
 *   I6  bare ACK that tells the stack nothing and that it did not       drop
 *       ask for (keepalive probe, retransmission)
 *   I7  anything else                                                   pass, translated; state moves only if the
 *                                                                       stack would accept the segment. An ACK of the
 *                                                                       reply closes the exchange
 *   I8  FIN, RST that the stack would accept                            as I7, and never answer again
 *
 *   from the stack
 *   O1  SYN+ACK                                                         the stack has a new connection: entry is void
 *   O2  data from before fed_ack                                        the stack missed an ACK: feed it again (fed_ack
 *                                                                       goes back); as O4, but dropped if it spans
 *                                                                       inj_out of an open exchange
 *   O3  nothing new behind inj_out of an open exchange, no RST          never acknowledges past req_start: else nobody
 *                                                                       would be left to retransmit
 *   O4  anything else                                                   translate, remember what the stack said
 *   O5  FIN, RST                                                        as O4, and never answer again
 *
 * All arithmetic is modulo 2^32 (RFC 9293 section 3.4).
 */
#ifndef WC_TCP_H
#define WC_TCP_H

#include "wc_types.h"

enum wc_tcp_state {
    WC_TCP_NEW = 0, /* entry is being set up, or void: packets pass untouched */
    WC_TCP_OPEN,
    WC_TCP_CLOSING, /* FIN or RST seen, or socket closed: translate and replay, never answer */
};

enum wc_tcp_flag { /* as on the wire, RFC 9293 section 3.1 */
                   WC_FIN = 0x01,
                   WC_SYN = 0x02,
                   WC_RST = 0x04,
                   WC_PSH = 0x08,
                   WC_ACK = 0x10,
};

/* What translation needs. A copy of it is used after the lock is released. */
struct wc_xlat {
    __u32 din, dout;
    __u32 inj_in, inj_out;    /* kernel space: where the open exchange was injected */
    __u32 req_len, reply_len; /* of the open exchange; both 0: none is open */
};

struct wc_tcp {
    __u32 state;             /* enum wc_tcp_state */
    __u32 base_in, base_out; /* kernel space: rcv_nxt and snd_nxt when the connection was established */
    /* kernel space */
    __u32 fwd_nxt;  /* highest byte passed up to the stack */
    __u32 snd_nxt;  /* highest byte the stack has sent */
    __u32 fed_ack;  /* highest ack passed up to the stack */
    __u32 srv_ack;  /* highest ack the stack has sent */
    __u32 rcv_edge; /* right edge of the window that the stack has offered */
    struct wc_xlat x;
    __u32 ts_recent;  /* the client's last in-order TSval */
    __u32 ts_offset;  /* the stack's TSval minus its clock, the largest seen */
    __u32 flow;       /* of the stack's packets. IPv4: TOS. IPv6: the first word's low 28 bits, network order */
    __u16 srv_window; /* the stack's last window field, unscaled */
    __u16 fed_window; /* the client's last window field that was passed up, unscaled */
    __u16 mss;        /* payload bytes per segment towards the client */
    __u8 hop_limit;   /* IPv4 TTL or IPv6 hop limit of the stack's packets */
    __u8 cli_wscale, srv_wscale;
    __u8 ts_on;   /* the stack's segments carry timestamps */
    __u8 ts_usec; /* its timestamp clock ticks in microseconds, else milliseconds */
    __u8 probed;  /* the stack sent a probe or a retransmission: the next bare ACK is an answer to it */
    __u8 spoken;  /* the stack has sent at least one ACK: window, TTL and clock are known */
};

/* A segment as parsed; numbers in host order, in the sender's space. */
struct wc_seg {
    __u32 seq, ack;
    __u32 len;   /* payload bytes */
    __u32 tsval; /* valid if ts */
    __u32 clock; /* now, in ticks of this connection's timestamp clock */
    __u32 flow;  /* as wc_tcp.flow */
    __u16 window;
    __u8 flags;
    __u8 ts;    /* there is a timestamp option */
    __u8 plain; /* no option but perhaps the timestamp, no other oddity: may be answered or dropped */
    __u8 hop_limit;
};

/* What a GET needs to be answered. */
struct wc_offer {
    __u32 reply_len;          /* 0: nothing to offer */
    __u32 consumed, produced; /* the worker's totals */
    __u32 xdp;                /* the caller cannot feed an ACK to the stack */
};

enum wc_tcp_verdict {
    WC_TCP_RAW,         /* pass untouched */
    WC_TCP_PASS,        /* pass translated: out.seq, out.ack, and SACK blocks through out.x */
    WC_TCP_ANSWER,      /* send the offered reply: out.seq, out.ack, out.window, out.tsval, hop limit and flow */
    WC_TCP_ANSWER_FEED, /* the same, then turn the request into a bare ACK: out.feed_seq, out.feed_ack */
    WC_TCP_REPLAY,      /* send the saved reply, as for ANSWER */
    WC_TCP_DROP,
};

/* Why an offer was not taken. */
enum wc_tcp_refusal {
    WC_REFUSED_NOT = 0,
    WC_REFUSED_CLOSING,
    WC_REFUSED_SILENT,
    WC_REFUSED_NOT_EXECUTED,
    WC_REFUSED_UNACKED,
    WC_REFUSED_TIMESTAMP,
    WC_REFUSED_WINDOW,
    WC_REFUSED_SEGMENT,
    WC_REFUSED_FEED,
};

struct wc_tcp_out {
    __u32 seq, ack;
    __u32 feed_seq, feed_ack;
    __u32 tsval;
    __u32 flow;
    __u16 window;
    __u8 hop_limit;
    __u8 refusal; /* enum wc_tcp_refusal, with PASS or RAW when there was an offer */
    struct wc_xlat x;
};

/* a is before b, modulo 2^32 (kernel: before() in include/net/tcp.h) */
WC_INLINE bool wc_before(__u32 a, __u32 b)
{
    return (__s32)(a - b) < 0;
}

WC_INLINE bool wc_after(__u32 a, __u32 b)
{
    return wc_before(b, a);
}

WC_INLINE bool wc_xlat_open(const struct wc_xlat *x)
{
    return x->reply_len != 0;
}

/* A client ack, or an edge of a client's SACK block. Inside the reply: the injection point. */
WC_INLINE __u32 wc_ack_to_kernel(const struct wc_xlat *x, __u32 ack)
{
    __u32 end = x->inj_out + x->dout;

    if (!wc_xlat_open(x) || !wc_before(ack, end))
        return ack - x->dout;
    if (wc_after(ack, end - x->reply_len))
        return x->inj_out;
    return ack - x->dout + x->reply_len;
}

/* The sequence number of a client's segment.
 * Segments that occupy sequence space always use the full delta: new bytes lie behind the request, and what lies
 * before or inside it then reads as old, which the stack trims or acknowledges (keepalive probes need that). An empty
 * segment from before the request keeps its place. */
WC_INLINE __u32 wc_seq_to_kernel(const struct wc_xlat *x, __u32 seq, bool occupies)
{
    __u32 start = x->inj_in + x->din - x->req_len;

    if (wc_xlat_open(x) && !occupies && !wc_after(seq, start))
        return seq - x->din + x->req_len;
    return seq - x->din;
}

/* A sequence number of the stack's. */
WC_INLINE __u32 wc_seq_to_client(const struct wc_xlat *x, __u32 seq)
{
    if (wc_xlat_open(x) && wc_before(seq, x->inj_out))
        return seq + x->dout - x->reply_len;
    return seq + x->dout;
}

/* An ack of the stack's, or an edge of its SACK blocks. `hold`: rule O3. */
WC_INLINE __u32 wc_ack_to_client(const struct wc_xlat *x, __u32 ack, bool hold)
{
    if (wc_xlat_open(x)) {
        if (wc_before(ack, x->inj_in))
            return ack + x->din - x->req_len;
        if (hold)
            return x->inj_in + x->din - x->req_len;
    }
    return ack + x->din;
}

/* Would the stack look at this segment? (tcp_sequence() in net/ipv4/tcp_input.c: rcv_wup is the last ack sent.) */
WC_INLINE bool wc_tcp_acceptable(const struct wc_tcp *t, __u32 seq, __u32 end)
{
    if (!t->spoken)
        return !wc_before(end, t->base_in);
    return !wc_before(end, t->srv_ack) && !wc_after(seq, t->rcv_edge);
}

/* Begin: both numbers in kernel space, from the socket when it became ESTABLISHED. The rest of t is zero or set by the
 * caller (mss, scales, clock unit). */
WC_INLINE void wc_tcp_open(struct wc_tcp *t, __u32 rcv_nxt, __u32 snd_nxt)
{
    t->base_in = t->fwd_nxt = t->srv_ack = t->rcv_edge = rcv_nxt;
    t->base_out = t->snd_nxt = t->fed_ack = snd_nxt;
    t->state = WC_TCP_OPEN;
}

/* The client has acknowledged up to `ack` (client space, checked): closes the open exchange when that covers it. */
WC_INLINE void wc_tcp_acked(struct wc_tcp *t, __u32 ack)
{
    if (wc_xlat_open(&t->x) && !wc_before(ack, t->x.inj_out + t->x.dout))
        t->x.req_len = t->x.reply_len = 0;
}

/* How a reply from the kernel looks: like the stack's last segment, with its clock moved on. */
WC_INLINE void wc_tcp_imitate(const struct wc_tcp *t, const struct wc_seg *s, struct wc_tcp_out *out)
{
    out->window = t->srv_window;
    out->hop_limit = t->hop_limit;
    out->flow = t->flow;
    out->tsval = s->clock + t->ts_offset;
}

/* Rules I2 and I3. */
WC_INLINE bool wc_tcp_wants_replay(const struct wc_tcp *t, const struct wc_seg *s)
{
    __u32 req_end = t->x.inj_in + t->x.din;
    /* More than none if it took its window back and kept what still fitted, RFC 9293 section 3.8.6 */
    __u32 has = s->ack - (t->x.inj_out + t->x.dout - t->x.reply_len);

    if (!wc_xlat_open(&t->x) || has >= t->x.reply_len || !(s->flags & WC_ACK) || (s->flags & WC_RST))
        return false;
    if ((__u32)s->window << t->cli_wscale < t->x.reply_len - has)
        return false; /* it would throw the reply away and ask again at once; its window update will get it */
    if (s->len)
        return wc_before(s->seq, req_end) && wc_after(s->seq + s->len, req_end - t->x.req_len);
    /* a keepalive probe comes from one byte before */
    return !(s->flags & WC_FIN) && !wc_before(s->seq + 1, req_end) && !wc_after(s->seq - t->x.din, t->rcv_edge);
}

/* Rule I4: why the offered reply may not be sent, or WC_REFUSED_NOT. */
WC_INLINE __u32 wc_tcp_refuse(const struct wc_tcp *t, const struct wc_seg *s, const struct wc_offer *o)
{
    __u32 seq = s->seq - t->x.din, ack = s->ack - t->x.dout;

    if (t->state != WC_TCP_OPEN)
        return WC_REFUSED_CLOSING;
    if (!t->spoken)
        return WC_REFUSED_SILENT;
    if (seq != t->fwd_nxt || seq != t->base_in + o->consumed)
        return WC_REFUSED_NOT_EXECUTED;
    if (ack != t->snd_nxt || ack != t->base_out + o->produced)
        return WC_REFUSED_UNACKED;
    if (s->ts != t->ts_on || (s->ts && wc_before(s->tsval, t->ts_recent)))
        return WC_REFUSED_TIMESTAMP;
    if ((__u32)s->window << t->cli_wscale < o->reply_len)
        return WC_REFUSED_WINDOW;
    if (o->reply_len > t->mss)
        return WC_REFUSED_SEGMENT;
    if (o->xdp && ack != t->fed_ack)
        return WC_REFUSED_FEED;
    return WC_REFUSED_NOT;
}

/* Rule I4: the exchange takes place. Everything older was acknowledged, so its predecessor is closed. */
WC_INLINE __u32 wc_tcp_commit(struct wc_tcp *t, const struct wc_seg *s, const struct wc_offer *o,
                              struct wc_tcp_out *out)
{
    bool feed = t->fed_ack != t->snd_nxt;

    t->x.inj_in = t->fwd_nxt;
    t->x.inj_out = t->snd_nxt;
    t->x.req_len = s->len;
    t->x.reply_len = o->reply_len;
    t->x.din += s->len;
    t->x.dout += o->reply_len;
    t->ts_recent = s->tsval;
    out->seq = s->ack;
    out->ack = s->seq + s->len;
    wc_tcp_imitate(t, s, out);
    if (!feed)
        return WC_TCP_ANSWER;
    out->feed_seq = t->fwd_nxt;
    out->feed_ack = t->fed_ack = t->snd_nxt;
    t->fed_window = s->window;
    return WC_TCP_ANSWER_FEED;
}

/* Rules I7 and I8: what a segment that goes up changes. seq and ack are its numbers in kernel space. */
WC_INLINE void wc_tcp_track_in(struct wc_tcp *t, const struct wc_seg *s, __u32 seq, __u32 ack)
{
    __u32 end = seq + s->len + !!(s->flags & WC_FIN);
    bool in_order = seq == t->fwd_nxt;

    if (s->flags & WC_RST) {
        /* RFC 5961 section 3.2: only the exact sequence number resets */
        if (seq == t->fwd_nxt || seq == t->srv_ack)
            t->state = WC_TCP_CLOSING;
        return;
    }
    if ((s->flags & WC_ACK) && wc_after(ack, t->snd_nxt))
        return; /* acknowledges what was never sent: the stack discards it, RFC 9293 section 3.10.7.4 */
    /* Who has the reply has its ack of the request, and sends nothing older than a probe of the byte before. That may
     * be older than what the stack has acknowledged: it then answers without a look at the ack. The exchange must close
     * all the same, else rule O3 holds that answer back and the client sends the same for ever. */
    if ((s->flags & WC_ACK) && !wc_before(seq + 1, t->x.inj_in) && !wc_after(seq, t->rcv_edge))
        wc_tcp_acked(t, s->ack);
    if (!wc_tcp_acceptable(t, seq, end))
        return;
    if (wc_after(end, t->fwd_nxt))
        t->fwd_nxt = end;
    if (s->flags & WC_FIN)
        t->state = WC_TCP_CLOSING;
    if (in_order && s->ts)
        t->ts_recent = s->tsval;
    if (s->flags & WC_ACK) {
        if (wc_after(ack, t->fed_ack))
            t->fed_ack = ack;
        t->fed_window = s->window;
        t->probed = 0;
    }
}

/* Rule I6. */
WC_INLINE bool wc_tcp_is_idle_ack(const struct wc_tcp *t, const struct wc_seg *s, __u32 seq, __u32 ack)
{
    return s->plain && !s->len && s->flags == WC_ACK && t->state == WC_TCP_OPEN && t->spoken && seq == t->fwd_nxt &&
           ack == t->fed_ack && ack == t->snd_nxt && s->window == t->fed_window && !t->probed;
}

/* A segment from the client, at TC ingress (o->xdp == 0) or XDP (1). At XDP only ANSWER and REPLAY change anything;
 * every other verdict there means "pass as it is, TC will see it". */
WC_INLINE __u32 wc_tcp_ingress(struct wc_tcp *t, const struct wc_seg *s, const struct wc_offer *o,
                               struct wc_tcp_out *out)
{
    bool occupies = s->len || (s->flags & WC_FIN);
    __u32 seq, ack;

    out->refusal = WC_REFUSED_NOT;
    if (t->state == WC_TCP_NEW || (s->flags & WC_SYN))
        return WC_TCP_RAW;
    if (wc_tcp_wants_replay(t, s)) {
        __u32 srv_ack = wc_ack_to_client(&t->x, t->srv_ack, false);

        out->seq = t->x.inj_out + t->x.dout - t->x.reply_len;
        out->ack = t->x.inj_in + t->x.din;
        if (wc_after(srv_ack, out->ack))
            out->ack = srv_ack;
        wc_tcp_imitate(t, s, out);
        return WC_TCP_REPLAY;
    }
    if (o->reply_len) {
        out->refusal = wc_tcp_refuse(t, s, o);
        if (out->refusal == WC_REFUSED_NOT)
            return wc_tcp_commit(t, s, o, out);
    }
    if (o->xdp)
        return WC_TCP_PASS;

    ack = wc_ack_to_kernel(&t->x, s->ack);
    seq = wc_seq_to_kernel(&t->x, s->seq, occupies);
    if (wc_tcp_is_idle_ack(t, s, seq, ack)) {
        wc_tcp_acked(t, s->ack);
        return WC_TCP_DROP;
    }
    out->x = t->x;
    out->seq = seq;
    out->ack = (s->flags & WC_ACK) ? ack : s->ack;
    wc_tcp_track_in(t, s, seq, ack);
    return WC_TCP_PASS;
}

/* Rules O4 and O5: what the stack has said. */
WC_INLINE void wc_tcp_track_out(struct wc_tcp *t, const struct wc_seg *s)
{
    __u32 end = s->seq + s->len + !!(s->flags & WC_FIN);
    __u32 edge = s->ack + ((__u32)s->window << t->srv_wscale);
    __u32 offset = s->tsval - s->clock;

    if (s->flags & (WC_FIN | WC_RST))
        t->state = WC_TCP_CLOSING;
    if ((s->flags & WC_RST) || !(s->flags & WC_ACK))
        return;
    if (wc_before(s->seq, t->snd_nxt))
        t->probed = 1;
    if (wc_after(end, t->snd_nxt))
        t->snd_nxt = end;
    if (wc_after(s->ack, t->srv_ack))
        t->srv_ack = s->ack;
    if (wc_after(s->ack, t->fwd_nxt))
        t->fwd_nxt = s->ack;
    if (wc_after(edge, t->rcv_edge))
        t->rcv_edge = edge;
    if (s->ts) {
        if (!t->ts_on || wc_after(offset, t->ts_offset))
            t->ts_offset = offset;
        t->ts_on = 1;
    }
    t->srv_window = s->window;
    t->hop_limit = s->hop_limit;
    t->flow = s->flow;
    t->spoken = 1;
}

/* A segment from the stack, at TC egress. Verdicts: RAW, PASS, DROP. */
WC_INLINE __u32 wc_tcp_egress(struct wc_tcp *t, const struct wc_seg *s, struct wc_tcp_out *out)
{
    __u32 end = s->seq + s->len + !!(s->flags & WC_FIN);
    bool hold = !(s->flags & WC_RST) && !wc_after(end, t->x.inj_out);

    if (t->state == WC_TCP_NEW)
        return WC_TCP_RAW;
    if (s->flags & WC_SYN) {
        if (s->flags & WC_ACK)
            t->state = WC_TCP_NEW;
        return WC_TCP_RAW;
    }
    wc_tcp_track_out(t, s);
    if (s->len && wc_before(s->seq, t->fed_ack))
        t->fed_ack = s->seq;
    if (wc_xlat_open(&t->x) && s->len && wc_before(s->seq, t->x.inj_out) && wc_after(end, t->x.inj_out))
        return WC_TCP_DROP;
    out->x = t->x;
    out->seq = wc_seq_to_client(&t->x, s->seq);
    out->ack = (s->flags & WC_ACK) ? wc_ack_to_client(&t->x, s->ack, hold) : s->ack;
    return WC_TCP_PASS;
}

#endif
