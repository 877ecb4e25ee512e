#include "resp/reply.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256
#define INT_CHARS 20 /* -9223372036854775808 */

/* Room for n more bytes: where to write them, or NULL when the buffer has failed. */
static char *grow(struct wc_reply *r, size_t n)
{
    if (r->failed)
        return NULL;
    size_t cap = r->cap < FIRST_CAP ? FIRST_CAP : r->cap * 2;
    if (cap < r->len + n)
        cap = r->len + n;
    if (r->len == 0) { /* nothing that realloc would have to copy */
        free(r->buf);
        r->buf = NULL;
        r->cap = 0;
    }
    char *buf = realloc(r->buf, cap);
    if (!buf) {
        r->failed = true;
        return NULL;
    }
    r->buf = buf;
    r->cap = cap;
    return buf + r->len;
}

static inline char *room(struct wc_reply *r, size_t n)
{
    return __builtin_expect(r->cap - r->len >= n && !r->failed, 1) ? r->buf + r->len : grow(r, n);
}

static const char two_digits[201] = "0001020304050607080910111213141516171819"
                                    "2021222324252627282930313233343536373839"
                                    "4041424344454647484950515253545556575859"
                                    "6061626364656667686970717273747576777879"
                                    "8081828384858687888990919293949596979899";

/* Decimal digits of v at dst; returns the place behind them. */
static inline char *put_unsigned(char *dst, uint64_t v)
{
    if (v < 10) {
        *dst = (char)('0' + v);
        return dst + 1;
    }
    char tmp[INT_CHARS], *s = tmp + sizeof(tmp);
    while (v >= 100) {
        s -= 2;
        memcpy(s, two_digits + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        s -= 2;
        memcpy(s, two_digits + v * 2, 2);
    } else
        *--s = (char)('0' + v);
    size_t n = (size_t)(tmp + sizeof(tmp) - s);
    memcpy(dst, s, n);
    return dst + n;
}

static inline char *put_crlf(char *dst)
{
    memcpy(dst, "\r\n", 2);
    return dst + 2;
}

/* "<kind><v>\r\n" */
static inline void header(struct wc_reply *r, char kind, uint64_t v)
{
    char *p = room(r, 1 + INT_CHARS + 2);
    if (!p)
        return;
    *p++ = kind;
    r->len = (size_t)(put_crlf(put_unsigned(p, v)) - r->buf);
}

void wc_reply_raw(struct wc_reply *r, const char *data, size_t len)
{
    char *p = room(r, len);
    if (!p)
        return;
    memcpy(p, data, len);
    r->len += len;
}

#define RAW(r, literal) wc_reply_raw(r, literal, sizeof(literal) - 1)

void wc_reply_simple(struct wc_reply *r, const char *text)
{
    size_t len = strlen(text);
    char *p = room(r, len + 3);
    if (!p)
        return;
    *p++ = '+';
    memcpy(p, text, len);
    put_crlf(p + len);
    r->len += len + 3;
}

void wc_reply_ok(struct wc_reply *r)
{
    RAW(r, "+OK\r\n");
}

/* An error is one line whatever it quotes. */
static void without_line_ends(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] == '\r' || s[i] == '\n')
            s[i] = ' ';
}

void wc_reply_error(struct wc_reply *r, const char *text)
{
    size_t len = strlen(text);
    char *p = room(r, len + 3);
    if (!p)
        return;
    *p++ = '-';
    memcpy(p, text, len);
    without_line_ends(p, len);
    put_crlf(p + len);
    r->len += len + 3;
}

void wc_reply_errorf(struct wc_reply *r, const char *fmt, ...)
{
    char stack[256], *text = stack;
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(stack, sizeof(stack), fmt, args);
    va_end(args);
    if (len >= (int)sizeof(stack)) {
        text = malloc((size_t)len + 1);
        if (!text) {
            r->failed = true;
            return;
        }
        va_start(args, fmt);
        vsnprintf(text, (size_t)len + 1, fmt, args);
        va_end(args);
    }
    wc_reply_error(r, len < 0 ? "ERR" : text);
    if (text != stack)
        free(text);
}

void wc_reply_int(struct wc_reply *r, int64_t v)
{
    char *p = room(r, 1 + INT_CHARS + 2);
    if (!p)
        return;
    *p++ = ':';
    if (v < 0)
        *p++ = '-';
    p = put_unsigned(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    r->len = (size_t)(put_crlf(p) - r->buf);
}

void wc_reply_bulk(struct wc_reply *r, const char *data, size_t len)
{
    char *p = room(r, 1 + INT_CHARS + 2 + len + 2);
    if (!p)
        return;
    *p++ = '$';
    p = put_crlf(put_unsigned(p, len));
    if (len)
        memcpy(p, data, len);
    r->len = (size_t)(put_crlf(p + len) - r->buf);
}

void wc_reply_bulk_str(struct wc_reply *r, const char *s)
{
    wc_reply_bulk(r, s, strlen(s));
}

void wc_reply_null(struct wc_reply *r)
{
    if (r->resp >= 3)
        RAW(r, "_\r\n");
    else
        RAW(r, "$-1\r\n");
}

void wc_reply_null_array(struct wc_reply *r)
{
    if (r->resp >= 3)
        RAW(r, "_\r\n");
    else
        RAW(r, "*-1\r\n");
}

void wc_reply_array(struct wc_reply *r, size_t n)
{
    header(r, '*', n);
}

void wc_reply_map(struct wc_reply *r, size_t pairs)
{
    if (r->resp >= 3)
        header(r, '%', pairs);
    else
        header(r, '*', pairs * 2);
}

void wc_reply_set(struct wc_reply *r, size_t n)
{
    header(r, r->resp >= 3 ? '~' : '*', n);
}

void wc_reply_push(struct wc_reply *r, size_t n)
{
    header(r, r->resp >= 3 ? '>' : '*', n);
}

void wc_reply_bool(struct wc_reply *r, bool v)
{
    if (r->resp >= 3)
        wc_reply_raw(r, v ? "#t\r\n" : "#f\r\n", 4);
    else
        wc_reply_raw(r, v ? ":1\r\n" : ":0\r\n", 4);
}

/* The shortest decimal that reads back as v, in %g's form: 0.1 and not 0.10000000000000001, as Redis since 7.2. */
static int shortest_double(char *dst, size_t size, double v)
{
    if (isnan(v))
        return snprintf(dst, size, "nan");
    if (isinf(v))
        return snprintf(dst, size, v > 0 ? "inf" : "-inf");
    /* Redis prints integers in full where a double is exact. */
    if (v == trunc(v) && fabs(v) < 4503599627370496.0 && !(v == 0 && signbit(v)))
        return snprintf(dst, size, "%lld", (long long)v);
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(dst, size, "%.*g", digits, v);
        if (strtod(dst, NULL) == v)
            break;
    }
    return len;
}

void wc_reply_double(struct wc_reply *r, double v)
{
    char text[40];
    int len = shortest_double(text, sizeof(text), v);

    if (r->resp < 3) {
        wc_reply_bulk(r, text, (size_t)len);
        return;
    }
    char *p = room(r, (size_t)len + 3);
    if (!p)
        return;
    *p++ = ',';
    memcpy(p, text, (size_t)len);
    put_crlf(p + len);
    r->len += (size_t)len + 3;
}

void wc_reply_verbatim(struct wc_reply *r, const char *ext3, const char *data, size_t len)
{
    if (r->resp < 3) {
        wc_reply_bulk(r, data, len);
        return;
    }
    char *p = room(r, 1 + INT_CHARS + 2 + 4 + len + 2);
    if (!p)
        return;
    *p++ = '=';
    p = put_crlf(put_unsigned(p, len + 4));
    for (int i = 0; i < 3; i++)
        *p++ = ext3[i];
    *p++ = ':';
    if (len)
        memcpy(p, data, len);
    r->len = (size_t)(put_crlf(p + len) - r->buf);
}
