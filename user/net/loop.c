#include "net/loop.h"

#include <errno.h>

int wc_loop_new(struct wc_loop **out, enum wc_io_backend backend)
{
    switch (backend) {
    case WC_IO_AUTO:
    case WC_IO_EPOLL:
        return wc_loop_new_epoll(out);
    case WC_IO_URING:
        return -ENOSYS;
    }
    return -EINVAL;
}
