/* Commands, driven through wc_cmd_execute(): requests and reply bytes as text, what the observer hears, threads.
 *
 * In a script, ">>> " starts a request (words; "..." with \r \n \xHH), "<<< " gives a line of its reply, and "+++ n"
 * lets n milliseconds pass. Figures and texts are Redis's: scripts were compared with redis-server.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

#define START INT64_C(1700000000000)

/* ---- a server without a network ---- */

#define ARGS_MAX 256

struct world {
    struct wc_server server;
    struct wc_client client;
    struct wc_stats stats;
    struct wc_reply reply;
    int64_t now_ms;
    bool woken;
    uint64_t killed;
    struct wc_client *others; /* what wc_server_each_client() shows besides client */
};

/* The commands know a struct wc_server; the stubs below find the world around it. */
static struct world *world_of(struct wc_server *s)
{
    return (struct world *)((char *)s - offsetof(struct world, server));
}

void wc_server_wake(struct wc_server *s)
{
    world_of(s)->woken = true;
}

struct wc_stats *wc_server_stats(struct wc_server *s, int worker)
{
    assert_int_equal(worker, 0);
    return &world_of(s)->stats;
}

void wc_server_each_client(struct wc_server *s, bool (*fn)(void *arg, struct wc_client *client), void *arg)
{
    struct world *w = world_of(s);

    if (fn(arg, &w->client) && w->others)
        fn(arg, w->others);
}

bool wc_server_kill_client(struct wc_server *s, uint64_t id)
{
    world_of(s)->killed = id;
    return true;
}

static int setup(void **state)
{
    struct world *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);

    memset(w, 0, sizeof(*w));
    wc_config_defaults(&w->server.config);
    pthread_mutex_init(&w->server.config_lock, NULL);
    pthread_mutex_init(&w->server.clients_lock, NULL);
    w->server.store = wc_store_new(16, w->server.config.databases);
    w->server.nworkers = 1;
    w->server.start_ms = START - 1000;
    strcpy(w->server.run_id, "0123456789012345678901234567890123456789");
    w->server.executable = "/test";
    w->now_ms = START;
    w->reply.resp = 2;
    wc_client_init(&w->client, &w->server, -1);
    strcpy(w->client.addr, "127.0.0.1:1111");
    strcpy(w->client.laddr, "127.0.0.1:6379");
    w->client.created_ms = START;
    w->client.last_ms = START;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    wc_store_free(w->server.store);
    free(w->reply.buf);
    free(w);
    return 0;
}

static void execute(struct world *w, uint32_t argc, const struct wc_arg *argv)
{
    struct wc_cmd_ctx ctx = {
        .server = &w->server,
        .client = &w->client,
        .stats = &w->stats,
        .reply = &w->reply,
        .argc = argc,
        .argv = argv,
        .now_ms = w->now_ms,
    };

    w->reply.len = 0;
    w->reply.resp = w->client.resp;
    wc_cmd_execute(&ctx);
}

/* ---- scripts ---- */

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* One word of a line, unquoted to *out. Returns where it ends. */
static const char *unquote(const char *p, const char *end, char **out)
{
    if (*p != '"') {
        while (p < end && *p != ' ')
            *(*out)++ = *p++;
        return p;
    }
    for (p++; p < end && *p != '"'; p++) {
        if (*p != '\\') {
            *(*out)++ = *p;
        } else if (*++p == 'x') {
            *(*out)++ = (char)(hex(p[1]) * 16 + hex(p[2]));
            p += 2;
        } else {
            *(*out)++ = *p == 'r' ? '\r' : *p == 'n' ? '\n' : *p;
        }
    }
    return p + 1;
}

static void request(struct world *w, const char *line, const char *end)
{
    char storage[8192], *out = storage;
    struct wc_arg argv[ARGS_MAX];
    uint32_t argc = 0;

    while (line < end) {
        char *start = out;

        line = unquote(line, end, &out);
        assert_true(argc < ARGS_MAX);
        argv[argc++] = (struct wc_arg){.ptr = start, .len = (uint32_t)(out - start)};
        line += line < end;
    }
    execute(w, argc, argv);
}

static void run(struct world *w, const char *script)
{
    char want[65536], asked[1024] = "";
    size_t len = 0;

    w->reply.len = 0;
    for (const char *line = script, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        if (strncmp(line, "<<< ", 4) == 0) {
            char *out = want + len;

            for (const char *p = line + 4; p < end; p++) { /* \xHH here too */
                if (p[0] == '\\' && p[1] == 'x') {
                    *out++ = (char)(hex(p[2]) * 16 + hex(p[3]));
                    p += 3;
                } else {
                    *out++ = *p;
                }
            }
            memcpy(out, "\r\n", 2);
            len = (size_t)(out + 2 - want);
            continue;
        }
        if (w->reply.len != len || (len && memcmp(w->reply.buf, want, len) != 0))
            fail_msg("%s\nreply: %.*s\nwanted: %.*s", asked, (int)w->reply.len, w->reply.buf, (int)len, want);
        len = w->reply.len = 0;
        if (strncmp(line, ">>> ", 4) == 0) {
            snprintf(asked, sizeof(asked), "%.*s", (int)(end - line), line);
            request(w, line + 4, end);
        } else if (strncmp(line, "+++ ", 4) == 0) {
            w->now_ms += atol(line + 4);
        } else if (end != line) {
            fail_msg("what is this: %.*s", (int)(end - line), line);
        }
    }
    if (w->reply.len != len || (len && memcmp(w->reply.buf, want, len) != 0))
        fail_msg("%s\nreply: %.*s\nwanted: %.*s", asked, (int)w->reply.len, w->reply.buf, (int)len, want);
}

/* The reply to one request, as a string. */
static const char *ask(struct world *w, const char *line)
{
    request(w, line, line + strlen(line));
    wc_reply_raw(&w->reply, "", 1);
    return w->reply.buf;
}

/* ---- getting a command to run ---- */

static void test_dispatch(void **state)
{
    run(*state, ">>> foo\n<<< -ERR unknown command 'foo', with args beginning with: \n"
                ">>> foo bar baz\n<<< -ERR unknown command 'foo', with args beginning with: 'bar' 'baz' \n"
                ">>> \"f\\r\\no\" \"a\\nb\"\n<<< -ERR unknown command 'f  o', with args beginning with: 'a b' \n"
                ">>> \"\"\n<<< -ERR unknown command '', with args beginning with: \n"
                ">>> client|id\n<<< -ERR unknown command 'client|id', with args beginning with: \n"
                ">>> GET\n<<< -ERR wrong number of arguments for 'get' command\n"
                ">>> gEt a b\n<<< -ERR wrong number of arguments for 'get' command\n"
                ">>> gEt a\n<<< $-1\n"
                ">>> \"GET\\x00\" a\n<<< -ERR unknown command 'GET', with args beginning with: 'a' \n"
                ">>> CLIENT\n<<< -ERR wrong number of arguments for 'client' command\n"
                ">>> CLIENT FOO\n<<< -ERR unknown subcommand 'FOO'. Try CLIENT HELP.\n"
                ">>> client id 1\n<<< -ERR wrong number of arguments for 'client|id' command\n"
                ">>> CLIENT id\n<<< :1\n");
}

static void test_unknown_command_is_cut(void **state)
{
    struct world *w = *state;
    char line[600] = "foo ", want[600];

    memset(line + 4, 'a', 200);
    strcpy(line + 204, " bbbb");
    request(w, line, line + strlen(line));
    snprintf(want, sizeof(want), "-ERR unknown command 'foo', with args beginning with: '%.128s' \r\n", line + 4);
    assert_int_equal(w->reply.len, strlen(want));
    assert_memory_equal(w->reply.buf, want, strlen(want));
    memset(line, 'f', 200);
    request(w, line, line + 200);
    snprintf(want, sizeof(want), "-ERR unknown command '%.128s', with args beginning with: \r\n", line);
    assert_int_equal(w->reply.len, strlen(want));
    assert_memory_equal(w->reply.buf, want, strlen(want));
}

static void test_table(void **state)
{
    (void)state;
    for (int i = 0; i < wc_command_count; i++) {
        const struct wc_command *c = &wc_commands[i];

        assert_ptr_equal(wc_cmd_lookup(c->name, (uint32_t)strlen(c->name)), c);
        assert_int_not_equal(c->arity, 0);
        assert_true(c->summary[0] && c->since[0] && c->group[0]);
        assert_true(!c->first_key == !c->key_step);
        assert_false(c->flags & WC_CMD_WRITE && c->flags & WC_CMD_READONLY);
    }
    assert_ptr_equal(wc_cmd_lookup("GeT", 3), wc_cmd_lookup("get", 3));
    assert_null(wc_cmd_lookup("ge", 2));
    assert_null(wc_cmd_lookup("gett", 4));
    assert_null(wc_cmd_lookup("client|", 7));
    assert_null(wc_cmd_lookup("|", 1));
    assert_null(wc_cmd_lookup("", 0));
}

static void test_statistics(void **state)
{
    struct world *w = *state;
    long get = wc_cmd_lookup("get", 3) - wc_commands, incr = wc_cmd_lookup("incr", 4) - wc_commands;

    run(w, ">>> SET k v\n<<< +OK\n>>> GET k\n<<< $1\n<<< v\n>>> GET no\n<<< $-1\n"
           ">>> GET\n<<< -ERR wrong number of arguments for 'get' command\n"
           ">>> INCR k\n<<< -ERR value is not an integer or out of range\n"
           ">>> nope\n<<< -ERR unknown command 'nope', with args beginning with: \n");
    assert_int_equal(w->stats.commands_processed, 4);
    assert_int_equal(w->stats.cmd_calls[get], 2);
    assert_int_equal(w->stats.cmd_rejected[get], 1);
    assert_int_equal(w->stats.cmd_failed[get], 0);
    assert_int_equal(w->stats.cmd_calls[incr], 1);
    assert_int_equal(w->stats.cmd_failed[incr], 1);
    assert_int_equal(w->stats.errors, 3);
    assert_int_equal(w->stats.keyspace_hits, 1);
    assert_int_equal(w->stats.keyspace_misses, 1);
}

static void test_maxmemory(void **state)
{
    struct world *w = *state;

    run(w, ">>> SET k 1\n<<< +OK\n>>> SETRANGE big 100000 x\n<<< :100001\n>>> CONFIG SET maxmemory 1000\n<<< +OK\n"
           ">>> SET k 2\n<<< -OOM command not allowed when used memory > 'maxmemory'.\n"
           ">>> INCR k\n<<< -OOM command not allowed when used memory > 'maxmemory'.\n"
           ">>> GET k\n<<< $1\n<<< 1\n>>> EXPIRE k 100\n<<< :1\n>>> DEL big\n<<< :1\n>>> FLUSHALL\n<<< +OK\n"
           ">>> SET k 2\n<<< +OK\n");
}

/* Writes go on, and memory stays at the limit: one command makes room for what the last ones brought. */
static void test_eviction(void **state)
{
    struct world *w = *state;
    char line[300], value[200];

    memset(value, 'v', sizeof(value));
    run(w, ">>> CONFIG SET maxmemory 1mb maxmemory-policy allkeys-lru\n<<< +OK\n");
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof(line), "SET %d %.*s", i, (int)sizeof(value), value);
        assert_string_equal(ask(w, line), "+OK\r\n");
        assert_true(wc_store_used_bytes(w->server.store) < (1 << 20) + 65536);
    }
    assert_true(wc_store_evicted_total(w->server.store) > 10000);
    assert_non_null(strstr(ask(w, "INFO stats"), "\r\nevicted_keys:1"));
    /* volatile policies: no key has an expiry, so nothing may go */
    run(w, ">>> CONFIG SET maxmemory-policy volatile-ttl maxmemory 500kb\n<<< +OK\n"
           ">>> SET k v\n<<< -OOM command not allowed when used memory > 'maxmemory'.\n"
           ">>> CONFIG SET maxmemory-policy allkeys-random\n<<< +OK\n");
    /* a lowered limit is reached by and by */
    for (int i = 0; i < 1000 && wc_store_used_bytes(w->server.store) > 512000 + 65536; i++)
        assert_string_equal(ask(w, "SET k v"), "+OK\r\n");
    assert_true(wc_store_used_bytes(w->server.store) < 512000 + 65536);
}

/* ---- strings ---- */

static void test_set(void **state)
{
    run(*state, ">>> SET k v\n<<< +OK\n>>> GET k\n<<< $1\n<<< v\n"
                ">>> SET k w NX\n<<< $-1\n>>> SET k w XX\n<<< +OK\n>>> SET n v XX\n<<< $-1\n>>> SET n v nx\n<<< +OK\n"
                ">>> SET k x GET\n<<< $1\n<<< w\n>>> SET k y NX GET\n<<< $1\n<<< x\n>>> GET k\n<<< $1\n<<< x\n"
                ">>> SET new y NX GET\n<<< $-1\n>>> GET new\n<<< $1\n<<< y\n>>> SET none y XX GET\n<<< $-1\n"
                ">>> EXISTS none\n<<< :0\n"
                ">>> SET k v NX XX\n<<< -ERR syntax error\n>>> SET k v EX\n<<< -ERR syntax error\n"
                ">>> SET k v EX 1 PX 1\n<<< -ERR syntax error\n>>> SET k v KEEPTTL EX 1\n<<< -ERR syntax error\n"
                ">>> SET k v PERSIST\n<<< -ERR syntax error\n>>> SET k v what\n<<< -ERR syntax error\n"
                ">>> SET k v EX 0\n<<< -ERR invalid expire time in 'set' command\n"
                ">>> SET k v PX -1\n<<< -ERR invalid expire time in 'set' command\n"
                ">>> SET k v EX 9223372036854775807\n<<< -ERR invalid expire time in 'set' command\n"
                ">>> SET k v PX 9223372036854775807\n<<< -ERR invalid expire time in 'set' command\n"
                ">>> SET k v EX 1.5\n<<< -ERR value is not an integer or out of range\n"
                ">>> SET \"\" \"\"\n<<< +OK\n>>> GET \"\"\n<<< $0\n<<< \n"
                ">>> SET b \"\\x00\\r\\n\\xff\"\n<<< +OK\n>>> GET b\n<<< $4\n<<< \\x00\\x0d\\x0a\\xff\n");
}

static void test_set_with_expiry(void **state)
{
    run(*state, ">>> SET k v EX 10\n<<< +OK\n>>> PTTL k\n<<< :10000\n+++ 4000\n>>> TTL k\n<<< :6\n"
                ">>> SET k w KEEPTTL\n<<< +OK\n>>> PTTL k\n<<< :6000\n>>> SET k w\n<<< +OK\n>>> TTL k\n<<< :-1\n"
                ">>> SET k v PX 100\n<<< +OK\n+++ 99\n>>> GET k\n<<< $1\n<<< v\n+++ 1\n>>> GET k\n<<< $-1\n"
                ">>> SET k v PXAT 1700000005000\n<<< +OK\n>>> PEXPIRETIME k\n<<< :1700000005000\n"
                ">>> SET k v EXAT 1700000006\n<<< +OK\n>>> EXPIRETIME k\n<<< :1700000006\n"
                ">>> SET k v EXAT 1\n<<< +OK\n>>> EXISTS k\n<<< :0\n>>> DBSIZE\n<<< :0\n"
                ">>> SETEX k 0 v\n<<< -ERR invalid expire time in 'setex' command\n"
                ">>> SETEX k 10 v\n<<< +OK\n>>> TTL k\n<<< :10\n"
                ">>> PSETEX k -1 v\n<<< -ERR invalid expire time in 'psetex' command\n"
                ">>> PSETEX k 1500 v\n<<< +OK\n>>> PTTL k\n<<< :1500\n>>> TTL k\n<<< :2\n"
                ">>> GETSET k w\n<<< $1\n<<< v\n>>> TTL k\n<<< :-1\n");
}

static void test_getex_getdel(void **state)
{
    run(*state, ">>> GETEX k\n<<< $-1\n>>> GETEX k EX nonsense\n<<< $-1\n>>> SET k v\n<<< +OK\n"
                ">>> GETEX k EX nonsense\n<<< -ERR value is not an integer or out of range\n"
                ">>> GETEX k PX 0\n<<< -ERR invalid expire time in 'getex' command\n"
                ">>> GETEX k EX 10\n<<< $1\n<<< v\n>>> TTL k\n<<< :10\n>>> GETEX k\n<<< $1\n<<< v\n>>> TTL k\n<<< :10\n"
                ">>> GETEX k PERSIST\n<<< $1\n<<< v\n>>> TTL k\n<<< :-1\n>>> GETEX k NX\n<<< -ERR syntax error\n"
                ">>> GETEX k EX 1 PERSIST\n<<< -ERR syntax error\n>>> GETEX k KEEPTTL\n<<< -ERR syntax error\n"
                ">>> GETEX k EXAT 1\n<<< $1\n<<< v\n>>> EXISTS k\n<<< :0\n"
                ">>> SET k v\n<<< +OK\n>>> GETDEL k\n<<< $1\n<<< v\n>>> GETDEL k\n<<< $-1\n");
}

static void test_several_keys(void **state)
{
    run(*state, ">>> MSET a 1 b 2 a 3\n<<< +OK\n>>> MGET a none b a\n<<< *4\n<<< $1\n<<< 3\n<<< $-1\n<<< $1\n<<< 2\n"
                "<<< $1\n<<< 3\n"
                ">>> MSET a 1 b\n<<< -ERR wrong number of arguments for 'mset' command\n"
                ">>> MSETNX c 1 a 2\n<<< :0\n>>> EXISTS c\n<<< :0\n>>> MSETNX c 1 d 2\n<<< :1\n"
                ">>> EXISTS a a none c\n<<< :3\n>>> TOUCH a none\n<<< :1\n"
                ">>> DEL a a none b\n<<< :2\n>>> UNLINK c d\n<<< :2\n>>> DBSIZE\n<<< :0\n");
}

/* More keys than fit the stack array. */
static void test_many_keys(void **state)
{
    struct world *w = *state;
    enum { N = 5000 };
    struct wc_arg *argv = calloc(1 + 2 * N, sizeof(*argv));
    char(*names)[8] = calloc(N, sizeof(*names)), want[16];

    argv[0] = (struct wc_arg){"MSET", 4};
    for (int i = 0; i < N; i++) {
        uint32_t len = (uint32_t)snprintf(names[i], sizeof(names[i]), "%d", i);

        argv[1 + 2 * i] = argv[2 + 2 * i] = (struct wc_arg){names[i], len};
    }
    execute(w, 1 + 2 * N, argv);
    assert_memory_equal(w->reply.buf, "+OK\r\n", 5);
    argv[0] = (struct wc_arg){"DEL", 3};
    execute(w, 1 + 2 * N, argv); /* each key twice */
    snprintf(want, sizeof(want), ":%d\r\n", N);
    assert_memory_equal(w->reply.buf, want, strlen(want));
    free(names);
    free(argv);
}

static void test_counters(void **state)
{
    run(*state, ">>> INCR n\n<<< :1\n>>> INCRBY n 41\n<<< :42\n>>> DECR n\n<<< :41\n>>> DECRBY n 50\n<<< :-9\n"
                ">>> GET n\n<<< $2\n<<< -9\n>>> INCRBY n 1x\n<<< -ERR value is not an integer or out of range\n"
                ">>> SET n 9223372036854775807\n<<< +OK\n>>> INCR n\n<<< -ERR increment or decrement would overflow\n"
                ">>> SET n -9223372036854775808\n<<< +OK\n>>> DECR n\n<<< -ERR increment or decrement would overflow\n"
                ">>> GET n\n<<< $20\n<<< -9223372036854775808\n"
                ">>> DECRBY n -9223372036854775808\n<<< -ERR decrement would overflow\n"
                ">>> SET n 01\n<<< +OK\n>>> INCR n\n<<< -ERR value is not an integer or out of range\n"
                ">>> SET n \" 1\"\n<<< +OK\n>>> INCR n\n<<< -ERR value is not an integer or out of range\n"
                ">>> SET n 9223372036854775808\n<<< +OK\n>>> INCR n\n<<< -ERR value is not an integer or out of range\n"
                ">>> SET n 7 EX 10\n<<< +OK\n>>> INCR n\n<<< :8\n>>> TTL n\n<<< :10\n"
                ">>> INCRBYFLOAT n 0.5\n<<< $3\n<<< 8.5\n>>> TTL n\n<<< :10\n>>> INCRBYFLOAT n -0.5\n<<< $1\n<<< 8\n"
                ">>> INCRBYFLOAT n x\n<<< -ERR value is not a valid float\n"
                ">>> INCRBYFLOAT n inf\n<<< -ERR increment would produce NaN or Infinity\n"
                ">>> INCRBYFLOAT f 0.1\n<<< $3\n<<< 0.1\n>>> INCRBYFLOAT f 0.2\n<<< $3\n<<< 0.3\n");
}

static void test_ranges(void **state)
{
    run(*state,
        ">>> APPEND k abc\n<<< :3\n>>> APPEND k \"\"\n<<< :3\n>>> APPEND k def\n<<< :6\n>>> STRLEN k\n<<< :6\n"
        ">>> STRLEN none\n<<< :0\n>>> GETRANGE k 0 -1\n<<< $6\n<<< abcdef\n>>> GETRANGE k -3 -2\n<<< $2\n<<< de\n"
        ">>> GETRANGE k 4 2\n<<< $0\n<<< \n>>> GETRANGE k -1 -3\n<<< $0\n<<< \n>>> SUBSTR k -100 100\n<<< $6\n"
        "<<< abcdef\n>>> GETRANGE none 0 -1\n<<< $0\n<<< \n"
        ">>> GETRANGE k a 1\n<<< -ERR value is not an integer or out of range\n"
        ">>> SETRANGE k 8 xy\n<<< :10\n>>> GET k\n<<< $10\n<<< abcdef\\x00\\x00xy\n"
        ">>> SETRANGE k 1 BC\n<<< :10\n>>> GETRANGE k 0 3\n<<< $4\n<<< aBCd\n"
        ">>> SETRANGE k -1 x\n<<< -ERR offset is out of range\n>>> SETRANGE none 5 \"\"\n<<< :0\n"
        ">>> EXISTS none\n<<< :0\n>>> SETRANGE none 9223372036854775807 \"\"\n<<< :0\n"
        ">>> SETRANGE k 536870911 xx\n"
        "<<< -ERR string exceeds maximum allowed size (proto-max-bulk-len)\n"
        ">>> SETRANGE k 9223372036854775807 x\n"
        "<<< -ERR string exceeds maximum allowed size (proto-max-bulk-len)\n"
        ">>> CONFIG SET proto-max-bulk-len 1048576\n<<< +OK\n>>> SETRANGE k 1048575 x\n<<< :1048576\n"
        ">>> APPEND k x\n<<< -ERR string exceeds maximum allowed size (proto-max-bulk-len)\n");
}

/* ---- keys ---- */

static void test_expire(void **state)
{
    run(*state, ">>> EXPIRE k 10\n<<< :0\n>>> TTL k\n<<< :-2\n>>> SET k v\n<<< +OK\n>>> TTL k\n<<< :-1\n"
                ">>> EXPIRE k 10 XX\n<<< :0\n>>> EXPIRE k 10 GT\n<<< :0\n>>> EXPIRE k 10 NX\n<<< :1\n"
                ">>> EXPIRE k 20 NX\n<<< :0\n>>> EXPIRE k 5 GT\n<<< :0\n>>> EXPIRE k 20 GT\n<<< :1\n"
                ">>> EXPIRE k 30 LT\n<<< :0\n>>> EXPIRE k 15 xx lt\n<<< :1\n>>> TTL k\n<<< :15\n"
                ">>> EXPIRE k 10 NX GT\n<<< -ERR NX and XX, GT or LT options at the same time are not compatible\n"
                ">>> EXPIRE k 10 GT LT\n<<< -ERR GT and LT options at the same time are not compatible\n"
                ">>> EXPIRE k 10 foo\n<<< -ERR Unsupported option foo\n"
                ">>> EXPIRE k x\n<<< -ERR value is not an integer or out of range\n"
                ">>> EXPIRE k 9223372036854775807\n<<< -ERR invalid expire time in 'expire' command\n"
                ">>> PEXPIRE k 9223372036854775807\n<<< -ERR invalid expire time in 'pexpire' command\n"
                ">>> PEXPIRE k 1499\n<<< :1\n>>> TTL k\n<<< :1\n>>> PEXPIRE k 1500\n<<< :1\n>>> TTL k\n<<< :2\n"
                ">>> EXPIREAT k 1700000100\n<<< :1\n>>> EXPIRETIME k\n<<< :1700000100\n"
                ">>> PEXPIREAT k 1700000100500\n<<< :1\n>>> EXPIRETIME k\n<<< :1700000101\n"
                ">>> PEXPIRETIME k\n<<< :1700000100500\n>>> PERSIST k\n<<< :1\n>>> PERSIST k\n<<< :0\n"
                ">>> EXPIRETIME k\n<<< :-1\n>>> PEXPIRETIME none\n<<< :-2\n"
                ">>> EXPIRE k -1\n<<< :1\n>>> EXISTS k\n<<< :0\n"
                ">>> SET k v\n<<< +OK\n>>> EXPIREAT k 1\n<<< :1\n>>> DBSIZE\n<<< :0\n"
                ">>> SET k v\n<<< +OK\n>>> EXPIRE k 0 GT\n<<< :0\n>>> EXPIRE k 0 LT\n<<< :1\n>>> TYPE k\n<<< +none\n"
                ">>> SET k v\n<<< +OK\n>>> TYPE k\n<<< +string\n>>> PEXPIRE k 1\n<<< :1\n+++ 1\n>>> TYPE k\n<<< +none\n"
                ">>> INCR k\n<<< :1\n>>> TTL k\n<<< :-1\n");
}

static void test_databases(void **state)
{
    run(*state,
        ">>> SET k 0\n<<< +OK\n>>> SELECT 9\n<<< +OK\n>>> GET k\n<<< $-1\n>>> SET k 9\n<<< +OK\n"
        ">>> DBSIZE\n<<< :1\n>>> SELECT 16\n<<< -ERR DB index is out of range\n"
        ">>> SELECT -1\n<<< -ERR DB index is out of range\n"
        ">>> SELECT x\n<<< -ERR value is not an integer or out of range\n"
        ">>> SELECT 99999999999\n<<< -ERR value is out of range, value must between -2147483648 and 2147483647\n"
        ">>> FLUSHDB\n<<< +OK\n>>> DBSIZE\n<<< :0\n>>> SELECT 0\n<<< +OK\n>>> DBSIZE\n<<< :1\n"
        ">>> FLUSHALL x\n<<< -ERR syntax error\n>>> FLUSHALL ASYNC SYNC\n<<< -ERR syntax error\n"
        ">>> FLUSHALL SYNC\n<<< +OK\n>>> DBSIZE\n<<< :0\n");
}

/* ---- connection ---- */

static void test_connection(void **state)
{
    struct world *w = *state;

    run(w, ">>> PING\n<<< +PONG\n>>> PING hi\n<<< $2\n<<< hi\n"
           ">>> PING a b\n<<< -ERR wrong number of arguments for 'ping' command\n>>> ECHO x\n<<< $1\n<<< x\n"
           ">>> CLIENT GETNAME\n<<< $-1\n>>> CLIENT SETNAME me\n<<< +OK\n>>> CLIENT GETNAME\n<<< $2\n<<< me\n"
           ">>> CLIENT SETNAME \"a b\"\n"
           "<<< -ERR Client names cannot contain spaces, newlines or special characters.\n"
           ">>> CLIENT SETINFO lib-name x\n<<< +OK\n>>> CLIENT SETINFO LIB-VER 1.2\n<<< +OK\n"
           ">>> CLIENT SETINFO foo x\n<<< -ERR Unrecognized option 'foo'\n"
           ">>> CLIENT SETINFO lib-name \"a b\"\n"
           "<<< -ERR lib-name cannot contain spaces, newlines or special characters.\n");
    assert_string_equal(w->client.lib_name, "x");
    assert_string_equal(w->client.lib_ver, "1.2");
    assert_true(wc_client_fastpath_eligible(&w->server, &w->client));
    run(w, ">>> SELECT 1\n<<< +OK\n");
    assert_false(wc_client_fastpath_eligible(&w->server, &w->client));
    run(w, ">>> RESET\n<<< +RESET\n>>> CLIENT GETNAME\n<<< $-1\n");
    assert_true(wc_client_fastpath_eligible(&w->server, &w->client));
    run(w, ">>> QUIT\n<<< +OK\n");
    assert_true(w->client.close_after_reply);
    assert_false(wc_client_fastpath_eligible(&w->server, &w->client));
}

#define WRONGPASS "<<< -WRONGPASS invalid username-password pair or user is disabled.\n"
#define NOAUTH    "<<< -NOAUTH Authentication required.\n"

static void test_auth(void **state)
{
    struct world *w = *state;

    run(w, ">>> AUTH x\n"
           "<<< -ERR AUTH <password> called without any password configured for the default user. Are you sure your "
           "configuration is correct?\n"
           ">>> AUTH default x\n<<< +OK\n>>> AUTH a b c\n<<< -ERR syntax error\n"
           ">>> CONFIG SET requirepass secret\n<<< +OK\n>>> GET k\n<<< $-1\n");
    wc_client_init(&w->client, &w->server, -1);
    assert_false(w->client.authenticated);
    assert_false(wc_client_fastpath_eligible(&w->server, &w->client));
    run(w,
        ">>> GET k\n" NOAUTH ">>> PING\n" NOAUTH ">>> COMMAND\n" NOAUTH
        ">>> GET\n<<< -ERR wrong number of arguments for 'get' command\n"
        ">>> AUTH secre\n" WRONGPASS ">>> AUTH secrets\n" WRONGPASS ">>> AUTH \"\"\n" WRONGPASS
        ">>> AUTH \"secret\\x00\"\n" WRONGPASS ">>> AUTH other secret\n" WRONGPASS ">>> GET k\n" NOAUTH
        ">>> HELLO 3 AUTH default no\n" WRONGPASS ">>> HELLO\n"
        "<<< -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
        "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same "
        "time\n"
        ">>> AUTH secret\n<<< +OK\n>>> GET k\n<<< $-1\n>>> RESET\n<<< +RESET\n>>> GET k\n" NOAUTH
        ">>> AUTH default secret\n<<< +OK\n>>> GET k\n<<< $-1\n>>> RESET\n<<< +RESET\n");
    pthread_mutex_lock(&w->server.config_lock);
    w->server.config.requirepass[0] = 0; /* as CONFIG SET requirepass "" from another connection */
    pthread_mutex_unlock(&w->server.config_lock);
    run(w, ">>> GET k\n<<< $-1\n");
}

/* A password as long as the buffer allows, and one longer than it. */
static void test_auth_long_password(void **state)
{
    struct world *w = *state;
    char line[700], password[WC_CONFIG_STR];

    memset(password, 'p', sizeof(password));
    password[sizeof(password) - 1] = 0;
    snprintf(line, sizeof(line), "CONFIG SET requirepass %s", password);
    assert_string_equal(ask(w, line), "+OK\r\n");
    snprintf(line, sizeof(line), "AUTH %sp", password);
    assert_memory_equal(ask(w, line), "-WRONGPASS", 10);
    snprintf(line, sizeof(line), "AUTH %s%s", password, password);
    assert_memory_equal(ask(w, line), "-WRONGPASS", 10);
    snprintf(line, sizeof(line), "AUTH %s", password);
    assert_string_equal(ask(w, line), "+OK\r\n");
}

static void test_hello(void **state)
{
    struct world *w = *state;

    run(w, ">>> HELLO 4\n<<< -NOPROTO unsupported protocol version\n"
           ">>> HELLO x\n<<< -ERR Protocol version is not an integer or out of range\n"
           ">>> HELLO 3 FOO\n<<< -ERR Syntax error in HELLO option 'FOO'\n"
           ">>> HELLO 3 AUTH a\n<<< -ERR Syntax error in HELLO option 'AUTH'\n"
           ">>> HELLO 3 SETNAME me\n<<< %7\n<<< $6\n<<< server\n<<< $5\n<<< redis\n<<< $7\n<<< version\n<<< $5\n"
           "<<< 7.2.0\n<<< $5\n<<< proto\n<<< :3\n<<< $2\n<<< id\n<<< :1\n<<< $4\n<<< mode\n<<< $10\n<<< standalone\n"
           "<<< $4\n<<< role\n<<< $6\n<<< master\n<<< $7\n<<< modules\n<<< *0\n"
           ">>> GET none\n<<< _\n>>> MGET none\n<<< *1\n<<< _\n>>> CLIENT GETNAME\n<<< $2\n<<< me\n"
           ">>> CONFIG GET maxmemory\n<<< %1\n<<< $9\n<<< maxmemory\n<<< $1\n<<< 0\n"
           ">>> RESET\n<<< +RESET\n>>> GET none\n<<< $-1\n");
    assert_int_equal(w->client.resp, 2);
}

static void test_client_list_and_kill(void **state)
{
    struct world *w = *state;
    struct wc_client other;
    const char *text;

    wc_client_init(&other, &w->server, 7);
    strcpy(other.addr, "127.0.0.1:2222");
    w->others = &other;
    text = ask(w, "CLIENT LIST");
    assert_non_null(
        strstr(text, "id=1 addr=127.0.0.1:1111 laddr=127.0.0.1:6379 fd=-1 name= age=0 idle=0 flags=N db=0 "));
    assert_non_null(strstr(text, " cmd=client|list user=default "));
    assert_non_null(strstr(text, "\nid=2 addr=127.0.0.1:2222 "));
    assert_null(strstr(ask(w, "CLIENT LIST ID 2"), "id=1 "));
    assert_null(strstr(ask(w, "CLIENT INFO"), "id=2 "));
    run(w, ">>> CLIENT LIST TYPE pubsub\n<<< $0\n<<< \n>>> CLIENT LIST TYPE foo\n<<< -ERR Unknown client type 'foo'\n"
           ">>> CLIENT LIST foo\n<<< -ERR syntax error\n>>> CLIENT KILL ID x\n<<< -ERR client-id should be greater "
           "than 0\n"
           ">>> CLIENT KILL 1.2.3.4:5\n<<< -ERR No such client\n>>> CLIENT KILL ID 99\n<<< :0\n");
    assert_int_equal(w->killed, 0);
    run(w, ">>> CLIENT KILL ADDR 127.0.0.1:2222\n<<< :1\n");
    assert_int_equal(w->killed, 2);
    run(w, ">>> CLIENT KILL ID 1\n<<< :0\n"); /* not oneself by default */
    assert_false(w->client.close_after_reply);
    run(w, ">>> CLIENT KILL ID 1 SKIPME no\n<<< :1\n");
    assert_true(w->client.close_after_reply);
}

/* ---- server ---- */

static void test_config(void **state)
{
    struct world *w = *state;

    run(w, ">>> CONFIG GET save\n<<< *2\n<<< $4\n<<< save\n<<< $0\n<<< \n"
           ">>> CONFIG GET appendonly\n<<< *2\n<<< $10\n<<< appendonly\n<<< $2\n<<< no\n"
           ">>> CONFIG GET maxmem* maxmemory timeo?t\n<<< *6\n<<< $9\n<<< maxmemory\n<<< $1\n<<< 0\n<<< $16\n"
           "<<< maxmemory-policy\n<<< $10\n<<< noeviction\n<<< $7\n<<< timeout\n<<< $1\n<<< 0\n"
           ">>> CONFIG GET nosuch\n<<< *0\n"
           ">>> CONFIG SET timeout 5 maxmemory 1mb\n<<< +OK\n>>> CONFIG GET timeout\n<<< *2\n<<< $7\n<<< timeout\n"
           "<<< $1\n<<< 5\n"
           ">>> CONFIG SET timeout 5 maxmemory\n<<< -ERR syntax error\n"
           ">>> CONFIG SET nosuch 1\n<<< -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\n"
           ">>> CONFIG SET timeout 6 port 1\n"
           "<<< -ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config\n"
           ">>> CONFIG SET timeout 7 timeout 8\n"
           "<<< -ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter\n");
    assert_int_equal(w->server.config.timeout, 5); /* all or nothing */
    assert_int_equal(w->server.config.maxmemory, 1 << 20);
    assert_memory_equal(ask(w, "CONFIG SET timeout 9 maxclients x"),
                        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - ", 67);
    assert_int_equal(w->server.config.timeout, 5);
}

static void test_shutdown(void **state)
{
    struct world *w = *state;

    run(w, ">>> SHUTDOWN foo\n<<< -ERR syntax error\n>>> SHUTDOWN SAVE NOSAVE\n<<< -ERR syntax error\n"
           ">>> SHUTDOWN ABORT NOW\n<<< -ERR syntax error\n>>> SHUTDOWN ABORT\n<<< -ERR No shutdown in progress.\n");
    assert_false(w->woken);
    run(w, ">>> SHUTDOWN NOSAVE NOW FORCE\n");
    assert_true(w->woken);
    assert_true(atomic_load(&w->server.stopping));
    assert_true(w->client.close_after_reply);
}

static void test_debug(void **state)
{
    struct world *w = *state;

    run(w, ">>> DEBUG SLEEP 0.25\n<<< +OK\n");
    assert_int_equal(w->client.sleep_ms, 250);
    run(w, ">>> DEBUG SLEEP -1\n<<< +OK\n>>> DEBUG SLEEP\n"
           "<<< -ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.\n"
           ">>> DEBUG foo\n<<< -ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.\n");
}

static void test_command(void **state)
{
    struct world *w = *state;
    char want[32];
    int top = 0;

    for (int i = 0; i < wc_command_count; i++)
        top += strchr(wc_commands[i].name, '|') == NULL;
    snprintf(want, sizeof(want), ":%d\r\n", top);
    assert_string_equal(ask(w, "COMMAND COUNT"), want);
    snprintf(want, sizeof(want), "*%d\r\n", top);
    assert_memory_equal(ask(w, "COMMAND"), want, strlen(want));
    run(w,
        ">>> COMMAND INFO get nosuch\n<<< *2\n<<< *10\n<<< $3\n<<< get\n<<< :2\n<<< *2\n<<< +readonly\n<<< +fast\n"
        "<<< :1\n<<< :1\n<<< :1\n<<< *3\n<<< +@read\n<<< +@string\n<<< +@fast\n<<< *0\n"
        "<<< *1\n<<< *6\n<<< $5\n<<< flags\n<<< *2\n<<< +RO\n<<< +ACCESS\n<<< $12\n<<< begin_search\n<<< *4\n<<< $4\n"
        "<<< type\n<<< $5\n<<< index\n<<< $4\n<<< spec\n<<< *2\n<<< $5\n<<< index\n<<< :1\n<<< $9\n<<< find_keys\n"
        "<<< *4\n<<< $4\n<<< type\n<<< $5\n<<< range\n<<< $4\n<<< spec\n<<< *6\n<<< $7\n<<< lastkey\n<<< :0\n<<< $7\n"
        "<<< keystep\n<<< :1\n<<< $5\n<<< limit\n<<< :0\n<<< *0\n<<< $-1\n"
        ">>> COMMAND GETKEYS MSET a 1 b 2\n<<< *2\n<<< $1\n<<< a\n<<< $1\n<<< b\n"
        ">>> COMMAND GETKEYS PING a\n<<< -ERR The command has no key arguments\n"
        ">>> COMMAND GETKEYS nosuch a\n<<< -ERR Invalid command specified\n"
        ">>> COMMAND GETKEYS GET a b\n<<< -ERR Invalid number of arguments specified for command\n"
        ">>> COMMAND DOCS nosuch\n<<< *0\n");
}

static void test_info(void **state)
{
    struct world *w = *state;
    const char *text;

    run(w, ">>> SET k v EX 100\n<<< +OK\n>>> GET k\n<<< $1\n<<< v\n>>> GET none\n<<< $-1\n>>> INFO nosuch\n<<< $0\n<<< "
           "\n");
    text = ask(w, "INFO");
    for (const char *const *s =
             (const char *const[]){"# Server\r\nredis_version:7.2.0\r\n", "\r\n\r\n# Clients\r\n",
                                   "\r\n\r\n# Memory\r\nused_memory:", "\r\nkeyspace_hits:1\r\n",
                                   "\r\nkeyspace_misses:1\r\n", "\r\nrole:master\r\n", "\r\nused_cpu_sys:",
                                   "\r\ndb0:keys=1,expires=1,avg_ttl=", "\r\n# Fastpath\r\nfastpath_state:",
                                   "\r\nmaxmemory_policy:noeviction\r\n", "\r\ntotal_commands_processed:5\r\n", NULL};
         *s; s++) {
        if (!strstr(text, *s))
            fail_msg("no %s in %s", *s, text);
    }
    assert_null(strstr(text, "# Commandstats"));
    text = ask(w, "INFO commandstats cPu cpu");
    assert_non_null(strstr(text, "# CPU"));
    assert_null(strstr(strstr(text, "# CPU") + 1, "# CPU"));
    assert_non_null(strstr(text, "cmdstat_get:calls=2,usec="));
    assert_null(strstr(text, "# Server"));
    assert_non_null(strstr(ask(w, "INFO everything"), "# Commandstats"));

    run(w, ">>> CONFIG RESETSTAT\n<<< +OK\n");
    text = ask(w, "INFO all");
    assert_non_null(strstr(text, "\r\nkeyspace_hits:0\r\n"));
    assert_null(strstr(text, "cmdstat_get:"));
    assert_non_null(strstr(text, "\r\ndb0:keys=1,"));
}

/* ---- the observer must know what the store knows ---- */

#define MIRROR_KEYS 6

struct mirror {
    bool exists[MIRROR_KEYS];
    char value[MIRROR_KEYS][4096];
    uint32_t len[MIRROR_KEYS];
    int64_t expire_at[MIRROR_KEYS];
    unsigned calls;
};

static void mirror_changed(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire_at)
{
    struct mirror *m = arg;
    int i = key->ptr[0] - 'a';

    m->calls++;
    if (db)
        return;
    assert_true(value->len <= sizeof(m->value[i]));
    m->exists[i] = true;
    m->len[i] = value->len;
    memcpy(m->value[i], value->ptr, value->len);
    m->expire_at[i] = expire_at;
}

static void mirror_removed(void *arg, int db, const struct wc_key *key)
{
    struct mirror *m = arg;

    m->calls++;
    if (db == 0)
        m->exists[key->ptr[0] - 'a'] = false;
}

static void mirror_flushed(void *arg, int db, uint32_t shard)
{
    struct mirror *m = arg;

    (void)shard; /* the test's keys are all over the shards, and a flush visits each of them */
    if (db <= 0)
        memset(m->exists, 0, sizeof(m->exists));
}

static void mirror_check(struct world *w, const struct mirror *m)
{
    for (int i = 0; i < MIRROR_KEYS; i++) {
        char name[1] = {(char)('a' + i)}, scratch[24];
        struct wc_key key = {.ptr = name, .len = 1, .hash = wc_store_hash(name, 1)};
        struct wc_entry *e;

        wc_store_lock(w->server.store, wc_store_shard_of(w->server.store, key.hash));
        e = wc_store_find(w->server.store, 0, &key, w->now_ms);
        assert_int_equal(e != NULL, m->exists[i]);
        if (e) {
            assert_int_equal(wc_entry_value(e, scratch).len, m->len[i]);
            assert_memory_equal(wc_entry_value(e, scratch).ptr, m->value[i], m->len[i]);
            assert_int_equal(wc_entry_expire(e), m->expire_at[i]);
        }
        wc_store_unlock(w->server.store, wc_store_shard_of(w->server.store, key.hash));
    }
}

static const char *random_command(char *line, size_t size, unsigned *seed)
{
    static const char *const forms[] = {
        "SET %k %v",
        "SET %k %v PX 50",
        "SET %k %v NX",
        "SET %k %v XX GET",
        "SET %k %v KEEPTTL",
        "SET %k %v EXAT 1",
        "SETNX %k %v",
        "SETEX %k 1 %v",
        "GETSET %k %v",
        "GETDEL %k",
        "GETEX %k PX 30",
        "GETEX %k PERSIST",
        "GETEX %k EXAT 1",
        "MSET %k %v %k %v",
        "MSETNX %k %v %k %v",
        "DEL %k %k",
        "EXPIRE %k 1",
        "PEXPIRE %k 20 NX",
        "PEXPIRE %k -5",
        "PERSIST %k",
        "INCR %k",
        "DECRBY %k 100",
        "INCRBYFLOAT %k 0.5",
        "APPEND %k %v",
        "SETRANGE %k 90 %v",
        "FLUSHDB",
        "FLUSHALL",
        "SELECT 1",
        "SELECT 0",
        "SELECT 0",
        "GET %k",
        "MGET %k %k",
        "TTL %k",
        "SELECT 0",
        "SET %k 12",
    };
    static const char *const values[] = {"", "1", "99", "x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "3.5"};
    size_t len = 0;

    *seed = *seed * 1103515245 + 12345;
    for (const char *p = forms[(*seed >> 8) % (sizeof(forms) / sizeof(forms[0]))]; *p && len + 60 < size; p++) {
        *seed = *seed * 1103515245 + 12345;
        if (p[0] == '%' && p[1] == 'k')
            len += (size_t)snprintf(line + len, size - len, "%c", 'a' + (*seed >> 8) % MIRROR_KEYS);
        else if (p[0] == '%')
            len += (size_t)snprintf(line + len, size - len, "\"%s\"", values[(*seed >> 8) % 6]);
        else
            line[len++] = *p;
        p += *p == '%';
    }
    line[len] = 0;
    return line;
}

static void test_observer_mirrors_the_store(void **state)
{
    struct world *w = *state;
    struct mirror *m = calloc(1, sizeof(*m));
    unsigned seed = 7;

    wc_store_observe(w->server.store,
                     &(struct wc_store_observer){mirror_changed, mirror_removed, mirror_flushed, m, NULL});
    for (int i = 0; i < 50000; i++) {
        char line[512];

        if (i % 10 == 0)
            w->now_ms += 7;
        ask(w, random_command(line, sizeof(line), &seed));
        mirror_check(w, m);
        for (int k = 0; k < MIRROR_KEYS; k++) { /* APPEND has no end otherwise */
            if (m->exists[k] && m->len[k] > 2000) {
                char del[] = {'D', 'E', 'L', ' ', (char)('a' + k), 0};

                ask(w, "SELECT 0");
                ask(w, del);
            }
        }
    }
    free(m);
}

/* What changes several keys as one says so before the first and after the last; the rest does not. */
struct gate {
    unsigned begun, ended, inside, outside;
};

static void gate_many(void *arg, bool begin)
{
    struct gate *g = arg;

    g->begun += begin;
    g->ended += !begin;
}

static void gate_change(struct gate *g)
{
    if (g->begun > g->ended)
        g->inside++;
    else
        g->outside++;
}

static void gate_changed(void *arg, int db, const struct wc_key *key, const struct wc_value *value, int64_t expire)
{
    (void)db, (void)key, (void)value, (void)expire;
    gate_change(arg);
}

static void gate_removed(void *arg, int db, const struct wc_key *key)
{
    (void)db, (void)key;
    gate_change(arg);
}

static void gate_flushed(void *arg, int db, uint32_t shard)
{
    (void)db, (void)shard;
    gate_change(arg);
}

static void test_many_changes_are_announced(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *line;
        bool many;
    } steps[] = {{"MSET a 1 b 2 c 3", true}, {"DEL a b", true},    {"MSETNX a 1 b 2", true}, {"UNLINK a c", true},
                 {"FLUSHALL", true},         {"FLUSHDB", true},    {"SET a 1", false},       {"DEL a", false},
                 {"MSET a 1", false},        {"APPEND a 1", false}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct gate g = {0};

        wc_store_observe(w->server.store,
                         &(struct wc_store_observer){gate_changed, gate_removed, gate_flushed, &g, gate_many});
        ask(w, steps[i].line);
        wc_store_observe(w->server.store, NULL);
        if (g.begun != steps[i].many || g.ended != g.begun || (steps[i].many ? g.outside : g.inside) ||
            !(g.inside + g.outside))
            fail_msg("%s: begun %u, ended %u, changes inside %u, outside %u", steps[i].line, g.begun, g.ended, g.inside,
                     g.outside);
    }
    {
        struct gate g = {0};

        wc_store_observe(w->server.store, &(struct wc_store_observer){.many = gate_many, .arg = &g});
        ask(w, "MGET a b");
        ask(w, "EXISTS a b");
        wc_store_observe(w->server.store, NULL);
        assert_int_equal(g.begun, 0);
    }
}

/* Each changing command is heard of exactly once. */
static void test_observer_hears_once(void **state)
{
    struct world *w = *state;
    struct mirror *m = calloc(1, sizeof(*m));
    static const struct {
        const char *line;
        unsigned calls;
    } steps[] = {
        {"SET a 1", 1},        {"SET a 2", 1},         {"SET a 2 NX", 0},     {"INCR a", 1},
        {"APPEND a 5", 1},     {"SETRANGE a 9 x", 1},  {"INCR a", 0},         {"EXPIRE a 10", 1},
        {"EXPIRE a 10 NX", 0}, {"PERSIST a", 1},       {"PERSIST a", 0},      {"GETEX a", 0},
        {"GETEX a EX 5", 1},   {"GET a", 0},           {"GETSET a v", 1},     {"MSET a 1 b 2 c 3", 3},
        {"MSETNX a 1 d 2", 0}, {"DEL a b d", 2},       {"GETDEL c", 1},       {"GETDEL c", 0},
        {"SET a 1 EXAT 1", 0}, {"SET a 1", 1},         {"SET a 1 EXAT 1", 1}, {"SET a 1", 1},
        {"PEXPIRE a 0", 1},    {"INCRBYFLOAT a 1", 1}, {"SETEX a 10 v", 1},   {"SETNX a v", 0},
        {"UNLINK a", 1},       {"TTL a", 0},
    };

    wc_store_observe(w->server.store,
                     &(struct wc_store_observer){mirror_changed, mirror_removed, mirror_flushed, m, NULL});
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        m->calls = 0;
        ask(w, steps[i].line);
        if (m->calls != steps[i].calls)
            fail_msg("%s: %u calls instead of %u", steps[i].line, m->calls, steps[i].calls);
    }
    free(m);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, HOT = 3 };

static void *increment(void *arg)
{
    struct world *w = arg;
    struct wc_stats *stats = aligned_alloc(64, sizeof(*stats));
    struct wc_client client;
    struct wc_reply reply = {.resp = 2};

    memset(stats, 0, sizeof(*stats));
    wc_client_init(&client, &w->server, -1);
    for (int i = 0; i < ROUNDS; i++) {
        char key[1] = {(char)('a' + i % HOT)};
        struct wc_arg argv[] = {{"INCR", 4}, {key, 1}};
        struct wc_cmd_ctx ctx = {&w->server, &client, stats, &reply, 2, argv, START};

        reply.len = 0;
        wc_cmd_execute(&ctx);
    }
    free(reply.buf);
    free(stats);
    return NULL;
}

static void test_threads_add_up(void **state)
{
    struct world *w = *state;
    pthread_t threads[THREADS];
    long total = 0;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, increment, w), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < HOT; i++) {
        char line[] = {'I', 'N', 'C', 'R', 'B', 'Y', ' ', (char)('a' + i), ' ', '0', 0};

        total += atol(ask(w, line) + 1);
    }
    assert_int_equal(total, THREADS * ROUNDS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_dispatch),
        T(test_unknown_command_is_cut),
        T(test_table),
        T(test_statistics),
        T(test_maxmemory),
        T(test_eviction),
        T(test_set),
        T(test_set_with_expiry),
        T(test_getex_getdel),
        T(test_several_keys),
        T(test_many_keys),
        T(test_counters),
        T(test_ranges),
        T(test_expire),
        T(test_databases),
        T(test_connection),
        T(test_auth),
        T(test_auth_long_password),
        T(test_hello),
        T(test_client_list_and_kill),
        T(test_config),
        T(test_shutdown),
        T(test_debug),
        T(test_command),
        T(test_info),
        T(test_observer_mirrors_the_store),
        T(test_observer_hears_once),
        T(test_many_changes_are_announced),
        T(test_threads_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
