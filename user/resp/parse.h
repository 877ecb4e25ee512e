/* RESP request parser: incremental, one pass, no copy, no allocation per command.
 *
 * The caller keeps unparsed input in one contiguous buffer and calls wc_resp_parse() with all of it.
 * The parser remembers how far it got, as offsets from the start of the current request, so the buffer
 * may be moved or grown between calls, and bytes already looked at are not looked at again.
 *
 *     *2\r\n $3\r\n GET\r\n $5\r\n hel              half a request
 *     ^buf                       ^pos    (bulk_len 5, multibulk_left 1, argv[0] known)
 *
 * Source of the rules and texts: Redis networking.c processMultibulkBuffer() and processInlineBuffer().
 * Two differences, both on purpose: whether a line is too long depends on the line alone, not on how it was cut
 * into reads; and a NUL byte in a line is an ordinary byte (Redis stops looking for the end of the line there).
 */
#ifndef WC_RESP_PARSE_H
#define WC_RESP_PARSE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wc_arg {
    const char *ptr; /* into the caller's buffer (inline requests with quotes: into parser storage) */
    uint32_t len;
};

struct wc_parser_limits {
    uint64_t max_bulk;        /* proto-max-bulk-len; what does not fit 32 bits counts as 4 GiB - 1 */
    uint32_t max_multibulk;   /* arguments in a request: INT32_MAX as Redis 7; 10 before authentication */
    uint32_t max_inline;      /* longest line, 64 KiB as Redis */
    uint64_t max_bulk_unauth; /* 16384 */
};

#define WC_PARSER_SMALL 8 /* arguments that need no allocation at all */

struct wc_parser {
    /* result of the last complete request */
    uint32_t argc;
    struct wc_arg *argv; /* argc elements, valid until the next wc_resp_parse() or the buffer changes */
    /* resumable position, counted from the start of the request */
    size_t pos;             /* the line or bulk that is being read */
    size_t scanned;         /* no end of line before this, 0 when not searched yet */
    int64_t bulk_len;       /* length of the argument being read, -1 = its header is still to come */
    int32_t multibulk_left; /* arguments still to come; 0 = at the start of a request */
    uint32_t argv_cap;
    const char *base;   /* the buffer argv points into while the request is incomplete */
    size_t want;        /* after "incomplete": total request bytes known to be needed, a hint for growing the buffer */
    char *inline_store; /* unquoted copy of an inline request's arguments, reused */
    size_t inline_cap;
    struct wc_arg small[WC_PARSER_SMALL];
    char error[64]; /* after malformed: the text after "-ERR " */
};

/* argv may point into the parser itself: it must not be copied or moved after this. */
void wc_parser_init(struct wc_parser *p);
void wc_parser_free(struct wc_parser *p);
/* Forget a half-read request (RESET of the state, not of the pooled arrays). */
void wc_parser_reset(struct wc_parser *p);
/* Give back arrays that an extreme request made large. Only between requests; argv is no longer valid. */
void wc_parser_trim(struct wc_parser *p);

/* Parse one request at the start of buf[0..len).
 * Returns the bytes it took (> 0; argc may be 0 for an empty line or "*0"), 0 when more input is needed,
 * -EPROTO when malformed (p->error is set; the connection must be closed after sending it), -ENOMEM. */
ssize_t wc_resp_parse(struct wc_parser *p, const struct wc_parser_limits *lim, int authenticated, const char *buf,
                      size_t len);

#endif
