/* RESP request parser: incremental, one pass, no copy, no allocation per command.
 *
 * The caller keeps unparsed input in one contiguous buffer and calls wc_resp_parse() with all of it.
 * The parser remembers how far it got, as offsets from the start of the current request, so the buffer
 * may be moved or grown between calls, and bytes already looked at are not looked at again.
 *
 * Source of the rules and texts: Redis networking.c processMultibulkBuffer() and processInlineBuffer().
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

struct wc_parser; /* layout below, embedded in the connection */

enum { WC_PARSE_OK = 0 };

struct wc_parser_limits {
    uint64_t max_bulk;      /* proto-max-bulk-len */
    uint32_t max_multibulk; /* 1024*1024 as Redis; 10 before authentication */
    uint32_t max_inline;    /* 64 KiB as Redis */
    uint64_t max_bulk_unauth; /* 16384 */
};

struct wc_parser {
    /* result of the last complete request */
    uint32_t argc;
    struct wc_arg *argv; /* argc elements, valid until the next wc_resp_parse() or the buffer changes */
    /* resumable position */
    size_t pos;              /* bytes of the current request already consumed by the scanner */
    int32_t multibulk_left;  /* arguments still to come; 0 = at the start of a request */
    int64_t bulk_len;        /* length of the argument being read, -1 = its header is still to come */
    uint32_t argv_cap;
    struct wc_parser_offset {
        size_t off;
        uint32_t len;
    } *offsets; /* argument positions while the request is incomplete */
    char *inline_store; /* unquoted copy of an inline request's arguments, reused */
    size_t inline_cap;
    size_t want; /* after "incomplete": total request bytes known to be needed, a hint for growing the buffer */
    char error[128]; /* after malformed: the text after "-ERR " */
};

void wc_parser_init(struct wc_parser *p);
void wc_parser_free(struct wc_parser *p);
/* Forget a half-read request (RESET of the state, not of the pooled arrays). */
void wc_parser_reset(struct wc_parser *p);

/* Parse one request at the start of buf[0..len).
 * Returns the bytes it took (> 0; argc may be 0 for an empty line or "*0"), 0 when more input is needed,
 * -EPROTO when malformed (p->error is set; the connection must be closed after sending it), -ENOMEM. */
ssize_t wc_resp_parse(struct wc_parser *p, const struct wc_parser_limits *lim, int authenticated,
                      const char *buf, size_t len);

#endif
