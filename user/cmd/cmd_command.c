/* COMMAND: what the table says, for clients that want to know. */
#include "cmd/internal.h"

static bool is_sub(const struct wc_command *cmd)
{
    return strchr(cmd->name, '|') != NULL;
}

/* Subcommands of a container: the rows right behind it. */
static size_t count_subs(const struct wc_command *cmd)
{
    size_t n = 0;

    if (!(cmd->flags & WC_CMD_CONTAINER))
        return 0;
    while (cmd + 1 + n < wc_commands + wc_command_count && is_sub(cmd + 1 + n))
        n++;
    return n;
}

static size_t count_commands(void)
{
    size_t n = 0;

    for (int i = 0; i < wc_command_count; i++)
        n += !is_sub(&wc_commands[i]);
    return n;
}

/* ---- one command ---- */

static void reply_flags(struct wc_reply *r, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {WC_CMD_WRITE, "write"},           {WC_CMD_READONLY, "readonly"},
        {WC_CMD_DENYOOM, "denyoom"},       {WC_CMD_ADMIN, "admin"},
        {WC_CMD_NOSCRIPT, "noscript"},     {WC_CMD_LOADING, "loading"},
        {WC_CMD_STALE, "stale"},           {WC_CMD_FAST, "fast"},
        {WC_CMD_NO_AUTH, "no_auth"},       {WC_CMD_NO_MULTI, "no_multi"},
        {WC_CMD_ALLOW_BUSY, "allow_busy"},
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        n += (flags & names[i].flag) != 0;
    wc_reply_set(r, n);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (flags & names[i].flag)
            wc_reply_simple(r, names[i].name);
    }
}

/* The ACL categories that Redis derives from flags and group. */
static void reply_categories(struct wc_reply *r, const struct wc_command *cmd)
{
    bool keys = cmd->flags & (WC_CMD_READONLY | WC_CMD_WRITE), string = strcmp(cmd->group, "string") == 0;
    bool container = cmd->flags == WC_CMD_CONTAINER;
    const char *names[8];
    size_t n = 0;

    if (keys && !string)
        names[n++] = "@keyspace";
    if (keys)
        names[n++] = cmd->flags & WC_CMD_WRITE ? "@write" : "@read";
    if (string)
        names[n++] = "@string";
    if (cmd->flags & WC_CMD_ADMIN)
        names[n++] = "@admin";
    names[n++] = cmd->flags & WC_CMD_FAST ? "@fast" : "@slow";
    if (cmd->flags & WC_CMD_DANGEROUS)
        names[n++] = "@dangerous";
    if (!container && (strcmp(cmd->group, "connection") == 0 || strncmp(cmd->name, "command", 7) == 0))
        names[n++] = "@connection";
    wc_reply_set(r, n);
    for (size_t i = 0; i < n; i++)
        wc_reply_simple(r, names[i]);
}

static void reply_key_spec(struct wc_reply *r, const struct wc_command *cmd)
{
    bool write = cmd->flags & WC_CMD_WRITE;

    if (!cmd->first_key) {
        wc_reply_array(r, 0);
        return;
    }
    wc_reply_array(r, 1);
    wc_reply_map(r, 3);
    wc_reply_bulk_str(r, "flags");
    wc_reply_set(r, 2);
    wc_reply_simple(r, write ? "RW" : "RO");
    wc_reply_simple(r, write ? "UPDATE" : "ACCESS");
    wc_reply_bulk_str(r, "begin_search");
    wc_reply_map(r, 2);
    wc_reply_bulk_str(r, "type");
    wc_reply_bulk_str(r, "index");
    wc_reply_bulk_str(r, "spec");
    wc_reply_map(r, 1);
    wc_reply_bulk_str(r, "index");
    wc_reply_int(r, cmd->first_key);
    wc_reply_bulk_str(r, "find_keys");
    wc_reply_map(r, 2);
    wc_reply_bulk_str(r, "type");
    wc_reply_bulk_str(r, "range");
    wc_reply_bulk_str(r, "spec");
    wc_reply_map(r, 3);
    wc_reply_bulk_str(r, "lastkey"); /* counted from the first key, or from the end when negative */
    wc_reply_int(r, cmd->last_key < 0 ? cmd->last_key : cmd->last_key - cmd->first_key);
    wc_reply_bulk_str(r, "keystep");
    wc_reply_int(r, cmd->key_step);
    wc_reply_bulk_str(r, "limit");
    wc_reply_int(r, 0);
}

static void reply_command(struct wc_reply *r, const struct wc_command *cmd)
{
    size_t subs = count_subs(cmd);

    wc_reply_array(r, 10);
    wc_reply_bulk_str(r, cmd->name);
    wc_reply_int(r, cmd->arity);
    reply_flags(r, cmd->flags);
    wc_reply_int(r, cmd->first_key);
    wc_reply_int(r, cmd->last_key);
    wc_reply_int(r, cmd->key_step);
    reply_categories(r, cmd);
    wc_reply_array(r, 0); /* tips */
    reply_key_spec(r, cmd);
    wc_reply_array(r, subs);
    for (size_t i = 0; i < subs; i++)
        reply_command(r, cmd + 1 + i);
}

static void reply_docs(struct wc_reply *r, const struct wc_command *cmd)
{
    size_t subs = count_subs(cmd);

    wc_reply_bulk_str(r, cmd->name);
    wc_reply_map(r, subs ? 4 : 3);
    wc_reply_bulk_str(r, "summary");
    wc_reply_bulk_str(r, cmd->summary);
    wc_reply_bulk_str(r, "since");
    wc_reply_bulk_str(r, cmd->since);
    wc_reply_bulk_str(r, "group");
    wc_reply_bulk_str(r, cmd->group);
    if (!subs)
        return;
    wc_reply_bulk_str(r, "subcommands");
    wc_reply_map(r, subs);
    for (size_t i = 0; i < subs; i++)
        reply_docs(r, cmd + 1 + i);
}

/* ---- the subcommands ---- */

static void reply_all(struct wc_cmd_ctx *ctx)
{
    wc_reply_array(ctx->reply, count_commands());
    for (int i = 0; i < wc_command_count; i++) {
        if (!is_sub(&wc_commands[i]))
            reply_command(ctx->reply, &wc_commands[i]);
    }
}

void wc_cmd_command(struct wc_cmd_ctx *ctx)
{
    reply_all(ctx);
}

void wc_cmd_command_count(struct wc_cmd_ctx *ctx)
{
    wc_reply_int(ctx->reply, (int64_t)count_commands());
}

void wc_cmd_command_info(struct wc_cmd_ctx *ctx)
{
    if (ctx->argc == 2) {
        reply_all(ctx);
        return;
    }
    wc_reply_array(ctx->reply, ctx->argc - 2);
    for (uint32_t i = 2; i < ctx->argc; i++) {
        const struct wc_command *cmd = wc_cmd_lookup(ctx->argv[i].ptr, ctx->argv[i].len);

        if (cmd)
            reply_command(ctx->reply, cmd);
        else
            wc_reply_null(ctx->reply);
    }
}

/* Unknown names are left out. */
void wc_cmd_command_docs(struct wc_cmd_ctx *ctx)
{
    size_t n = 0;

    if (ctx->argc == 2) {
        wc_reply_map(ctx->reply, count_commands());
        for (int i = 0; i < wc_command_count; i++) {
            if (!is_sub(&wc_commands[i]))
                reply_docs(ctx->reply, &wc_commands[i]);
        }
        return;
    }
    for (uint32_t i = 2; i < ctx->argc; i++)
        n += wc_cmd_lookup(ctx->argv[i].ptr, ctx->argv[i].len) != NULL;
    wc_reply_map(ctx->reply, n);
    for (uint32_t i = 2; i < ctx->argc; i++) {
        const struct wc_command *cmd = wc_cmd_lookup(ctx->argv[i].ptr, ctx->argv[i].len);

        if (cmd)
            reply_docs(ctx->reply, cmd);
    }
}

/* All names, subcommands too; the filters of Redis (ACL categories, modules, patterns) are not there. */
void wc_cmd_command_list(struct wc_cmd_ctx *ctx)
{
    if (ctx->argc != 2) {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
        return;
    }
    wc_reply_set(ctx->reply, (size_t)wc_command_count);
    for (int i = 0; i < wc_command_count; i++)
        wc_reply_bulk_str(ctx->reply, wc_commands[i].name);
}

void wc_cmd_command_getkeys(struct wc_cmd_ctx *ctx)
{
    const struct wc_arg *argv = ctx->argv + 2;
    int argc = (int)ctx->argc - 2;
    const struct wc_command *cmd = wc_cmd_lookup(argv[0].ptr, argv[0].len);
    int last;

    if (!cmd) {
        wc_reply_error(ctx->reply, "ERR Invalid command specified");
    } else if (!cmd->first_key) {
        wc_reply_error(ctx->reply, "ERR The command has no key arguments");
    } else if (cmd->arity > 0 ? argc != cmd->arity : argc < -cmd->arity) {
        wc_reply_error(ctx->reply, "ERR Invalid number of arguments specified for command");
    } else {
        last = cmd->last_key < 0 ? argc + cmd->last_key : cmd->last_key;
        wc_reply_array(ctx->reply, (size_t)(last - cmd->first_key) / (size_t)cmd->key_step + 1);
        for (int i = cmd->first_key; i <= last; i += cmd->key_step)
            wc_reply_bulk(ctx->reply, argv[i].ptr, argv[i].len);
    }
}

void wc_cmd_command_help(struct wc_cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "LIST",
        "    Return a list of all commands in this server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "    If no command names are given, documentation details for all commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "    If no command names are given, documentation details for all commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        NULL,
    };

    wc_reply_help(ctx, lines);
}
