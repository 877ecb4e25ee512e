/* A four-byte mutex: spin a little, then sleep on a futex.
 *
 * Critical sections of a shard are well below a microsecond, so a short spin nearly always wins, and at four
 * bytes the lock shares a cache line with the data it guards. The states are those of Drepper's "Futexes are
 * tricky", mutex 2: 0 free, 1 held, 2 held and somebody may be asleep.
 */
#ifndef WC_STORE_LOCK_H
#define WC_STORE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct wc_mutex {
    _Atomic uint32_t state;
};

void wc_mutex_lock_slow(struct wc_mutex *m);
void wc_mutex_wake(struct wc_mutex *m);

static inline void wc_mutex_lock(struct wc_mutex *m)
{
    uint32_t free_state = 0;

    if (!atomic_compare_exchange_strong_explicit(&m->state, &free_state, 1, memory_order_acquire, memory_order_relaxed))
        wc_mutex_lock_slow(m);
}

static inline void wc_mutex_unlock(struct wc_mutex *m)
{
    if (atomic_exchange_explicit(&m->state, 0, memory_order_release) == 2)
        wc_mutex_wake(m);
}

#endif
