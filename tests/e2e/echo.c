/* A TCP service that is not a cache: sends back what it gets, a process per connection.
 *
 *   echo PORT      listens on every address, IPv4 and IPv6
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo(int fd)
{
    static char buf[1 << 16];
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n <= 0)
            return;
        for (ssize_t sent = 0, k; sent < n; sent += k) {
            k = send(fd, buf + sent, (size_t)(n - sent), MSG_NOSIGNAL);
            if (k < 0)
                return;
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int one = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);

    any.sin6_port = htons((unsigned short)(argc == 2 ? atoi(argv[1]) : 0));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!any.sin6_port || bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 128)) {
        perror("echo PORT");
        return 2;
    }
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int peer = accept(fd, NULL, NULL);

        if (peer >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(fd);
            echo(peer);
            return 0;
        }
        close(peer);
    }
}
