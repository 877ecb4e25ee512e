/* Connection numbers. Their life is told in include/wc_abi.h (wc_conn_ctl):
 *
 *   pushed into free_conns  -->  popped by sock_ops: taken++  -->  entry gone: returned = taken  -->  pushed again,
 *                                                                  once no worker claims it
 *
 * A worker claims the number of the socket it accepted. The socket's cookie ties the two: a claim for a connection that
 * is gone meets another cookie, or a number that another worker holds, and fails.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define WC_LINGER_S       60
#define WC_LINGER_SHORT_S 5 /* when free numbers run short */
#define WC_TRUST_AFTER_NS 2000000
#define WC_FIRST_WINDOW   65535

static uint64_t wc_mono_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

int wc_conns_init(struct wc_conns *c, struct wc_kernel *k)
{
    c->k = k;
    c->nfree = k->nconns;
    c->owner = calloc(k->nconns, sizeof(*c->owner));
    c->pushed = calloc(k->nconns, sizeof(*c->pushed));
    c->claims = calloc(k->nconns, sizeof(*c->claims));
    if (!c->owner || !c->pushed || !c->claims) {
        wc_conns_free(c);
        return -ENOMEM;
    }
    wc_conns_tend(c);
    return 0;
}

void wc_conns_free(struct wc_conns *c)
{
    free(c->owner);
    free(c->pushed);
    free(c->claims);
    c->claims = NULL;
    c->owner = NULL;
    c->pushed = NULL;
}

static int wc_conns_address(const struct sockaddr_storage *ss, uint32_t addr[4], uint16_t *port)
{
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)ss;

        addr[0] = addr[1] = 0;
        addr[2] = htonl(0xffff);
        addr[3] = in->sin_addr.s_addr;
        *port = in->sin_port;
        return 0;
    }
    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)ss;

        memcpy(addr, &in->sin6_addr, 16);
        *port = in->sin6_port;
        return 0;
    }
    return -EAFNOSUPPORT;
}

static int wc_conns_key(int fd, struct wc_conn_key *key)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);

    if (getpeername(fd, (struct sockaddr *)&ss, &len))
        return -errno;
    if (wc_conns_address(&ss, key->client, &key->client_port))
        return -EAFNOSUPPORT;
    len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len))
        return -errno;
    return wc_conns_address(&ss, key->server, &key->server_port);
}

int wc_conns_claim(struct wc_conns *c, int fd)
{
    struct wc_conn_key key;
    struct wc_conn entry;
    struct wc_conn_ctl *ctl;
    uint64_t cookie, nobody = 0;
    socklen_t len = sizeof(cookie);

    if (wc_conns_key(fd, &key) || bpf_map_lookup_elem_flags(c->k->conns_fd, &key, &entry, BPF_F_LOCK))
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) || cookie != entry.cookie || entry.number >= c->k->nconns)
        return -1;
    if (!atomic_compare_exchange_strong(&c->owner[entry.number], &nobody, cookie))
        return -1;
    c->claims[entry.number] = (struct wc_claim){.fd = fd, .since_ns = wc_mono_ns()};
    ctl = &c->k->ctl[entry.number];
    ctl->flags = 0;
    ctl->progress = 0;
    ctl->hits = 0;
    ctl->last_hit_ns = 0;
    __atomic_store_n(&ctl->cookie, cookie, __ATOMIC_RELEASE);
    atomic_fetch_add_explicit(&c->nclaimed, 1, memory_order_relaxed);
    return (int)entry.number;
}

/* Segments that arrive together with the one that completes the handshake pass TC before the entry exists: the receive
 * path runs TC for a whole batch before TCP sees its first packet. Bytes in order show up in the stack's first ACK. But
 * segments behind a hole would stay unknown, and a GET that fills the hole must not be answered. So a connection is
 * trusted once it is old enough for that batch to be through and nothing ever came out of order; or when it has
 * consumed all that the SYN-ACK's window, which is not scaled, allowed. */
bool wc_conns_trust(struct wc_conns *c, int number, uint32_t consumed)
{
    struct wc_claim *claim = &c->claims[number];
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (claim->trusted)
        return true;
    if (wc_mono_ns() - claim->since_ns < WC_TRUST_AFTER_NS)
        return false;
    if (consumed < WC_FIRST_WINDOW &&
        (getsockopt(claim->fd, IPPROTO_TCP, TCP_INFO, &info, &len) || len < sizeof(info) || info.tcpi_rcv_ooopack))
        return false;
    claim->trusted = true;
    return true;
}

void wc_conns_release(struct wc_conns *c, int number)
{
    struct wc_conn_ctl *ctl = &c->k->ctl[number];

    __atomic_store_n(&ctl->flags, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&ctl->cookie, 0, __ATOMIC_RELEASE);
    atomic_store_explicit(&c->owner[number], 0, memory_order_release);
    atomic_fetch_sub_explicit(&c->nclaimed, 1, memory_order_relaxed);
}

int64_t wc_conns_idle_ms(const struct wc_conns *c, int number)
{
    uint64_t last = __atomic_load_n(&c->k->ctl[number].last_hit_ns, __ATOMIC_RELAXED), now = wc_mono_ns();

    if (!last)
        return INT64_MAX;
    return last < now ? (int64_t)((now - last) / 1000000) : 0;
}

/* Call fn for each entry of conns; fn returns true to have it removed. */
static void wc_conns_walk(const struct wc_conns *c, bool (*fn)(const struct wc_conn *entry, void *arg), void *arg)
{
    struct wc_conn_key key, next;
    struct wc_conn entry;
    uint32_t left = c->k->nconns; /* a hash that changes under the walk could go on for ever */
    bool more = !bpf_map_get_next_key(c->k->conns_fd, NULL, &key);

    for (; left && more; left--, key = next) {
        bool remove = !bpf_map_lookup_elem_flags(c->k->conns_fd, &key, &entry, BPF_F_LOCK) && fn(&entry, arg);

        /* Before the removal: from a key that is gone the kernel starts anew. */
        more = !bpf_map_get_next_key(c->k->conns_fd, &key, &next);
        /* A successor may be there by now: the number that returns is that of the entry that was removed. */
        if (remove && !bpf_map_lookup_and_delete_elem_flags(c->k->conns_fd, &key, &entry, BPF_F_LOCK) &&
            entry.number < c->k->nconns) {
            struct wc_conn_ctl *ctl = &c->k->ctl[entry.number];

            ctl->closed_s = 0;
            ctl->returned = ctl->taken;
        }
    }
}

static bool wc_conns_is_old(const struct wc_conn *entry, void *arg)
{
    const uint64_t *before_ns = arg;

    return entry->closed_ns && entry->closed_ns < *before_ns;
}

/* Late segments are rare a few seconds after the end; new connections matter more when numbers are short. */
static uint32_t wc_conns_linger_s(const struct wc_conns *c)
{
    return c->nfree < c->k->nconns / 8 ? WC_LINGER_SHORT_S : WC_LINGER_S;
}

void wc_conns_tend(struct wc_conns *c)
{
    uint64_t now_ns = wc_mono_ns();
    uint32_t linger_s = wc_conns_linger_s(c), now_s = now_ns / 1000000000, overdue = 0, nfree = 0;

    for (uint32_t n = 0; n < c->k->nconns; n++) {
        struct wc_conn_ctl *ctl = &c->k->ctl[n];
        uint32_t taken = __atomic_load_n(&ctl->taken, __ATOMIC_ACQUIRE);
        uint32_t closed_s = ctl->closed_s;

        overdue += closed_s && now_s > closed_s + linger_s;
        if (taken == c->pushed[n] && ctl->returned == taken && !atomic_load(&c->owner[n])) {
            c->pushed[n]++;
            if (bpf_map_update_elem(c->k->free_conns_fd, NULL, &n, BPF_ANY))
                c->pushed[n]--; /* tried again at the next round */
        }
        nfree += taken != c->pushed[n];
    }
    c->nfree = nfree;
    if (overdue) {
        uint64_t before_ns = now_ns - linger_s * UINT64_C(1000000000);

        wc_conns_walk(c, wc_conns_is_old, &before_ns);
    }
}

static bool wc_conns_count_translating(const struct wc_conn *entry, void *arg)
{
    size_t *n = arg;

    *n += entry->tcp.x.din || entry->tcp.x.dout;
    return false;
}

size_t wc_conns_translating(const struct wc_conns *c)
{
    size_t n = 0;

    wc_conns_walk(c, wc_conns_count_translating, &n);
    return n;
}

static bool wc_conns_count_unfinished(const struct wc_conn *entry, void *arg)
{
    size_t *n = arg;

    *n += !entry->closed_ns && (entry->tcp.x.din || entry->tcp.x.dout);
    return false;
}

size_t wc_conns_unfinished(const struct wc_conns *c)
{
    size_t n = 0;

    wc_conns_walk(c, wc_conns_count_unfinished, &n);
    return n;
}

static bool wc_conns_any(const struct wc_conn *entry, void *arg)
{
    (void)entry;
    (void)arg;
    return true;
}

void wc_conns_forget(struct wc_conns *c)
{
    wc_conns_walk(c, wc_conns_any, NULL);
}
