/* Inline requests ("SET key \"some value\"\r\n"), split as Redis's sdssplitargs does. Used by parse.c only. */
#ifndef WC_RESP_INLINE_H
#define WC_RESP_INLINE_H

#include "resp/parse.h"

/* Split line[0..len), which has no end of line, into p->argv. 0; -EINVAL for unbalanced quotes; -ENOMEM. */
int wc_inline_split(struct wc_parser *p, const char *line, size_t len);

/* Append one argument, growing argv. In parse.c. 0 or -ENOMEM. */
int wc_parser_push(struct wc_parser *p, const char *ptr, size_t len);

#endif
