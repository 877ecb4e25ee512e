/* CLIENT: names, the list of clients, killing them. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/internal.h"

/* ---- this connection ---- */

void wc_cmd_client_id(struct wc_cmd_ctx *ctx)
{
    wc_reply_int(ctx->reply, (int64_t)ctx->client->id);
}

void wc_cmd_client_getname(struct wc_cmd_ctx *ctx)
{
    if (ctx->client->name[0])
        wc_reply_bulk_str(ctx->reply, ctx->client->name);
    else
        wc_reply_null(ctx->reply);
}

/* Printable ASCII without blanks: what CLIENT LIST can show. */
static bool is_plain(const struct wc_arg *a)
{
    for (uint32_t i = 0; i < a->len; i++) {
        if (a->ptr[i] < '!' || a->ptr[i] > '~')
            return false;
    }
    return true;
}

bool wc_client_check_name(struct wc_cmd_ctx *ctx, const struct wc_arg *name)
{
    if (!is_plain(name))
        wc_reply_error(ctx->reply, "ERR Client names cannot contain spaces, newlines or special characters.");
    else if (name->len >= sizeof(ctx->client->name))
        wc_reply_error(ctx->reply, "ERR Client names cannot be longer than 255 characters.");
    else
        return true;
    return false;
}

static void set_text(struct wc_cmd_ctx *ctx, char *field, const struct wc_arg *text)
{
    pthread_mutex_lock(&ctx->server->clients_lock);
    memcpy(field, text->ptr, text->len);
    field[text->len] = 0;
    pthread_mutex_unlock(&ctx->server->clients_lock);
}

void wc_client_set_name(struct wc_cmd_ctx *ctx, const struct wc_arg *name)
{
    set_text(ctx, ctx->client->name, name);
}

void wc_cmd_client_setname(struct wc_cmd_ctx *ctx)
{
    if (!wc_client_check_name(ctx, &ctx->argv[2]))
        return;
    wc_client_set_name(ctx, &ctx->argv[2]);
    wc_reply_ok(ctx->reply);
}

void wc_cmd_client_setinfo(struct wc_cmd_ctx *ctx)
{
    const struct wc_arg *value = &ctx->argv[3];
    char word[129], *field = NULL;

    if (wc_arg_is(&ctx->argv[2], "lib-name"))
        field = ctx->client->lib_name;
    else if (wc_arg_is(&ctx->argv[2], "lib-ver"))
        field = ctx->client->lib_ver;
    wc_arg_cstr(&ctx->argv[2], word, sizeof(word));
    if (!field) {
        wc_reply_errorf(ctx->reply, "ERR Unrecognized option '%s'", word);
    } else if (!is_plain(value)) {
        wc_reply_errorf(ctx->reply, "ERR %s cannot contain spaces, newlines or special characters.", word);
    } else if (value->len >= WC_NAME_MAX) {
        wc_reply_errorf(ctx->reply, "ERR %s cannot be longer than %d characters.", word, WC_NAME_MAX - 1);
    } else {
        set_text(ctx, field, value);
        wc_reply_ok(ctx->reply);
    }
}

/* ---- describing clients ---- */

/* One line of CLIENT LIST, with those of Redis's fields that mean something here. */
static void append_line(struct wc_reply *out, const struct wc_client *c, int64_t now_ms)
{
    char line[1024];
    int last = c->last_cmd;
    int len =
        snprintf(line, sizeof(line),
                 "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=N db=%d sub=0 psub=0 ssub=0 "
                 "multi=-1 cmd=%s user=default redir=-1 resp=%d lib-name=%s lib-ver=%s tot-net-in=%llu "
                 "tot-net-out=%llu tot-cmds=%llu\n",
                 (unsigned long long)c->id, c->addr, c->laddr, c->fd, c->name,
                 (long long)(now_ms - c->created_ms) / 1000, (long long)(now_ms - c->last_ms) / 1000, c->db,
                 last >= 0 ? wc_commands[last].name : "NULL", c->resp, c->lib_name, c->lib_ver,
                 (unsigned long long)c->in_bytes, (unsigned long long)c->out_bytes, (unsigned long long)c->ncommands);

    wc_reply_raw(out, line, (size_t)len);
}

void wc_cmd_client_info(struct wc_cmd_ctx *ctx)
{
    struct wc_reply line = {0};

    append_line(&line, ctx->client, ctx->now_ms);
    wc_reply_verbatim(ctx->reply, "txt", line.buf, line.len);
    free(line.buf);
}

/* Which clients LIST and KILL mean; what is not given matches all. */
struct filter {
    const struct wc_cmd_ctx *ctx;
    const struct wc_arg *addr, *laddr;
    const struct wc_arg *ids; /* nids of them */
    uint32_t nids;
    bool nobody; /* of a type or user that no client here has */
    bool skip_me;
    /* what the walk over the clients collects */
    struct wc_reply lines;
    uint64_t *found;
    size_t nfound, cap;
};

static bool equals(const struct wc_arg *a, const char *s)
{
    return a->len == strlen(s) && memcmp(a->ptr, s, a->len) == 0;
}

static bool has_id(const struct filter *f, uint64_t id)
{
    int64_t value;

    for (uint32_t i = 0; i < f->nids; i++) {
        if (wc_parse_int64(f->ids[i].ptr, f->ids[i].len, &value) && value == (int64_t)id)
            return true;
    }
    return false;
}

static bool matches(const struct filter *f, const struct wc_client *c)
{
    return !f->nobody && !(f->skip_me && c == f->ctx->client) && (!f->addr || equals(f->addr, c->addr)) &&
           (!f->laddr || equals(f->laddr, c->laddr)) && (!f->ids || has_id(f, c->id));
}

static bool list_one(void *arg, struct wc_client *c)
{
    struct filter *f = arg;

    if (matches(f, c))
        append_line(&f->lines, c, f->ctx->now_ms);
    return true;
}

/* TYPE x: all clients are normal ones. false: the reply is an error. */
static bool filter_type(struct wc_cmd_ctx *ctx, const struct wc_arg *type, struct filter *f)
{
    char word[129];

    if (wc_arg_is(type, "master") || wc_arg_is(type, "replica") || wc_arg_is(type, "slave") ||
        wc_arg_is(type, "pubsub")) {
        f->nobody = true;
    } else if (!wc_arg_is(type, "normal")) {
        wc_reply_errorf(ctx->reply, "ERR Unknown client type '%s'", wc_arg_cstr(type, word, sizeof(word)));
        return false;
    }
    return true;
}

/* All of argv[from..] are numbers; false: the reply is an error. */
static bool check_ids(struct wc_cmd_ctx *ctx, uint32_t from)
{
    int64_t id;

    for (uint32_t i = from; i < ctx->argc; i++) {
        if (!wc_parse_int64(ctx->argv[i].ptr, ctx->argv[i].len, &id)) {
            wc_reply_error(ctx->reply, "ERR Invalid client ID");
            return false;
        }
    }
    return true;
}

void wc_cmd_client_list(struct wc_cmd_ctx *ctx)
{
    struct filter f = {.ctx = ctx};

    if (ctx->argc == 4 && wc_arg_is(&ctx->argv[2], "type")) {
        if (!filter_type(ctx, &ctx->argv[3], &f))
            return;
    } else if (ctx->argc > 3 && wc_arg_is(&ctx->argv[2], "id")) {
        if (!check_ids(ctx, 3))
            return;
        f.ids = &ctx->argv[3];
        f.nids = ctx->argc - 3;
    } else if (ctx->argc != 2) {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
        return;
    }
    wc_server_each_client(ctx->server, list_one, &f);
    wc_reply_verbatim(ctx->reply, "txt", f.lines.buf, f.lines.len);
    ctx->reply->failed |= f.lines.failed;
    free(f.lines.buf);
}

/* ---- killing ---- */

static bool kill_one(void *arg, struct wc_client *c)
{
    struct filter *f = arg;

    if (!matches(f, c))
        return true;
    if (f->nfound == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        uint64_t *found = realloc(f->found, cap * sizeof(*found));

        if (!found)
            return false;
        f->found = found;
        f->cap = cap;
    }
    f->found[f->nfound++] = c->id;
    return true;
}

/* Collect first, kill then: killing from within the walk is not allowed. Returns how many. */
static int64_t kill_matching(struct wc_cmd_ctx *ctx, struct filter *f)
{
    int64_t killed = 0;

    wc_server_each_client(ctx->server, kill_one, f);
    for (size_t i = 0; i < f->nfound; i++) {
        if (f->found[i] == ctx->client->id) {
            ctx->client->close_after_reply = true;
            killed++;
        } else {
            killed += wc_server_kill_client(ctx->server, f->found[i]);
        }
    }
    free(f->found);
    return killed;
}

/* One pair of CLIENT KILL's new form. false: the reply is an error. */
static bool kill_option(struct wc_cmd_ctx *ctx, struct filter *f, const struct wc_arg *option)
{
    const struct wc_arg *value = option + 1;
    int64_t id;

    if (wc_arg_is(option, "id")) {
        if (!wc_parse_int64(value->ptr, value->len, &id) || id < 1) {
            wc_reply_error(ctx->reply, "ERR client-id should be greater than 0");
            return false;
        }
        f->ids = value;
        f->nids = 1;
    } else if (wc_arg_is(option, "type")) {
        return filter_type(ctx, value, f);
    } else if (wc_arg_is(option, "addr")) {
        f->addr = value;
    } else if (wc_arg_is(option, "laddr")) {
        f->laddr = value;
    } else if (wc_arg_is(option, "user")) {
        f->nobody |= !equals(value, "default");
    } else if (wc_arg_is(option, "skipme") && (wc_arg_is(value, "yes") || wc_arg_is(value, "no"))) {
        f->skip_me = wc_arg_is(value, "yes");
    } else {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
        return false;
    }
    return true;
}

void wc_cmd_client_kill(struct wc_cmd_ctx *ctx)
{
    struct filter f = {.ctx = ctx, .skip_me = true};

    if (ctx->argc == 3) { /* old form: an address, one's own too */
        f.addr = &ctx->argv[2];
        f.skip_me = false;
        if (kill_matching(ctx, &f))
            wc_reply_ok(ctx->reply);
        else
            wc_reply_error(ctx->reply, "ERR No such client");
        return;
    }
    for (uint32_t i = 2; i < ctx->argc; i += 2) {
        if (i + 1 == ctx->argc) {
            wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
            return;
        }
        if (!kill_option(ctx, &f, &ctx->argv[i]))
            return;
    }
    wc_reply_int(ctx->reply, kill_matching(ctx, &f));
}

void wc_cmd_client_help(struct wc_cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are: ADDR, LADDR, ID, TYPE, USER, SKIPME.",
        "LIST [options ...]",
        "    Return information about client connections. Options are: TYPE, ID.",
        "SETINFO <option> <value>",
        "    Set client meta attr. Options are: LIB-NAME, LIB-VER.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        NULL,
    };

    wc_reply_help(ctx, lines);
}
