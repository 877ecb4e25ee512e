/* Between config.c (the table of directives) and config_file.c (where they come from). */
#ifndef WC_CONFIG_INTERNAL_H
#define WC_CONFIG_INTERNAL_H

#include "config.h"

/* Give a directive its words, at start. 0, or -EINVAL with a reason that names the directive in err. */
int wc_config_apply(struct wc_config *cfg, int nwords, char *const *words, char *err, size_t errlen);

#endif
