#include "packet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define ETH 14

static const uint8_t client_mac[6] = {2, 0, 0, 0, 0, 1}, server_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t client_v4[4] = {192, 0, 2, 1}, server_v4[4] = {192, 0, 2, 2};
static const uint8_t client_v6[16] = {0x20, 1, 0xd, 0xb8, [7] = 5, [15] = 1};
static const uint8_t server_v6[16] = {0x20, 1, 0xd, 0xb8, [8] = 0xab, [15] = 2};

/* ---- bytes ---- */

static void put(struct pkt *p, const void *bytes, uint32_t len)
{
    memcpy(p->data + p->len, bytes, len);
    p->len += len;
}

static void put8(struct pkt *p, uint32_t v)
{
    p->data[p->len++] = v;
}

static void put16(struct pkt *p, uint32_t v)
{
    put8(p, v >> 8);
    put8(p, v);
}

static void put32(struct pkt *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p, v);
}

static uint32_t get16(const uint8_t *b)
{
    return b[0] << 8 | b[1];
}

static uint32_t get32(const uint8_t *b)
{
    return get16(b) << 16 | get16(b + 2);
}

static void set16(uint8_t *b, uint32_t v)
{
    b[0] = v >> 8;
    b[1] = v;
}

uint32_t pkt_sum(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        sum += i & 1 ? bytes[i] : bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* RFC 9293 section 3.1, RFC 8200 section 8.1: both addresses, protocol, length of header and payload. */
static uint32_t pseudo_sum(const uint8_t *ip, bool v6, uint32_t tcp_len)
{
    uint32_t sum = v6 ? pkt_sum(0, ip + 8, 32) : pkt_sum(0, ip + 12, 8);

    return pkt_sum(sum + IPPROTO_TCP + tcp_len, NULL, 0);
}

/* ---- composing ---- */

static void put_ethernet(struct pkt *p, const struct pkt_spec *s)
{
    put(p, s->from_server ? client_mac : server_mac, 6);
    put(p, s->from_server ? server_mac : client_mac, 6);
    if (s->vlan) {
        put16(p, 0x8100);
        put16(p, s->vlan);
    }
    put16(p, s->v6 ? 0x86dd : 0x0800);
}

static void put_ipv4(struct pkt *p, const struct pkt_spec *s, uint32_t l4_len)
{
    uint32_t at = p->len, header = 20 + 4 * s->ip_options;

    put8(p, 0x40 | header / 4);
    put8(p, s->tos);
    put16(p, s->ip_no_total ? 0 : header + l4_len);
    put16(p, s->ip_id);
    put16(p, s->ip_frag);
    put8(p, s->ttl);
    put8(p, IPPROTO_TCP);
    put16(p, 0);
    put(p, s->from_server ? server_v4 : client_v4, 4);
    put(p, s->from_server ? client_v4 : server_v4, 4);
    for (uint32_t i = 0; i < s->ip_options; i++)
        put32(p, 0x01010101);
    set16(p->data + at + 10, ~pkt_sum(0, p->data + at, header));
}

static const struct {
    uint8_t next; /* protocol number of the first */
    uint8_t len;
    uint8_t bytes[44];
} exts[] = {
    [EXT_NONE] = {IPPROTO_TCP, 0, {0}},
    [EXT_HOPOPTS] = {0, 8, {6, 0, 1, 4}},
    [EXT_ROUTING] = {43, 8, {6, 0, 4, 0}},
    [EXT_DSTOPTS] = {60, 16, {6, 1, 1, 12}},
    [EXT_HOP_AND_DST] = {0, 16, {60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}},
    [EXT_FRAG_FIRST] = {44, 8, {6, 0, 0, 1, 0, 0, 0, 9}},
    [EXT_FRAG_LATER] = {44, 8, {6, 0, 5, 0xa8, 0, 0, 0, 9}},
    [EXT_FRAG_ATOMIC] = {44, 8, {6, 0, 0, 0, 0, 0, 0, 9}},
    [EXT_FIVE] = {0, 40, {60, 0, 1, 4, 0, 0, 0,  0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0,
                          1,  4, 0, 0, 0, 0, 60, 0, 1,  4, 0, 0, 0, 0, 6, 0, 1,  4}},
    [EXT_AUTH] = {51, 24, {6, 4}},
};

static void put_ipv6(struct pkt *p, const struct pkt_spec *s, uint32_t l4_len)
{
    put32(p, 6u << 28 | s->tos << 20 | s->flow_label);
    put16(p, s->ip_no_total ? 0 : exts[s->ext].len + l4_len);
    put8(p, exts[s->ext].next);
    put8(p, s->ttl);
    put(p, s->from_server ? server_v6 : client_v6, 16);
    put(p, s->from_server ? client_v6 : server_v6, 16);
    put(p, exts[s->ext].bytes, exts[s->ext].len);
}

static const struct {
    uint8_t len;
    uint8_t bytes[24];
} opts[] = {
    [OPT_NONE] = {0, {0}},
    [OPT_MSS] = {4, {2, 4, 5, 0xb4}},
    [OPT_SACK_PERMITTED] = {4, {1, 1, 4, 2}},
    [OPT_MD5] = {20, {1, 1, 19, 18, 7, 7, 7, 7}},
    [OPT_AO] = {20, {29, 16, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 1, 1, 1}},
    [OPT_FASTOPEN] = {12, {1, 1, 34, 10, 3, 3, 3, 3, 3, 3, 3, 3}},
    [OPT_MPTCP] = {8, {30, 8, 0x20, 1, 0, 0, 0, 1}},
    [OPT_UNKNOWN] = {8, {1, 1, 200, 6, 1, 2, 3, 4}},
    [OPT_NOPS] = {12, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    [OPT_EOL] = {8, {0, 8, 10, 1, 2, 3, 4, 5}},
    [OPT_TS_AT_END] = {12, {8, 10, 0, 0, 0x13, 0x88, 0, 0, 0x0f, 0xa0, 1, 1}},
    [OPT_TS_NO_NOPS] = {12, {8, 10, 0, 0, 0x13, 0x88, 0, 0, 0x0f, 0xa0, 0, 0}},
    [OPT_TS_SHORT] = {12, {1, 1, 8, 8, 0, 0, 0x13, 0x88, 0, 0, 1, 1}},
    [OPT_ZERO_SIZE] = {4, {9, 0, 1, 1}},
    [OPT_TOO_LONG] = {4, {9, 40, 1, 1}},
};

static void put_options(struct pkt *p, const struct pkt_spec *s)
{
    uint32_t start = p->len;

    if (s->ts) {
        put32(p, 0x0101080a);
        put32(p, s->tsval);
        put32(p, s->tsecr);
    }
    put(p, opts[s->opt].bytes, opts[s->opt].len);
    if (s->nsack) {
        for (uint32_t i = 0; i < s->sack_pad; i++)
            put8(p, 1);
        put8(p, 5);
        put8(p, 2 + 8 * s->nsack);
        for (uint32_t i = 0; i < s->nsack; i++) {
            put32(p, s->sack[i][0]);
            put32(p, s->sack[i][1]);
        }
    }
    while ((p->len - start) % 4)
        put8(p, 0);
}

static void finish_sum(uint8_t *ip, bool v6, uint8_t *tcp, uint32_t len, uint32_t how)
{
    uint32_t pseudo = pseudo_sum(ip, v6, len);

    set16(tcp + 16, 0);
    set16(tcp + 16, how == SUM_BARE ? pseudo : ~pkt_sum(pseudo, tcp, len));
    if (how == SUM_WRONG)
        set16(tcp + 16, pkt_sum(0x10, tcp + 16, 2));
}

void pkt_build(struct pkt *p, const struct pkt_spec *s)
{
    struct pkt tcp = {0};
    uint32_t ip;

    put16(&tcp, s->from_server ? s->server_port : s->client_port);
    put16(&tcp, s->from_server ? s->client_port : s->server_port);
    put32(&tcp, s->seq);
    put32(&tcp, s->ack);
    put8(&tcp, s->reserved & 15);
    put8(&tcp, s->flags);
    put16(&tcp, s->window);
    put16(&tcp, 0);
    put16(&tcp, s->urgent);
    put_options(&tcp, s);
    tcp.data[12] |= tcp.len / 4 << 4;
    put(&tcp, s->payload, s->len);

    p->len = 0;
    put_ethernet(p, s);
    ip = p->len;
    if (s->v6)
        put_ipv6(p, s, tcp.len);
    else
        put_ipv4(p, s, tcp.len);
    finish_sum(p->data + ip, s->v6, tcp.data, tcp.len, s->sum);
    put(p, tcp.data, tcp.len);
    for (uint32_t i = 0; i < s->padding; i++)
        put8(p, 0xee);
    p->len -= s->cut;
}

void pkt_conn_key(const struct pkt_spec *spec, struct wc_conn_key *key)
{
    memset(key, 0, sizeof(*key));
    if (spec->v6) {
        memcpy(key->client, client_v6, 16);
        memcpy(key->server, server_v6, 16);
    } else {
        memset((uint8_t *)key->client + 10, 0xff, 2);
        memset((uint8_t *)key->server + 10, 0xff, 2);
        memcpy(&key->client[3], client_v4, 4);
        memcpy(&key->server[3], server_v4, 4);
    }
    key->client_port = htons(spec->client_port);
    key->server_port = htons(spec->server_port);
}

/* ---- reading ---- */

/* The IP header. Returns the length of the datagram behind it, 0: not ours. Sets v->l4. */
static uint32_t parse_ip(const uint8_t *ip, uint32_t len, struct pkt_view *v)
{
    uint32_t header;

    if (v->v6) {
        if (len < 40 || ip[0] >> 4 != 6 || ip[6] != IPPROTO_TCP || 40 + get16(ip + 4) > len)
            return 0;
        v->ecn = get16(ip) >> 4 & 3;
        memcpy(v->key.client, ip + 8, 16);
        memcpy(v->key.server, ip + 24, 16);
        v->l4 = ETH + 40;
        return get16(ip + 4);
    }
    if (len < 20 || ip[0] >> 4 != 4 || ip[9] != IPPROTO_TCP)
        return 0;
    header = (ip[0] & 15) * 4;
    if (header < 20 || get16(ip + 2) < header || get16(ip + 2) > len || get16(ip + 6) & 0x1fff)
        return 0;
    v->ecn = ip[1] & 3;
    v->odd = header != 20 || get16(ip + 6) & 0x2000;
    memset((uint8_t *)v->key.client + 10, 0xff, 2);
    memset((uint8_t *)v->key.server + 10, 0xff, 2);
    memcpy(&v->key.client[3], ip + 12, 4);
    memcpy(&v->key.server[3], ip + 16, 4);
    v->l4 = ETH + header;
    return get16(ip + 2) - header;
}

static void parse_tcp(const uint8_t *tcp, const uint8_t *ip, uint32_t datagram, struct pkt_view *v)
{
    uint32_t pseudo = pseudo_sum(ip, v->v6, datagram);

    memcpy(&v->key.client_port, tcp, 2);
    memcpy(&v->key.server_port, tcp + 2, 2);
    v->seq = get32(tcp + 4);
    v->ack = get32(tcp + 8);
    v->reserved = tcp[12] & 15;
    v->flags = tcp[13];
    v->window = get16(tcp + 14);
    v->ts = v->tcp_len == 32 && get32(tcp + 20) == 0x0101080a;
    v->tsval = v->ts ? get32(tcp + 24) : 0;
    v->plain = v->tcp_len == 20 || v->ts;
    v->len = datagram - v->tcp_len;
    v->payload = tcp + v->tcp_len;
    v->sum_ok = pkt_sum(pseudo, tcp, datagram) == 0xffff;
    v->sum_bare = get16(tcp + 16) == pseudo;
}

bool pkt_parse(const uint8_t *data, uint32_t len, struct pkt_view *v)
{
    const uint8_t *ip = data + ETH;
    uint32_t datagram;

    memset(v, 0, sizeof(*v));
    if (len < ETH || (get16(data + 12) != 0x0800 && get16(data + 12) != 0x86dd))
        return false;
    v->v6 = get16(data + 12) == 0x86dd;
    datagram = parse_ip(ip, len - ETH, v);
    if (datagram < 20)
        return false;
    v->tcp_len = (data[v->l4 + 12] >> 4) * 4;
    if (v->tcp_len < 20 || v->tcp_len > datagram)
        return false;
    parse_tcp(data + v->l4, ip, datagram, v);
    return true;
}

void pkt_fix_sums(uint8_t *data, uint32_t len)
{
    struct pkt_view v;

    if (!pkt_parse(data, len, &v))
        return;
    if (!v.v6) {
        set16(data + ETH + 10, 0);
        set16(data + ETH + 10, ~pkt_sum(0, data + ETH, v.l4 - ETH));
    }
    finish_sum(data + ETH, v.v6, data + v.l4, v.tcp_len + v.len, SUM_FULL);
}

static void dump(const char *what, const struct pkt *p)
{
    fprintf(stderr, "    %s (%u bytes)", what, p->len);
    for (uint32_t i = 0; i < p->len && i < 160; i++)
        fprintf(stderr, "%s%02x", i % 16 ? " " : "\n        ", p->data[i]);
    fprintf(stderr, "\n");
}

bool pkt_same(const char *what, const struct pkt *want, const struct pkt *got)
{
    uint32_t at = 0;

    while (at < want->len && at < got->len && want->data[at] == got->data[at])
        at++;
    if (at == want->len && at == got->len)
        return true;
    fprintf(stderr, "  %s: differs at byte %u\n", what, at);
    dump("wanted", want);
    dump("got", got);
    return false;
}
