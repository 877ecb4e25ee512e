/* Listening sockets: which addresses, and that a port in use is noticed although SO_REUSEPORT would share it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/listen.h"

static struct wc_config cfg;
static struct wc_listen_plan plan;
static char err[256];

/* A port of 127.0.0.1. *held: the socket listening on it; NULL: nobody does any more. */
static int some_port(int *held, int reuseport)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuseport, sizeof(reuseport));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuseport, sizeof(reuseport));
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    if (held)
        *held = fd;
    else
        close(fd);
    return ntohs(sa.sin_port);
}

static int setup(void **state)
{
    (void)state;
    wc_config_defaults(&cfg);
    cfg.port = some_port(NULL, 0);
    strcpy(cfg.bind, "127.0.0.1");
    err[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wc_listen_release(&plan);
    return 0;
}

static void expect_in_use(const char *addr)
{
    char expected[256];

    snprintf(expected, sizeof(expected),
             "Could not create server TCP listening socket %s:%d: bind: Address already in use", addr, cfg.port);
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), -EADDRINUSE);
    assert_string_equal(err, expected);
    assert_int_equal(plan.lock_fd, -1);
}

static void gives_each_worker_a_socket(void **state)
{
    (void)state;
    int value;
    socklen_t len = sizeof(value);

    cfg.tcp_keepalive = 90;
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), 0);
    assert_int_equal(plan.naddrs, 1);
    int a = wc_listen_tcp(&plan, 0, err, sizeof(err)), b = wc_listen_tcp(&plan, 0, err, sizeof(err));
    assert_true(a >= 0 && b >= 0);

    /* Accepted sockets inherit the options. */
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)cfg.port)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
    int server = accept(a, NULL, NULL);
    if (server < 0)
        server = accept(b, NULL, NULL);
    assert_true(server >= 0);
    getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &value, &len);
    assert_int_equal(value, 1);
    getsockopt(server, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len);
    assert_int_equal(value, 90);
    close(client);
    close(server);
    close(a);
    close(b);
}

static void notices_a_port_in_use(void **state)
{
    (void)state;
    int other;

    cfg.port = some_port(&other, 0);
    expect_in_use("127.0.0.1");
    strcpy(cfg.bind, "* -::*");
    expect_in_use("*");
    strcpy(cfg.bind, "-127.0.0.1"); /* optional is about the host having the address */
    expect_in_use("127.0.0.1");
    close(other);
}

static void notices_a_port_that_would_be_shared(void **state)
{
    (void)state;
    int other;

    cfg.port = some_port(&other, 1);
    expect_in_use("127.0.0.1");
    close(other);
}

static void notices_another_wirecache_that_does_not_listen_yet(void **state)
{
    (void)state;
    struct wc_listen_plan other;

    assert_int_equal(wc_listen_prepare(&other, &cfg, err, sizeof(err)), 0);
    strcpy(cfg.bind, "127.0.0.2"); /* one server per port, whatever the address */
    expect_in_use("127.0.0.2");
    wc_listen_release(&other);
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), 0);
}

static void leaves_out_optional_addresses_the_host_lacks(void **state)
{
    (void)state;
    strcpy(cfg.bind, "127.0.0.1 -192.0.2.77 -2001:db8::77");
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), 0);
    assert_int_equal(plan.naddrs, 1);
    wc_listen_release(&plan);

    strcpy(cfg.bind, "127.0.0.1 192.0.2.77");
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), -EADDRNOTAVAIL);
    assert_non_null(strstr(err, "192.0.2.77"));
}

static void understands_the_wildcards(void **state)
{
    (void)state;
    strcpy(cfg.bind, "* -::*");
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), 0);
    assert_in_range(plan.naddrs, 1, 2); /* the host may have no IPv6 */
    assert_int_equal(plan.addrs[0].sa.ss_family, AF_INET);
    for (int i = 0; i < plan.naddrs; i++) {
        int fd = wc_listen_tcp(&plan, i, err, sizeof(err));
        assert_true(fd >= 0);
        close(fd);
    }
}

static void listens_nowhere_with_port_0(void **state)
{
    (void)state;
    cfg.port = 0;
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), 0);
    assert_int_equal(plan.naddrs, 0);
    assert_int_equal(plan.lock_fd, -1);
}

static void replaces_a_dead_unix_socket_but_not_a_living_one(void **state)
{
    (void)state;
    struct wc_listen_plan other;
    struct stat st;

    snprintf(cfg.unixsocket, sizeof(cfg.unixsocket), "/tmp/wc_test_listen_%d.sock", (int)getpid());
    cfg.port = 0;
    assert_int_equal(wc_listen_prepare(&other, &cfg, err, sizeof(err)), 0);
    assert_int_equal(wc_listen_prepare(&plan, &cfg, err, sizeof(err)), 0);
    assert_int_equal(wc_listen_unix(&other, err, sizeof(err)), 0);
    assert_int_equal(wc_listen_unix(&plan, err, sizeof(err)), -EADDRINUSE);
    assert_string_equal(err, "Failed opening Unix socket: bind: Address already in use");
    assert_int_equal(stat(cfg.unixsocket, &st), 0);

    close(other.unix_fd); /* as a crash would: the file stays */
    assert_int_equal(wc_listen_unix(&plan, err, sizeof(err)), 0);
    wc_listen_release(&plan);
    assert_int_equal(stat(cfg.unixsocket, &st), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_each_worker_a_socket),
        TEST(notices_a_port_in_use),
        TEST(notices_a_port_that_would_be_shared),
        TEST(notices_another_wirecache_that_does_not_listen_yet),
        TEST(leaves_out_optional_addresses_the_host_lacks),
        TEST(understands_the_wildcards),
        TEST(listens_nowhere_with_port_0),
        TEST(replaces_a_dead_unix_socket_but_not_a_living_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
