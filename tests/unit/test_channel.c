#include "ipc/channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "expect.h"
#include "os/linux/real_world.h"

struct party {
    struct ipc_channel channel;
    unsigned messages, ends;
    uint32_t number;
    enum fault why;
    char content[64];
    size_t content_len;
    bool closes; /* the channel, at the next message */
};

static void on_message(void *context, const struct ipc_message *m, struct enclosure *enclosed)
{
    struct party *p = context;
    p->messages++;
    p->number = m->type == MESSAGE_TYPE_DELIVER ? m->deliver.number : m->outcome.number;
    if (enclosed != NULL) {
        assert_int_equal(
            enclosure_read(enclosed, 0, p->content, sizeof p->content, &p->content_len),
            FAULT_NONE);
        assert_int_equal(enclosure_bytes(enclosed), p->content_len);
        enclosure_close(enclosed);
    }
    if (p->closes)
        channel_close(&p->channel);
}

static void on_end(void *context, enum fault why)
{
    struct party *p = context;
    p->ends++;
    p->why = why;
}

static const struct channel_events events = {on_message, on_end};

struct bench {
    struct world *world;
    struct loop *loop;
    int door[2];
    struct packet_door *listener;
    struct party engine, agent;
    struct enclosure *letter;
};

static void on_offer(void *context, struct packet_end *end)
{
    struct bench *b = context;
    channel_adopt(&b->agent.channel, end);
}

static void turn(struct bench *b)
{
    for (int i = 0; i < 3; i++) {
        (void)loop_wake(b->loop);
        loop_poll(b->loop, true);
    }
}

static void begin(struct bench *b)
{
    static const struct span parts[] = {{(const uint8_t *)"one ", 4}, {(const uint8_t *)"two", 3}};
    memset(b, 0, sizeof *b);
    assert_int_equal(world_new_real(&b->world), FAULT_NONE);
    assert_int_equal(loop_new(b->world, &b->loop), FAULT_NONE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, b->door), 0);
    channel_init(&b->engine.channel, SIDE_ENGINE, SIDE_AGENT, &events, &b->engine);
    channel_init(&b->agent.channel, SIDE_AGENT, SIDE_ENGINE, &events, &b->agent);
    assert_int_equal(channel_offer(&b->engine.channel, b->loop, b->door[0]), FAULT_NONE);
    assert_int_equal(enclosure_of_bytes(b->world, parts, 2, &b->letter), FAULT_NONE);
}

static void meet(struct bench *b)
{
    assert_int_equal(packet_listen(b->loop, b->door[1], on_offer, b, &b->listener), FAULT_NONE);
    turn(b);
    assert_true(channel_is_open(&b->agent.channel));
}

static void end(struct bench *b)
{
    channel_close(&b->engine.channel);
    channel_close(&b->agent.channel);
    buffer_fini(&b->engine.channel.out);
    enclosure_close(b->letter);
    if (b->listener != NULL)
        packet_unlisten(b->listener);
    close(b->door[0]);
    close(b->door[1]);
    loop_free(b->loop);
    world_free_real(b->world);
}

static enum fault ask(struct bench *b, uint32_t number)
{
    struct ipc_message m = {.type = MESSAGE_TYPE_DELIVER, .deliver = {.number = number}};
    return channel_send(&b->engine.channel, &m, b->letter);
}

static enum fault answer(struct bench *b, uint32_t number)
{
    struct ipc_message m = {.type = MESSAGE_TYPE_OUTCOME, .outcome = {.number = number}};
    return channel_send(&b->agent.channel, &m, NULL);
}

/* What was sent before anybody listened is not lost. */
static void carries_messages_both_ways(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    assert_int_equal(ask(&b, 1), FAULT_NONE);
    meet(&b);
    turn(&b);
    assert_int_equal(b.agent.messages, 1);
    assert_int_equal(b.agent.number, 1);
    assert_memory_equal(b.agent.content, "one two", 7);
    assert_int_equal(b.agent.content_len, 7);
    assert_int_equal(answer(&b, 2), FAULT_NONE);
    turn(&b);
    assert_int_equal(b.engine.number, 2);
    assert_int_equal(b.engine.ends + b.agent.ends, 0);
    end(&b);
}

static void tells_once_that_the_other_is_gone(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    meet(&b);
    assert_int_equal(answer(&b, 5), FAULT_NONE);
    channel_close(&b.agent.channel);
    turn(&b);
    turn(&b);
    assert_int_equal(b.engine.messages, 1); /* what it said before counts */
    assert_int_equal(b.engine.ends, 1);
    assert_int_equal(b.engine.why, FAULT_CONNECTION_LOST);
    assert_int_equal(ask(&b, 1), FAULT_CONNECTION_LOST);
    end(&b);
}

/* An agent that never comes, or has gone and comes again. */
static void a_door_outlives_who_listens(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    meet(&b);
    channel_close(&b.agent.channel);
    packet_unlisten(b.listener);
    b.listener = NULL;
    turn(&b);
    channel_close(&b.engine.channel);
    assert_int_equal(channel_offer(&b.engine.channel, b.loop, b.door[0]), FAULT_NONE);
    assert_int_equal(ask(&b, 8), FAULT_NONE);
    meet(&b);
    turn(&b);
    assert_int_equal(b.agent.number, 8);
    end(&b);
}

static void may_be_closed_by_a_message(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    meet(&b);
    assert_int_equal(ask(&b, 1), FAULT_NONE);
    assert_int_equal(ask(&b, 2), FAULT_NONE);
    b.agent.closes = true;
    turn(&b);
    assert_int_equal(b.agent.messages, 1);
    assert_int_equal(b.engine.ends, 1);
    end(&b);
}

/* A sender is told that there is no room, and nothing of what was sent is lost. */
static void is_bounded(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    meet(&b);
    uint32_t sent = 0;
    enum fault fault;
    while ((fault = ask(&b, sent + 1)) == FAULT_NONE) {
        sent++;
        assert_true(sent < 100000);
    }
    assert_int_equal(fault, FAULT_LIMIT);
    assert_true(sent > 64);
    while (b.agent.messages < sent)
        turn(&b);
    assert_int_equal(b.agent.number, sent);
    assert_int_equal(ask(&b, sent + 1), FAULT_NONE);
    end(&b);
}

/* Whatever a hostile peer writes ends that channel and nothing else. */
static void wrong_bytes_end_it(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool encloses;
    } cases[] = {
        {"", 1, false},
        {"\xFF\xFF", 2, false},
        {"\x02\x00garbage", 9, false},
        {"\x00\x00", 2, true},
        {"\x02\x00\0\0\0\0\0\0\0", 9, true},  /* an outcome with something enclosed */
        {"\x04\x00\0\0\0\0\0\0\0", 9, false}, /* a hand's answer, which an agent has not */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench b;
        struct packet_end *raw;
        int ends[2];
        begin(&b);
        channel_close(&b.engine.channel);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
        assert_int_equal(channel_open(&b.engine.channel, b.loop, ends[0]), FAULT_NONE);
        static const struct packet_events deaf = {NULL, NULL};
        assert_int_equal(packet_open(b.loop, ends[1], &deaf, NULL, &raw), FAULT_NONE);
        for (int twice = 0; twice < 2; twice++)
            assert_int_equal(packet_send(raw, span_of(cases[i].bytes, cases[i].len),
                                         cases[i].encloses ? b.letter : NULL),
                             FAULT_NONE);
        turn(&b);
        assert_int_equal(b.engine.messages, 0);
        assert_int_equal(b.engine.ends, 1);
        assert_int_equal(b.engine.why, FAULT_PROTOCOL);
        packet_close(raw);
        end(&b);
    }
}

static void send_descriptors(int to, const int *descriptors, size_t count, size_t bytes)
{
    static char text[2 * PACKET_BYTES_MAX];
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec part = {text, bytes};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(h), descriptors, count * sizeof(int));
    }
    assert_true(sendmsg(to, &m, 0) == (ssize_t)bytes);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int i = 0; i < 256; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

/* More than one, more than there is room for, what is no file, and packets that are too long; no
   descriptor stays behind. */
static void wrong_enclosures_end_it(void **state)
{
    (void)state;
    int file = memfd_create("test", 0);
    int before = open_descriptors();
    for (int i = 0; i < 5; i++) {
        struct bench b;
        int ends[2];
        begin(&b);
        channel_close(&b.engine.channel);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
        assert_int_equal(channel_open(&b.engine.channel, b.loop, ends[0]), FAULT_NONE);
        const int files[8] = {file, file, file, file, file, file, file, file};
        if (i < 2)
            send_descriptors(ends[1], files, i == 0 ? 2 : 8, 8);
        else if (i == 2)
            send_descriptors(ends[1], b.door, 1, 8);
        else
            send_descriptors(ends[1], files, i == 3 ? 0 : 1, PACKET_BYTES_MAX + 1);
        turn(&b);
        assert_int_equal(b.engine.ends, 1);
        assert_int_equal(b.engine.messages, 0);
        close(ends[1]);
        end(&b);
    }
    assert_int_equal(open_descriptors(), before);
    close(file);
}

static void nobody_can_change_an_enclosure(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    int found = -1;
    for (int i = 3; i < 256 && found < 0; i++)
        if (fcntl(i, F_GET_SEALS) > 0)
            found = i;
    assert_true(found >= 0);
    assert_int_equal(write(found, "x", 1), -1);
    assert_int_equal(ftruncate(found, 0), -1);
    assert_int_equal(ftruncate(found, 100), -1);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_messages_both_ways),
        cmocka_unit_test(tells_once_that_the_other_is_gone),
        cmocka_unit_test(a_door_outlives_who_listens),
        cmocka_unit_test(may_be_closed_by_a_message),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(wrong_bytes_end_it),
        cmocka_unit_test(wrong_enclosures_end_it),
        cmocka_unit_test(nobody_can_change_an_enclosure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
