/* One end of a TCP connection, as far as the model test needs it: reassembly, acknowledgements, timers and the checks
 * that Linux makes on what arrives. Written from the RFCs and net/ipv4/tcp_input.c, not from wc_tcp.h. It starts
 * ESTABLISHED.
 *
 * Positions are byte offsets in a stream; they become sequence numbers only in segments.
 *
 *   sending:    0 ... una ..... nxt ...... out_len         FIN sits at out_len
 *   receiving:  0 ... app_read ..... rcv_nxt ..... edge    FIN sits at fin_pos
 */
#ifndef WC_TCP_MODEL_PEER_H
#define WC_TCP_MODEL_PEER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MODEL_STREAM_MAX = 6144,
    MODEL_SEG_MAX = 640,
    MODEL_SACK_MAX = 3,
    MODEL_CUTS_MAX = 64,
    MODEL_FIN = 0x01,
    MODEL_RST = 0x04,
    MODEL_PSH = 0x08,
    MODEL_ACK = 0x10,
};

struct model_seg {
    uint32_t seq, ack;
    uint32_t tsval, tsecr;
    uint32_t sack[MODEL_SACK_MAX][2];
    uint16_t window; /* as on the wire */
    uint16_t len;
    uint8_t flags;
    uint8_t nsack;
    bool ts;
    bool in_kernel; /* made by the fast path */
    uint8_t data[MODEL_SEG_MAX];
};

/* How this end behaves; probabilities are per mille. */
struct model_habits {
    uint32_t mss;
    uint32_t rcvbuf;
    uint32_t wscale;       /* of the windows it offers */
    uint32_t quick_ack;    /* acknowledge at once */
    uint32_t coalesce;     /* join earlier writes when sending again */
    uint32_t tail_probe;   /* the first retransmission is that of the last segment */
    uint32_t no_memory;    /* throws data, or its end, away and closes the window (Linux: ICSK_ACK_NOMEM) */
    uint32_t keepalive_us; /* 0: none */
    bool garbage_byte;     /* probes carry one byte */
    bool sack, ts;
    bool strict_window; /* never takes a byte beyond the window (older Linux does) */
};

struct model; /* the simulation; see tcp_model_sim.h */

struct model_peer {
    struct model *m;
    const char *name;
    struct model_habits habits;
    uint32_t s0, r0; /* sequence numbers of position 0 */

    uint8_t out[MODEL_STREAM_MAX];
    int32_t out_len, una, nxt, wnd_edge, recover, max_window;
    int32_t cuts[MODEL_CUTS_MAX]; /* ends of writes that are to be ends of segments */
    int ncuts;
    int32_t wl1; /* position of the segment that last moved wnd_edge */
    uint32_t snd_wscale;
    uint8_t sacked[MODEL_STREAM_MAX];
    int dup_acks, rto_shift, probe_shift;
    bool fin_wanted, fin_sent;

    uint8_t in[MODEL_STREAM_MAX];
    uint8_t have[MODEL_STREAM_MAX];
    int32_t rcv_nxt, rcv_wup, edge, max_edge, app_read, fin_pos, highest;
    bool no_memory; /* until the application reads */
    int32_t dsack_from, dsack_to;
    uint32_t ts_recent;
    int unacked;    /* segments */
    int disordered; /* segments that came before their turn */
    bool got_fin, got_rst;
    bool app_gone; /* closed: what arrives now is answered by RST */
    bool dead;

    /* absolute times, 0: not set */
    uint32_t rto_at, delack_at, keepalive_at, persist_at;
    int unanswered; /* probes in a row */
};

/* What the peer needs from the simulation. */
uint32_t model_now(const struct model *m);
uint32_t model_random(struct model *m, uint32_t below);
bool model_impaired(const struct model *m);
void model_emit(struct model_peer *p, const struct model_seg *s);
void model_check_byte(struct model_peer *p, int32_t pos, uint8_t byte);
void model_check_ack(struct model_peer *p, int32_t ack);
void model_check_sack(struct model_peer *p, int32_t from, int32_t to);
void model_check_probes(struct model_peer *p);
void model_fail(struct model *m, const char *what);
void model_readable(struct model_peer *p);

void model_peer_init(struct model_peer *p, struct model *m, const char *name, const struct model_habits *habits);
/* Both ends know each other's window from the handshake. */
void model_peer_connect(struct model_peer *p, const struct model_peer *other);
void model_peer_write(struct model_peer *p, const void *bytes, int32_t len, bool cut);
void model_peer_close(struct model_peer *p);   /* no more writes */
void model_peer_abandon(struct model_peer *p); /* close() of the whole socket */
void model_peer_read(struct model_peer *p, int32_t up_to);
void model_peer_input(struct model_peer *p, const struct model_seg *s);
/* The next time something is due (0: never), and doing it. */
uint32_t model_peer_due(const struct model_peer *p);
void model_peer_tick(struct model_peer *p);
bool model_peer_done(const struct model_peer *p);

#endif
