/* What this host can do for the fast path, and what stands in its way. For `wirecachectl doctor`. */
#ifndef WC_FASTPATH_PROBE_H
#define WC_FASTPATH_PROBE_H

#include "config.h"

enum wc_finding { WC_FINDING_OK, WC_FINDING_NOTE, WC_FINDING_PROBLEM };

/* Look at rights, kernel and the interfaces that cfg names; nothing is attached. fn(arg, finding, text) for each
 * result, one line of text. Returns the number of problems. */
int wc_probe(const struct wc_config *cfg, void (*fn)(void *arg, enum wc_finding finding, const char *text), void *arg);

#endif
