/* The server as a whole: DBSIZE, FLUSHDB, FLUSHALL, SHUTDOWN, DEBUG, TIME. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/internal.h"

void wc_cmd_dbsize(struct wc_cmd_ctx *ctx)
{
    struct wc_store_stats stats;

    wc_store_stats(ctx->server->store, ctx->client->db, &stats);
    wc_reply_int(ctx->reply, (int64_t)stats.keys);
}

void wc_cmd_time(struct wc_cmd_ctx *ctx)
{
    struct timespec ts;
    char text[20];

    clock_gettime(CLOCK_REALTIME, &ts);
    wc_reply_array(ctx->reply, 2);
    wc_reply_bulk(ctx->reply, text, wc_print_int64(text, ts.tv_sec));
    wc_reply_bulk(ctx->reply, text, wc_print_int64(text, ts.tv_nsec / 1000));
}

/* SYNC: the memory is free when the reply comes. Otherwise the keys are gone, and the memory follows. */
static void flush(struct wc_cmd_ctx *ctx, int db)
{
    bool sync = ctx->argc == 2 && wc_arg_is(&ctx->argv[1], "sync");

    if (ctx->argc > 2 || (ctx->argc == 2 && !sync && !wc_arg_is(&ctx->argv[1], "async"))) {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
        return;
    }
    wc_store_flush(ctx->server->store, db, !sync);
    wc_reply_ok(ctx->reply);
}

void wc_cmd_flushdb(struct wc_cmd_ctx *ctx)
{
    flush(ctx, ctx->client->db);
}

void wc_cmd_flushall(struct wc_cmd_ctx *ctx)
{
    flush(ctx, -1);
}

/* There is nothing to save and nobody to wait for, so the options only have to make sense. */
void wc_cmd_shutdown(struct wc_cmd_ctx *ctx)
{
    bool save = false, nosave = false, others = false, abort = false;

    for (uint32_t i = 1; i < ctx->argc; i++) {
        const struct wc_arg *arg = &ctx->argv[i];

        if (wc_arg_is(arg, "save")) {
            save = true;
        } else if (wc_arg_is(arg, "nosave")) {
            nosave = true;
        } else if (wc_arg_is(arg, "now") || wc_arg_is(arg, "force")) {
            others = true;
        } else if (wc_arg_is(arg, "abort")) {
            abort = true;
        } else {
            wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
            return;
        }
    }
    if ((save && nosave) || (abort && (save || nosave || others))) {
        wc_reply_error(ctx->reply, WC_ERR_SYNTAX);
    } else if (abort) {
        wc_reply_error(ctx->reply, "ERR No shutdown in progress.");
    } else { /* no reply: the end of the connection is the answer */
        ctx->client->close_after_reply = true;
        atomic_store(&ctx->server->stopping, true);
        wc_server_wake(ctx->server);
    }
}

#define SLEEP_MAX_S 86400.0

void wc_cmd_debug(struct wc_cmd_ctx *ctx)
{
    static const char *const help[] = {
        "SLEEP <seconds>",
        "    Stop this client's worker for <seconds>. Decimals allowed.",
        NULL,
    };

    if (ctx->argc == 2 && wc_arg_is(&ctx->argv[1], "help")) {
        wc_reply_help(ctx, help);
    } else if (ctx->argc == 3 && wc_arg_is(&ctx->argv[1], "sleep")) {
        char text[64];
        double seconds = strtod(wc_arg_cstr(&ctx->argv[2], text, sizeof(text)), NULL);

        if (seconds > 0) /* false for NaN */
            ctx->client->sleep_ms = (int64_t)(fmin(seconds, SLEEP_MAX_S) * 1000);
        wc_reply_ok(ctx->reply);
    } else {
        wc_reply_bad_subcommand(ctx);
    }
}
