/* Who may come in: maxclients and protected mode, and the names of both ends. */
#ifndef WC_NET_ADMIT_H
#define WC_NET_ADMIT_H

#include <stdbool.h>

struct wc_worker;

/* A socket was accepted: admit the client or turn it away with an error line. */
void wc_admit(struct wc_worker *w, int fd, bool tcp);

#endif
