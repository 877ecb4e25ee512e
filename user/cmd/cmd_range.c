/* Parts of values: APPEND, STRLEN, GETRANGE, SETRANGE. */
#include "cmd/internal.h"

#define ERR_TOO_LONG "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

/* Would a value of offset + len bytes be too long? The reply is the error then. */
static bool too_long(struct wc_cmd_ctx *ctx, uint64_t offset, uint64_t len)
{
    uint64_t limit = WC_CONFIG_NOW(ctx->server, proto_max_bulk_len);

    if (limit > UINT32_MAX)
        limit = UINT32_MAX;
    if (offset <= limit && len <= limit - offset)
        return false;
    wc_reply_error(ctx->reply, ERR_TOO_LONG);
    return true;
}

static uint32_t value_len(const struct wc_entry *e)
{
    char scratch[24];

    return e ? wc_entry_value(e, scratch).len : 0;
}

/* Write argument i at offset of argv[1]'s value; the lock is held. true: *len is the new length. */
static bool write_locked(struct wc_cmd_ctx *ctx, const struct wc_key *key, struct wc_entry *e, uint32_t offset,
                         uint32_t i, uint32_t *len)
{
    const struct wc_arg *data = &ctx->argv[i];
    uint32_t old_len = value_len(e);
    int err;

    if (too_long(ctx, offset, data->len))
        return false;
    *len = offset + data->len > old_len ? offset + data->len : old_len;
    err = wc_store_write_range(ctx->server->store, ctx->client->db, key, e, offset, data->ptr, data->len);
    if (err)
        wc_reply_store_error(ctx->reply, err);
    return !err;
}

void wc_cmd_append(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    struct wc_entry *e;
    uint32_t len;
    bool done;

    wc_key_lock(ctx, &key);
    e = wc_store_find(ctx->server->store, ctx->client->db, &key, ctx->now_ms);
    done = write_locked(ctx, &key, e, value_len(e), 2, &len);
    wc_key_unlock(ctx, &key);
    if (done)
        wc_reply_int(ctx->reply, len);
}

void wc_cmd_setrange(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    struct wc_entry *e;
    int64_t offset;
    uint32_t len;
    bool done;

    if (!wc_arg_int64(ctx, 2, &offset))
        return;
    if (offset < 0) {
        wc_reply_error(ctx->reply, "ERR offset is out of range");
        return;
    }
    if (ctx->argv[3].len && too_long(ctx, (uint64_t)offset, ctx->argv[3].len))
        return;
    wc_key_lock(ctx, &key);
    e = wc_store_find(ctx->server->store, ctx->client->db, &key, ctx->now_ms);
    if (ctx->argv[3].len == 0) { /* changes nothing, whatever the offset is, and creates nothing */
        len = value_len(e);
        done = true;
    } else {
        done = write_locked(ctx, &key, e, (uint32_t)offset, 3, &len);
    }
    wc_key_unlock(ctx, &key);
    if (done)
        wc_reply_int(ctx->reply, len);
}

void wc_cmd_strlen(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    struct wc_entry *e;
    uint32_t len;

    wc_key_lock(ctx, &key);
    e = wc_store_find(ctx->server->store, ctx->client->db, &key, ctx->now_ms);
    wc_count_lookup(ctx, e != NULL);
    if (e)
        wc_store_touch(ctx->server->store, &key, e, ctx->now_ms);
    len = value_len(e);
    wc_key_unlock(ctx, &key);
    wc_reply_int(ctx->reply, len);
}

/* Redis's reading of an inclusive range with negative indices counted from the end. false: it is empty. */
static bool clamp_range(int64_t *start, int64_t *end, int64_t len)
{
    if (*start < 0 && *end < 0 && *start > *end)
        return false;
    if (*start < 0)
        *start = len + *start < 0 ? 0 : len + *start;
    if (*end < 0)
        *end = len + *end < 0 ? 0 : len + *end;
    if (*end >= len)
        *end = len - 1;
    return len > 0 && *start <= *end;
}

void wc_cmd_getrange(struct wc_cmd_ctx *ctx)
{
    struct wc_key key = wc_arg_key(ctx, 1);
    struct wc_value value = {"", 0};
    struct wc_entry *e;
    int64_t start, end;
    char scratch[24];

    if (!wc_arg_int64(ctx, 2, &start) || !wc_arg_int64(ctx, 3, &end))
        return;
    wc_key_lock(ctx, &key);
    e = wc_store_find(ctx->server->store, ctx->client->db, &key, ctx->now_ms);
    wc_count_lookup(ctx, e != NULL);
    if (e) {
        wc_store_touch(ctx->server->store, &key, e, ctx->now_ms);
        value = wc_entry_value(e, scratch);
    }
    if (clamp_range(&start, &end, value.len))
        wc_reply_bulk(ctx->reply, value.ptr + start, (size_t)(end - start + 1));
    else
        wc_reply_bulk(ctx->reply, "", 0);
    wc_key_unlock(ctx, &key);
}
