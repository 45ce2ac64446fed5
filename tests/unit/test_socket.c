/* socket: loopback connections of the real world, both ends on one loop. */
#include "os/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/linux/real_world.h"

enum { RECEIVED_MAX = 8 << 20, TURNS_MAX = 200000 };

/* One end of a connection; notes what it is told. */
struct end {
    struct socket *socket;
    uint8_t *received;
    size_t received_len;
    int connects, sents, ends;
    enum fault connect_fault, end_fault;
    bool closes_in_bytes, closes_in_connect, closes_in_end, closes_in_sent;
    bool echoes;
    struct end *closes_other; /* in on_bytes */
};

static struct world *world;
static struct loop *loop;
static struct socket *listener;
static struct endpoint at;
static struct end near, far;
static int accepted;

static void close_end(struct end *e)
{
    if (e->socket != NULL)
        socket_close(e->socket);
    e->socket = NULL;
}

static void on_connect(void *context, enum fault fault)
{
    struct end *e = context;
    assert_non_null(e->socket);
    e->connects++;
    e->connect_fault = fault;
    if (e->closes_in_connect)
        close_end(e);
}

static void on_bytes(void *context, struct span bytes)
{
    struct end *e = context;
    assert_non_null(e->socket);
    assert_true(bytes.len > 0 && bytes.len <= SOCKET_READ_BYTES);
    assert_true(e->received_len + bytes.len <= RECEIVED_MAX);
    memcpy(e->received + e->received_len, bytes.data, bytes.len);
    struct span copy = span_of(e->received + e->received_len, bytes.len);
    e->received_len += bytes.len;
    if (e->echoes)
        assert_int_equal(socket_send(e->socket, &copy, 1), SEND_DONE);
    if (e->closes_other != NULL)
        close_end(e->closes_other);
    if (e->closes_in_bytes)
        close_end(e);
}

static void on_sent(void *context)
{
    struct end *e = context;
    assert_non_null(e->socket);
    e->sents++;
    if (e->closes_in_sent)
        close_end(e);
}

static void on_end(void *context, enum fault fault)
{
    struct end *e = context;
    assert_non_null(e->socket);
    e->ends++;
    e->end_fault = fault;
    if (e->closes_in_end)
        close_end(e);
}

static const struct socket_events events = {
    .on_connect = on_connect, .on_bytes = on_bytes, .on_sent = on_sent, .on_end = on_end};

static void on_accept(void *context, struct socket *connection, struct endpoint peer)
{
    struct end *e = context;
    accepted++;
    assert_int_equal(peer.family, at.family);
    if (e == NULL || e->socket != NULL) {
        socket_close(connection);
        return;
    }
    e->socket = connection;
    socket_adopt(connection, &events, e);
}

static const struct socket_events listening = {.on_accept = on_accept};

static int begin(void **state)
{
    (void)state;
    near = (struct end){.received = malloc(RECEIVED_MAX)};
    far = (struct end){.received = malloc(RECEIVED_MAX)};
    accepted = 0;
    at = (struct endpoint){.family = 4, .ip = {127, 0, 0, 1}};
    if (world_new_real(&world) != FAULT_NONE || loop_new(world, &loop) != FAULT_NONE ||
        socket_listen(loop, at, &listening, &far, &listener) != FAULT_NONE)
        return 1;
    at = socket_local(listener);
    return at.port == 0;
}

static int finish(void **state)
{
    (void)state;
    close_end(&near);
    close_end(&far);
    socket_close(listener);
    loop_free(loop);
    world_free_real(world);
    free(near.received);
    free(far.received);
    return 0;
}

static void poll_until(const int *value, int wanted)
{
    for (int i = 0; i < TURNS_MAX && *value < wanted; i++)
        loop_poll(loop, true);
    assert_int_equal(*value, wanted);
}

static void poll_some(void)
{
    for (int i = 0; i < 50; i++)
        loop_poll(loop, false);
}

static void join(void)
{
    assert_int_equal(socket_connect(loop, at, (struct endpoint){0}, &events, &near, &near.socket),
                     FAULT_NONE);
    assert_int_equal(near.connects, 0); /* never from inside the call */
    poll_until(&near.connects, 1);
    poll_until(&accepted, 1);
    assert_int_equal(near.connect_fault, FAULT_NONE);
}

static void receive(struct end *e, size_t len)
{
    for (int i = 0; i < TURNS_MAX && e->received_len < len; i++)
        loop_poll(loop, true);
    assert_int_equal(e->received_len, len);
}

static enum send send_bytes(struct end *e, const void *data, size_t len)
{
    struct span part = span_of(data, len);
    return socket_send(e->socket, &part, 1);
}

static void echo_and_orderly_end(void **state)
{
    struct span parts[] = {SPAN("EHLO "), SPAN(""), SPAN("a.example"), SPAN("\r\n")};
    (void)state;
    join();
    far.echoes = true;
    assert_int_equal(socket_send(near.socket, parts, 4), SEND_DONE);
    assert_int_equal(socket_send(near.socket, parts, 0), SEND_DONE);
    receive(&near, 16);
    assert_memory_equal(near.received, "EHLO a.example\r\n", 16);
    assert_true(endpoint_equal(socket_peer(near.socket), at));
    assert_true(endpoint_equal(socket_peer(far.socket), socket_local(near.socket)));
    close_end(&near);
    poll_until(&far.ends, 1);
    assert_int_equal(far.end_fault, FAULT_NONE);
    poll_some();
    assert_int_equal(far.ends, 1);
}

/* A request and its answer: no epoll_ctl after the connection stands, one read each way. */
static void a_message_costs_one_read_and_one_send(void **state)
{
    struct loop_counters before, after;
    (void)state;
    join();
    far.echoes = true;
    send_bytes(&near, "x", 1);
    receive(&near, 1);
    loop_counters(loop, &before);
    for (size_t i = 2; i <= 101; i++) {
        send_bytes(&near, "x", 1);
        receive(&near, i);
    }
    loop_counters(loop, &after);
    assert_int_equal(after.controls, before.controls);
    assert_int_equal(after.reads - before.reads, 200);
    assert_int_equal(after.sends - before.sends, 200);
    assert_int_equal(after.bytes_read - before.bytes_read, 200);
    assert_true(after.waits - before.waits <= 210);
}

static void byte_by_byte(void **state)
{
    static const char text[] = "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n";
    (void)state;
    join();
    for (size_t i = 0; i < sizeof text; i++) {
        assert_int_equal(send_bytes(&near, text + i, 1), SEND_DONE);
        receive(&far, i + 1);
    }
    assert_memory_equal(far.received, text, sizeof text);
}

static uint8_t *pattern(size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    return bytes;
}

/* More than the kernel takes at once: SEND_LATER, the rest follows, order kept over many parts. */
static void a_large_send_is_finished_later(void **state)
{
    enum { LEN = 6 << 20, PARTS = SOCKET_PARTS_MAX };
    uint8_t *bytes = pattern(LEN);
    struct span parts[PARTS];
    (void)state;
    join();
    socket_read_pause(far.socket, true);
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = span_of(bytes + i * (LEN / PARTS), LEN / PARTS);
    assert_int_equal(socket_send(near.socket, parts, PARTS), SEND_LATER);
    memset(parts, 0, sizeof parts); /* the array is not kept, the bytes are */
    poll_some();
    assert_int_equal(near.sents, 0);
    assert_int_equal(far.received_len, 0);
    socket_read_pause(far.socket, false);
    receive(&far, LEN);
    poll_until(&near.sents, 1);
    assert_memory_equal(far.received, bytes, LEN);
    assert_int_equal(send_bytes(&near, "x", 1), SEND_DONE);
    receive(&far, LEN + 1);
    free(bytes);
}

/* What arrived while paused is not forgotten, and neither is the end. */
static void a_pause_holds_everything_back(void **state)
{
    (void)state;
    join();
    socket_read_pause(far.socket, true);
    send_bytes(&near, "hello", 5);
    close_end(&near);
    poll_some();
    assert_int_equal(far.received_len, 0);
    assert_int_equal(far.ends, 0);
    socket_read_pause(far.socket, false);
    poll_until(&far.ends, 1);
    assert_int_equal(far.received_len, 5);
    assert_int_equal(far.end_fault, FAULT_NONE);
}

/* The peer has shut its sending side only: ours still works. */
static void half_closed(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(at.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)state;
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(peer, "QUIT\r\n", 6), 6);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    poll_until(&far.ends, 1);
    assert_int_equal(far.received_len, 6);
    assert_int_equal(far.end_fault, FAULT_NONE);
    assert_int_equal(send_bytes(&far, "221 \r\n", 6), SEND_DONE);
    char reply[16];
    assert_int_equal(read(peer, reply, sizeof reply), 6);
    close_end(&far);
    assert_int_equal(read(peer, reply, sizeof reply), 0);
    close(peer);
}

/* Connected by hand, so that it can reset. */
static int raw_peer(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(at.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    poll_until(&accepted, 1);
    return peer;
}

static void reset(int peer)
{
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(peer);
}

static void a_reset_is_told_once(void **state)
{
    (void)state;
    reset(raw_peer());
    poll_until(&far.ends, 1);
    assert_int_equal(far.end_fault, FAULT_CONNECTION_LOST);
    assert_int_equal(send_bytes(&far, "x", 1), SEND_DONE);
    poll_some();
    assert_int_equal(far.ends, 1);
}

/* Paused and in the middle of a send: the break is the only thing that can still happen. */
static void a_reset_ends_an_unfinished_send(void **state)
{
    enum { LEN = 6 << 20 };
    uint8_t *bytes = pattern(LEN);
    (void)state;
    int peer = raw_peer();
    socket_read_pause(far.socket, true);
    assert_int_equal(send_bytes(&far, bytes, LEN), SEND_LATER);
    reset(peer);
    poll_until(&far.ends, 1);
    assert_int_equal(far.end_fault, FAULT_CONNECTION_LOST);
    assert_int_equal(far.sents, 0);
    free(bytes);
}

/* The break shows in a send; on_end tells it, once, from the loop. */
static void sending_to_nobody(void **state)
{
    (void)state;
    join();
    socket_read_pause(near.socket, true);
    close_end(&far);
    poll_some();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_bytes(&near, "x", 1), SEND_DONE);
        poll_some();
    }
    assert_int_equal(near.ends, 0);
    socket_read_pause(near.socket, false);
    poll_until(&near.ends, 1);
    poll_some();
    assert_int_equal(near.ends, 1);
}

static void refused(void **state)
{
    struct endpoint nobody = at;
    (void)state;
    socket_listen_pause(listener, true);
    struct socket *other;
    assert_int_equal(socket_listen(loop, at, &listening, NULL, &other), FAULT_ADDRESS_IN_USE);
    nobody.port = 1;
    near.closes_in_connect = true;
    assert_int_equal(
        socket_connect(loop, nobody, (struct endpoint){0}, &events, &near, &near.socket),
        FAULT_NONE);
    poll_until(&near.connects, 1);
    assert_int_equal(near.connect_fault, FAULT_CONNECT_REFUSED);
    assert_int_equal(near.ends, 0);
}

static void source_address(void **state)
{
    struct endpoint source = {.family = 4, .ip = {127, 0, 0, 2}};
    struct endpoint foreign = {.family = 4, .ip = {192, 0, 2, 1}};
    (void)state;
    assert_int_not_equal(socket_connect(loop, at, foreign, &events, &near, &near.socket),
                         FAULT_NONE);
    assert_null(near.socket);
    assert_int_equal(socket_connect(loop, at, source, &events, &near, &near.socket), FAULT_NONE);
    poll_until(&near.connects, 1);
    poll_until(&accepted, 1);
    assert_memory_equal(socket_peer(far.socket).ip, source.ip, 4);
}

/* Each call-back may close its own socket or the other one, which then hears no more. */
static void close_in_call_backs(void **state)
{
    (void)state;
    join();
    far.closes_in_bytes = true;
    near.closes_in_end = true;
    send_bytes(&near, "x", 1);
    poll_until(&near.ends, 1);
    assert_null(near.socket);
    assert_null(far.socket);
    assert_int_equal(far.received_len, 1);

    near.connects = accepted = 0;
    far.closes_in_bytes = near.closes_in_end = false;
    join();
    /* Both become readable in the same poll; whichever comes first closes the other. */
    send_bytes(&near, "x", 1);
    send_bytes(&far, "x", 1);
    near.received_len = far.received_len = 0;
    near.closes_other = &far;
    far.closes_other = &near;
    poll_some();
    assert_int_equal(near.received_len + far.received_len, 1);
}

static void close_in_sent(void **state)
{
    enum { LEN = 6 << 20 };
    uint8_t *bytes = pattern(LEN);
    (void)state;
    join();
    near.closes_in_sent = true;
    assert_int_equal(send_bytes(&near, bytes, LEN), SEND_LATER);
    poll_until(&far.ends, 1);
    assert_null(near.socket);
    assert_int_equal(far.received_len, LEN);
    free(bytes);
}

/* A reply sent just before the close arrives although the peer's bytes were never read. */
static void the_last_reply_survives_a_close(void **state)
{
    (void)state;
    int peer = raw_peer();
    socket_read_pause(far.socket, true);
    assert_int_equal(write(peer, "more commands\r\n", 15), 15);
    poll_some();
    send_bytes(&far, "421 \r\n", 6);
    close_end(&far);
    char reply[16];
    assert_int_equal(read(peer, reply, sizeof reply), 6);
    assert_int_equal(read(peer, reply, sizeof reply), 0);
    close(peer);
}

static void a_paused_listener_accepts_nobody(void **state)
{
    (void)state;
    socket_listen_pause(listener, true);
    socket_listen_pause(listener, true);
    assert_int_equal(socket_connect(loop, at, (struct endpoint){0}, &events, &near, &near.socket),
                     FAULT_NONE);
    poll_until(&near.connects, 1); /* by the kernel */
    poll_some();
    assert_int_equal(accepted, 0);
    socket_listen_pause(listener, false);
    poll_until(&accepted, 1);
}

/* Out of descriptors: nothing is lost, nothing spins, and it goes on by itself. */
static void survives_without_descriptors(void **state)
{
    struct rlimit before, none;
    struct loop_counters c[2];
    (void)state;
    assert_int_equal(socket_connect(loop, at, (struct endpoint){0}, &events, &near, &near.socket),
                     FAULT_NONE);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    poll_until(&near.connects, 1);
    poll_some();
    loop_counters(loop, &c[0]);
    poll_some();
    loop_counters(loop, &c[1]);
    struct socket *other = NULL;
    enum fault fault = socket_listen_on(loop, 0, &listening, NULL, &other);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fault, FAULT_NO_DESCRIPTORS);
    assert_int_equal(accepted, 0);
    assert_int_equal(c[1].accepts, c[0].accepts);
    poll_until(&accepted, 1);
}

/* The descriptor of a supervisor, shared by two loops: each connection reaches exactly one. */
static void a_shared_listener(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    struct socket *shared[2];
    struct loop *second;
    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(descriptor, 64), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(loop_new(world, &second), FAULT_NONE);
    assert_int_equal(socket_listen_on(loop, descriptor, &listening, NULL, &shared[0]), FAULT_NONE);
    assert_int_equal(socket_listen_on(second, descriptor, &listening, NULL, &shared[1]),
                     FAULT_NONE);
    enum { CLIENTS = 20 };
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof address), 0);
        loop_poll(i % 2 == 0 ? loop : second, false);
    }
    for (int i = 0; i < 100 && accepted < CLIENTS; i++) {
        loop_poll(loop, false);
        loop_poll(second, false);
    }
    assert_int_equal(accepted, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    /* One loop gone: the other still listens. */
    socket_close(shared[0]);
    loop_poll(loop, false);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    for (int i = 0; i < 100 && accepted == CLIENTS; i++)
        loop_poll(second, false);
    assert_int_equal(accepted, CLIENTS + 1);
    close(client);
    socket_close(shared[1]);
    loop_free(second);
    close(descriptor);
}

static void a_socketpair(void **state)
{
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(socket_of_descriptor(loop, pair[0], &events, &near, &near.socket), FAULT_NONE);
    assert_int_equal(socket_of_descriptor(loop, pair[1], &events, &far, &far.socket), FAULT_NONE);
    far.echoes = true;
    send_bytes(&near, "ping", 4);
    receive(&near, 4);
    assert_int_equal(socket_peer(near.socket).family, 0);
    close_end(&far);
    poll_until(&near.ends, 1);
}

/* To a Unix socket: connected, bytes both ways, its end; nobody there, no such path, no
           path. */
static void connects_to_a_path(void **state)
{
    (void)state;
    char path[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, sizeof path, "/tmp/postrider-socket-%ld", (long)getpid());
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(socket_connect_path(loop, span_text(path), &events, &near, &near.socket),
                     FAULT_NONE);
    poll_until(&near.connects, 1); /* it does not listen yet */
    assert_int_equal(near.connect_fault, FAULT_CONNECT_REFUSED);
    close_end(&near);
    assert_int_equal(listen(server, 5), 0);
    assert_int_equal(socket_connect_path(loop, span_text(path), &events, &near, &near.socket),
                     FAULT_NONE);
    assert_int_equal(near.connects, 1); /* never from inside the call */
    poll_until(&near.connects, 2);
    assert_int_equal(near.connect_fault, FAULT_NONE);
    assert_int_equal(socket_peer(near.socket).family, 0);
    int peer = accept(server, NULL, NULL);
    assert_int_equal(write(peer, "220 x\r\n", 7), 7);
    receive(&near, 7);
    assert_int_equal(send_bytes(&near, "LHLO", 4), SEND_DONE);
    char bytes[8];
    assert_int_equal(read(peer, bytes, sizeof bytes), 4);
    close(peer);
    poll_until(&near.ends, 1);
    assert_int_equal(near.end_fault, FAULT_NONE);
    close(server);
    (void)unlink(path);
}

static void expect_no_path(struct span path, bool is_refused_at_once)
{
    int before = near.connects;
    enum fault fault = socket_connect_path(loop, path, &events, &near, &near.socket);
    assert_int_equal(fault, is_refused_at_once ? FAULT_UNREACHABLE : FAULT_NONE);
    if (is_refused_at_once)
        return;
    poll_until(&near.connects, before + 1);
    assert_int_equal(near.connect_fault, FAULT_UNREACHABLE);
    close_end(&near);
}

static void paths_that_lead_nowhere(void **state)
{
    (void)state;
    static char longest[SOCKET_PATH_MAX + 1];
    memset(longest, 'x', sizeof longest);
    expect_no_path(SPAN(""), true);
    expect_no_path(SPAN("/tmp/a\0b"), true);
    expect_no_path(span_of(longest, sizeof longest), true);
    expect_no_path(span_of(longest, sizeof longest - 1), false);
    expect_no_path(SPAN("/tmp/postrider-nobody-is-here/lmtp"), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
        TEST(echo_and_orderly_end),
        TEST(a_message_costs_one_read_and_one_send),
        TEST(byte_by_byte),
        TEST(a_large_send_is_finished_later),
        TEST(a_pause_holds_everything_back),
        TEST(half_closed),
        TEST(a_reset_is_told_once),
        TEST(a_reset_ends_an_unfinished_send),
        TEST(sending_to_nobody),
        TEST(refused),
        TEST(source_address),
        TEST(close_in_call_backs),
        TEST(close_in_sent),
        TEST(the_last_reply_survives_a_close),
        TEST(a_paused_listener_accepts_nobody),
        TEST(survives_without_descriptors),
        TEST(a_shared_listener),
        TEST(a_socketpair),
        TEST(connects_to_a_path),
        TEST(paths_that_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
