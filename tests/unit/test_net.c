/* Connections over socket pairs, with the loop turned by hand: what is executed, counted, sent, and when it ends.
 *
 * The kernel half is replaced by a recorder. What it relies on is checked here: totals of executed request bytes and of
 * replies, reported before the peer can have those replies.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fastpath/fastpath.h"
#include "log.h"
#include "net/conn.h"
#include "net/worker.h"
#include "server.h"

#define MB (1024 * 1024)

/* ---- the recorder; an object of its own for every call of fastpath.h, or the real one would be linked ---- */

struct record {
    uint32_t consumed, produced;
    bool eligible, resp3;
    int reports;
    int peer;              /* the client's end */
    uint32_t read_by_peer; /* what the test has taken from it */
};

static struct {
    int open, closed;
    int early; /* reports that came after their replies */
    int next_peer;
    int64_t idle_ms; /* since the kernel answered somebody */
    struct record conns[256];
} kernel;

/* Of the client that was opened last. */
static struct record *last(void)
{
    return &kernel.conns[kernel.open - 1];
}

struct wc_fastpath *wc_fastpath_new(const struct wc_config *cfg, struct wc_store *store)
{
    (void)cfg, (void)store;
    return NULL;
}

void wc_fastpath_free(struct wc_fastpath *fp)
{
    (void)fp;
}

int wc_fastpath_set_mode(struct wc_fastpath *fp, enum wc_fastpath_mode mode, char *err, size_t errlen)
{
    (void)fp, (void)mode, (void)err, (void)errlen;
    return 0;
}

int wc_fastpath_conn_open(struct wc_fastpath *fp, int fd)
{
    (void)fp, (void)fd;
    assert_true(kernel.open < 256);
    kernel.conns[kernel.open].peer = kernel.next_peer;
    return kernel.open++;
}

void wc_fastpath_conn_progress(struct wc_fastpath *fp, int conn, uint32_t consumed, uint32_t produced, bool eligible,
                               bool resp3)
{
    struct record *r = &kernel.conns[conn];
    int waiting = 0;

    (void)fp;
    assert_true(conn >= 0 && conn < kernel.open);
    assert_true(consumed >= r->consumed && produced >= r->produced);
    ioctl(r->peer, FIONREAD, &waiting);
    if (r->read_by_peer + (uint32_t)waiting > r->produced)
        kernel.early++;
    r->consumed = consumed;
    r->produced = produced;
    r->eligible = eligible;
    r->resp3 = resp3;
    r->reports++;
}

int64_t wc_fastpath_conn_idle_ms(struct wc_fastpath *fp, int conn)
{
    (void)fp, (void)conn;
    return kernel.idle_ms;
}

void wc_fastpath_conn_close(struct wc_fastpath *fp, int conn)
{
    (void)fp, (void)conn;
    kernel.closed++;
}

void wc_fastpath_saw_get(struct wc_fastpath *fp, const struct wc_key *key, bool hit, uint32_t value_len)
{
    (void)fp, (void)key, (void)hit, (void)value_len;
}

void wc_fastpath_totals(struct wc_fastpath *fp, struct wc_fastpath_totals *out)
{
    (void)fp;
    memset(out, 0, sizeof(*out));
}

void wc_fastpath_info(struct wc_fastpath *fp, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    (void)fp, (void)fn, (void)arg;
}

/* ---- a server of one worker without a thread, and one client ---- */

static struct wc_server server;

static int setup(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    memset(&kernel, 0, sizeof(kernel));
    kernel.idle_ms = INT64_MAX;
    wc_config_defaults(&server.config);
    wc_log_set_level(WC_LOG_NOTHING);
    pthread_mutex_init(&server.config_lock, NULL);
    pthread_mutex_init(&server.clients_lock, NULL);
    atomic_store(&server.next_client_id, 1);
    server.nworkers = 1;
    server.wake_fd = -1;
    server.store = wc_store_new(64, server.config.databases);
    assert_non_null(server.store);
    assert_int_equal(wc_workers_new(&server), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wc_workers_stop(&server);
    wc_workers_free(&server);
    wc_store_free(server.store);
    /* Each connection that was opened was closed, and nobody is counted any more. */
    assert_int_equal(kernel.open, kernel.closed);
    assert_int_equal(kernel.early, 0);
    assert_int_equal(atomic_load(&server.connected_clients), 0);
    return 0;
}

/* One turn of the loop, without blocking. */
static void turn(void)
{
    struct wc_worker *w = server.workers;

    wc_loop_wake(w->loop);
    wc_loop_wait(w->loop);
    wc_loop_dispatch(w->loop);
    w->loop->woken = false;
}

static int connect_with(const char *refusal)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    kernel.next_peer = pair[1];
    wc_netconn_open(server.workers, pair[0], true, "1.2.3.4:5", "127.0.0.1:6379", refusal);
    return pair[1];
}

/* The test closes its end. */
static void hang_up(int fd)
{
    for (int i = 0; i < kernel.open; i++)
        if (kernel.conns[i].peer == fd)
            kernel.conns[i].peer = -1;
    close(fd);
}

static int connect_client(void)
{
    return connect_with(NULL);
}

static void give(int fd, const char *data, size_t n)
{
    assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), n);
    turn();
}

#define GIVE(fd, literal) give(fd, literal, sizeof(literal) - 1)

/* What has arrived: bytes, 0 for the end, or -EAGAIN. */
static ssize_t take(int fd, char *buf, size_t cap)
{
    ssize_t n = recv(fd, buf, cap, 0);

    for (int i = 0; n > 0 && i < kernel.open; i++)
        if (kernel.conns[i].peer == fd)
            kernel.conns[i].read_by_peer += (uint32_t)n;
    return n < 0 ? -errno : n;
}

static void expect(int fd, const char *expected)
{
    char buf[4096] = "";
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(buf) - 1 && (n = take(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
        len += (size_t)n;
    assert_string_equal(buf, expected);
}

static void expect_end(int fd)
{
    char c;
    assert_int_equal(take(fd, &c, 1), 0);
}

/* Nothing has come, and the connection is open. */
static void expect_silence(int fd)
{
    char c;
    assert_int_equal(take(fd, &c, 1), -EAGAIN);
}

#define PING       "*1\r\n$4\r\nPING\r\n"
#define SET_A      "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n"
#define GET_A      "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
#define GET_A_REST 10 /* bytes of GET_A still to come in the tests of half requests */

/* ---- tests ---- */

static void answers_a_pipeline_with_one_report(void **state)
{
    (void)state;
    int fd = connect_client();

    assert_int_equal(last()->reports, 1); /* 0, 0 right after accept */
    assert_int_equal(last()->consumed, 0);
    assert_true(last()->eligible);
    GIVE(fd, SET_A GET_A PING);
    assert_int_equal(last()->reports, 2);
    assert_int_equal(last()->consumed, sizeof(SET_A GET_A PING) - 1);
    assert_int_equal(last()->produced, 5 + 11 + 7);
    expect(fd, "+OK\r\n$5\r\nhello\r\n+PONG\r\n");
    hang_up(fd);
    turn();
    assert_int_equal(kernel.closed, 1);
}

static void counts_a_half_request_when_it_is_executed(void **state)
{
    (void)state;
    int fd = connect_client();
    const char in[] = SET_A GET_A;
    const size_t half = sizeof(in) - 1 - GET_A_REST;

    give(fd, in, half);
    assert_int_equal(last()->consumed, sizeof(SET_A) - 1);
    expect(fd, "+OK\r\n");
    give(fd, in + half, 1);
    assert_int_equal(last()->consumed, sizeof(SET_A) - 1);
    expect_silence(fd);
    give(fd, in + half + 1, GET_A_REST - 1);
    assert_int_equal(last()->consumed, sizeof(in) - 1);
    assert_int_equal(last()->produced, 5 + 11);
    expect(fd, "$5\r\nhello\r\n");
    hang_up(fd);
}

static void answers_alike_wherever_the_input_is_cut(void **state)
{
    (void)state;
    const char in[] = SET_A "PING\r\n" GET_A "\r\n*0\r\n" GET_A;
    const size_t len = sizeof(in) - 1;

    for (size_t cut = 1; cut < len; cut++) {
        int fd = connect_client();
        give(fd, in, cut);
        give(fd, in + cut, len - cut);
        expect(fd, "+OK\r\n+PONG\r\n$5\r\nhello\r\n$5\r\nhello\r\n");
        assert_int_equal(last()->consumed, len);
        assert_int_equal(last()->produced, 5 + 7 + 11 + 11);
        hang_up(fd);
        turn();
    }
}

static void sends_a_protocol_error_and_ends(void **state)
{
    (void)state;
    int fd = connect_client();

    GIVE(fd, PING "*1\r\n:4\r\n" PING);
    assert_int_equal(last()->consumed, sizeof(PING) - 1);
    assert_int_equal(last()->produced, 7 + 44);
    assert_false(last()->eligible);
    assert_int_equal(atomic_load(&server.connected_clients), 0);
    expect(fd, "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    expect_end(fd);
    GIVE(fd, PING); /* thrown away */
    assert_int_equal(kernel.closed, 0);
    hang_up(fd);
    turn();
    assert_int_equal(kernel.closed, 1);
    assert_int_equal(atomic_load(&server.workers->stats.protocol_errors), 1);
}

static void executes_nothing_after_quit(void **state)
{
    (void)state;
    int fd = connect_client();

    GIVE(fd, "QUIT\r\n" SET_A);
    expect(fd, "+OK\r\n");
    expect_end(fd);
    assert_int_equal(last()->consumed, 6);
    assert_false(last()->eligible);
    hang_up(fd);
    fd = connect_client();
    GIVE(fd, GET_A);
    expect(fd, "$-1\r\n");
    hang_up(fd);
}

static void does_not_wait_for_ever_for_the_peer_to_end(void **state)
{
    (void)state;
    int fd = connect_client();

    GIVE(fd, "QUIT\r\n");
    assert_true(atomic_load(&server.workers->wants_tick));
    wc_netconns_check(server.workers);
    assert_int_equal(kernel.closed, 0);
    server.workers->now_ms += 10000;
    wc_netconns_check(server.workers);
    assert_int_equal(kernel.closed, 1);
    assert_int_equal(server.workers->nclosing, 0);
    hang_up(fd);
}

static void does_not_listen_for_ever_after_the_end(void **state)
{
    (void)state;
    int fd = connect_client();
    char junk[16 * 1024] = {0};

    GIVE(fd, "QUIT\r\n");
    for (int i = 0; i < 100 && kernel.closed == 0; i++)
        if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0)
            turn();
    assert_int_equal(kernel.closed, 1);
    hang_up(fd);
}

static void turns_a_client_away_with_a_counted_reply(void **state)
{
    (void)state;
    int fd = connect_with("-ERR max number of clients reached\r\n");

    assert_int_equal(last()->produced, 36);
    assert_false(last()->eligible);
    assert_int_equal(atomic_load(&server.connected_clients), 0);
    GIVE(fd, SET_A);
    assert_int_equal(last()->consumed, 0);
    expect(fd, "-ERR max number of clients reached\r\n");
    expect_end(fd);
    hang_up(fd);
}

static void closes_at_the_end_of_input_after_replies(void **state)
{
    (void)state;
    int fd = connect_client();

    send(fd, PING GET_A, sizeof(PING GET_A) - 1 - GET_A_REST, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    turn();
    turn();
    expect(fd, "+PONG\r\n");
    expect_end(fd);
    assert_int_equal(kernel.closed, 1);
    hang_up(fd);
}

/* SET v to n bytes of 'v' in pieces. */
static void set_large(int fd, size_t n)
{
    char head[64], piece[32 * 1024];
    int len = snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%zu\r\n", n);

    give(fd, head, (size_t)len);
    memset(piece, 'v', sizeof(piece));
    while (n > 0) {
        size_t part = n < sizeof(piece) ? n : sizeof(piece);
        give(fd, piece, part);
        n -= part;
    }
    GIVE(fd, "\r\n");
    expect(fd, "+OK\r\n");
}

/* Read and check replies of n bytes of 'v', turning the loop. */
static void expect_large(int fd, size_t n, int replies)
{
    static char buf[256 * 1024];
    char head[32];
    size_t head_len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", n), one = head_len + n + 2;
    size_t total = one * (size_t)replies, seen = 0;

    while (seen < total) {
        ssize_t got = take(fd, buf, sizeof(buf) < total - seen ? sizeof(buf) : total - seen);
        if (got == -EAGAIN) {
            turn();
            continue;
        }
        assert_true(got > 0);
        for (ssize_t i = 0; i < got; i++, seen++) {
            size_t at = seen % one;
            char want = at < head_len ? head[at] : at < head_len + n ? 'v' : at == head_len + n ? '\r' : '\n';
            if (buf[i] != want)
                fail_msg("byte %zu is %02x", seen, (unsigned char)buf[i]);
        }
    }
}

static void takes_large_values_and_gives_the_memory_back(void **state)
{
    (void)state;
    int fd = connect_client();

    set_large(fd, 5 * MB);
    assert_null(server.workers->conns->in.data);
    GIVE(fd, "*2\r\n$3\r\nGET\r\n$1\r\nv\r\n");
    expect_large(fd, 5 * MB, 1);
    turn();
    assert_null(server.workers->conns->out.buf);
    assert_null(server.workers->conns->sending.data);
    for (int i = 0; i < server.workers->pool.count; i++)
        assert_true(server.workers->pool.free[i].cap <= WC_BUF_KEEP);
    hang_up(fd);
}

#define GET_V "*2\r\n$3\r\nGET\r\n$1\r\nv\r\n"

static void a_slow_reader_waits_alone(void **state)
{
    (void)state;
    int fd = connect_client(), other;
    struct wc_netconn *c = server.workers->conns;
    const size_t value = 300 * 1000;

    set_large(fd, value);
    for (int i = 0; i < 50; i++)
        give(fd, GET_V GET_V GET_V GET_V, 4 * (sizeof(GET_V) - 1));
    assert_true(c->paused);
    size_t pending = c->sending.len - c->sending.sent + c->out.len;
    assert_true(pending > MB / 2 && pending < MB + 2 * value);
    uint32_t executed = last()->consumed;
    turn();
    turn();
    assert_int_equal(last()->consumed, executed);

    other = connect_client();
    GIVE(other, PING);
    expect(other, "+PONG\r\n");
    hang_up(other);
    turn();

    expect_large(fd, value, 200);
    expect_silence(fd);
    GIVE(fd, PING);
    expect(fd, "+PONG\r\n");
    assert_false(c->paused);
    hang_up(fd);
}

/* Everything that was requested before the end is answered, however slowly it is read. */
static void a_slow_reader_gets_all_after_its_end(void **state)
{
    (void)state;
    int fd = connect_client();
    const size_t value = 700 * 1000;

    set_large(fd, value);
    give(fd, GET_V GET_V GET_V GET_V GET_V, 5 * (sizeof(GET_V) - 1));
    shutdown(fd, SHUT_WR);
    turn();
    expect_large(fd, value, 5);
    turn();
    turn();
    expect_end(fd);
    assert_int_equal(kernel.closed, 1);
    hang_up(fd);
}

static void quit_flushes_what_is_pending(void **state)
{
    (void)state;
    int fd = connect_client();
    const size_t value = 700 * 1000;

    set_large(fd, value);
    GIVE(fd, GET_V "QUIT\r\n");
    assert_int_equal(kernel.closed, 0);
    expect_large(fd, value, 1);
    turn();
    expect(fd, "+OK\r\n");
    expect_end(fd);
    hang_up(fd);
}

static void a_vanished_reader_is_closed(void **state)
{
    (void)state;
    int fd = connect_client();

    set_large(fd, 2 * MB);
    give(fd, GET_V GET_V, 2 * (sizeof(GET_V) - 1));
    assert_int_equal(kernel.closed, 0);
    hang_up(fd);
    turn();
    turn();
    assert_int_equal(kernel.closed, 1);
}

static void closes_a_client_that_sends_too_much(void **state)
{
    (void)state;
    int fd = connect_client();
    char piece[64 * 1024] = "*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$4000000\r\n";
    int sent = 0;

    server.config.client_query_buffer_limit = MB;
    while (kernel.closed == 0 && sent < 4 * MB) {
        ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);
        sent += n > 0 ? (int)n : 0;
        turn();
    }
    assert_int_equal(kernel.closed, 1);
    assert_true(sent >= MB && sent <= MB + 4 * (int)sizeof(piece));
    expect_end(fd);
    hang_up(fd);
}

static void refuses_a_bulk_over_the_limit(void **state)
{
    (void)state;
    int fd = connect_client();

    server.config.proto_max_bulk_len = MB;
    GIVE(fd, "*2\r\n$4\r\nECHO\r\n$1048577\r\n");
    expect(fd, "-ERR Protocol error: invalid bulk length\r\n");
    expect_end(fd);
    hang_up(fd);
}

static void limits_clients_without_a_password(void **state)
{
    (void)state;
    strcpy(server.config.requirepass, "secret");
    int fd = connect_client();

    assert_false(last()->eligible);
    GIVE(fd, "*11\r\n");
    expect(fd, "-ERR Protocol error: unauthenticated multibulk length\r\n");
    hang_up(fd);
}

static void closes_idle_and_killed_clients(void **state)
{
    (void)state;
    int idle = connect_client(), busy = connect_client();
    struct wc_netconn *c = server.workers->conns;

    server.config.timeout = 10;
    server.workers->now_ms += 10500;
    GIVE(busy, PING);
    kernel.idle_ms = 9000; /* whom the kernel serves is not idle */
    wc_netconns_check(server.workers);
    assert_int_equal(kernel.closed, 0);
    kernel.idle_ms = 11000;
    wc_netconns_check(server.workers);
    assert_int_equal(kernel.closed, 1);
    expect_end(idle);
    expect(busy, "+PONG\r\n");
    assert_false(wc_server_kill_client(&server, 12345));
    assert_true(wc_server_kill_client(&server, c->client.id));
    wc_netconns_check(server.workers);
    assert_int_equal(kernel.closed, 2);
    expect_end(busy);
    hang_up(idle);
    hang_up(busy);
}

static void reads_no_more_than_its_share_per_turn(void **state)
{
    (void)state;
    int greedy = connect_client(), modest = connect_client();
    static char many[150 * 1024];
    const int size = MB;

    setsockopt(greedy, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    for (size_t i = 0; i + 2 <= sizeof(many); i += 2)
        memcpy(many + i, "\r\n", 2);
    assert_int_equal(send(greedy, many, sizeof(many), MSG_NOSIGNAL), sizeof(many));
    GIVE(modest, PING);
    assert_int_equal(atomic_load(&server.workers->stats.net_input_bytes), 64 * 1024 + sizeof(PING) - 1);
    expect(modest, "+PONG\r\n");
    turn();
    turn();
    assert_int_equal(atomic_load(&server.workers->stats.net_input_bytes), sizeof(many) + sizeof(PING) - 1);
    hang_up(greedy);
    hang_up(modest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_a_pipeline_with_one_report),
        TEST(counts_a_half_request_when_it_is_executed),
        TEST(answers_alike_wherever_the_input_is_cut),
        TEST(sends_a_protocol_error_and_ends),
        TEST(executes_nothing_after_quit),
        TEST(does_not_wait_for_ever_for_the_peer_to_end),
        TEST(does_not_listen_for_ever_after_the_end),
        TEST(turns_a_client_away_with_a_counted_reply),
        TEST(closes_at_the_end_of_input_after_replies),
        TEST(takes_large_values_and_gives_the_memory_back),
        TEST(a_slow_reader_waits_alone),
        TEST(a_slow_reader_gets_all_after_its_end),
        TEST(quit_flushes_what_is_pending),
        TEST(a_vanished_reader_is_closed),
        TEST(closes_a_client_that_sends_too_much),
        TEST(refuses_a_bulk_over_the_limit),
        TEST(limits_clients_without_a_password),
        TEST(closes_idle_and_killed_clients),
        TEST(reads_no_more_than_its_share_per_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
