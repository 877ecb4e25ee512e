/* GETs of one key over one connection, each sent when the reply to the one before has arrived, with blocking calls and
 * nothing else: the rate is that of the server and the two network stacks. (redis-benchmark adds some 5 us of its own
 * to every request, as much as an in-kernel answer takes.)
 *
 *   roundtrip HOST PORT KEY REQUESTS      prints requests per second; exit 1 at a reply unlike the first
 */
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int open_connection(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
    struct timeval limit = {.tv_sec = 10};
    int fd, one = 1;

    if (getaddrinfo(host, port, &hints, &ai))
        return -1;
    fd = socket(ai->ai_family, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen))
        fd = -1;
    freeaddrinfo(ai);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

int main(int argc, char **argv)
{
    char request[256], first[2048], reply[2048];
    struct timespec from, to;
    ssize_t len, expect;
    int fd, n;

    if (argc != 5 || (fd = open_connection(argv[1], argv[2])) < 0) {
        fprintf(stderr, "usage: roundtrip HOST PORT KEY REQUESTS, and a server there\n");
        return 2;
    }
    n = snprintf(request, sizeof(request), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(argv[3]), argv[3]);
    if (n >= (int)sizeof(request) || send(fd, request, (size_t)n, 0) != n)
        return 2;
    expect = recv(fd, first, sizeof(first), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = atoi(argv[4]); i; i--) {
        if (send(fd, request, (size_t)n, 0) != n)
            return 2;
        len = recv(fd, reply, sizeof(reply), 0); /* short replies arrive whole */
        if (len != expect || memcmp(reply, first, (size_t)len) != 0) {
            printf("a reply of %zd bytes is not the first one again\n", len);
            return 1;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.0f\n", atoi(argv[4]) / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9));
    return 0;
}
