/* The reply writer in both protocols, byte for byte. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resp/reply.h"

static void check(struct wc_reply *r, const char *expected, size_t len)
{
    assert_false(r->failed);
    assert_true(r->len <= r->cap);
    assert_int_equal(r->len, len);
    assert_memory_equal(r->buf, expected, len);
    r->len = 0;
}

/* write: an expression that appends to r. */
#define CHECK(write, expected2, expected3)                                                                             \
    do {                                                                                                               \
        struct wc_reply r2 = {.resp = 2}, r3 = {.resp = 3}, *r = &r2;                                                  \
        write;                                                                                                         \
        check(&r2, expected2, sizeof(expected2) - 1);                                                                  \
        r = &r3;                                                                                                       \
        write;                                                                                                         \
        check(&r3, expected3, sizeof(expected3) - 1);                                                                  \
        free(r2.buf);                                                                                                  \
        free(r3.buf);                                                                                                  \
    } while (0)
#define CHECK_BOTH(write, expected) CHECK(write, expected, expected)

static void writes_lines(void **state)
{
    (void)state;
    CHECK_BOTH(wc_reply_ok(r), "+OK\r\n");
    CHECK_BOTH(wc_reply_simple(r, "PONG"), "+PONG\r\n");
    CHECK_BOTH(wc_reply_simple(r, ""), "+\r\n");
    CHECK_BOTH(wc_reply_raw(r, "a\0b", 3), "a\0b");
    CHECK_BOTH(wc_reply_raw(r, "", 0), "");
}

static void writes_errors_on_one_line(void **state)
{
    (void)state;
    char name[1000];

    CHECK_BOTH(wc_reply_error(r, "ERR syntax error"), "-ERR syntax error\r\n");
    CHECK_BOTH(wc_reply_error(r, "ERR a\r\n+OK\r\nb\n"), "-ERR a  +OK  b \r\n");
    CHECK_BOTH(wc_reply_errorf(r, "ERR unknown command '%s', %d", "a\nb", 7), "-ERR unknown command 'a b', 7\r\n");

    /* Longer than the writer's own room for formatting. */
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t len = 240; len < sizeof(name); len += len < 270 ? 1 : 243) {
        struct wc_reply r = {.resp = 2};
        wc_reply_errorf(&r, "E '%.*s'", (int)len, name);
        assert_int_equal(r.len, len + 7);
        assert_memory_equal(r.buf, "-E 'x", 5);
        assert_memory_equal(r.buf + r.len - 4, "x'\r\n", 4);
        free(r.buf);
    }
}

static void writes_integers(void **state)
{
    (void)state;
    CHECK_BOTH(wc_reply_int(r, 0), ":0\r\n");
    CHECK_BOTH(wc_reply_int(r, 7), ":7\r\n");
    CHECK_BOTH(wc_reply_int(r, 10), ":10\r\n");
    CHECK_BOTH(wc_reply_int(r, -1), ":-1\r\n");
    CHECK_BOTH(wc_reply_int(r, INT64_MAX), ":9223372036854775807\r\n");
    CHECK_BOTH(wc_reply_int(r, INT64_MIN), ":-9223372036854775808\r\n");

    /* Around every power of ten, against the C library. */
    struct wc_reply r = {.resp = 2};
    char expected[64];
    for (int64_t power = 1;; power *= 10) {
        for (int64_t v = power - 2; v <= power + 2; v++) {
            int n = snprintf(expected, sizeof(expected), ":%lld\r\n:%lld\r\n", (long long)v, (long long)-v);
            wc_reply_int(&r, v);
            wc_reply_int(&r, -v);
            check(&r, expected, (size_t)n);
        }
        if (power > INT64_MAX / 10)
            break;
    }
    free(r.buf);
}

static void writes_bulks(void **state)
{
    (void)state;
    CHECK_BOTH(wc_reply_bulk(r, "hello", 5), "$5\r\nhello\r\n");
    CHECK_BOTH(wc_reply_bulk(r, "a\r\n\0b", 5), "$5\r\na\r\n\0b\r\n");
    CHECK_BOTH(wc_reply_bulk(r, NULL, 0), "$0\r\n\r\n");
    CHECK_BOTH(wc_reply_bulk_str(r, "hello, world"), "$12\r\nhello, world\r\n");
    CHECK(wc_reply_verbatim(r, "txt", "abc", 3), "$3\r\nabc\r\n", "=7\r\ntxt:abc\r\n");
    CHECK(wc_reply_verbatim(r, "mkd", NULL, 0), "$0\r\n\r\n", "=4\r\nmkd:\r\n");
}

static void writes_what_the_protocols_have_in_different_forms(void **state)
{
    (void)state;
    CHECK(wc_reply_null(r), "$-1\r\n", "_\r\n");
    CHECK(wc_reply_null_array(r), "*-1\r\n", "_\r\n");
    CHECK(wc_reply_bool(r, true), ":1\r\n", "#t\r\n");
    CHECK(wc_reply_bool(r, false), ":0\r\n", "#f\r\n");
    CHECK_BOTH(wc_reply_array(r, 0), "*0\r\n");
    CHECK_BOTH(wc_reply_array(r, 1234567), "*1234567\r\n");
    CHECK(wc_reply_map(r, 6), "*12\r\n", "%6\r\n");
    CHECK(wc_reply_set(r, 3), "*3\r\n", "~3\r\n");
    CHECK(wc_reply_push(r, 2), "*2\r\n", ">2\r\n");
}

static void writes_doubles(void **state)
{
    (void)state;
    CHECK(wc_reply_double(r, 0), "$1\r\n0\r\n", ",0\r\n");
    CHECK(wc_reply_double(r, -0.0), "$2\r\n-0\r\n", ",-0\r\n");
    CHECK(wc_reply_double(r, 3), "$1\r\n3\r\n", ",3\r\n");
    CHECK(wc_reply_double(r, -1.5), "$4\r\n-1.5\r\n", ",-1.5\r\n");
    CHECK(wc_reply_double(r, 0.1), "$3\r\n0.1\r\n", ",0.1\r\n");
    CHECK(wc_reply_double(r, 0.1 + 0.2), "$19\r\n0.30000000000000004\r\n", ",0.30000000000000004\r\n");
    CHECK(wc_reply_double(r, 1e15), "$16\r\n1000000000000000\r\n", ",1000000000000000\r\n");
    CHECK(wc_reply_double(r, 1e100), "$6\r\n1e+100\r\n", ",1e+100\r\n");
    CHECK(wc_reply_double(r, 2.5e-300), "$8\r\n2.5e-300\r\n", ",2.5e-300\r\n");
    CHECK(wc_reply_double(r, INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    CHECK(wc_reply_double(r, -INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    CHECK(wc_reply_double(r, NAN), "$3\r\nnan\r\n", ",nan\r\n");
}

/* Writers must grow whatever room they were handed, by exactly as little as the sanitizer allows. */
static void grows_from_any_size(void **state)
{
    (void)state;
    static const char small[] = "+OK\r\n:-12\r\n$2\r\nab\r\n%1\r\n,2.5\r\n=5\r\ntxt:a\r\n-ERR e\r\n_\r\n";
    char big[5000];

    memset(big, 'v', sizeof(big));
    for (size_t cap = 0; cap < 80; cap++) {
        struct wc_reply r = {.buf = cap ? malloc(cap) : NULL, .cap = cap, .resp = 3};
        wc_reply_ok(&r);
        wc_reply_int(&r, -12);
        wc_reply_bulk(&r, "ab", 2);
        wc_reply_map(&r, 1);
        wc_reply_double(&r, 2.5);
        wc_reply_verbatim(&r, "txt", "a", 1);
        wc_reply_error(&r, "ERR e");
        wc_reply_null(&r);
        check(&r, small, sizeof(small) - 1);
        for (int i = 0; i < 20; i++)
            wc_reply_bulk(&r, big, sizeof(big));
        assert_int_equal(r.len, 20 * (sizeof(big) + 9));
        assert_memory_equal(r.buf + 19 * (sizeof(big) + 9), "$5000\r\nvv", 9);
        free(r.buf);
    }
}

static void does_nothing_once_it_has_failed(void **state)
{
    (void)state;
    char room[8] = "unused";
    struct wc_reply r = {.buf = room, .cap = sizeof(room), .resp = 3, .failed = true};

    wc_reply_ok(&r);
    wc_reply_int(&r, 1);
    wc_reply_bulk(&r, "a", 1);
    wc_reply_errorf(&r, "%s", "x");
    wc_reply_array(&r, 1);
    wc_reply_double(&r, 1);
    wc_reply_verbatim(&r, "txt", "a", 1);
    assert_int_equal(r.len, 0);
    assert_string_equal(room, "unused");
}

/* More than there is memory for. */
static void fails_without_a_crash(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their malloc aborts instead */
#endif
    struct wc_reply r = {.resp = 2};

    wc_reply_ok(&r);
    wc_reply_bulk(&r, NULL, SIZE_MAX / 4);
    assert_true(r.failed);
    assert_int_equal(r.len, 5);
    wc_reply_ok(&r);
    assert_int_equal(r.len, 5);
    free(r.buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_lines),
        cmocka_unit_test(writes_errors_on_one_line),
        cmocka_unit_test(writes_integers),
        cmocka_unit_test(writes_bulks),
        cmocka_unit_test(writes_what_the_protocols_have_in_different_forms),
        cmocka_unit_test(writes_doubles),
        cmocka_unit_test(grows_from_any_size),
        cmocka_unit_test(does_nothing_once_it_has_failed),
        cmocka_unit_test(fails_without_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
