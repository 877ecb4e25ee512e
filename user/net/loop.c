#include "net/loop.h"

#include <errno.h>

bool wc_loop_available(enum wc_io_backend backend)
{
    return backend == WC_IO_AUTO || backend == WC_IO_EPOLL;
}

int wc_loop_new(struct wc_loop **out, enum wc_io_backend backend)
{
    return wc_loop_available(backend) ? wc_loop_new_epoll(out) : -ENOSYS;
}
