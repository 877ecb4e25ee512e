/* A wire that loses, doubles, reorders, delays and corrupts: relays Ethernet frames between two interfaces.
 *
 *   impair DEV_A DEV_B SEED SPEC_AB [SPEC_BA]        until SIGTERM; then prints what it did
 *
 * A spec is a list such as loss=1,dup=0.5,reorder=2,jitter=5,delay=300,corrupt=0.1 :
 *
 *   loss, dup    percent of the frames
 *   reorder      percent held back until 1 to 8 others have passed, or for 20 ms when none do
 *   jitter       percent delayed by up to 8 ms more than the rest
 *   delay        of every frame, in microseconds
 *   corrupt      percent with one bit flipped; only frames that carry their whole checksum, as nobody could tell else
 *
 * The sockets carry a virtio_net_hdr before each frame, both ways: a frame whose checksum or segmentation its sender
 * has left to the device arrives as such at the other end.
 */
#include "rng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX     (sizeof(struct virtio_net_hdr) + ETH_HLEN + 4 + 65536 + 40)
#define QUEUE_MAX     8192
#define HOLD_MAX_NS   (20 * MSEC)
#define JITTER_MAX_NS (8 * MSEC)
#define BATCH         64

struct frame {
    uint64_t release; /* when it goes at the latest */
    uint64_t order;   /* among those that go at the same time */
    unsigned held;    /* frames that must pass first; 0: it goes by time alone */
    size_t len;
    unsigned char bytes[];
};

struct lane {
    const char *name;
    int in, out;
    uint64_t rng, order;
    double loss, dup, reorder, jitter, corrupt;
    uint64_t delay;
    struct frame *queue[QUEUE_MAX]; /* a heap, by release and order; the few that are held are in it too */
    unsigned queued, held;
    struct {
        unsigned long frames, lost, doubled, reordered, delayed, corrupted, overflow, refused;
    } count;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static __attribute__((noreturn)) void die(const char *what)
{
    fprintf(stderr, "impair: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int open_device(const char *dev)
{
    struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq promiscuous = {.mr_type = PACKET_MR_PROMISC};
    int on = 1, size = 32 << 20, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    addr.sll_ifindex = promiscuous.mr_ifindex = (int)if_nametoindex(dev);
    if (fd < 0 || !addr.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
        die(dev);
    return fd;
}

static void read_spec(struct lane *l, const char *spec)
{
    double microseconds = 0;
    const struct {
        const char *name;
        double *value;
    } fields[] = {{"loss", &l->loss},     {"dup", &l->dup},         {"reorder", &l->reorder},
                  {"jitter", &l->jitter}, {"corrupt", &l->corrupt}, {"delay", &microseconds}};

    while (*spec) {
        size_t len = strcspn(spec, "="), i;
        char *end;

        for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
            if (len == strlen(fields[i].name) && strncmp(spec, fields[i].name, len) == 0)
                break;
        if (i == sizeof(fields) / sizeof(*fields) || !spec[len]) {
            fprintf(stderr, "impair: what is '%s'?\n", spec);
            exit(2);
        }
        *fields[i].value = strtod(spec + len + 1, &end);
        spec = end + (*end == ',');
    }
    l->delay = (uint64_t)(microseconds * 1000);
}

/* ---- the queue ---- */

static bool goes_before(const struct frame *a, const struct frame *b)
{
    return a->release != b->release ? a->release < b->release : a->order < b->order;
}

static void sift_up(struct lane *l, unsigned i)
{
    struct frame *f = l->queue[i];

    for (; i && goes_before(f, l->queue[(i - 1) / 2]); i = (i - 1) / 2)
        l->queue[i] = l->queue[(i - 1) / 2];
    l->queue[i] = f;
}

static struct frame *take(struct lane *l, unsigned i)
{
    struct frame *taken = l->queue[i], *last = l->queue[--l->queued];

    l->held -= taken->held > 0;
    if (i == l->queued)
        return taken;
    for (;;) { /* the hole sinks to the bottom, then the last one rises from there */
        unsigned child = 2 * i + 1;

        if (child >= l->queued)
            break;
        if (child + 1 < l->queued && goes_before(l->queue[child + 1], l->queue[child]))
            child++;
        l->queue[i] = l->queue[child];
        i = child;
    }
    l->queue[i] = last;
    sift_up(l, i);
    return taken;
}

static void put(struct lane *l, const unsigned char *bytes, size_t len, uint64_t release, unsigned held)
{
    struct frame *f;

    if (l->queued == QUEUE_MAX) {
        l->count.overflow++;
        return;
    }
    f = malloc(sizeof(*f) + len);
    if (!f)
        die("malloc");
    *f = (struct frame){.release = release, .order = l->order++, .held = held, .len = len};
    memcpy(f->bytes, bytes, len);
    l->queue[l->queued] = f;
    l->held += held > 0;
    sift_up(l, l->queued++);
}

/* ---- sending ---- */

static void transmit(struct lane *l, const unsigned char *bytes, size_t len)
{
    if (send(l->out, bytes, len, 0) < 0)
        l->count.refused++;
    else
        l->count.frames++;
}

/* A frame has gone by itself: those that wait for others to pass are one nearer. */
static void let_pass(struct lane *l)
{
    for (unsigned i = 0; l->held && i < l->queued;) {
        struct frame *f = l->queue[i];

        if (!f->held || --f->held) {
            i++;
            continue;
        }
        l->held--;
        f = take(l, i);
        transmit(l, f->bytes, f->len);
        free(f);
    }
}

static void release_due(struct lane *l, uint64_t now)
{
    while (l->queued && l->queue[0]->release <= now) {
        struct frame *f = take(l, 0);
        bool held = f->held > 0;

        transmit(l, f->bytes, f->len);
        free(f);
        if (!held)
            let_pass(l);
    }
}

static void corrupt(struct lane *l, unsigned char *bytes, size_t len)
{
    const struct virtio_net_hdr *hdr = (const struct virtio_net_hdr *)bytes;
    size_t headers = sizeof(*hdr) + ETH_HLEN, bit;

    if ((hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || hdr->gso_type || len <= headers)
        return;
    bit = rng_below(&l->rng, (len - headers) * 8);
    bytes[headers + bit / 8] ^= (unsigned char)(1 << bit % 8);
    l->count.corrupted++;
}

static void relay(struct lane *l, unsigned char *bytes, size_t len, uint64_t now)
{
    int copies = 1;

    if (rng_percent(&l->rng, l->loss)) {
        l->count.lost++;
        return;
    }
    if (rng_percent(&l->rng, l->corrupt))
        corrupt(l, bytes, len);
    if (rng_percent(&l->rng, l->dup)) {
        l->count.doubled++;
        copies++;
    }
    while (copies--) {
        uint64_t release = now + l->delay;

        if (rng_percent(&l->rng, l->reorder)) {
            l->count.reordered++;
            put(l, bytes, len, release + HOLD_MAX_NS, 1 + (unsigned)rng_below(&l->rng, 8));
            continue;
        }
        if (rng_percent(&l->rng, l->jitter)) {
            l->count.delayed++;
            release += rng_below(&l->rng, JITTER_MAX_NS);
        }
        if (release > now) {
            put(l, bytes, len, release, 0);
        } else {
            transmit(l, bytes, len);
            let_pass(l);
        }
    }
}

static void receive(struct lane *l)
{
    static unsigned char buf[FRAME_MAX];

    for (int i = 0; i < BATCH; i++) {
        struct sockaddr_ll from;
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(l->in, buf, sizeof(buf), MSG_TRUNC, (struct sockaddr *)&from, &from_len);

        if (n < 0)
            return;
        if (from.sll_pkttype == PACKET_OUTGOING)
            continue;
        if ((size_t)n > sizeof(buf))
            l->count.overflow++;
        else
            relay(l, buf, (size_t)n, now_ns());
    }
}

static void report(const struct lane *l)
{
    struct tpacket_stats stats = {0};
    socklen_t len = sizeof(stats);

    getsockopt(l->in, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
    printf("%s frames=%lu lost=%lu doubled=%lu reordered=%lu delayed=%lu corrupted=%lu overflow=%lu refused=%lu\n",
           l->name, l->count.frames, l->count.lost, l->count.doubled, l->count.reordered, l->count.delayed,
           l->count.corrupted, l->count.overflow + stats.tp_drops, l->count.refused);
}

static int next_release_ms(struct lane *lanes, uint64_t now)
{
    uint64_t next = now + SEC;

    for (int i = 0; i < 2; i++)
        if (lanes[i].queued && lanes[i].queue[0]->release < next)
            next = lanes[i].queue[0]->release;
    return next <= now ? 0 : (int)((next - now + MSEC - 1) / MSEC);
}

int main(int argc, char **argv)
{
    static struct lane lanes[2] = {{.name = "a>b"}, {.name = "b>a"}};
    struct sigaction term = {.sa_handler = on_term};
    struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};

    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: impair DEV_A DEV_B SEED SPEC_AB [SPEC_BA]\n");
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        lanes[i].in = lanes[!i].out = fds[i].fd = open_device(argv[1 + i]);
        lanes[i].rng = strtoull(argv[3], NULL, 0) + (uint64_t)i;
        read_spec(&lanes[i], argv[argc == 6 ? 4 + i : 4]);
    }
    sigaction(SIGTERM, &term, NULL);
    sigaction(SIGINT, &term, NULL);
    puts("ready");
    fflush(stdout);
    while (!stop) {
        poll(fds, 2, next_release_ms(lanes, now_ns()));
        for (int i = 0; i < 2; i++) {
            receive(&lanes[i]);
            release_due(&lanes[i], now_ns());
        }
    }
    for (int i = 0; i < 2; i++)
        report(&lanes[i]);
    return 0;
}
