/* What the oracle knows about every key.
 *
 * A key has one writer, so its versions have an order: 0 is "absent", then 1, 2, 3 ... in the order in which they were
 * sent. What a version is, value or deletion, and every byte of it, follows from the key and the number. A version goes
 * through three stages: composed, sent (its command's last byte was written to the socket), acked (its reply was read).
 *
 * When a connection dies with writes unanswered nobody knows whether and when they happen. Its keys are then given up:
 * the slot goes on with the next generation, which is another key for the server.
 */
#ifndef TCP_HISTORY_H
#define TCP_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_MAX    300000 /* longest value */
#define KEY_NAME_MAX 124
#define TIMES        512 /* versions whose times are known; more than can be in flight */

enum kind { PLAIN, COUNTER, BRIEF, BIG, KINDS };

struct history {
    enum kind kind;
    unsigned slot, generation;
    uint64_t seed;
    char name[KEY_NAME_MAX + 1];
    size_t name_len;
    uint64_t composed, sent, acked;
    uint64_t seen; /* newest version that anybody has certainly read */
    struct {
        uint64_t sent, acked;
    } at[TIMES]; /* nanoseconds, of version % TIMES */
};

/* A read: what was known when its request was sent. */
struct read {
    struct history *key;
    uint64_t low;   /* oldest version allowed */
    uint64_t exact; /* the reader is the writer and the key is at this version; UINT64_MAX: another reads */
    uint64_t sent_ns;
};

struct history *history_new(enum kind kind, unsigned slot, unsigned generation, uint64_t seed);

/* Version v deletes the key. */
bool history_is_deletion(const struct history *h, uint64_t v);
/* Milliseconds that version v lives, 0: for ever. */
unsigned history_ttl_ms(const struct history *h, uint64_t v);
/* The bytes of version v; out has VALUE_MAX. */
size_t history_value(const struct history *h, uint64_t v, char *out);

void history_sent(struct history *h, uint64_t v, uint64_t now);
void history_acked(struct history *h, uint64_t v, uint64_t now);

/* The request is about to be sent. */
void history_read_sent(struct read *r, uint64_t now);
/* Its reply is here: value NULL means absent. False: it cannot be, and why says what it is instead. */
bool history_read_ok(const struct read *r, const char *value, size_t len, uint64_t now, char *why, size_t why_size);

#endif
