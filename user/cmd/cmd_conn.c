/* The connection's own state: PING, SELECT, AUTH, HELLO, RESET, QUIT. CLIENT is in cmd_client.c. */
#include <limits.h>

#include "cmd/internal.h"

#define ERR_WRONGPASS "WRONGPASS invalid username-password pair or user is disabled."

void wc_client_init(struct wc_client *client, struct wc_server *server, int fd)
{
    int64_t now_ms = wc_store_now_ms();

    memset(client, 0, sizeof(*client));
    client->id = atomic_fetch_add(&server->next_client_id, 1) + 1;
    client->resp = 2;
    client->fd = fd;
    client->last_cmd = -1;
    client->created_ms = now_ms;
    client->last_ms = now_ms;
    pthread_mutex_lock(&server->config_lock);
    client->authenticated = server->config.requirepass[0] == 0;
    pthread_mutex_unlock(&server->config_lock);
}

bool wc_client_fastpath_eligible(const struct wc_server *server, const struct wc_client *client)
{
    (void)server;
    return client->authenticated && client->db == 0 && !client->close_after_reply;
}

void wc_cmd_ping(struct wc_cmd_ctx *ctx)
{
    if (ctx->argc > 2)
        wc_reply_wrong_arity(ctx->reply, "ping");
    else if (ctx->argc == 2)
        wc_reply_bulk(ctx->reply, ctx->argv[1].ptr, ctx->argv[1].len);
    else
        wc_reply_simple(ctx->reply, "PONG");
}

void wc_cmd_echo(struct wc_cmd_ctx *ctx)
{
    wc_reply_bulk(ctx->reply, ctx->argv[1].ptr, ctx->argv[1].len);
}

void wc_cmd_quit(struct wc_cmd_ctx *ctx)
{
    wc_reply_ok(ctx->reply);
    ctx->client->close_after_reply = true;
}

void wc_cmd_select(struct wc_cmd_ctx *ctx)
{
    int64_t db;

    if (!wc_arg_int64(ctx, 1, &db))
        return;
    if (db < INT_MIN || db > INT_MAX) {
        wc_reply_errorf(ctx->reply, "ERR value is out of range, value must between %d and %d", INT_MIN, INT_MAX);
    } else if (db < 0 || db >= ctx->server->config.databases) {
        wc_reply_error(ctx->reply, "ERR DB index is out of range");
    } else {
        ctx->client->db = (int)db;
        wc_reply_ok(ctx->reply);
    }
}

/* ---- authentication ---- */

/* Takes the same time whatever the password, and whatever part of it is right. */
static bool same_secret(const char secret[WC_CONFIG_STR], const struct wc_arg *given)
{
    char padded[WC_CONFIG_STR] = {0};
    size_t secret_len = strlen(secret);
    volatile unsigned diff = given->len != secret_len;

    memcpy(padded, given->ptr, given->len < sizeof(padded) ? given->len : sizeof(padded));
    for (size_t i = 0; i < sizeof(padded); i++)
        diff |= (unsigned char)(padded[i] ^ secret[i]);
    return diff == 0;
}

static void copy_secret(struct wc_cmd_ctx *ctx, char secret[WC_CONFIG_STR])
{
    /* Padded with zeros, since all of it is compared. */
    memset(secret, 0, WC_CONFIG_STR);
    pthread_mutex_lock(&ctx->server->config_lock);
    memcpy(secret, ctx->server->config.requirepass, strlen(ctx->server->config.requirepass));
    pthread_mutex_unlock(&ctx->server->config_lock);
}

/* There is one user, "default"; without a password set, any will do. */
static bool credentials_fit(struct wc_cmd_ctx *ctx, const struct wc_arg *user, const struct wc_arg *password)
{
    char secret[WC_CONFIG_STR];

    if (user && (user->len != 7 || memcmp(user->ptr, "default", 7) != 0))
        return false;
    copy_secret(ctx, secret);
    return secret[0] == 0 || same_secret(secret, password);
}

void wc_cmd_auth(struct wc_cmd_ctx *ctx)
{
    const struct wc_arg *user = ctx->argc == 3 ? &ctx->argv[1] : NULL;
    char secret[WC_CONFIG_STR];

    if (ctx->argc > 3) {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
        return;
    }
    copy_secret(ctx, secret);
    if (!user && !secret[0]) {
        wc_reply_error(ctx->reply, "ERR AUTH <password> called without any password configured for the default user. "
                                   "Are you sure your configuration is correct?");
        return;
    }
    if (!credentials_fit(ctx, user, &ctx->argv[ctx->argc - 1])) {
        wc_reply_error(ctx->reply, ERR_WRONGPASS);
        return;
    }
    ctx->client->authenticated = true;
    wc_reply_ok(ctx->reply);
}

struct hello {
    int64_t version; /* 0: as it is */
    const struct wc_arg *user, *password, *name;
};

/* false: the reply is an error. */
static bool parse_hello(struct wc_cmd_ctx *ctx, struct hello *out)
{
    *out = (struct hello){0};
    if (ctx->argc < 2)
        return true;
    if (!wc_parse_int64(ctx->argv[1].ptr, ctx->argv[1].len, &out->version)) {
        wc_reply_error(ctx->reply, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (out->version != 2 && out->version != 3) {
        wc_reply_error(ctx->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    for (uint32_t i = 2, left; i < ctx->argc; i++) {
        char word[129];

        left = ctx->argc - 1 - i;
        if (wc_arg_is(&ctx->argv[i], "auth") && left >= 2) {
            out->user = &ctx->argv[i + 1];
            out->password = &ctx->argv[i + 2];
            i += 2;
        } else if (wc_arg_is(&ctx->argv[i], "setname") && left >= 1) {
            out->name = &ctx->argv[++i];
            if (!wc_client_check_name(ctx, out->name))
                return false;
        } else {
            wc_reply_errorf(ctx->reply, "ERR Syntax error in HELLO option '%s'",
                            wc_arg_cstr(&ctx->argv[i], word, sizeof(word)));
            return false;
        }
    }
    return true;
}

static void reply_hello(struct wc_cmd_ctx *ctx)
{
    struct wc_reply *r = ctx->reply;

    wc_reply_map(r, 7);
    wc_reply_bulk_str(r, "server");
    wc_reply_bulk_str(r, "redis");
    wc_reply_bulk_str(r, "version");
    wc_reply_bulk_str(r, WC_REDIS_VERSION);
    wc_reply_bulk_str(r, "proto");
    wc_reply_int(r, ctx->client->resp);
    wc_reply_bulk_str(r, "id");
    wc_reply_int(r, (int64_t)ctx->client->id);
    wc_reply_bulk_str(r, "mode");
    wc_reply_bulk_str(r, "standalone");
    wc_reply_bulk_str(r, "role");
    wc_reply_bulk_str(r, "master");
    wc_reply_bulk_str(r, "modules");
    wc_reply_array(r, 0);
}

void wc_cmd_hello(struct wc_cmd_ctx *ctx)
{
    struct wc_client *client = ctx->client;
    struct hello hello;

    if (!parse_hello(ctx, &hello))
        return;
    if (hello.password) {
        if (!credentials_fit(ctx, hello.user, hello.password)) {
            wc_reply_error(ctx->reply, ERR_WRONGPASS);
            return;
        }
        client->authenticated = true;
    }
    if (!client->authenticated && WC_CONFIG_NOW(ctx->server, requirepass[0])) {
        wc_reply_error(ctx->reply,
                       "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
                       "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
                       "version at the same time");
        return;
    }
    if (hello.name)
        wc_client_set_name(ctx, hello.name);
    if (hello.version)
        client->resp = ctx->reply->resp = (int)hello.version;
    reply_hello(ctx);
}

void wc_cmd_reset(struct wc_cmd_ctx *ctx)
{
    struct wc_client *client = ctx->client;
    char secret[WC_CONFIG_STR];

    client->db = 0;
    client->resp = ctx->reply->resp = 2;
    wc_client_set_name(ctx, &(struct wc_arg){"", 0});
    copy_secret(ctx, secret);
    client->authenticated = secret[0] == 0;
    wc_reply_simple(ctx->reply, "RESET");
}
