/* One or more connections, each sending one GET and waiting for its reply: the round trip as a plain blocking client
 * sees it, with as little of the client in it as possible. (Against an echo server it works too.)
 *
 * usage: pingpong HOST PORT KEY SECONDS [CONNECTIONS]
 * Prints one line of JSON: requests per second over all connections, and latency percentiles in microseconds.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 100000 /* of 0.1 microseconds: up to 10 ms */

struct run {
    const char *host, *port;
    char request[512];
    size_t request_len;
    char reply[4096];
    size_t reply_len;
    double seconds;
    uint64_t done;
    uint32_t *histogram;
    int failed;
};

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
    int fd, one = 1;

    if (getaddrinfo(host, port, &hints, &ai))
        return -1;
    fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(ai);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* One request and its reply. The first reply says how long they are; all must be like it. 0 or -1. */
static int exchange(int fd, struct run *r)
{
    char buf[sizeof(r->reply)];
    size_t have = 0;

    if (send(fd, r->request, r->request_len, 0) != (ssize_t)r->request_len)
        return -1;
    do {
        ssize_t n = recv(fd, buf + have, sizeof(buf) - have, 0);

        if (n <= 0)
            return -1;
        have += (size_t)n;
    } while (have < r->reply_len);
    if (!r->reply_len) {
        memcpy(r->reply, buf, have);
        r->reply_len = have;
    }
    return have == r->reply_len && !memcmp(buf, r->reply, have) ? 0 : -1;
}

static void *drive(void *arg)
{
    struct run *r = arg;
    int fd = dial(r->host, r->port);
    int64_t end, before, after;

    if (fd < 0) {
        r->failed = 1;
        return NULL;
    }
    for (int i = 0; i < 200 && !r->failed; i++) { /* let the key become hot */
        r->failed = exchange(fd, r) != 0;
        usleep(i < 20 ? 1000 : 0);
    }
    end = now_ns() + (int64_t)(r->seconds * 1e9);
    for (before = now_ns(); !r->failed && before < end; before = after) {
        int64_t ticks;

        r->failed = exchange(fd, r) != 0;
        after = now_ns();
        ticks = (after - before) / 100;
        r->histogram[ticks < BUCKETS ? ticks : BUCKETS - 1]++;
        r->done++;
    }
    close(fd);
    return NULL;
}

static double percentile(const uint64_t *histogram, uint64_t total, double p)
{
    uint64_t seen = 0;

    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if ((double)seen >= (double)total * p)
            return i / 10.0;
    }
    return BUCKETS / 10.0;
}

int main(int argc, char **argv)
{
    static uint64_t histogram[BUCKETS];
    int n = argc > 5 ? atoi(argv[5]) : 1, failed = 0;
    struct run *runs = calloc((size_t)(n > 0 ? n : 1), sizeof(*runs));
    pthread_t *threads = calloc((size_t)(n > 0 ? n : 1), sizeof(*threads));
    uint64_t total = 0;

    if (argc < 5 || n < 1 || !runs || !threads || strlen(argv[3]) > 400) {
        fprintf(stderr, "usage: %s HOST PORT KEY SECONDS [CONNECTIONS]\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        struct run *r = &runs[i];

        r->host = argv[1];
        r->port = argv[2];
        r->seconds = atof(argv[4]);
        r->request_len = (size_t)snprintf(r->request, sizeof(r->request), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n",
                                          strlen(argv[3]), argv[3]);
        r->histogram = calloc(BUCKETS, sizeof(*r->histogram));
        if (!r->histogram || pthread_create(&threads[i], NULL, drive, r))
            return 1;
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        failed |= runs[i].failed;
        total += runs[i].done;
        for (int b = 0; b < BUCKETS; b++)
            histogram[b] += runs[i].histogram[b];
    }
    if (failed) {
        fprintf(stderr, "%s: a connection failed: %s\n", argv[0], strerror(errno));
        return 1;
    }
    printf("{\"connections\": %d, \"rps\": %.0f, \"p50_us\": %.1f, \"p95_us\": %.1f, \"p99_us\": %.1f}\n", n,
           (double)total / runs[0].seconds, percentile(histogram, total, 0.5), percentile(histogram, total, 0.95),
           percentile(histogram, total, 0.99));
    return 0;
}
