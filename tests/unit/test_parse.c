/* The request parser: every request of the table whole, cut in two at every place, and byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resp/parse.h"

static const struct wc_parser_limits limits = {
    .max_bulk = 512 * 1024 * 1024,
    .max_multibulk = INT32_MAX,
    .max_inline = 64 * 1024,
    .max_bulk_unauth = 16384,
};

/* ---- a connection that keeps what is unparsed, and a transcript of what came out ---- */

struct feed {
    struct wc_parser parser;
    int authenticated;
    char *buf; /* exactly as large as the input it holds, so that a sanitizer sees every byte too far */
    size_t len;
    int failed;
    char *text; /* "GET k|PING|" or "...|!Protocol error: ..." */
    size_t text_len;
    FILE *out;
};

static void feed_open(struct feed *f, int authenticated)
{
    *f = (struct feed){.authenticated = authenticated};
    wc_parser_init(&f->parser);
    f->out = open_memstream(&f->text, &f->text_len);
    assert_non_null(f->out);
}

static void feed_close(struct feed *f)
{
    fclose(f->out);
    free(f->text);
    free(f->buf);
    wc_parser_free(&f->parser);
}

/* Printable as it is, anything else as <hex>; an empty argument as "". */
static void print_request(struct feed *f)
{
    for (uint32_t i = 0; i < f->parser.argc; i++) {
        const struct wc_arg *a = &f->parser.argv[i];
        fprintf(f->out, "%s%s", i ? " " : "", a->len ? "" : "\"\"");
        if (a->len > 100) {
            fprintf(f->out, "(%u)", a->len);
            continue;
        }
        for (uint32_t j = 0; j < a->len; j++) {
            unsigned char c = (unsigned char)a->ptr[j];
            fprintf(f->out, c > ' ' && c < 127 && c != '|' ? "%c" : "<%02x>", c);
        }
    }
    fputc('|', f->out);
}

static void feed_bytes(struct feed *f, const char *data, size_t n)
{
    if (f->failed)
        return;
    char *joined = malloc(f->len + n);
    assert_non_null(joined);
    if (f->len)
        memcpy(joined, f->buf, f->len);
    memcpy(joined + f->len, data, n);
    free(f->buf);
    f->buf = joined;
    f->len += n;

    size_t off = 0;
    for (;;) {
        ssize_t r = wc_resp_parse(&f->parser, &limits, f->authenticated, f->buf + off, f->len - off);
        if (r == 0)
            break;
        if (r < 0) {
            assert_int_equal(r, -EPROTO);
            fprintf(f->out, "!%s", f->parser.error);
            f->failed = 1;
            break;
        }
        assert_true((size_t)r <= f->len - off);
        print_request(f);
        off += (size_t)r;
    }
    char *rest = malloc(f->len - off + 1);
    memcpy(rest, f->buf + off, f->len - off);
    free(f->buf);
    f->buf = rest;
    f->len -= off;
}

/* Feed it in pieces of `step`, after a first piece of `first`. */
static void check_cut(const char *in, size_t len, int authenticated, const char *expected, size_t first, size_t step)
{
    struct feed f;

    feed_open(&f, authenticated);
    for (size_t off = 0; off < len;) {
        size_t n = off == 0 && first ? first : step;
        n = n < len - off ? n : len - off;
        feed_bytes(&f, in + off, n);
        off += n;
    }
    fflush(f.out);
    if (strcmp(f.text, expected) != 0)
        print_message("cut: first %zu, step %zu\n", first, step);
    assert_string_equal(f.text, expected);
    feed_close(&f);
}

static void check_at_every_cut(const char *in, size_t len, int authenticated, const char *expected)
{
    check_cut(in, len, authenticated, expected, 0, len);
    check_cut(in, len, authenticated, expected, 0, 1);
    for (size_t first = 1; first < len; first++)
        check_cut(in, len, authenticated, expected, first, len);
}

/* ---- the table ---- */

struct request {
    const char *in;
    size_t len;
    const char *expected;
};

#define REQUEST(in, expected)                                                                                          \
    {                                                                                                                  \
        in, sizeof(in) - 1, expected                                                                                   \
    }

static const struct request requests[] = {
    /* multibulk */
    REQUEST("*1\r\n$4\r\nPING\r\n", "PING|"),
    REQUEST("*2\r\n$3\r\nGET\r\n$5\r\nhello\r\n", "GET hello|"),
    REQUEST("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", "SET k \"\"|"),
    REQUEST("*2\r\n$4\r\nECHO\r\n$6\r\na\r\nb\0\xff\r\n", "ECHO a<0d><0a>b<00><ff>|"),
    REQUEST("*2\r\n$4\r\nECHO\r\n$12\r\nhello, world\r\n", "ECHO hello,<20>world|"),
    REQUEST("*9\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n",
            "1 2 3 4 5 6 7 8 9|"),
    /* pipelines, and both kinds mixed */
    REQUEST("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "PING|PING|GET a|"),
    REQUEST("PING\r\n*1\r\n$4\r\nPING\r\nGET a\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n", "PING|PING|GET a|GET b|"),
    /* requests of no arguments are consumed and give nothing */
    REQUEST("*0\r\nPING\r\n", "|PING|"),
    REQUEST("*-1\r\nPING\r\n", "|PING|"),
    REQUEST("*-2147483649\r\nPING\r\n", "|PING|"),
    REQUEST("\r\n\nPING\r\n", "||PING|"),
    REQUEST("   \t \r\nPING\r\n", "|PING|"),
    /* incomplete */
    REQUEST("*", ""),
    REQUEST("*2\r\n$3\r\nGET\r\n$5\r\nhell", ""),
    REQUEST("*2\r\n$3\r\nGET\r\n$5\r\nhello", ""),
    REQUEST("*2\r\n$3\r\nGET\r\n$5\r\nhello\r", ""),
    REQUEST("PING", ""),
    REQUEST("*1\n$4\nPING\n", ""), /* a header line ends with CR */
    REQUEST("*2\r\nxyz", ""),      /* not refused before its line is complete */
    /* like Redis, what follows a CR or a bulk is not looked at */
    REQUEST("*1\rX$4\rYPINGab*1\r\n$4\r\nPING\r\n", "PING|PING|"),
    /* inline */
    REQUEST("GET hello\r\n", "GET hello|"),
    REQUEST("GET hello\n", "GET hello|"),
    REQUEST("  GET \t  hello  \r\n", "GET hello|"),
    REQUEST("a\rb\r\n", "a b|"),
    REQUEST("a\vb \v\fc\r\n", "a<0b>b c|"),
    REQUEST("a\0b c\r\n", "a<00>b c|"),
    REQUEST("SET k \"a b\"\r\n", "SET k a<20>b|"),
    REQUEST("SET k \"\" ''\r\n", "SET k \"\" \"\"|"),
    REQUEST("\"\\x41\\x0a\\xzz\\x4\\n\\r\\t\\b\\a\\\\\\\"\\q\"\n", "A<0a>xzzx4<0a><0d><09><08><07>\\\"q|"),
    REQUEST("'a\\'b\\n\"c'\n", "a'b\\n\"c|"),
    REQUEST("\"it's\"\n", "it's|"),
    REQUEST("pi\"n g\"\n", "pin<20>g|"),
    REQUEST("\\x41 \\n\n", "\\x41 \\n|"), /* no escapes outside quotes */
    REQUEST("a b c d e f g h i j k l m n o p q r s t\n", "a b c d e f g h i j k l m n o p q r s t|"),
    REQUEST("$4\r\n", "$4|"),
    /* errors; requests before them count */
    REQUEST("*\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*x\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*1x\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*01\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*00\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*+1\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("* 1\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*-0\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*-\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*2147483648\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*4294967297\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*9223372036854775808\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*-9223372036854775809\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*18446744073709551617\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*99999999999999999999999999\r\n", "!Protocol error: invalid multibulk length"),
    REQUEST("*2147483647\r\n+\r\n", "!Protocol error: expected '$', got '+'"),
    REQUEST("PING\r\n*1\r\nPING\r\n", "PING|!Protocol error: expected '$', got 'P'"),
    REQUEST("*1\r\n*1\r\n", "!Protocol error: expected '$', got '*'"),
    REQUEST("*1\r\n\0\r\n", "!Protocol error: expected '$', got ' '"),
    REQUEST("*1\r\n$-1\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$-0\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$04\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$4 \r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$536870913\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$4294967300\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*1\r\n$18446744073709551620\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("*2\r\n$4\r\nPING\r\n$x\r\n", "!Protocol error: invalid bulk length"),
    REQUEST("\"\n", "!Protocol error: unbalanced quotes in request"),
    REQUEST("GET \"a\r\n", "!Protocol error: unbalanced quotes in request"),
    REQUEST("GET 'a\r\n", "!Protocol error: unbalanced quotes in request"),
    REQUEST("GET \"a\"b\r\n", "!Protocol error: unbalanced quotes in request"),
    REQUEST("GET 'a'\"b\"\r\n", "!Protocol error: unbalanced quotes in request"),
    REQUEST("GET \"a\\\"\r\n", "!Protocol error: unbalanced quotes in request"),
};

static void parses_the_table_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        check_at_every_cut(requests[i].in, requests[i].len, 1, requests[i].expected);
}

/* ---- limits ---- */

static void limits_an_unauthenticated_client(void **state)
{
    (void)state;
    static const struct request table[] = {
        REQUEST("*10\r\n", ""),
        REQUEST("*11\r\n", "!Protocol error: unauthenticated multibulk length"),
        REQUEST("*1\r\n$16384\r\n", ""),
        REQUEST("*1\r\n$16385\r\n", "!Protocol error: unauthenticated bulk length"),
        REQUEST("*1\r\n$536870913\r\n", "!Protocol error: invalid bulk length"),
        REQUEST("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", "AUTH x|"),
        REQUEST("a 1 2 3 4 5 6 7 8 9 10 11\r\n", "a 1 2 3 4 5 6 7 8 9 10 11|"), /* as Redis */
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        check_at_every_cut(table[i].in, table[i].len, 0, table[i].expected);
    check_at_every_cut("*11\r\n", 5, 1, "");
}

/* A line of n times c behind `before`, followed by `after`. */
static void check_long_line(const char *before, char c, size_t n, const char *after, const char *expected)
{
    size_t head = strlen(before), tail = strlen(after), len = head + n + tail;
    char *in = malloc(len);

    memcpy(in, before, head);
    memset(in + head, c, n);
    memcpy(in + head + n, after, tail);
    check_cut(in, len, 1, expected, 0, len);
    check_cut(in, len, 1, expected, 0, 4096);
    check_cut(in, len, 1, expected, len - 1, 1);
    if (head)
        check_cut(in, len, 1, expected, head, 1000);
    free(in);
}

static void limits_the_length_of_a_line(void **state)
{
    (void)state;
    const size_t max = 64 * 1024;
    check_long_line("", 'a', max, "", "");
    check_long_line("", 'a', max, "\n", "(65536)|");
    check_long_line("", 'a', max + 1, "", "!Protocol error: too big inline request");
    check_long_line("", 'a', max + 1, "\n", "!Protocol error: too big inline request");
    check_long_line("PING\r\n", 'a', max + 1, "\r\n", "PING|!Protocol error: too big inline request");
    check_long_line("*", '1', max - 1, "", "");
    check_long_line("*", '1', max - 1, "\r\n", "!Protocol error: invalid multibulk length");
    check_long_line("*", '1', max, "", "!Protocol error: too big mbulk count string");
    check_long_line("*", '1', max, "\r\n", "!Protocol error: too big mbulk count string");
    check_long_line("*1\r\n$", '1', max - 1, "\r\n", "!Protocol error: invalid bulk length");
    check_long_line("*1\r\n$", '1', max, "", "!Protocol error: too big bulk count string");
    check_long_line("*1\r\n", 'x', max + 1, "", "!Protocol error: too big bulk count string");
}

static void limits_bulks_to_what_the_caller_says(void **state)
{
    (void)state;
    struct wc_parser p;
    struct wc_parser_limits lim = limits;
    const char in[] = "*1\r\n$1000\r\n";

    wc_parser_init(&p);
    lim.max_bulk = 999;
    assert_int_equal(wc_resp_parse(&p, &lim, 1, in, sizeof(in) - 1), -EPROTO);
    assert_string_equal(p.error, "Protocol error: invalid bulk length");
    lim.max_bulk = 1000;
    assert_int_equal(wc_resp_parse(&p, &lim, 1, in, sizeof(in) - 1), 0);
    assert_int_equal(p.want, sizeof(in) - 1 + 1000 + 2);
    wc_parser_reset(&p);
    /* A length is 32 bits wide however large the limit. */
    lim.max_bulk = UINT64_MAX;
    assert_int_equal(wc_resp_parse(&p, &lim, 1, "*1\r\n$4294967296\r\n", 17), -EPROTO);
    wc_parser_free(&p);
}

/* ---- state between requests ---- */

static void says_how_much_is_wanted(void **state)
{
    (void)state;
    struct wc_parser p;
    const char in[] = "*2\r\n$3\r\nSET\r\n$100000\r\nabc";

    wc_parser_init(&p);
    assert_int_equal(wc_resp_parse(&p, &limits, 1, in, sizeof(in) - 1), 0);
    assert_int_equal(p.want, 13 + 9 + 100000 + 2);
    wc_parser_free(&p);
}

static void is_usable_after_reset(void **state)
{
    (void)state;
    struct wc_parser p;
    const char half[] = "*3\r\n$3\r\nSET\r\n$2\r\nk";
    const char whole[] = "*1\r\n$4\r\nPING\r\n";

    wc_parser_init(&p);
    assert_int_equal(wc_resp_parse(&p, &limits, 1, half, sizeof(half) - 1), 0);
    wc_parser_reset(&p);
    assert_int_equal(wc_resp_parse(&p, &limits, 1, whole, sizeof(whole) - 1), sizeof(whole) - 1);
    assert_int_equal(p.argc, 1);
    assert_memory_equal(p.argv[0].ptr, "PING", 4);
    wc_parser_free(&p);
}

static void gives_back_the_arrays_of_a_huge_request(void **state)
{
    (void)state;
    struct wc_parser p;
    const size_t n = 100000;
    char *in = malloc(32 + n * 7), *end = in;

    end += sprintf(end, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++)
        end += sprintf(end, "$1\r\n%zu\r\n", i % 10);
    wc_parser_init(&p);
    assert_int_equal(wc_resp_parse(&p, &limits, 1, in, (size_t)(end - in)), end - in);
    assert_int_equal(p.argc, n);
    assert_int_equal(p.argv[n - 1].ptr[0], '0' + (int)((n - 1) % 10));
    wc_parser_trim(&p);
    assert_true(p.argv_cap * sizeof(struct wc_arg) <= 32 * 1024);

    memset(in, 'a', 40000);
    memcpy(in, "\"a\" ", 4);
    in[40000] = '\n';
    assert_int_equal(wc_resp_parse(&p, &limits, 1, in, 40001), 40001);
    assert_int_equal(p.argv[1].len, 40000 - 4);
    wc_parser_trim(&p);
    assert_int_equal(p.inline_cap, 0);
    assert_int_equal(wc_resp_parse(&p, &limits, 1, "PING\n", 5), 5);
    free(in);
    wc_parser_free(&p);
}

/* Arguments found before the buffer moved must point into the new one, at every growth of argv. */
static void many_arguments_survive_moving(void **state)
{
    (void)state;
    char in[2048], expected[1024], *p = in, *e = expected;
    const int n = 100;

    p += sprintf(p, "*%d\r\n", n);
    for (int i = 0; i < n; i++) {
        p += sprintf(p, "$3\r\n%03d\r\n", i);
        e += sprintf(e, "%s%03d", i ? " " : "", i);
    }
    strcpy(e, "|");
    check_at_every_cut(in, (size_t)(p - in), 1, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_the_table_at_every_cut),
        cmocka_unit_test(limits_an_unauthenticated_client),
        cmocka_unit_test(limits_the_length_of_a_line),
        cmocka_unit_test(limits_bulks_to_what_the_caller_says),
        cmocka_unit_test(says_how_much_is_wanted),
        cmocka_unit_test(is_usable_after_reset),
        cmocka_unit_test(gives_back_the_arrays_of_a_huge_request),
        cmocka_unit_test(many_arguments_survive_moving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
