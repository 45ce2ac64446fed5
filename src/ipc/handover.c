#include "ipc/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"

#define PARTS_MAX   4
#define SEND_WAIT_S 5

union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(HANDOVER_DESCRIPTORS_MAX * sizeof(int))];
};

/* One whose other side does not read for so long gets no more: the supervisor waits for nobody. */
bool handover_pair(int ends_out[2])
{
    struct timeval wait = {.tv_sec = SEND_WAIT_S};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_out) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        (void)setsockopt(ends_out[i], SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return true;
}

bool handover_send(int end, enum handover_kind kind, const struct span *parts, size_t count,
                   const int *descriptors, size_t descriptor_count)
{
    uint8_t first = (uint8_t)kind;
    struct iovec pieces[PARTS_MAX + 1] = {{.iov_base = &first, .iov_len = 1}};
    union control control;
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = count + 1};
    check(count <= PARTS_MAX && descriptor_count <= HANDOVER_DESCRIPTORS_MAX);
    for (size_t i = 0; i < count; i++)
        pieces[i + 1] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].len};
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(descriptor_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(descriptor_count * sizeof(int));
        memcpy(CMSG_DATA(c), descriptors, descriptor_count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(end, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

static size_t take_descriptors(struct msghdr *m, int out[HANDOVER_DESCRIPTORS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && count < HANDOVER_DESCRIPTORS_MAX; i++, count++)
            memcpy(&out[count], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

enum handover_kind handover_receive(int end, int timeout_ms, uint8_t bytes_out[HANDOVER_BYTES_MAX],
                                    size_t *len_out, int descriptors_out[HANDOVER_DESCRIPTORS_MAX],
                                    size_t *descriptor_count_out)
{
    struct pollfd ready = {.fd = end, .events = POLLIN};
    uint8_t kind = 0;
    struct iovec pieces[2] = {{&kind, 1}, {bytes_out, HANDOVER_BYTES_MAX}};
    union control control;
    struct msghdr m = {.msg_iov = pieces,
                       .msg_iovlen = 2,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    *len_out = *descriptor_count_out = 0;
    int n = poll(&ready, 1, timeout_ms);
    if (n <= 0)
        return 0;
    ssize_t len = recvmsg(end, &m, MSG_CMSG_CLOEXEC);
    if (len <= 0)
        return 0;
    *descriptor_count_out = take_descriptors(&m, descriptors_out);
    *len_out = (size_t)len - 1;
    return (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? (enum handover_kind)kind : 0;
}
