#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

/* Files are made in a directory of their own, which is the current one: messages then show plain names. */
static char dir[] = "/tmp/wirecache-test-config-XXXXXX";
static struct wc_config cfg;
static char err[512];

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

#define LOAD(...) load((char *[]){"wirecache", __VA_ARGS__, NULL})
static int load(char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    err[0] = 0;
    return wc_config_load(&cfg, argc, argv, err, sizeof(err));
}

static int load_text(const char *text)
{
    write_file("c.conf", text);
    return LOAD("c.conf");
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(load((char *[]){"wirecache", NULL}), 0);
    assert_int_equal(cfg.port, 6379);
    assert_string_equal(cfg.bind, "* -::*");
    assert_true(cfg.protected_mode);
    assert_int_equal(cfg.databases, 16);
    assert_int_equal(cfg.maxclients, 10000);
    assert_int_equal(cfg.loglevel, WC_LOG_NOTICE);
    assert_int_equal(cfg.maxmemory, 0);
    assert_int_equal(cfg.maxmemory_policy, WC_POLICY_NOEVICTION);
    assert_int_equal(cfg.proto_max_bulk_len, 512 << 20);
    assert_int_equal(cfg.client_query_buffer_limit, 1 << 30);
    assert_int_equal(cfg.io, WC_IO_AUTO);
    assert_int_equal(cfg.fastpath, WC_FASTPATH_AUTO);
    assert_string_equal(cfg.fastpath_interfaces, "lo");
    assert_int_equal(cfg.fastpath_hot_keys, 16384);
    assert_string_equal(cfg.file, "");
}

static void test_file(void **state)
{
    (void)state;
    assert_int_equal(load_text("# a comment\r\n\n   \n"
                               "  PORT 7000\r\n"
                               "bind 127.0.0.1   ::1\n"
                               "requirepass \"a \\\"quoted\\\" \\x41\"\n"
                               "maxmemory 10MB\n"
                               "maxmemory-policy ALLKEYS-LFU\n"
                               "protected-mode no\n"
                               "save \"\"\nappendonly no\ndaemonize no\ndir /var/lib\n"
                               "fastpath-interfaces \"lo eth0\"\n"
                               "port 7001"),
                     0);
    assert_int_equal(cfg.port, 7001);
    assert_string_equal(cfg.bind, "127.0.0.1 ::1");
    assert_string_equal(cfg.requirepass, "a \"quoted\" A");
    assert_int_equal(cfg.maxmemory, 10 << 20);
    assert_int_equal(cfg.maxmemory_policy, WC_POLICY_ALLKEYS_LFU);
    assert_false(cfg.protected_mode);
    assert_string_equal(cfg.fastpath_interfaces, "lo eth0");
    assert_int_equal(cfg.file[0], '/');
    assert_non_null(strstr(cfg.file, "/c.conf"));
}

static void test_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"1", 1},           {"7b", 7},        {"1k", 1000},
                {"1kb", 1024},      {"2m", 2000000},  {"2mb", 2 << 20},
                {"1g", 1000000000}, {"1Gb", 1 << 30}, {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"", "x", "-1", "1x", "1 kb", "1.5mb", "18446744073709551616", "99999999999gb"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(wc_config_set(&cfg, "maxmemory", rows[i].text, err, sizeof(err)), 0);
        assert_true(cfg.maxmemory == rows[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(wc_config_set(&cfg, "maxmemory", bad[i], err, sizeof(err)), -EINVAL);
    assert_true(cfg.maxmemory == UINT64_MAX);
}

static void test_errors_in_files(void **state)
{
    static const struct {
        const char *text, *expect;
    } rows[] = {
        {"\n\nfoo 1\n", "c.conf:3: unknown directive 'foo'"},
        {"port x\n", "c.conf:1: port: invalid value 'x' (an integer from 0 to 65535)"},
        {"port 65536\n", "c.conf:1: port: invalid value '65536' (an integer from 0 to 65535)"},
        {"port \"\"\n", "c.conf:1: port: invalid value '' (an integer from 0 to 65535)"},
        {"port\n", "c.conf:1: port: takes one value, not 0"},
        {"port 1 2\n", "c.conf:1: port: takes one value, not 2"},
        {"bind\n", "c.conf:1: bind: takes at least one value, not 0"},
        {"bind \"\"\n", "c.conf:1: bind: invalid value '' (1 to 16 words of at most 64 bytes)"},
        {"requirepass \"a\n", "c.conf:1: unbalanced quotes"},
        {"requirepass \"\\x00\"\n", "c.conf:1: a value cannot hold a zero byte"},
        {"protected-mode maybe\n", "c.conf:1: protected-mode: invalid value 'maybe' (yes or no)"},
        {"io poll\n", "c.conf:1: io: invalid value 'poll' (auto, epoll or uring)"},
        {"maxmemory lots\n", "c.conf:1: maxmemory: invalid value 'lots' (a size such as 100mb)"},
        {"proto-max-bulk-len 1k\n",
         "c.conf:1: proto-max-bulk-len: invalid value '1k' (a size such as 100mb, at least 1mb)"},
        {"fastpath-value-max 1025\n", "c.conf:1: fastpath-value-max: invalid value '1025' (an integer from 1 to 1024)"},
        {"fastpath-interfaces sixteen-letters-x\n",
         "c.conf:1: fastpath-interfaces: invalid value 'sixteen-letters-x' (1 to 15 words of at most 15 bytes)"},
        {"appendonly yes\n", "c.conf:1: appendonly: invalid value 'yes' (only no)"},
        {"save 900 1\n", "c.conf:1: save: invalid value '900' (only \"\")"},
        {"include\n", "c.conf:1: include: takes one file name"},
        {"include /nope.conf\n", "/nope.conf: No such file or directory"},
        {"\"a\\nb\" 1\n", "c.conf:1: unknown directive 'a?b'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(load_text(rows[i].text), -EINVAL);
        assert_string_equal(err, rows[i].expect);
    }
    assert_int_equal(LOAD("/nope.conf"), -EINVAL);
    assert_string_equal(err, "/nope.conf: No such file or directory");
    assert_int_equal(LOAD("/"), -EINVAL);
    assert_string_equal(err, "/: Is a directory");
}

static void test_command_line(void **state)
{
    (void)state;
    write_file("c.conf", "port 7000\ntimeout 5\n");
    assert_int_equal(LOAD("c.conf", "--port", "7002", "--bind", "127.0.0.1", "-::1", "--fastpath", "off"), 0);
    assert_int_equal(cfg.port, 7002);
    assert_int_equal(cfg.timeout, 5);
    assert_string_equal(cfg.bind, "127.0.0.1 -::1");
    assert_int_equal(cfg.fastpath, WC_FASTPATH_OFF);
    assert_int_equal(LOAD("--requirepass", "--secret", "--port 7003"), 0);
    assert_string_equal(cfg.requirepass, "--secret");
    assert_int_equal(cfg.port, 7003);
    assert_int_equal(LOAD("--save", ""), 0);

    assert_int_equal(LOAD("--foo", "1"), -EINVAL);
    assert_string_equal(err, "command line: unknown directive 'foo'");
    assert_int_equal(LOAD("--port", "x"), -EINVAL);
    assert_string_equal(err, "command line: port: invalid value 'x' (an integer from 0 to 65535)");
    assert_int_equal(LOAD("--port"), -EINVAL);
    assert_string_equal(err, "command line: port: takes one value, not 0");
    assert_int_equal(LOAD("c.conf", "extra"), -EINVAL);
    assert_string_equal(err, "command line: unexpected argument 'extra'");
    assert_int_equal(LOAD("-p", "1"), -EINVAL);
    assert_string_equal(err, "command line: unexpected argument '-p'");
    assert_int_equal(LOAD("--"), -EINVAL);
    assert_string_equal(err, "command line: unexpected argument '--'");
}

static void test_standard_input(void **state)
{
    (void)state;
    write_file("in", "port 7005\ntimeout 9\n");
    assert_non_null(freopen("in", "r", stdin));
    assert_int_equal(LOAD("-", "--port", "7006"), 0);
    assert_int_equal(cfg.timeout, 9);
    assert_int_equal(cfg.port, 7006);
    assert_non_null(freopen("in", "r", stdin));
    assert_int_equal(LOAD("--port", "7007", "-"), 0);
    assert_int_equal(cfg.timeout, 9);
    assert_int_equal(cfg.port, 7007);
    write_file("in", "\nfoo 1\n");
    assert_non_null(freopen("in", "r", stdin));
    assert_int_equal(LOAD("-"), -EINVAL);
    assert_string_equal(err, "stdin:2: unknown directive 'foo'");
}

static void test_include(void **state)
{
    (void)state;
    write_file("inner.conf", "timeout 3\n");
    assert_int_equal(load_text("timeout 2\ninclude inner.conf\n"), 0);
    assert_int_equal(cfg.timeout, 3);
    write_file("inner.conf", "\ntimeout x\n");
    assert_int_equal(load_text("include inner.conf\n"), -EINVAL);
    assert_memory_equal(err, "inner.conf:2: timeout: ", 23);
    assert_int_equal(load_text("include c.conf\n"), -EINVAL);
    assert_string_equal(err, "c.conf:1: include: more than 16 files deep");
}

static void test_set(void **state)
{
    (void)state;
    wc_config_defaults(&cfg);
    assert_int_equal(wc_config_set(&cfg, "FastPath", "off", err, sizeof(err)), 0);
    assert_int_equal(cfg.fastpath, WC_FASTPATH_OFF);
    assert_int_equal(wc_config_set(&cfg, "requirepass", "", err, sizeof(err)), 0);
    assert_int_equal(wc_config_set(&cfg, "save", "", err, sizeof(err)), 0);
    assert_int_equal(wc_config_set(&cfg, "nonesuch", "1", err, sizeof(err)), -ENOENT);
    assert_int_equal(wc_config_set(&cfg, "port", "1", err, sizeof(err)), -EPERM);
    assert_int_equal(wc_config_set(&cfg, "maxclients", "0", err, sizeof(err)), -EINVAL);
    assert_string_equal(err, "invalid value '0' (an integer from 1 to 2147483647)");
    assert_int_equal(cfg.maxclients, 10000);
}

static void collect(void *arg, const char *name, const char *value)
{
    char *out = arg;

    sprintf(out + strlen(out), "%s=%s;", name, value);
}

static void test_each(void **state)
{
    char out[8192] = "";

    (void)state;
    wc_config_defaults(&cfg);
    wc_config_each(&cfg, "MAX*", collect, out);
    assert_string_equal(out, "maxmemory=0;maxmemory-policy=noeviction;maxclients=10000;");
    out[0] = 0;
    wc_config_each(&cfg, "save", collect, out);
    wc_config_each(&cfg, "protected-mode", collect, out);
    wc_config_each(&cfg, "proto-max-bulk-len", collect, out);
    wc_config_each(&cfg, "nonesuch", collect, out);
    assert_string_equal(out, "save=;protected-mode=yes;proto-max-bulk-len=536870912;");
}

/* Every directive's printed value is one that it accepts. */
static void set_again(void *arg, const char *name, const char *value)
{
    (void)arg;
    int rc = wc_config_set(&cfg, name, value, err, sizeof(err));

    if (rc && rc != -EPERM)
        fail_msg("%s does not take its own value '%s': %s", name, value, err);
}

static void test_values_survive_a_round_trip(void **state)
{
    struct wc_config before;

    (void)state;
    wc_config_defaults(&cfg);
    before = cfg;
    wc_config_each(&before, "*", set_again, NULL);
    assert_memory_equal(&before, &cfg, sizeof(cfg));
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink("c.conf");
    unlink("inner.conf");
    unlink("in");
    return chdir("/") == 0 ? rmdir(dir) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_file),
        cmocka_unit_test(test_units),        cmocka_unit_test(test_errors_in_files),
        cmocka_unit_test(test_command_line), cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_include),      cmocka_unit_test(test_set),
        cmocka_unit_test(test_each),         cmocka_unit_test(test_values_survive_a_round_trip),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
