/* Tables of single steps of wc_tcp.h: state before, segment, verdict, numbers out, state after.
 *
 * A table holds small numbers, relative to where a space begins. A case runs at many places: each number in it is in
 * turn moved to where arithmetic modulo 2^32 wraps (0 and the number before) and to where its sign changes, in each
 * space, while the other spaces begin somewhere at random.
 */
#ifndef WC_TCP_MODEL_STEP_H
#define WC_TCP_MODEL_STEP_H

#include "wc_tcp.h"

enum step_from {
    STEP_END,    /* of the list */
    STEP_CLIENT, /* at TC ingress */
    STEP_XDP,    /* from the client, at XDP */
    STEP_STACK,  /* at TC egress */
};

/* One member of struct wc_tcp; size 0 ends a list. */
struct step_change {
    __u32 offset, size;
    __u32 value;
};

#define SET(member, to)                                                                                                \
    {                                                                                                                  \
        offsetof(struct wc_tcp, member), sizeof(((struct wc_tcp *)0)->member), to                                      \
    }

struct step {
    enum step_from from;
    struct wc_seg seg;
    struct wc_offer offer;
    enum wc_tcp_verdict verdict;
    struct wc_tcp_out out;        /* what the verdict gives a meaning */
    struct step_change after[16]; /* all else stays as it was */
};

struct step_case {
    const char *name;
    const struct wc_tcp *before;
    struct step_change with[8]; /* changes to `before` */
    struct step steps[5];
};

/* A translation without a state: a function, an exchange and a number before and after. */
enum step_xlat {
    ACK_TO_KERNEL,
    EMPTY_TO_KERNEL, /* seq of a segment that occupies no sequence space */
    DATA_TO_KERNEL,
    SEQ_TO_CLIENT,
    ACK_TO_CLIENT,
    ACK_TO_CLIENT_HELD,
};

struct step_translation {
    const char *name;
    const struct wc_tcp *before;
    enum step_xlat how;
    __u32 from, to;
};

/* NULL, or what went wrong, in a buffer that the next call uses again. */
const char *step_run(const struct step_case *c);
const char *step_translate(const struct step_translation *t);

#endif
