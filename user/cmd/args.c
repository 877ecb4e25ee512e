/* Reading arguments, and the errors that many commands share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/internal.h"

bool wc_arg_is(const struct wc_arg *a, const char *word)
{
    uint32_t i;

    for (i = 0; i < a->len && word[i]; i++) {
        char c = a->ptr[i];

        if ((c >= 'A' && c <= 'Z' ? (c | 0x20) : c) != word[i])
            return false;
    }
    return i == a->len && word[i] == 0;
}

bool wc_parse_int64(const char *s, size_t len, int64_t *out)
{
    bool negative = len > 0 && s[0] == '-';
    size_t i = negative;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, v;

    if (len == 1 && s[0] == '0') {
        *out = 0;
        return true;
    }
    if (i >= len || len > 20 || s[i] < '1' || s[i] > '9')
        return false;
    for (v = 0; i < len; i++) {
        uint64_t digit = (uint64_t)(uint8_t)s[i] - '0';

        if (digit > 9 || v > (limit - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool wc_arg_int64(struct wc_cmd_ctx *ctx, uint32_t i, int64_t *out)
{
    if (wc_parse_int64(ctx->argv[i].ptr, ctx->argv[i].len, out))
        return true;
    wc_reply_error(ctx->reply, WC_ERR_NOT_INT);
    return false;
}

uint32_t wc_print_int64(char out[20], int64_t v)
{
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char digits[20], *p = digits + sizeof(digits);
    uint32_t len;

    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0)
        *--p = '-'; /* at most 19 digits, so there is room */
    len = (uint32_t)(digits + sizeof(digits) - p);
    memcpy(out, p, len);
    return len;
}

const char *wc_arg_cstr(const struct wc_arg *a, char *buf, size_t size)
{
    size_t len = strnlen(a->ptr, a->len < size - 1 ? a->len : size - 1);

    memcpy(buf, a->ptr, len);
    buf[len] = 0;
    return buf;
}

bool wc_keys_lock(struct wc_cmd_ctx *ctx, struct wc_keys *keys, uint32_t step)
{
    keys->n = (ctx->argc - 1 + step - 1) / step;
    keys->key = keys->small;
    if (keys->n > sizeof(keys->small) / sizeof(keys->small[0])) {
        keys->key = malloc(keys->n * sizeof(*keys->key));
        if (!keys->key) {
            wc_reply_store_error(ctx->reply, -ENOMEM);
            return false;
        }
    }
    for (size_t i = 0; i < keys->n; i++)
        keys->key[i] = wc_arg_key(ctx, 1 + (uint32_t)i * step);
    wc_store_lock_keys(ctx->server->store, keys->key, keys->n);
    keys->many = keys->n > 1 && wc_commands[ctx->client->last_cmd].flags & WC_CMD_WRITE;
    if (keys->many)
        wc_store_begin_many(ctx->server->store);
    return true;
}

void wc_keys_unlock(struct wc_cmd_ctx *ctx, struct wc_keys *keys)
{
    if (keys->many)
        wc_store_end_many(ctx->server->store);
    wc_store_unlock_keys(ctx->server->store, keys->key, keys->n);
    if (keys->key != keys->small)
        free(keys->key);
}

const char *wc_cmd_name(const struct wc_cmd_ctx *ctx)
{
    return wc_commands[ctx->client->last_cmd].name;
}

void wc_reply_store_error(struct wc_reply *r, int err)
{
    wc_reply_error(r, err == -E2BIG ? "ERR key or value is too long" : "ERR out of memory");
}

void wc_reply_bad_expire(struct wc_cmd_ctx *ctx)
{
    wc_reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", wc_cmd_name(ctx));
}

void wc_reply_wrong_arity(struct wc_reply *r, const char *command)
{
    wc_reply_errorf(r, "ERR wrong number of arguments for '%s' command", command);
}

/* "CLIENT" out of "client|setname" */
static void upper_container(const char *name, char *out, size_t size)
{
    size_t i;

    for (i = 0; i + 1 < size && name[i] && name[i] != '|'; i++)
        out[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 0x20) : name[i];
    out[i] = 0;
}

void wc_reply_bad_subcommand(struct wc_cmd_ctx *ctx)
{
    char name[32], sub[129];

    upper_container(wc_cmd_name(ctx), name, sizeof(name));
    wc_reply_errorf(ctx->reply, "ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
                    wc_arg_cstr(&ctx->argv[1], sub, sizeof(sub)), name);
}

void wc_reply_help(struct wc_cmd_ctx *ctx, const char *const *lines)
{
    char name[32], first[96];
    size_t n = 0;

    while (lines[n])
        n++;
    upper_container(wc_cmd_name(ctx), name, sizeof(name));
    snprintf(first, sizeof(first), "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    wc_reply_array(ctx->reply, n + 3);
    wc_reply_simple(ctx->reply, first);
    for (size_t i = 0; i < n; i++)
        wc_reply_simple(ctx->reply, lines[i]);
    wc_reply_simple(ctx->reply, "HELP");
    wc_reply_simple(ctx->reply, "    Print this help.");
}
