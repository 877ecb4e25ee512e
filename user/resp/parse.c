#include "resp/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resp/inline.h"

#define UNAUTH_MULTIBULK 10
#define TRIM_BYTES       (32 * 1024)
#define FIRST_ARGS       1024 /* arguments made room for on a header's word alone */

void wc_parser_init(struct wc_parser *p)
{
    memset(p, 0, sizeof(*p));
    p->argv = p->small;
    p->argv_cap = WC_PARSER_SMALL;
    p->bulk_len = -1;
}

void wc_parser_free(struct wc_parser *p)
{
    if (p->argv != p->small)
        free(p->argv);
    free(p->inline_store);
    wc_parser_init(p);
}

void wc_parser_reset(struct wc_parser *p)
{
    p->argc = 0;
    p->pos = 0;
    p->scanned = 0;
    p->multibulk_left = 0;
    p->bulk_len = -1;
    p->want = 0;
}

void wc_parser_trim(struct wc_parser *p)
{
    if (p->argv_cap > TRIM_BYTES / sizeof(p->argv[0])) {
        free(p->argv);
        p->argv = p->small;
        p->argv_cap = WC_PARSER_SMALL;
        p->argc = 0;
    }
    if (p->inline_cap > TRIM_BYTES) {
        free(p->inline_store);
        p->inline_store = NULL;
        p->inline_cap = 0;
    }
}

static ssize_t malformed(struct wc_parser *p, const char *text)
{
    snprintf(p->error, sizeof(p->error), "Protocol error: %s", text);
    wc_parser_reset(p);
    return -EPROTO;
}

static int reserve_args(struct wc_parser *p, uint32_t n)
{
    if (n <= p->argv_cap)
        return 0;
    uint64_t cap = (uint64_t)p->argv_cap * 2 > n ? (uint64_t)p->argv_cap * 2 : n;
    if (cap > UINT32_MAX)
        return -ENOMEM;
    struct wc_arg *argv = realloc(p->argv == p->small ? NULL : p->argv, cap * sizeof(*argv));
    if (!argv)
        return -ENOMEM;
    if (p->argv == p->small)
        memcpy(argv, p->small, sizeof(p->small));
    p->argv = argv;
    p->argv_cap = (uint32_t)cap;
    return 0;
}

/* As Redis's string2ll: no sign but '-', no spaces, no leading zeros, overflow refused. */
static bool read_integer(const char *s, size_t len, int64_t *out)
{
    bool negative = len > 0 && s[0] == '-';
    size_t i = negative;

    if (len - i == 1 && s[i] == '0' && !negative) {
        *out = 0;
        return true;
    }
    if (i >= len || s[i] < '1' || s[i] > '9')
        return false;
    uint64_t v = 0;
    for (; i < len; i++) {
        unsigned d = (unsigned char)s[i] - '0';
        if (d > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* A header line, "*3\r\n" or "$5\r\n": what nearly every header is, at most 9 digits and all of it there.
 * Returns the bytes it takes, or 0: look again with header_line(). */
static inline size_t quick_header(const char *s, size_t len, char kind, int64_t *value)
{
    size_t max = len < 12 ? len : 12;
    if (max < 4 || s[0] != kind)
        return 0;
    unsigned d = (unsigned char)s[1] - '0';
    if (d > 9)
        return 0;
    uint32_t v = d;
    size_t i = 2;
    for (; i + 1 < max; i++) {
        d = (unsigned char)s[i] - '0';
        if (d > 9)
            break;
        if (v == 0)
            return 0;
        v = v * 10 + d;
    }
    /* Like Redis, take whatever follows the CR for the LF. */
    if (i + 1 >= max || s[i] != '\r')
        return 0;
    *value = v;
    return i + 2;
}

enum header { HEADER_OK, HEADER_INCOMPLETE, HEADER_TOO_BIG, HEADER_KIND, HEADER_NUMBER };

/* The general case of a header line at p->pos: incomplete, long or wrong. */
static enum header header_line(struct wc_parser *p, const struct wc_parser_limits *lim, char kind, const char *buf,
                               size_t len, size_t *taken, int64_t *value)
{
    const char *line = buf + p->pos;
    size_t have = len - p->pos;
    size_t from = p->scanned > p->pos ? p->scanned - p->pos : 0;
    size_t look = have <= lim->max_inline ? have : (size_t)lim->max_inline + 1;
    const char *cr = from < look ? memchr(line + from, '\r', look - from) : NULL;

    if (!cr && have > lim->max_inline)
        return HEADER_TOO_BIG;
    if (!cr || (size_t)(cr - line) + 2 > have) {
        p->scanned = p->pos + (cr ? (size_t)(cr - line) : have);
        p->want = len + 1;
        return HEADER_INCOMPLETE;
    }
    p->scanned = 0;
    if (line[0] != kind)
        return HEADER_KIND;
    if (!read_integer(line + 1, (size_t)(cr - line) - 1, value))
        return HEADER_NUMBER;
    *taken = (size_t)(cr - line) + 2;
    return HEADER_OK;
}

/* "*N\r\n". 1: go on with the arguments; 0: incomplete; negative: error. *taken is set when there are none. */
static ssize_t multibulk_header(struct wc_parser *p, const struct wc_parser_limits *lim, int authenticated,
                                const char *buf, size_t len, size_t *taken)
{
    int64_t n = 0;

    *taken = quick_header(buf, len, '*', &n);
    if (!*taken) {
        switch (header_line(p, lim, '*', buf, len, taken, &n)) {
        case HEADER_OK:
            break;
        case HEADER_INCOMPLETE:
            return 0;
        case HEADER_TOO_BIG:
            return malformed(p, "too big mbulk count string");
        default:
            return malformed(p, "invalid multibulk length");
        }
    }
    if (n > (int64_t)lim->max_multibulk || n > INT32_MAX)
        return malformed(p, "invalid multibulk length");
    if (n > UNAUTH_MULTIBULK && !authenticated)
        return malformed(p, "unauthenticated multibulk length");
    if (n > 0 && reserve_args(p, n < FIRST_ARGS ? (uint32_t)n : FIRST_ARGS))
        return -ENOMEM;
    p->multibulk_left = n > 0 ? (int32_t)n : 0;
    return 1;
}

/* The slow and failing cases of "$N\r\n": 1 with p->bulk_len set, 0, or negative. */
static ssize_t bulk_header(struct wc_parser *p, const struct wc_parser_limits *lim, int authenticated, const char *buf,
                           size_t len)
{
    size_t taken = 0;
    int64_t n = -1;
    char got[32], c;

    taken = quick_header(buf + p->pos, len - p->pos, '$', &n);
    if (!taken) {
        switch (header_line(p, lim, '$', buf, len, &taken, &n)) {
        case HEADER_OK:
            break;
        case HEADER_INCOMPLETE:
            return 0;
        case HEADER_TOO_BIG:
            return malformed(p, "too big bulk count string");
        case HEADER_KIND:
            c = buf[p->pos];
            snprintf(got, sizeof(got), "expected '$', got '%c'", c ? c : ' ');
            return malformed(p, got);
        case HEADER_NUMBER:
            return malformed(p, "invalid bulk length");
        }
    }
    if (n < 0 || (uint64_t)n > lim->max_bulk || n > UINT32_MAX)
        return malformed(p, "invalid bulk length");
    if ((uint64_t)n > lim->max_bulk_unauth && !authenticated)
        return malformed(p, "unauthenticated bulk length");
    p->bulk_len = n;
    p->pos += taken;
    return 1;
}

/* The buffer has moved since the arguments so far were found. */
static void rebase(struct wc_parser *p, const char *buf)
{
    uintptr_t delta = (uintptr_t)buf - (uintptr_t)p->base;
    for (uint32_t i = 0; i < p->argc; i++)
        p->argv[i].ptr = (const char *)((uintptr_t)p->argv[i].ptr + delta);
    p->base = buf;
}

static ssize_t multibulk_args(struct wc_parser *p, const struct wc_parser_limits *lim, int authenticated,
                              const char *buf, size_t len)
{
    while (p->multibulk_left > 0) {
        if (p->bulk_len < 0) {
            ssize_t r = bulk_header(p, lim, authenticated, buf, len);
            if (r <= 0)
                return r;
        }
        size_t bulk = (size_t)p->bulk_len;
        if (len - p->pos < bulk + 2) {
            p->want = p->pos + bulk + 2;
            return 0;
        }
        if (p->argc == p->argv_cap && reserve_args(p, p->argc + 1))
            return -ENOMEM;
        p->argv[p->argc++] = (struct wc_arg){.ptr = buf + p->pos, .len = (uint32_t)bulk};
        p->pos += bulk + 2;
        p->bulk_len = -1;
        p->multibulk_left--;
    }
    size_t taken = p->pos;
    p->pos = 0;
    p->scanned = 0;
    p->want = 0;
    return (ssize_t)taken;
}

static ssize_t inline_request(struct wc_parser *p, const struct wc_parser_limits *lim, const char *buf, size_t len)
{
    size_t look = len <= lim->max_inline ? len : (size_t)lim->max_inline + 1;
    const char *lf = p->scanned < look ? memchr(buf + p->scanned, '\n', look - p->scanned) : NULL;

    p->argc = 0;
    if (!lf) {
        if (len > lim->max_inline)
            return malformed(p, "too big inline request");
        p->scanned = len;
        p->want = len + 1;
        return 0;
    }
    size_t taken = (size_t)(lf - buf) + 1;
    size_t line = taken - 1;
    if (line > 0 && buf[line - 1] == '\r')
        line--;

    wc_parser_reset(p);
    int err = wc_inline_split(p, buf, line);
    if (err == -EINVAL)
        return malformed(p, "unbalanced quotes in request");
    return err ? err : (ssize_t)taken;
}

int wc_parser_push(struct wc_parser *p, const char *ptr, size_t len)
{
    if (p->argc == p->argv_cap && reserve_args(p, p->argc + 1))
        return -ENOMEM;
    p->argv[p->argc++] = (struct wc_arg){.ptr = ptr, .len = (uint32_t)len};
    return 0;
}

ssize_t wc_resp_parse(struct wc_parser *p, const struct wc_parser_limits *lim, int authenticated, const char *buf,
                      size_t len)
{
    if (len == 0)
        return 0;
    if (p->multibulk_left > 0) {
        if (p->base != buf)
            rebase(p, buf);
        return multibulk_args(p, lim, authenticated, buf, len);
    }
    if (buf[0] != '*')
        return inline_request(p, lim, buf, len);

    size_t taken;
    p->argc = 0;
    ssize_t r = multibulk_header(p, lim, authenticated, buf, len, &taken);
    if (r <= 0)
        return r;
    if (p->multibulk_left == 0) {
        wc_parser_reset(p);
        return (ssize_t)taken;
    }
    p->base = buf;
    p->pos = taken;
    return multibulk_args(p, lim, authenticated, buf, len);
}
