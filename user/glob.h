/* Glob patterns as Redis's KEYS and CONFIG GET understand them: * ? [a-c] [^x] and \ to take a character literally. */
#ifndef WC_GLOB_H
#define WC_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Does str match pattern as a whole? Work is at most plen * slen steps, whatever the pattern. */
bool wc_glob_match(const char *pattern, size_t plen, const char *str, size_t slen, bool nocase);

#endif
