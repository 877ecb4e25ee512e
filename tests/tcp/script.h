/* What a connection does next: drawn from its seed. */
#ifndef TCP_SCRIPT_H
#define TCP_SCRIPT_H

#include "client.h"

/* The keys of all connections. */
void keys_make(uint64_t seed, unsigned clients);
/* Compose something; c is UP and has nothing unsent. */
void script_step(struct client *c, uint64_t now);

#endif
