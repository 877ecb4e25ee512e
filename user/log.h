/* Log lines in Redis's format: `pid:role date level message`, to standard output or a file. Thread-safe. */
#ifndef WC_LOG_H
#define WC_LOG_H

#include "config.h"

/* Open the log. path "" means standard output. 0 or -errno. */
int wc_log_open(const char *path, enum wc_loglevel level);
void wc_log_set_level(enum wc_loglevel level);
/* One line, no trailing newline in fmt; longer than 1024 bytes is cut. */
void wc_log(enum wc_loglevel level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
