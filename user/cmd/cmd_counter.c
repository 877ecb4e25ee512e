/* INCR and its kin. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/internal.h"

#define ERR_OVERFLOW "ERR increment or decrement would overflow"
#define ERR_FLOAT    "ERR value is not a valid float"
#define FLOAT_CHARS  5120 /* as in Redis; the largest long double without an exponent has 4933 digits */

/* Add delta under the key's lock. On success *sum is the new value, else the text of the error is returned. */
static const char *add_locked(struct wc_cmd_ctx *ctx, const struct wc_key *key, int64_t delta, int64_t *sum)
{
    struct wc_store *store = ctx->server->store;
    int db = ctx->client->db;
    struct wc_entry *e = wc_store_find(store, db, key, ctx->now_ms);
    char text[20], scratch[24];
    int64_t old = 0;
    uint32_t len;

    if (e) {
        struct wc_value value = wc_entry_value(e, scratch);

        if (!wc_parse_int64(value.ptr, value.len, &old))
            return WC_ERR_NOT_INT;
    }
    if (__builtin_add_overflow(old, delta, sum))
        return ERR_OVERFLOW;
    len = wc_print_int64(text, *sum);
    if (wc_store_set(store, db, key, text, len, e ? wc_entry_expire(e) : WC_NO_EXPIRE))
        return "ERR out of memory";
    return NULL;
}

static void add(struct wc_cmd_ctx *ctx, int64_t delta)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    const char *error;
    int64_t sum;

    wc_key_lock(ctx, &key);
    error = add_locked(ctx, &key, delta, &sum);
    wc_key_unlock(ctx, &key);
    if (error)
        wc_reply_error(ctx->reply, error);
    else
        wc_reply_int(ctx->reply, sum);
}

void wc_cmd_incr(struct wc_cmd_ctx *ctx)
{
    add(ctx, 1);
}

void wc_cmd_decr(struct wc_cmd_ctx *ctx)
{
    add(ctx, -1);
}

void wc_cmd_incrby(struct wc_cmd_ctx *ctx)
{
    int64_t delta;

    if (wc_arg_int64(ctx, 2, &delta))
        add(ctx, delta);
}

void wc_cmd_decrby(struct wc_cmd_ctx *ctx)
{
    int64_t delta;

    if (!wc_arg_int64(ctx, 2, &delta))
        return;
    if (delta == INT64_MIN) /* has no negative */
        wc_reply_error(ctx->reply, "ERR decrement would overflow");
    else
        add(ctx, -delta);
}

/* A decimal or hexadecimal number and nothing else, as Redis's getLongDoubleFromObject() takes it. */
static bool parse_float(const char *s, size_t len, long double *out)
{
    char buf[FLOAT_CHARS], *end;

    if (len == 0 || len >= sizeof(buf) || isspace((unsigned char)s[0]))
        return false;
    memcpy(buf, s, len);
    buf[len] = 0;
    errno = 0;
    *out = strtold(buf, &end);
    if (end != buf + len || isnan(*out))
        return false;
    return !(errno == ERANGE && (*out == HUGE_VALL || *out == -HUGE_VALL || fpclassify(*out) == FP_ZERO));
}

/* 17 decimals less trailing zeros, never an exponent. Returns its length. */
static uint32_t print_float(char *text, size_t size, long double v)
{
    int len = snprintf(text, size, "%.17Lf", v);

    while (text[len - 1] == '0')
        len--;
    if (text[len - 1] == '.')
        len--;
    if (len == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        len = 1;
    }
    return (uint32_t)len;
}

static const char *add_float_locked(struct wc_cmd_ctx *ctx, const struct wc_key *key, char *text, size_t size,
                                    uint32_t *len)
{
    struct wc_store *store = ctx->server->store;
    int db = ctx->client->db;
    struct wc_entry *e = wc_store_find(store, db, key, ctx->now_ms);
    long double v = 0, delta;
    char scratch[24];

    if (e) {
        struct wc_value value = wc_entry_value(e, scratch);

        if (!parse_float(value.ptr, value.len, &v))
            return ERR_FLOAT;
    }
    if (!parse_float(ctx->argv[2].ptr, ctx->argv[2].len, &delta))
        return ERR_FLOAT;
    v += delta;
    if (isnan(v) || isinf(v))
        return "ERR increment would produce NaN or Infinity";
    *len = print_float(text, size, v);
    if (wc_store_set(store, db, key, text, *len, e ? wc_entry_expire(e) : WC_NO_EXPIRE))
        return "ERR out of memory";
    return NULL;
}

void wc_cmd_incrbyfloat(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    const char *error;
    char text[FLOAT_CHARS];
    uint32_t len;

    wc_key_lock(ctx, &key);
    error = add_float_locked(ctx, &key, text, sizeof(text), &len);
    wc_key_unlock(ctx, &key);
    if (error)
        wc_reply_error(ctx->reply, error);
    else
        wc_reply_bulk(ctx->reply, text, len);
}
