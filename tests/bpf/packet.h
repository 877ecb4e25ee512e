/* Frames for the tests, composed layer by layer from a description, and read back. Nothing here shares code with bpf/:
 * checksums are computed a second time, from the RFCs.
 *
 *     Ethernet [VLAN] | IPv4 [options] or IPv6 [extension headers] | TCP [options] | payload | padding
 */
#ifndef WC_TEST_PACKET_H
#define WC_TEST_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wc_abi.h"

enum {
    PKT_MAX = 3500, /* what BPF_PROG_TEST_RUN takes without fragments is a little more */
    PKT_FIN = 0x01,
    PKT_SYN = 0x02,
    PKT_RST = 0x04,
    PKT_PSH = 0x08,
    PKT_ACK = 0x10,
    PKT_URG = 0x20,
    PKT_ECE = 0x40,
    PKT_CWR = 0x80,
    PKT_PORT = 6379,
    PKT_CLIENT_PORT = 40000,
};

/* IPv6 extension headers between the IPv6 and the TCP header. */
enum pkt_ext {
    EXT_NONE,
    EXT_HOPOPTS,
    EXT_ROUTING,
    EXT_DSTOPTS,
    EXT_HOP_AND_DST,
    EXT_FRAG_FIRST,  /* more follow */
    EXT_FRAG_LATER,  /* offset not zero */
    EXT_FRAG_ATOMIC, /* offset zero, no more: RFC 6946 */
    EXT_FIVE,        /* more headers than the program walks */
    EXT_AUTH,        /* RFC 4302: not walked */
};

/* TCP options behind the timestamp, in the order of this list. */
enum pkt_opt {
    OPT_NONE,
    OPT_MSS,
    OPT_SACK_PERMITTED,
    OPT_MD5,
    OPT_AO,
    OPT_FASTOPEN,
    OPT_MPTCP,
    OPT_UNKNOWN,
    OPT_NOPS,       /* twelve NOPs: as long as a timestamp, and none */
    OPT_EOL,        /* end of list, then rubbish */
    OPT_TS_AT_END,  /* timestamp before the NOPs: legal, not the usual form */
    OPT_TS_NO_NOPS, /* timestamp, then end of list */
    OPT_TS_SHORT,   /* kind 8 of length 8 */
    OPT_ZERO_SIZE,
    OPT_TOO_LONG, /* reaches behind the header */
};

enum pkt_sum {
    SUM_FULL,
    SUM_BARE,  /* the pseudo header's sum alone: CHECKSUM_PARTIAL */
    SUM_WRONG, /* off by 16; still so after every right translation */
};

/* All fields are 32 bits wide or pointers, so that the tables can set them by offset. Numbers in host order. */
struct pkt_spec {
    const char *payload;
    uint32_t len; /* of payload */
    uint32_t v6;
    uint32_t from_server;
    uint32_t vlan; /* an 802.1Q tag in the frame */
    uint32_t tos, ttl, flow_label;
    uint32_t ip_id, ip_frag; /* IPv4; ip_frag is the whole 16-bit field */
    uint32_t ip_options;     /* IPv4: words of NOPs */
    uint32_t ip_no_total;    /* total length, payload length 0: as in BIG TCP */
    uint32_t ext;            /* enum pkt_ext */
    uint32_t client_port, server_port;
    uint32_t seq, ack, flags, window, urgent;
    uint32_t reserved; /* the four bits before the flags */
    uint32_t ts, tsval, tsecr;
    uint32_t opt; /* enum pkt_opt */
    uint32_t nsack, sack[4][2];
    uint32_t sack_pad; /* NOPs before the SACK option; 2 is usual */
    uint32_t sum;      /* enum pkt_sum */
    uint32_t padding;  /* bytes behind the datagram */
    uint32_t cut;      /* bytes missing at its end */
};

struct pkt {
    uint32_t len;
    uint8_t data[PKT_MAX];
};

/* What a frame says, for the oracle of the random tests. Valid only when pkt_parse() returned true. */
struct pkt_view {
    bool v6, odd; /* odd: IP options, extension headers or fragment */
    uint32_t ecn;
    struct wc_conn_key key; /* the frame taken as coming from the client */
    uint32_t seq, ack, flags, window, reserved;
    uint32_t l4, tcp_len, len; /* len: payload */
    bool ts, plain;            /* plain: no TCP option, or NOP NOP timestamp */
    uint32_t tsval;
    bool sum_ok, sum_bare;
    const uint8_t *payload;
};

void pkt_build(struct pkt *p, const struct pkt_spec *spec);
/* Strict: false for whatever is not whole TCP over IP over Ethernet. */
bool pkt_parse(const uint8_t *data, uint32_t len, struct pkt_view *v);
/* The address pair and ports as in `conns`. */
void pkt_conn_key(const struct pkt_spec *spec, struct wc_conn_key *key);
/* Recompute a frame's IPv4 and TCP checksums, if it is that much of a frame. */
void pkt_fix_sums(uint8_t *data, uint32_t len);
/* Compare; on a difference print both and say where. */
bool pkt_same(const char *what, const struct pkt *want, const struct pkt *got);
/* Ones' complement sum of bytes as big-endian words, folded. */
uint32_t pkt_sum(uint32_t sum, const uint8_t *bytes, uint32_t len);

#endif
