/* Tables of packets (scene.h), each row for IPv4 and IPv6, with timestamps and without. The cmocka test fails when any
 * row does. How many packets that were is printed.
 */
#ifndef WC_TEST_TABLE_H
#define WC_TEST_TABLE_H

#include "scene.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* All rows for the given hook in all four variants; fails the cmocka test if any fails. Prints how many ran. */
void table_run(struct fix *f, const struct row *rows, size_t n, enum fix_hook hook);
/* The same with skbs of another kind. */
void table_run_how(struct fix *f, const struct row *rows, size_t n, enum fix_hook hook, const struct fix_how *how);
/* The same with the numbers shifted so that each of them wraps in turn. */
void table_run_wrapped(struct fix *f, const struct row *rows, size_t n, enum fix_hook hook);

#endif
