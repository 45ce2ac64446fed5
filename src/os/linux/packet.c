/*
 * packet: see os/packet.h. SOCK_SEQPACKET pairs; enclosures are sealed memfds, or files opened to
 * be read, passed as SCM_RIGHTS.
 */
#include "os/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "os/descriptor.h"
#include "os/linux/loop_inside.h"
#include "os/linux/packet_inside.h"
#include "os/socket.h"

#define PACKETS_PER_READY 32            /* then others have their turn */
#define SEND_BUFFER_BYTES (1024 * 1024) /* the kernel grants what net.core.wmem_max allows */
#define SEALS             (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

_Static_assert(PACKET_BYTES_MAX + 1 <= SOCKET_READ_BYTES, "packets are read into that buffer");

struct packet_end {
    struct loop *loop;
    struct descriptor *watch; /* NULL: it was not adopted yet, or has ended */
    int descriptor;
    const struct packet_events *events;
    void *context;
    bool is_giving, is_closed; /* closed while it gives packets: freed after that */
};

struct packet_door {
    struct loop *loop;
    struct descriptor *watch;
    int descriptor;
    void (*on_offer)(void *context, struct packet_end *end);
    void *context;
};

struct enclosure {
    int descriptor;
    uint64_t bytes;
};

/* Raw packets. ------------------------------------------------------------------------------- */

static ssize_t send_raw(int to, struct span bytes, int enclosed)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.len};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (enclosed >= 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&m);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &enclosed, sizeof enclosed);
    }
    ssize_t n;
    do
        n = sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Keeps the first descriptor that came and closes all others. False: there were others. */
static bool take_descriptors(struct msghdr *m, int *enclosed_out)
{
    bool was_one = true;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(h) + i * sizeof descriptor, sizeof descriptor);
            if (*enclosed_out < 0) {
                *enclosed_out = descriptor;
            } else {
                close(descriptor);
                was_one = false;
            }
        }
    }
    return was_one;
}

/* One packet into the loop's buffer. 0: its end, or what no packet may be; -1: none now. */
static ssize_t receive_raw(int from, struct loop *l, int *enclosed_out)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = {l->read_buffer, PACKET_BYTES_MAX};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    *enclosed_out = -1;
    ssize_t n;
    do
        n = recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -1 : 0;
    bool is_whole =
        take_descriptors(&m, enclosed_out) && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (n > 0 && is_whole)
        return n;
    if (*enclosed_out >= 0)
        close(*enclosed_out);
    *enclosed_out = -1;
    return 0;
}

/* Ends. -------------------------------------------------------------------------------------- */

static void end_end(struct packet_end *end)
{
    descriptor_unwatch(end->watch);
    end->watch = NULL;
    end->events->on_end(end->context);
}

/* False: there is none, or it was the last. */
static bool give_packet(struct packet_end *end)
{
    int descriptor;
    struct enclosure *enclosed = NULL;
    ssize_t n = receive_raw(end->descriptor, end->loop, &descriptor);
    if (n < 0)
        return false;
    if (n == 0 || (descriptor >= 0 && enclosure_new(descriptor, &enclosed) != FAULT_NONE)) {
        end_end(end);
        return false;
    }
    end->events->on_packet(end->context, span_of(end->loop->read_buffer, (size_t)n), enclosed);
    return !end->is_closed;
}

static void on_ready(void *context, unsigned ready)
{
    struct packet_end *end = context;
    (void)ready;
    end->is_giving = true;
    for (int i = 0; i < PACKETS_PER_READY && give_packet(end); i++) {
    }
    end->is_giving = false;
    if (end->is_closed)
        packet_close(end);
}

static struct packet_end *end_new(struct loop *l, int descriptor)
{
    struct packet_end *end = calloc(1, sizeof *end);
    if (end == NULL) {
        close(descriptor);
        return NULL;
    }
    int size = SEND_BUFFER_BYTES;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    end->loop = l;
    end->descriptor = descriptor;
    return end;
}

enum fault packet_open(struct loop *l, int descriptor, const struct packet_events *events,
                       void *context, struct packet_end **end_out)
{
    struct packet_end *end = end_new(l, descriptor);
    if (end == NULL)
        return FAULT_NO_MEMORY;
    end->events = events;
    end->context = context;
    enum fault fault =
        descriptor_watch(l, descriptor, DESCRIPTOR_READABLE, on_ready, end, &end->watch);
    if (fault == FAULT_NONE)
        *end_out = end;
    else
        packet_close(end);
    return fault;
}

enum fault packet_offer(struct loop *l, int door, const struct packet_events *events, void *context,
                        struct packet_end **end_out)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return fault_of_errno(errno);
    enum fault fault = packet_open(l, ends[0], events, context, end_out);
    if (fault == FAULT_NONE && send_raw(door, SPAN("?"), ends[1]) < 0) {
        fault = errno == EAGAIN ? FAULT_LIMIT : fault_of_errno(errno);
        packet_close(*end_out);
        *end_out = NULL;
    }
    close(ends[1]);
    return fault;
}

void packet_adopt(struct packet_end *end, const struct packet_events *events, void *context)
{
    check(end->events == NULL && events->on_packet != NULL && events->on_end != NULL);
    end->events = events;
    end->context = context;
}

static void on_offered(void *context, unsigned ready)
{
    struct packet_door *d = context;
    (void)ready;
    int offered;
    if (receive_raw(d->descriptor, d->loop, &offered) <= 0 || offered < 0)
        return;
    int kind = 0;
    socklen_t len = sizeof kind;
    bool is_packets =
        getsockopt(offered, SOL_SOCKET, SO_TYPE, &kind, &len) == 0 && kind == SOCK_SEQPACKET;
    struct packet_end *end = is_packets ? end_new(d->loop, offered) : NULL;
    if (!is_packets)
        close(offered);
    if (end == NULL)
        return;
    /* Nobody is told of anything before it is adopted, which is within this call. */
    if (descriptor_watch(d->loop, offered, DESCRIPTOR_READABLE, on_ready, end, &end->watch) ==
        FAULT_NONE)
        d->on_offer(d->context, end);
    else
        packet_close(end);
}

enum fault packet_listen(struct loop *l, int door,
                         void (*on_offer)(void *context, struct packet_end *end), void *context,
                         struct packet_door **door_out)
{
    struct packet_door *d = calloc(1, sizeof *d);
    if (d == NULL)
        return FAULT_NO_MEMORY;
    *d = (struct packet_door){
        .loop = l, .descriptor = door, .on_offer = on_offer, .context = context};
    enum fault fault = descriptor_watch(l, door, DESCRIPTOR_READABLE, on_offered, d, &d->watch);
    if (fault == FAULT_NONE)
        *door_out = d;
    else
        free(d);
    return fault;
}

void packet_unlisten(struct packet_door *d)
{
    descriptor_unwatch(d->watch);
    free(d);
}

enum fault packet_send(struct packet_end *end, struct span bytes, const struct enclosure *enclosed)
{
    check(bytes.len > 0 && bytes.len <= PACKET_BYTES_MAX);
    if (send_raw(end->descriptor, bytes, enclosed == NULL ? -1 : enclosed->descriptor) >= 0)
        return FAULT_NONE;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS || errno == ENOMEM)
        return FAULT_LIMIT;
    return FAULT_CONNECTION_LOST;
}

void packet_close(struct packet_end *end)
{
    if (end->watch != NULL)
        descriptor_unwatch(end->watch);
    end->watch = NULL;
    if (end->descriptor >= 0)
        close(end->descriptor);
    end->descriptor = -1;
    end->is_closed = true;
    if (!end->is_giving)
        free(end);
}

/* Enclosures. -------------------------------------------------------------------------------- */

enum fault enclosure_new(int descriptor, struct enclosure **enclosure_out)
{
    struct stat status;
    struct enclosure *e = malloc(sizeof *e);
    enum fault fault = FAULT_NONE;
    if (e == NULL)
        fault = FAULT_NO_MEMORY;
    else if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        fault = FAULT_PROTOCOL;
    if (fault != FAULT_NONE) {
        free(e);
        close(descriptor);
        return fault;
    }
    *e = (struct enclosure){descriptor, (uint64_t)status.st_size};
    *enclosure_out = e;
    return FAULT_NONE;
}

/* All parts, a number of them with each call. */
static bool write_parts(int to, const struct span *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest = parts[i];
        while (rest.len > 0) {
            ssize_t n = write(to, rest.data, rest.len);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return false;
            rest = span_skip(rest, (size_t)n);
        }
    }
    return true;
}

enum fault enclosure_of_bytes(struct world *w, const struct span *parts, size_t count,
                              struct enclosure **enclosure_out)
{
    (void)w;
    int descriptor = memfd_create("postrider", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0)
        return fault_of_errno(errno);
    if (!write_parts(descriptor, parts, count) || fcntl(descriptor, F_ADD_SEALS, SEALS) != 0) {
        enum fault fault = fault_of_errno(errno);
        close(descriptor);
        return fault;
    }
    return enclosure_new(descriptor, enclosure_out);
}

uint64_t enclosure_bytes(const struct enclosure *e)
{
    return e->bytes;
}

enum fault enclosure_read(const struct enclosure *e, uint64_t offset, void *bytes_out, size_t len,
                          size_t *got_out)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(e->descriptor, (char *)bytes_out + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_of_errno(errno);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *got_out = got;
    return FAULT_NONE;
}

void enclosure_close(struct enclosure *e)
{
    if (e == NULL)
        return;
    close(e->descriptor);
    free(e);
}
