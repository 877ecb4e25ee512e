/* Does a GET ever return anything but the latest acknowledged value, or a concurrent one?
 *
 *   coherence HOST PORT SECONDS THREADS KEYS
 *
 * Every key has versions 1, 2, 3 ... A version's value follows from key and version, its length included; every
 * eighth version is a DEL. Each thread has a connection of its own and does one of two things, at random:
 *
 *   write  with the key's lock held, so that it knows what is there: GET k (exactly the last version),
 *          SET k (or DEL), GET k (exactly the new version)
 *   read   without the lock: GET k must return a version that is
 *            not older than the last one acknowledged, or seen by anybody, before the request was sent, and
 *            not newer than the last one whose request was sent before the reply arrived
 *
 * Prints one line with totals; exit 1 at the first wrong answer, 2 when the server cannot be reached or hangs up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEYS_MAX    256
#define THREADS_MAX 64
#define VALUE_MAX   1200 /* some values are too long for the fast path */
#define DEL_EVERY   8
#define ABSENT      UINT64_MAX /* what GET said: no such key */

struct key {
    pthread_mutex_t lock;
    _Atomic uint64_t issued;    /* newest version whose request was, or is about to be, sent */
    _Atomic uint64_t confirmed; /* newest version acknowledged to its writer, or seen by a reader */
} __attribute__((aligned(64)));

static struct key keys[KEYS_MAX];
static const char *host, *port;
static int nkeys;
static atomic_bool stop;
static _Atomic uint64_t reads, writes, absents;

struct client {
    int fd;
    uint64_t rng;
    pthread_t thread;
    size_t have;
    char in[4096];
};

static __attribute__((noreturn, format(printf, 2, 3))) void die(int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    _exit(code);
}

static uint64_t rnd(struct client *c)
{
    c->rng ^= c->rng << 13;
    c->rng ^= c->rng >> 7;
    c->rng ^= c->rng << 17;
    return c->rng;
}

static bool is_delete(uint64_t version)
{
    return version == 0 || version % DEL_EVERY == 0;
}

/* "<version>:xxxx": the length jumps about, so that replies of every size follow one another. */
static size_t make_value(int k, uint64_t version, char *out)
{
    size_t len = (size_t)sprintf(out, "%llu:", (unsigned long long)version);
    size_t fill = (version * 2654435761u + (uint64_t)k * 40503u) % (version % 3 ? 64 : VALUE_MAX - 32);

    memset(out + len, 'a' + (int)(version % 26), fill);
    return len + fill;
}

static void client_open(struct client *c)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
    struct timeval limit = {.tv_sec = 10};
    int one = 1;

    if (getaddrinfo(host, port, &hints, &ai))
        die(2, "%s: no such host", host);
    c->fd = socket(ai->ai_family, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, ai->ai_addr, ai->ai_addrlen))
        die(2, "connect: %s", strerror(errno));
    freeaddrinfo(ai);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void send_all(struct client *c, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

        if (n < 0)
            die(2, "send: %s", strerror(errno));
        data += n;
        len -= (size_t)n;
    }
}

static void fill(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);

    if (n <= 0)
        die(2, "recv: %s", n ? strerror(errno) : "the server closed the connection");
    c->have += (size_t)n;
}

static void consume(struct client *c, size_t n)
{
    memmove(c->in, c->in + n, c->have - n);
    c->have -= n;
}

/* Length of the first line, CR LF included. */
static size_t line(struct client *c)
{
    char *end;

    while (!(end = memmem(c->in, c->have, "\r\n", 2)))
        fill(c);
    return (size_t)(end + 2 - c->in);
}

/* GET, and check that the value is whole. Returns its version, or ABSENT. */
static uint64_t get(struct client *c, int k)
{
    char request[64], expect[VALUE_MAX + 32];
    int n = snprintf(request, sizeof(request), "*2\r\n$3\r\nGET\r\n$8\r\nkey%05d\r\n", k);
    size_t head, len;
    uint64_t version;

    send_all(c, request, (size_t)n);
    head = line(c);
    atomic_fetch_add_explicit(&reads, 1, memory_order_relaxed);
    if (head == 5 && memcmp(c->in, "$-1", 3) == 0) {
        consume(c, head);
        return ABSENT;
    }
    if (c->in[0] != '$')
        die(1, "WRONG key%05d: reply %.*s", k, (int)head - 2, c->in);
    len = strtoul(c->in + 1, NULL, 10);
    if (head + len + 2 > sizeof(c->in))
        die(1, "WRONG key%05d: a value of %zu bytes", k, len);
    while (c->have < head + len + 2)
        fill(c);
    version = strtoull(c->in + head, NULL, 10);
    if (len != make_value(k, version, expect) || memcmp(c->in + head, expect, len) != 0)
        die(1, "WRONG key%05d: torn value of version %llu: %.*s", k, (unsigned long long)version, (int)len,
            c->in + head);
    consume(c, head + len + 2);
    return version;
}

static void put(struct client *c, int k, uint64_t version)
{
    char request[VALUE_MAX + 128], value[VALUE_MAX + 32];
    const char *ok = is_delete(version) ? ":1\r\n" : "+OK\r\n";
    size_t len = 0, n, head;

    if (is_delete(version)) {
        n = (size_t)sprintf(request, "*2\r\n$3\r\nDEL\r\n$8\r\nkey%05d\r\n", k);
    } else {
        len = make_value(k, version, value);
        n = (size_t)sprintf(request, "*3\r\n$3\r\nSET\r\n$8\r\nkey%05d\r\n$%zu\r\n", k, len);
        memcpy(request + n, value, len);
        memcpy(request + n + len, "\r\n", 2);
        n += len + 2;
    }
    send_all(c, request, n);
    head = line(c);
    if (head != strlen(ok) || memcmp(c->in, ok, head) != 0)
        die(1, "WRONG key%05d: reply %.*s to version %llu", k, (int)head - 2, c->in, (unsigned long long)version);
    consume(c, head);
    atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed);
}

static void confirm(struct key *key, uint64_t version)
{
    uint64_t old = atomic_load(&key->confirmed);

    while (old < version && !atomic_compare_exchange_weak(&key->confirmed, &old, version))
        ;
}

static void expect_version(struct client *c, int k, uint64_t version)
{
    uint64_t got = get(c, k);

    if (got != (is_delete(version) ? ABSENT : version))
        die(1, "WRONG key%05d: version %lld where %llu was acknowledged last", k, (long long)got,
            (unsigned long long)version);
}

static void write_key(struct client *c, int k)
{
    struct key *key = &keys[k];
    uint64_t version;

    pthread_mutex_lock(&key->lock);
    version = atomic_load(&key->issued);
    expect_version(c, k, version);
    version++;
    atomic_store(&key->issued, version);
    put(c, k, version);
    confirm(key, version);
    expect_version(c, k, version);
    pthread_mutex_unlock(&key->lock);
}

static void read_key(struct client *c, int k)
{
    struct key *key = &keys[k];
    uint64_t oldest = atomic_load(&key->confirmed), got = get(c, k), newest = atomic_load(&key->issued);

    if (got == ABSENT) {
        uint64_t last_delete = newest - newest % DEL_EVERY;

        atomic_fetch_add_explicit(&absents, 1, memory_order_relaxed);
        if (last_delete < oldest)
            die(1, "WRONG key%05d: absent, with versions %llu to %llu possible", k, (unsigned long long)oldest,
                (unsigned long long)newest);
        /* Of several deletes that may have been seen the oldest one is certain. */
        confirm(key, (oldest + DEL_EVERY - 1) / DEL_EVERY * DEL_EVERY);
        return;
    }
    if (got < oldest || got > newest)
        die(1, "WRONG key%05d: version %llu, with %llu to %llu possible", k, (unsigned long long)got,
            (unsigned long long)oldest, (unsigned long long)newest);
    confirm(key, got);
}

static void *client_run(void *arg)
{
    struct client *c = arg;

    while (!stop) {
        int k = (int)(rnd(c) % (uint64_t)nkeys);

        /* Reads by far outnumber writes, in bursts that let a connection become quiescent. */
        if (rnd(c) % 16 == 0)
            write_key(c, k);
        for (uint64_t n = rnd(c) % 16; n; n--)
            read_key(c, k);
    }
    close(c->fd);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct client clients[THREADS_MAX];
    int nthreads;

    if (argc != 6) {
        fprintf(stderr, "usage: coherence HOST PORT SECONDS THREADS KEYS\n");
        return 2;
    }
    host = argv[1];
    port = argv[2];
    nthreads = atoi(argv[4]);
    nkeys = atoi(argv[5]);
    if (nthreads < 1 || nthreads > THREADS_MAX || nkeys < 1 || nkeys > KEYS_MAX)
        die(2, "1 to %d threads, 1 to %d keys", THREADS_MAX, KEYS_MAX);
    for (int k = 0; k < nkeys; k++)
        pthread_mutex_init(&keys[k].lock, NULL);
    for (int i = 0; i < nthreads; i++) {
        clients[i].rng = 88172645463325252ull * (uint64_t)(i + 1);
        client_open(&clients[i]);
    }
    for (int i = 0; i < nthreads; i++)
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]))
            die(2, "pthread_create failed");
    sleep((unsigned int)atoi(argv[3]));
    stop = true;
    for (int i = 0; i < nthreads; i++)
        pthread_join(clients[i].thread, NULL);
    printf("%llu reads (%llu absent), %llu writes, 0 wrong\n", (unsigned long long)reads, (unsigned long long)absents,
           (unsigned long long)writes);
    return 0;
}
