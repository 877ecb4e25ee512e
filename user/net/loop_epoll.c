/* The epoll backend.
 *
 * Connections are registered once, edge-triggered, for input only: the usual request costs epoll_wait, recv and send
 * and no epoll_ctl. An edge is not repeated, so a connection that may hold more input than was read is kept on the
 * ready list and read again in the next turn, behind everybody else. EPOLLOUT is asked for only while a send is
 * stuck: a unix socket would otherwise wake us for every reply its peer reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"

#define MAX_EVENTS 128
#define RECV_BYTES (64 * 1024)
#define MAX_ACCEPT 64 /* per listener and turn */

enum {
    IO_LISTEN = 1 << 0,
    IO_PAUSED = 1 << 1,
    IO_READABLE = 1 << 2, /* there may be input that no further edge will announce */
    IO_HUNG_UP = 1 << 3,  /* the end of input is near: a short read does not mean that all was read */
    IO_READY = 1 << 4,    /* on the ready list */
    IO_ENDED = 1 << 5,    /* end of input or an error was reported */
    IO_CLOSED = 1 << 6,   /* on the dead list */
    IO_PARKED = 1 << 7,   /* a listener out of the epoll set, on the parked list */
};

struct epoll_loop {
    struct wc_loop base;
    int epfd;
    int wakefd;
    int nevents;
    struct wc_io ready, turn, dead, parked; /* list heads */
    struct epoll_event events[MAX_EVENTS];
    char scratch[RECV_BYTES];
};

static struct epoll_loop *self(struct wc_loop *loop)
{
    return (struct epoll_loop *)loop;
}

static void list_init(struct wc_io *head)
{
    head->prev = head->next = head;
}

static void list_append(struct wc_io *head, struct wc_io *io)
{
    io->prev = head->prev;
    io->next = head;
    head->prev->next = io;
    head->prev = io;
}

static void list_remove(struct wc_io *io)
{
    io->prev->next = io->next;
    io->next->prev = io->prev;
}

static void set_ready(struct epoll_loop *l, struct wc_io *io)
{
    io->flags |= IO_READABLE;
    if (io->flags & (IO_READY | IO_PAUSED))
        return;
    io->flags |= IO_READY;
    list_append(&l->ready, io);
}

static void unset_ready(struct wc_io *io)
{
    if (io->flags & IO_READY)
        list_remove(io);
    io->flags &= ~(uint32_t)IO_READY;
}

static void end_input(struct wc_io *io, ssize_t reason)
{
    unset_ready(io);
    io->flags |= IO_ENDED;
    io->flags &= ~(uint32_t)IO_READABLE;
    io->handler->received(io, NULL, reason);
}

static void receive(struct epoll_loop *l, struct wc_io *io)
{
    size_t cap = 0;
    char *buf = io->handler->recv_buffer(io, &cap);

    if (!buf) {
        buf = l->scratch;
        cap = sizeof(l->scratch);
    }
    io->flags &= ~(uint32_t)IO_READABLE;
    ssize_t n;
    do
        n = recv(io->fd, buf, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n == 0)
            end_input(io, 0);
        else if (errno != EAGAIN)
            end_input(io, -errno);
        return;
    }
    /* Before the handler, which may pause or close. */
    if ((size_t)n == cap || (io->flags & IO_HUNG_UP))
        set_ready(l, io);
    io->handler->received(io, buf, n);
}

static void watch(struct epoll_loop *l, struct wc_io *io, int op, uint32_t extra)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | extra, .data.ptr = io};
    epoll_ctl(l->epfd, op, io->fd, &ev);
}

static void send_rest(struct epoll_loop *l, struct wc_io *io)
{
    ssize_t n;
    do
        n = send(io->fd, io->send_buf, io->send_len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        io->send_len = 0;
        io->handler->sent(io, -errno);
        return;
    }
    io->send_buf += n;
    io->send_len -= (size_t)n;
    if (io->send_len == 0)
        watch(l, io, EPOLL_CTL_MOD, 0);
    io->handler->sent(io, n);
}

static int add_listener(struct epoll_loop *l, struct wc_io *io)
{
    /* Exclusive, for a unix socket that all workers share: one connection wakes one of them. */
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = io};
    return epoll_ctl(l->epfd, EPOLL_CTL_ADD, io->fd, &ev) ? -errno : 0;
}

/* No descriptor is left. The connection stays in the backlog and would be reported in every turn: look away until
 * somebody closes or the owner wakes us. */
static void park(struct epoll_loop *l, struct wc_io *io)
{
    epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
    io->flags |= IO_PARKED;
    list_append(&l->parked, io);
    l->base.parked = true;
}

static void unpark(struct epoll_loop *l)
{
    while (l->parked.next != &l->parked) {
        struct wc_io *io = l->parked.next;
        list_remove(io);
        io->flags &= ~(uint32_t)IO_PARKED;
        add_listener(l, io);
    }
    l->base.parked = false;
}

static void accept_some(struct epoll_loop *l, struct wc_io *io)
{
    for (int i = 0; i < MAX_ACCEPT && !(io->flags & IO_CLOSED); i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            io->handler->accepted(io, fd);
            continue;
        }
        int err = errno;
        if (err == EAGAIN)
            return;
        if (err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM) {
            park(l, io);
            io->handler->accepted(io, -err);
            return;
        }
        /* What accept(2) reports about the one connection (ECONNABORTED, ...) is no business of the listener. */
    }
}

static void on_event(struct epoll_loop *l, struct wc_io *io, uint32_t events)
{
    if (io->flags & IO_CLOSED)
        return;
    if (io->flags & IO_LISTEN) {
        accept_some(l, io);
        return;
    }
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) && io->send_len > 0) {
        send_rest(l, io);
        if (io->flags & IO_CLOSED)
            return;
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || (io->flags & IO_ENDED))
        return;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->flags |= IO_HUNG_UP;
    unset_ready(io);
    if (!(io->flags & IO_PAUSED))
        receive(l, io);
    else if (events & (EPOLLHUP | EPOLLERR))
        end_input(io, -ECONNRESET);
    else
        io->flags |= IO_READABLE;
}

static void reap(struct epoll_loop *l)
{
    while (l->dead.next != &l->dead) {
        struct wc_io *io = l->dead.next;
        list_remove(io);
        io->handler->closed(io);
    }
}

static void epoll_wait_turn(struct wc_loop *loop)
{
    struct epoll_loop *l = self(loop);
    int timeout = l->ready.next != &l->ready ? 0 : -1;
    int n = epoll_wait(l->epfd, l->events, MAX_EVENTS, timeout);
    l->nevents = n > 0 ? n : 0;
}

static void epoll_dispatch(struct wc_loop *loop)
{
    struct epoll_loop *l = self(loop);

    /* Those left over from the last turn; who becomes ready from here on has to wait for the next. */
    if (l->ready.next != &l->ready) {
        l->turn = l->ready;
        l->turn.next->prev = l->turn.prev->next = &l->turn;
        list_init(&l->ready);
        while (l->turn.next != &l->turn) {
            struct wc_io *io = l->turn.next;
            unset_ready(io);
            receive(l, io);
        }
    }
    for (int i = 0; i < l->nevents; i++) {
        struct wc_io *io = l->events[i].data.ptr;
        uint64_t count;
        if (io) {
            on_event(l, io, l->events[i].events);
        } else {
            if (read(l->wakefd, &count, sizeof(count)) == (ssize_t)sizeof(count))
                l->base.woken = true;
            unpark(l);
        }
    }
    l->nevents = 0;
    reap(l);
}

static void epoll_wake(struct wc_loop *loop)
{
    uint64_t one = 1;
    ssize_t n = write(self(loop)->wakefd, &one, sizeof(one));
    (void)n; /* a full counter wakes as well */
}

static int epoll_listen(struct wc_loop *loop, struct wc_io *io)
{
    io->flags = IO_LISTEN;
    return add_listener(self(loop), io);
}

static int epoll_start(struct wc_loop *loop, struct wc_io *io)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = io};
    io->flags = 0;
    return epoll_ctl(self(loop)->epfd, EPOLL_CTL_ADD, io->fd, &ev) ? -errno : 0;
}

static void epoll_pause(struct wc_loop *loop, struct wc_io *io)
{
    (void)loop;
    io->flags |= IO_PAUSED;
    unset_ready(io);
}

static void epoll_resume(struct wc_loop *loop, struct wc_io *io)
{
    io->flags &= ~(uint32_t)IO_PAUSED;
    if (io->flags & IO_READABLE)
        set_ready(self(loop), io);
}

static ssize_t epoll_send(struct wc_loop *loop, struct wc_io *io, const char *buf, size_t len)
{
    ssize_t n;
    do
        n = send(io->fd, buf, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)len)
        return n;
    if (n < 0) {
        if (errno != EAGAIN)
            return -errno;
        n = 0;
    }
    io->send_buf = buf + n;
    io->send_len = len - (size_t)n;
    watch(self(loop), io, EPOLL_CTL_MOD, EPOLLOUT);
    return n;
}

static void epoll_close(struct wc_loop *loop, struct wc_io *io)
{
    struct epoll_loop *l = self(loop);

    unset_ready(io);
    if (io->flags & IO_PARKED)
        list_remove(io);
    io->flags = IO_CLOSED;
    io->send_len = 0;
    close(io->fd);
    io->fd = -1;
    list_append(&l->dead, io);
    unpark(l);
}

static void epoll_free(struct wc_loop *loop)
{
    struct epoll_loop *l = self(loop);

    reap(l);
    close(l->epfd);
    close(l->wakefd);
    free(l);
}

static const struct wc_loop_ops epoll_ops = {
    .name = "epoll",
    .free = epoll_free,
    .wait = epoll_wait_turn,
    .dispatch = epoll_dispatch,
    .wake = epoll_wake,
    .listen = epoll_listen,
    .start = epoll_start,
    .pause = epoll_pause,
    .resume = epoll_resume,
    .send = epoll_send,
    .close = epoll_close,
};

int wc_loop_new_epoll(struct wc_loop **out)
{
    struct epoll_loop *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->base.ops = &epoll_ops;
    list_init(&l->ready);
    list_init(&l->turn);
    list_init(&l->dead);
    list_init(&l->parked);

    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->epfd < 0 || l->wakefd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev)) {
        int err = -errno;
        if (l->epfd >= 0)
            close(l->epfd);
        if (l->wakefd >= 0)
            close(l->wakefd);
        free(l);
        return err;
    }
    *out = &l->base;
    return 0;
}
