/* RESP reply writer: appends to a growing buffer. RESP2 or RESP3 by `resp`.
 * Writers never fail visibly: on allocation failure the buffer is marked failed and the connection is closed. */
#ifndef WC_RESP_REPLY_H
#define WC_RESP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wc_reply {
    char *buf;
    size_t len;  /* bytes written */
    size_t cap;  /* bytes allocated */
    int resp;    /* 2 or 3 */
    bool failed; /* out of memory */
};

void wc_reply_raw(struct wc_reply *r, const char *data, size_t len);
void wc_reply_simple(struct wc_reply *r, const char *text); /* +text */
void wc_reply_ok(struct wc_reply *r);                       /* +OK */
/* -text; text carries its own code word ("ERR ...", "WRONGTYPE ..."). CR and LF in it become spaces. */
void wc_reply_error(struct wc_reply *r, const char *text);
void wc_reply_errorf(struct wc_reply *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void wc_reply_int(struct wc_reply *r, int64_t v);                     /* :v */
void wc_reply_bulk(struct wc_reply *r, const char *data, size_t len); /* $len data */
void wc_reply_bulk_str(struct wc_reply *r, const char *s);
void wc_reply_null(struct wc_reply *r);              /* $-1 or _ */
void wc_reply_null_array(struct wc_reply *r);        /* *-1 or _ */
void wc_reply_array(struct wc_reply *r, size_t n);   /* *n */
void wc_reply_map(struct wc_reply *r, size_t pairs); /* %pairs, or *2*pairs in RESP2 */
void wc_reply_set(struct wc_reply *r, size_t n);     /* ~n or *n */
void wc_reply_push(struct wc_reply *r, size_t n);    /* >n or *n */
void wc_reply_bool(struct wc_reply *r, bool v);      /* #t/#f or :1/:0 */
void wc_reply_double(struct wc_reply *r, double v);  /* ,v or bulk */
void wc_reply_verbatim(struct wc_reply *r, const char *ext3, const char *data, size_t len); /* =..txt: or bulk */

#endif
