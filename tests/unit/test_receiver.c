/*
 * receiver: real clients on loopback; spool, queue and disk are doubles on threads of their own,
 * which can hold their answers and answer with faults.
 */
#include "expect.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "os/linux/real_world.h"
#include "receive/receiver_inside.h"
#include "spool/content.h"
#include "transfer/accepted.h"

enum { MESSAGES_MAX = 4000, HELD_MAX = 4000, WAIT_MS = 10000 };

/* What the doubles have seen, and how they are to behave. `lock` guards all but the atomics. */
struct stored {
    struct id id;
    struct span payload;
    uint32_t payload_crc;
};

struct spool {
    struct spool_settings settings;
    struct actor *actor;
};

static struct {
    pthread_mutex_t lock;
    struct world *world;
    struct log *log;
    struct buffer log_text;
    struct spool spool;
    struct actor *worker, *queue, *disk;
    struct receiver_settings settings;
    struct receiver *receiver;
    struct receiver_door door;
    struct endpoint at;
    int descriptor;

    struct stored appended[MESSAGES_MAX];
    size_t appended_count;
    struct buffer file; /* of the one content under way in a test of content files */
    _Atomic int files_open, files_finished, files_dropped;
    _Atomic int queued;
    _Atomic bool hold_appends, hold_queue, hold_jobs, reverse;
    _Atomic int append_fault, job_fault, mail_fault; /* enum fault */
    struct letter *held[3][HELD_MAX];
    size_t held_count[3];

    _Atomic(void (*)(void)) command; /* to be run by the worker */
    _Atomic bool stop;
    bool is_idle;
    size_t number; /* of the last command's answer */
} t;

enum { SPOOL, QUEUE, DISK };

/* The doubles --------------------------------------------------------------------------------- */

struct actor *spool_actor(struct spool *s)
{
    return s->actor;
}

const struct spool_settings *spool_settings(const struct spool *s)
{
    return &s->settings;
}

enum fault spool_takes_mail(const struct spool *s)
{
    (void)s;
    return (enum fault)t.mail_fault;
}

static void store(const struct append *a)
{
    assert_true(t.appended_count < MESSAGES_MAX);
    assert_int_equal(a->type, RECORD_ACCEPTED);
    assert_int_equal(a->part_count, 1);
    uint8_t *copy = malloc(a->parts[0].len);
    memcpy(copy, a->parts[0].data, a->parts[0].len);
    t.appended[t.appended_count++] =
        (struct stored){a->id, span_of(copy, a->parts[0].len), a->payload_crc};
}

static void work_on_job(struct content *c)
{
    c->fault = (enum fault)t.job_fault;
    if (c->step == CONTENT_WRITE && c->total_bytes == 0)
        t.files_open++;
    if (c->step == CONTENT_WRITE && c->fault == FAULT_NONE) {
        assert_true(buffer_put(&t.file, c->bytes));
        c->total_bytes += c->bytes.len;
    } else if (c->step == CONTENT_FINISH && c->fault == FAULT_NONE) {
        t.files_finished++;
    } else if (c->step == CONTENT_DROP) {
        t.files_dropped++;
        c->fault = FAULT_NONE;
    }
}

/* A double answers at the end of the turn, in order or not. */
static void work(int who, struct letter *letter)
{
    pthread_mutex_lock(&t.lock);
    if (who == SPOOL) {
        struct append *a = container_of(letter, struct append, letter);
        a->fault = (enum fault)t.append_fault;
        if (a->fault == FAULT_NONE)
            store(a);
    } else if (who == QUEUE) {
        assert_non_null(container_of(letter, struct accepted, letter)->mail);
        t.queued++;
    } else {
        struct job *job = container_of(letter, struct job, letter);
        work_on_job(container_of(job, struct content, job));
    }
    pthread_mutex_unlock(&t.lock);
}

static void spool_on_letter(void *self, struct letter *letter)
{
    (void)self;
    t.held[SPOOL][t.held_count[SPOOL]++] = letter;
}

static void queue_on_letter(void *self, struct letter *letter)
{
    (void)self;
    t.held[QUEUE][t.held_count[QUEUE]++] = letter;
}

static void disk_on_letter(void *self, struct letter *letter)
{
    (void)self;
    t.held[DISK][t.held_count[DISK]++] = letter;
}

static void answer_all(int who, struct actor *actor, bool hold)
{
    if (hold)
        return;
    size_t count = t.held_count[who];
    t.held_count[who] = 0;
    for (size_t i = 0; i < count; i++) {
        struct letter *letter = t.held[who][t.reverse ? count - 1 - i : i];
        work(who, letter);
        letter_answer(actor, letter);
    }
}

static void spool_on_turn(void *self)
{
    (void)self;
    answer_all(SPOOL, t.spool.actor, t.hold_appends);
    if (t.stop)
        actor_stop(t.spool.actor);
}

static void queue_on_turn(void *self)
{
    (void)self;
    answer_all(QUEUE, t.queue, t.hold_queue);
    if (t.stop)
        actor_stop(t.queue);
}

static void disk_on_turn(void *self)
{
    (void)self;
    answer_all(DISK, t.disk, t.hold_jobs);
    if (t.stop)
        actor_stop(t.disk);
}

void content_init(struct content *c, struct spool *s, struct id id)
{
    (void)s;
    c->id = id;
}

void content_send(struct actor *from, struct content *c, enum content_step step)
{
    c->step = step;
    letter_send(from, t.disk, &c->job.letter, LETTER_JOB, NULL);
}

void content_fini(struct content *c)
{
    (void)c;
}

/* The worker ---------------------------------------------------------------------------------- */

static void worker_on_letter(void *self, struct letter *letter)
{
    (void)self;
    assert_true(receiver_on_letter(t.receiver, letter));
}

static void worker_on_turn(void *self)
{
    (void)self;
    void (*command)(void) = atomic_load(&t.command);
    if (command != NULL) {
        command();
        atomic_store(&t.command, NULL);
    }
    if (t.stop)
        actor_stop(t.worker);
}

static const struct actor_role worker_role = {"worker", worker_on_letter, worker_on_turn};
static const struct actor_role spool_role = {"spool", spool_on_letter, spool_on_turn};
static const struct actor_role queue_role = {"queue", queue_on_letter, queue_on_turn};
static const struct actor_role disk_role = {"disk", disk_on_letter, disk_on_turn};

static void nap(void)
{
    struct timespec ms = {0, 1000000};
    nanosleep(&ms, NULL);
}

static void wake_all(void)
{
    (void)loop_wake(actor_loop(t.worker));
    (void)loop_wake(actor_loop(t.spool.actor));
    (void)loop_wake(actor_loop(t.queue));
    (void)loop_wake(actor_loop(t.disk));
}

static void on_worker(void (*command)(void))
{
    atomic_store(&t.command, command);
    (void)loop_wake(actor_loop(t.worker));
    while (atomic_load(&t.command) != NULL)
        nap();
}

static void release(void)
{
    t.hold_appends = t.hold_queue = t.hold_jobs = false;
    wake_all();
}

static void ask_idle(void)
{
    t.is_idle = receiver_is_idle(t.receiver);
}

static void wait_until_idle(void)
{
    for (int ms = 0; ms < WAIT_MS; ms++) {
        on_worker(ask_idle);
        if (t.is_idle)
            return;
        nap();
    }
    fail_msg("the receiver did not become idle");
}

static void ask_released(void)
{
    t.is_idle = list_empty(&t.receiver->transactions);
}

static void wait_until_released(void)
{
    do
        on_worker(ask_released);
    while (!t.is_idle);
}

static size_t appended_count(void)
{
    pthread_mutex_lock(&t.lock);
    size_t count = t.appended_count;
    pthread_mutex_unlock(&t.lock);
    return count;
}

static struct receiver_counters counters(void)
{
    struct receiver_counters c;
    receiver_counters(t.receiver, &c);
    return c;
}

/* Beginning and end --------------------------------------------------------------------------- */

static const struct address_range loopback = {.family = 4, .prefix_bits = 8, .ip = {127}};

static int listen_anywhere(struct endpoint *at_out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 4096), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *at_out = (struct endpoint){4, {127, 0, 0, 1}, ntohs(address.sin_port)};
    return fd;
}

static size_t keep_log(void *context, struct span lines)
{
    (void)context;
    pthread_mutex_lock(&t.lock);
    (void)buffer_put(&t.log_text, lines);
    pthread_mutex_unlock(&t.lock);
    return lines.len;
}

static bool log_has(const char *text)
{
    for (int ms = 0; ms < 500; ms++) {
        pthread_mutex_lock(&t.lock);
        struct span all = buffer_span(&t.log_text);
        bool found = span_find(all, span_text(text), 0) < all.len;
        pthread_mutex_unlock(&t.lock);
        if (found)
            return true;
        nap();
    }
    print_error("%.*s", SPAN_PRINT(buffer_span(&t.log_text)));
    return false;
}

static int prepare(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    pthread_mutex_init(&t.lock, NULL);
    buffer_init(&t.file, 64 << 20);
    buffer_init(&t.log_text, 64 << 20);
    t.spool.settings.inline_bytes_max = ENVELOPE_INLINE_MAX;
    t.settings = (struct receiver_settings){.hostname = "mx.example",
                                            .session = {50 << 20, 100, 1000, 1000000},
                                            .sessions_max = 5000,
                                            .sessions_per_client_max = 5000,
                                            .command_timeout_ms = 60000,
                                            .data_timeout_ms = 60000,
                                            .memory_bytes_max = 64 << 20,
                                            .hops_max = 5,
                                            .relay_from = &loopback,
                                            .relay_from_count = 1,
                                            .appends_max = 100};
    return 0;
}

static void start(void)
{
    t.log = log_new((struct log_sink){keep_log, NULL}, LOG_TEXT, LOG_INFO);
    assert_int_equal(world_new_real(&t.world), FAULT_NONE);
    assert_int_equal(actor_new(t.world, &worker_role, NULL, 0, t.log, &t.worker), FAULT_NONE);
    assert_int_equal(actor_new(t.world, &spool_role, NULL, 0, NULL, &t.spool.actor), FAULT_NONE);
    assert_int_equal(actor_new(t.world, &queue_role, NULL, 0, NULL, &t.queue), FAULT_NONE);
    assert_int_equal(actor_new(t.world, &disk_role, NULL, 0, NULL, &t.disk), FAULT_NONE);
    assert_int_equal(receiver_new(t.worker, &t.settings, &t.spool, t.queue, &t.receiver),
                     FAULT_NONE);
    t.descriptor = listen_anywhere(&t.at);
    assert_int_equal(receiver_listen(t.receiver, t.descriptor, &t.door), FAULT_NONE);
    assert_int_equal(actor_start(t.worker), FAULT_NONE);
    assert_int_equal(actor_start(t.spool.actor), FAULT_NONE);
    assert_int_equal(actor_start(t.queue), FAULT_NONE);
    assert_int_equal(actor_start(t.disk), FAULT_NONE);
}

static void stop_receiver(void)
{
    receiver_stop(t.receiver);
}

static int finish(void **state)
{
    (void)state;
    if (t.receiver == NULL)
        return 1;
    release();
    on_worker(stop_receiver);
    wait_until_idle();
    t.stop = true;
    wake_all();
    actor_join(t.worker);
    actor_join(t.spool.actor);
    actor_join(t.queue);
    actor_join(t.disk);
    receiver_free(t.receiver);
    actor_free(t.worker);
    actor_free(t.spool.actor);
    actor_free(t.queue);
    actor_free(t.disk);
    log_free(t.log);
    world_free_real(t.world);
    close(t.descriptor);
    for (size_t i = 0; i < t.appended_count; i++)
        free((void *)(uintptr_t)t.appended[i].payload.data);
    buffer_fini(&t.file);
    buffer_fini(&t.log_text);
    return 0;
}

/* Clients ------------------------------------------------------------------------------------- */

struct client {
    int fd;
    size_t len;
    char bytes[8192];
};

static struct client connected(void)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(t.at.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {WAIT_MS / 1000, 0};
    int one = 1;
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&to, sizeof to), 0);
    return c;
}

static void say_bytes(struct client *c, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes = span_skip(bytes, (size_t)n);
    }
}

static void say(struct client *c, const char *text)
{
    say_bytes(c, span_text(text));
}

/* The next line, without its CRLF; an empty one at the end. */
static const char *hear(struct client *c, char line_out[1024])
{
    for (;;) {
        char *end = memchr(c->bytes, '\n', c->len);
        if (end != NULL) {
            size_t n = (size_t)(end - c->bytes) + 1;
            assert_true(n >= 2 && n < 1024 && end[-1] == '\r');
            memcpy(line_out, c->bytes, n - 2);
            line_out[n - 2] = '\0';
            c->len -= n;
            memmove(c->bytes, c->bytes + n, c->len);
            return line_out;
        }
        ssize_t got = recv(c->fd, c->bytes + c->len, sizeof c->bytes - c->len, 0);
        if (got < 0 && errno == EAGAIN)
            fail_msg("no reply in time");
        line_out[0] = '\0';
        if (got <= 0)
            return line_out;
        c->len += (size_t)got;
    }
}

static void expect_at(struct client *c, const char *prefix, int line_number)
{
    char line[1024];
    hear(c, line);
    if (strncmp(line, prefix, strlen(prefix)) != 0)
        fail_msg("line %d: expected \"%s\", heard \"%s\"", line_number, prefix, line);
}

#define expect(c, prefix) expect_at((c), (prefix), __LINE__)

static void expect_end_at(struct client *c, int line_number)
{
    char line[1024];
    if (hear(c, line)[0] != '\0')
        fail_msg("line %d: expected the end, heard \"%s\"", line_number, line);
    close(c->fd);
}

#define expect_end(c) expect_end_at((c), __LINE__)

static struct client greeted(void)
{
    struct client c = connected();
    expect(&c, "220 mx.example ");
    say(&c, "HELO client.example\r\n");
    expect(&c, "250 ");
    return c;
}

#define ENVELOPE "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"

static void begin_data(struct client *c)
{
    say(c, ENVELOPE "DATA\r\n");
    expect(c, "250 2.1.0");
    expect(c, "250 2.1.5");
    expect(c, "354");
}

static void say_good_bye(struct client *c)
{
    say(c, "QUIT\r\n");
    expect(c, "221");
    expect_end(c);
}

/* The payload as the spool got it, decoded. */
static struct envelope appended(size_t i, struct arena *arena)
{
    struct envelope e = {0};
    pthread_mutex_lock(&t.lock);
    assert_true(i < t.appended_count);
    assert_int_equal(envelope_decode(t.appended[i].payload, arena, &e), FAULT_NONE);
    pthread_mutex_unlock(&t.lock);
    return e;
}

static void expect_content(size_t i, struct span content)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct envelope e = appended(i, &arena);
    expect_span(e.content, content);
    assert_int_equal(e.content_bytes, content.len);
    arena_fini(&arena);
}

/* Tests: the way of a message ----------------------------------------------------------------- */

static void a_message_is_appended_as_it_came(void **state)
{
    (void)state;
    start();
    struct client c = connected();
    expect(&c, "220 mx.example ");
    say(&c, "EHLO client.example\r\n");
    for (int i = 0; i < 7; i++)
        expect(&c, "250-");
    expect(&c, "250 ");
    say(&c, "MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=30\r\n");
    expect(&c, "250 2.1.0");
    say(&c, "RCPT TO:<c@d.example>\r\n");
    expect(&c, "250 2.1.5");
    say(&c, "DATA\r\n");
    expect(&c, "354");
    say(&c, "Subject: x\r\n\r\n..dot \xe4\r\nend\r\n.\r\n");
    expect(&c, "250 2.0.0 accepted as ");
    say_good_bye(&c);

    struct arena arena;
    arena_init(&arena, 4096);
    struct envelope e = appended(0, &arena);
    expect_span(e.reverse_path, SPAN("a@b.example"));
    expect_span(e.client, SPAN("127.0.0.1"));
    expect_span(e.helo, SPAN("client.example"));
    assert_int_equal(e.recipient_count, 1);
    expect_span(e.recipients[0].path, SPAN("c@d.example"));
    expect_span(e.content, SPAN("Subject: x\r\n\r\n.dot \xe4\r\nend\r\n"));
    assert_true(e.body_8bitmime && e.has_dot_lines && !e.content_in_file);
    assert_true(span_starts_with(
        e.prefix, SPAN("Received: from client.example ([127.0.0.1])\r\n\tby mx.example with "
                       "ESMTP id ")));
    assert_true(span_find(e.prefix, SPAN("\r\n\tfor <c@d.example>;"), 0) < e.prefix.len);
    assert_true(e.arrival_wall_ms > INT64_C(1700000000000));
    arena_fini(&arena);
    for (int ms = 0; ms < WAIT_MS && t.queued == 0; ms++)
        nap(); /* the queue is told beside the reply */
    assert_int_equal(t.queued, 1);
    assert_true(log_has("message-accepted id=") && log_has("session-opened"));
    struct receiver_counters got = counters();
    assert_int_equal(got.messages, 1);
    assert_int_equal(got.recipients, 1);
    assert_int_equal(got.bytes, 27);
    assert_int_equal(got.copies, 1);
}

/* RFC 3461 4, RFC 6531 3.4 and 4.3. */
static void what_was_asked_for_is_in_the_envelope(void **state)
{
    (void)state;
    start();
    struct client c = greeted();
    say(&c, "EHLO client.example\r\n");
    for (int i = 0; i < 7; i++)
        expect(&c, "250-");
    expect(&c, "250 ");
    say(&c, "MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n"
            "RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;C@d.example\r\n"
            "RCPT TO:<e@d.example>\r\nDATA\r\n");
    expect(&c, "250 2.1.0");
    expect(&c, "250 2.1.5");
    expect(&c, "250 2.1.5");
    expect(&c, "354");
    say(&c, "Subject: \xc3\xa9\r\n\r\n.\r\n");
    expect(&c, "250 2.0.0 accepted as ");
    say_good_bye(&c);

    struct arena arena;
    arena_init(&arena, 4096);
    struct envelope e = appended(0, &arena);
    expect_span(e.reverse_path, SPAN("\xc3\xa9@b.example"));
    expect_span(e.envid, SPAN("a+2Bb"));
    assert_true(e.smtputf8);
    assert_int_equal(e.ret, RETURN_HEADERS);
    assert_int_equal(e.recipient_count, 2);
    assert_int_equal(e.recipients[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    expect_span(e.recipients[0].orcpt, SPAN("rfc822;C@d.example"));
    assert_int_equal(e.recipients[1].notify, 0);
    expect_span(e.recipients[1].orcpt, SPAN(""));
    assert_true(span_find(e.prefix, SPAN(" with UTF8SMTP id "), 0) < e.prefix.len);
    arena_fini(&arena);
}

static void nobody_learns_of_other_recipients(void **state)
{
    (void)state;
    start();
    struct client c = greeted();
    say(&c, "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<\"x y\"@d.example>\r\nDATA\r\n");
    expect(&c, "250");
    expect(&c, "250");
    expect(&c, "250");
    expect(&c, "354");
    say(&c, ".\r\n");
    expect(&c, "250");
    struct arena arena;
    arena_init(&arena, 4096);
    struct envelope e = appended(0, &arena);
    assert_true(span_find(e.prefix, SPAN(" for "), 0) == e.prefix.len);
    assert_true(span_find(e.prefix, SPAN("with SMTP id"), 0) < e.prefix.len);
    assert_int_equal(e.recipient_count, 2);
    expect_span(e.recipients[1].path, SPAN("\"x y\"@d.example"));
    assert_int_equal(e.reverse_path.len + e.content.len, 0);
    arena_fini(&arena);
    say_good_bye(&c);
}

/* n messages and a QUIT, as one piece. */
static void put_conversation(struct buffer *out, int n)
{
    assert_true(buffer_put_text(out, "HELO x\r\n"));
    for (int i = 0; i < n; i++)
        assert_true(buffer_printf(out, ENVELOPE "DATA\r\nS: %d\r\n\r\nbody %d\r\n.\r\n", i, i));
    assert_true(buffer_put_text(out, "QUIT\r\n"));
}

static void expect_conversation(struct client *c, int n)
{
    expect(c, "220");
    expect(c, "250 mx");
    for (int i = 0; i < n; i++) {
        expect(c, "250 2.1.0");
        expect(c, "250 2.1.5");
        expect(c, "354");
        expect(c, "250 2.0.0 accepted");
    }
    expect(c, "221");
    expect_end(c);
}

static void expect_conversations_appended(int n)
{
    for (int i = 0; i < n; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "S: %d\r\n\r\nbody %d\r\n", i, i);
        expect_content((size_t)i, span_text(text));
    }
}

static void pipelined_messages_are_answered_in_order(void **state)
{
    (void)state;
    start();
    struct buffer all;
    buffer_init(&all, 1 << 20);
    put_conversation(&all, 200);
    struct client c = connected();
    say_bytes(&c, buffer_span(&all));
    expect_conversation(&c, 200);
    expect_conversations_appended(200);
    buffer_fini(&all);
}

static void bytes_of_any_split_give_the_same(void **state)
{
    (void)state;
    start();
    struct buffer all;
    buffer_init(&all, 1 << 20);
    put_conversation(&all, 3);
    struct client c = connected();
    for (size_t i = 0; i < all.len; i++)
        say_bytes(&c, span_sub(buffer_span(&all), i, 1));
    expect_conversation(&c, 3);
    expect_conversations_appended(3);
    buffer_fini(&all);
}

static bool hears_nothing(struct client *c)
{
    struct timeval soon = {0, 30000}, late = {WAIT_MS / 1000, 0};
    char byte;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    ssize_t got = recv(c->fd, &byte, 1, MSG_PEEK);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &late, sizeof late);
    return got < 0 && c->len == 0;
}

static void no_250_before_the_spool_has_answered(void **state)
{
    (void)state;
    start();
    t.hold_appends = true;
    struct client c = greeted();
    begin_data(&c);
    say(&c, "x\r\n.\r\nNOOP\r\n");
    assert_true(hears_nothing(&c));
    say(&c, "QUIT\r\n");
    assert_true(hears_nothing(&c));
    release();
    expect(&c, "250 2.0.0 accepted");
    expect(&c, "250 2.0.0 ok");
    expect(&c, "221");
    expect_end(&c);
}

static void a_refused_append_is_answered_and_the_next_message_goes(void **state)
{
    (void)state;
    start();
    static const struct {
        enum fault fault;
        const char *reply;
    } rows[] = {{FAULT_DISK_FULL, "452 4.3.1"},
                {FAULT_DISK_ERROR, "451 4.3.0"},
                {FAULT_LIMIT, "452 4.3.2"},
                {FAULT_NO_MEMORY, "452 4.3.1"},
                {FAULT_NONE, "250 2.0.0 accepted"}};
    struct client c = greeted();
    for (size_t i = 0; i < ROWS(rows); i++) {
        t.append_fault = (int)rows[i].fault;
        begin_data(&c);
        say(&c, "x\r\n.\r\n");
        expect(&c, rows[i].reply);
    }
    say_good_bye(&c);
    assert_int_equal(appended_count(), 1);
    assert_int_equal(counters().refused, 4);
    assert_true(log_has("message-refused id="));
}

static void answers_out_of_order_find_their_sessions(void **state)
{
    (void)state;
    enum { CLIENTS = 60 };
    t.settings.appends_max = 7; /* the others wait for credit */
    t.reverse = true;
    start();
    t.hold_appends = true;
    static struct client c[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        char text[32];
        c[i] = greeted();
        begin_data(&c[i]);
        (void)snprintf(text, sizeof text, "%d\r\n.\r\n", i);
        say(&c[i], text);
    }
    assert_true(hears_nothing(&c[0]));
    release();
    for (int i = 0; i < CLIENTS; i++) {
        char line[1024], id_text[ID_TEXT_LEN + 1], text[32];
        hear(&c[i], line);
        assert_int_equal(strncmp(line, "250 2.0.0 accepted as ", 22), 0);
        (void)snprintf(text, sizeof text, "%d\r\n", i);
        bool found = false;
        for (size_t k = 0; k < CLIENTS; k++) {
            id_format(t.appended[k].id, id_text);
            if (strcmp(id_text, line + 22) == 0) {
                expect_content(k, span_text(text));
                found = true;
            }
        }
        assert_true(found);
        say_good_bye(&c[i]);
    }
    assert_int_equal(appended_count(), CLIENTS);
}

static void by_bdat_too(void **state)
{
    (void)state;
    start();
    struct client c = greeted();
    say(&c, ENVELOPE "BDAT 5\r\na\r\n.\nBDAT 4 LAST\r\n"); /* the bare LF is refused; with the CRLF
                                                              it is 11 bytes */
    expect(&c, "250");
    expect(&c, "250");
    expect(&c, "250 2.0.0 chunk");
    say(&c, "abc\n");
    expect(&c, "554 5.6.0");
    assert_true(log_has("message-refused from=a@b.example size=11"));
    say(&c, ENVELOPE "BDAT 4\r\na\r\n.BDAT 2 LAST\r\nbc");
    expect(&c, "250");
    expect(&c, "250");
    expect(&c, "250 2.0.0 chunk");
    expect(&c, "250 2.0.0 accepted");
    expect_content(0, SPAN("a\r\n.bc\r\n"));
    say_good_bye(&c);
}

/* Tests: clients that go away ----------------------------------------------------------------- */

static void close_hard(struct client *c)
{
    struct linger now = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
}

static void a_client_may_go_at_any_byte(void **state)
{
    (void)state;
    start();
    struct buffer all;
    buffer_init(&all, 1 << 20);
    put_conversation(&all, 1);
    size_t complete = all.len - 6; /* without QUIT */
    for (size_t n = 0; n <= all.len; n++) {
        for (int hard = 0; hard < 2; hard++) {
            size_t before = appended_count();
            struct client c = connected();
            say_bytes(&c, span_sub(buffer_span(&all), 0, n));
            if (hard)
                close_hard(&c);
            else
                close(c.fd);
            wait_until_idle();
            size_t after = appended_count() - before;
            if (n < complete)
                assert_int_equal(after, 0);
            else if (!hard) /* else the last bytes may have been lost */
                assert_int_equal(after, 1);
        }
    }
    buffer_fini(&all);
}

static void gone_after_the_dot_it_is_accepted_all_the_same(void **state)
{
    (void)state;
    t.settings.appends_max = 1; /* the second waits for credit */
    start();
    t.hold_appends = true;
    for (int i = 0; i < 3; i++) {
        struct client c = greeted();
        begin_data(&c);
        say(&c, "x\r\n.\r\n");
        assert_true(hears_nothing(&c));
        close_hard(&c);
    }
    for (int ms = 0; ms < WAIT_MS && counters().sessions_open > 0; ms++)
        nap();
    assert_int_equal(counters().sessions_open, 0); /* noticed while the spool has not answered */
    release();
    wait_until_idle();
    assert_int_equal(appended_count(), 3);
    assert_int_equal(t.queued, 3);
    struct client c = greeted(); /* and the credit is there again */
    begin_data(&c);
    say(&c, "x\r\n.\r\n");
    expect(&c, "250 2.0.0");
    say_good_bye(&c);
}

static void a_client_that_has_shut_its_side_gets_its_replies(void **state)
{
    (void)state;
    start();
    t.hold_appends = true;
    struct buffer all;
    buffer_init(&all, 1 << 20);
    put_conversation(&all, 5);
    struct client c = connected();
    say_bytes(&c, buffer_span(&all));
    shutdown(c.fd, SHUT_WR);
    release();
    expect_conversation(&c, 5);
    t.hold_appends = true;
    c = greeted();
    begin_data(&c);
    say(&c, "x\r\n.\r\n"); /* no QUIT */
    shutdown(c.fd, SHUT_WR);
    assert_true(hears_nothing(&c));
    release();
    expect(&c, "250 2.0.0 accepted");
    expect_end(&c);
    c = greeted();
    begin_data(&c);
    say(&c, "half a li");
    shutdown(c.fd, SHUT_WR);
    expect_end(&c);
    assert_int_equal(appended_count(), 6);
    buffer_fini(&all);
}

static void who_does_not_read_is_bounded_and_then_served(void **state)
{
    (void)state;
    enum { NOOPS = 300000 };
    start();
    struct client c = connected();
    struct buffer all;
    buffer_init(&all, 4 << 20);
    for (int i = 0; i < NOOPS; i++)
        assert_true(buffer_put_text(&all, "NOOP\r\n"));
    struct timeval soon = {1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    struct span rest = buffer_span(&all);
    for (ssize_t n; rest.len > 0; rest = span_skip(rest, (size_t)n)) {
        n = send(c.fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* it is not read any more, since we do not read */
    }
    size_t replies = 0, sent = (all.len - rest.len) / 6;
    expect(&c, "220");
    while (replies < sent) {
        expect(&c, "250 2.0.0 ok");
        replies++;
    }
    close_hard(&c);
    buffer_fini(&all);
}

/* Tests: limits ------------------------------------------------------------------------------- */

static void a_silent_client_is_timed_out(void **state)
{
    (void)state;
    t.settings.command_timeout_ms = 150;
    t.settings.data_timeout_ms = 80;
    start();
    struct client c = connected();
    expect(&c, "220");
    expect(&c, "421 4.4.2");
    expect_end(&c);
    c = greeted();
    say(&c, "MAI"); /* a piece of a command is no command */
    expect(&c, "421 4.4.2");
    expect_end(&c);
    c = greeted();
    begin_data(&c);
    say(&c, "half");
    expect(&c, "421 4.4.2");
    expect_end(&c);
    c = greeted();
    for (int i = 0; i < 10; i++) { /* longer than the limit, but never silent for so long */
        for (int ms = 0; ms < 30; ms++)
            nap();
        say(&c, "NOOP\r\n");
        expect(&c, "250");
    }
    say_good_bye(&c);
    t.hold_appends = true;
    c = greeted();
    begin_data(&c);
    say(&c, "x\r\n.\r\n");
    for (int ms = 0; ms < 400; ms++)
        nap();
    release();
    expect(&c, "250 2.0.0 accepted"); /* it was for us to answer */
    expect(&c, "421 4.4.2");
    expect_end(&c);
    assert_true(log_has("why=\"timed out\""));
}

static void a_client_that_never_reads_is_closed(void **state)
{
    (void)state;
    t.settings.command_timeout_ms = 200;
    t.settings.data_timeout_ms = 200;
    start();
    struct client c = connected();
    struct timeval soon = {0, 100000};
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    ssize_t n = 1;
    for (int i = 0; i < 2000000 && n > 0; i++)
        n = send(c.fd, "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", 24, MSG_NOSIGNAL);
    wait_until_idle();
    close(c.fd);
}

static void a_session_has_an_end(void **state)
{
    (void)state;
    t.settings.command_timeout_ms = t.settings.data_timeout_ms = 100;
    t.settings.session_time_max_ms = 300;
    start();
    struct client c = greeted();
    char line[1024] = "250";
    for (int i = 0; i < 100 && strncmp(line, "250", 3) == 0; i++) {
        for (int ms = 0; ms < 30; ms++)
            nap();
        if (send(c.fd, "NOOP\r\n", 6, MSG_NOSIGNAL) < 0)
            break;
        hear(&c, line);
    }
    assert_int_equal(strncmp(line, "421 4.4.2", 9), 0);
    close(c.fd);
}

static void sessions_are_limited_in_all_and_for_each_client(void **state)
{
    (void)state;
    t.settings.sessions_max = 3;
    start();
    struct client a = greeted(), b = greeted(), c = greeted(), d = connected();
    expect(&d, "421 4.3.2 mx.example too many connections");
    expect_end(&d);
    say_good_bye(&a);
    for (int ms = 0; ms < WAIT_MS && counters().sessions_open > 2; ms++)
        nap();
    d = greeted();
    say_good_bye(&b);
    say_good_bye(&c);
    say_good_bye(&d);
    assert_int_equal(counters().sessions_refused, 1);
    assert_true(log_has("session-refused client=127.0.0.1:"));
}

static void one_client_may_not_take_all(void **state)
{
    (void)state;
    t.settings.sessions_per_client_max = 2;
    start();
    struct client a = greeted(), b = greeted(), c = connected();
    expect(&c, "421 4.7.0 mx.example too many connections from your address");
    expect_end(&c);
    say_good_bye(&a);
    for (int ms = 0; ms < WAIT_MS && counters().sessions_open > 1; ms++)
        nap();
    c = greeted();
    say_good_bye(&b);
    say_good_bye(&c);
}

static void strangers_may_not_relay(void **state)
{
    (void)state;
    t.settings.relay_from_count = 0;
    start();
    struct client c = greeted();
    say(&c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    expect(&c, "250");
    expect(&c, "550 5.7.1");
    say_good_bye(&c);
    assert_true(log_has("command-refused client=127.0.0.1 helo=client.example from=a@b.example "
                        "command=\"RCPT TO:<c@d.example>\" reply=\"550 5.7.1"));
}

static void a_proxy_says_who_the_client_is(void **state)
{
    (void)state;
    const char header[] = "PROXY TCP4 192.0.2.7 198.51.100.1 54321 25\r\n";
    t.door = (struct receiver_door){.proxy_from = &loopback, .proxy_from_count = 1};
    t.settings.sessions_per_client_max = 1;
    start();
    /* Byte by byte; it is no client that may relay any more. */
    struct client a = connected();
    for (size_t i = 0; i < sizeof header - 1; i++)
        say_bytes(&a, span_of(header + i, 1));
    expect(&a, "220 mx.example ");
    say(&a, "HELO client.example\r\n" ENVELOPE);
    expect(&a, "250 ");
    expect(&a, "250 2.1.0");
    expect(&a, "550 5.7.1");
    /* The limit is the client's, not the proxy's. */
    struct client b = connected();
    say(&b, header);
    expect_end(&b);
    assert_true(log_has("session-refused client=192.0.2.7:54321 why=\"too many"));
    /* LOCAL: the proxy speaks for itself, and may relay; what came behind is heard. */
    struct client c = connected();
    say(&c, "PROXY UNKNOWN\r\nHELO client.example\r\n" ENVELOPE);
    expect(&c, "220 mx.example ");
    expect(&c, "250 ");
    expect(&c, "250 2.1.0");
    expect(&c, "250 2.1.5");
    say_good_bye(&c);
    say_good_bye(&a);
    for (int ms = 0; ms < WAIT_MS && counters().sessions_open > 0; ms++)
        nap();
    b = connected();
    say(&b, header);
    expect(&b, "220 mx.example ");
    say_good_bye(&b);
    assert_true(log_has("client=192.0.2.7"));
}

/* Who speaks before the greeting: while it is held back, or before it was there at all. */
static void early_talkers_are_turned_away(void **state)
{
    (void)state;
    t.settings.relay_from_count = 0;
    t.settings.greeting_delay_ms = 200;
    start();
    struct client a = connected();
    say(&a, "EHLO client.example\r\n");
    expect(&a, "554 5.5.1 you spoke before the greeting");
    expect_end(&a);
    assert_true(log_has("session-refused client=127.0.0.1:"));
    assert_true(log_has("why=\"it spoke before the greeting\""));
    struct client b = connected();
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    expect(&b, "220 mx.example ");
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t waited_ms =
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    assert_true(waited_ms >= 150);
    say_good_bye(&b);
    assert_int_equal(counters().sessions_refused, 1);
}

static void a_proxys_client_that_spoke_already_is_turned_away(void **state)
{
    (void)state;
    t.door = (struct receiver_door){.proxy_from = &loopback, .proxy_from_count = 1};
    start();
    struct client a = connected();
    say(&a, "PROXY TCP4 192.0.2.7 198.51.100.1 54321 25\r\nEHLO client.example\r\n");
    expect(&a, "554 5.5.1 you spoke before the greeting");
    expect_end(&a);
}

static void bytes_that_are_there_already_are_seen_without_a_delay(void **state)
{
    (void)state;
    t.settings.relay_from_count = 0;
    start();
    char line[1024];
    bool was_seen = false; /* the greeting may be faster than our bytes */
    for (int i = 0; i < 500 && !was_seen; i++) {
        struct client a = connected();
        say(&a, "QUIT\r\n");
        was_seen = strncmp(hear(&a, line), "554 5.5.1 you spoke", 19) == 0;
        close(a.fd);
    }
    assert_true(was_seen);
}

static void who_may_relay_may_also_speak_early(void **state)
{
    (void)state;
    t.settings.greeting_delay_ms = 10000;
    start();
    struct client a = connected();
    say(&a, "NOOP\r\n");
    expect(&a, "220 mx.example ");
    expect(&a, "250 ");
    say_good_bye(&a);
}

static void who_may_relay_is_not_counted(void **state)
{
    (void)state;
    t.door = (struct receiver_door){.proxy_from = &loopback, .proxy_from_count = 1};
    t.settings.messages_per_minute_max = 2;
    static const struct address_range ours = {.family = 4, .prefix_bits = 32, .ip = {192, 0, 2, 9}};
    t.settings.relay_from = &ours;
    start();
    struct client a = connected();
    say(&a, "PROXY TCP4 192.0.2.9 198.51.100.1 54321 25\r\n");
    expect(&a, "220 ");
    say(&a, "HELO client.example\r\n");
    expect(&a, "250 ");
    for (int i = 0; i < 4; i++) /* it may relay: it is not counted */
        say(&a, ENVELOPE "DATA\r\nx\r\n.\r\n");
    for (int i = 0; i < 4; i++) {
        expect(&a, "250 2.1.0");
        expect(&a, "250 2.1.5");
        expect(&a, "354 ");
        expect(&a, "250 2.0.0");
    }
    say_good_bye(&a);
}

static void a_client_has_so_many_sessions_a_minute(void **state)
{
    (void)state;
    t.settings.relay_from_count = 0;
    t.settings.sessions_per_minute_max = 3;
    start();
    for (int i = 0; i < 3; i++) {
        struct client a = connected();
        expect(&a, "220 mx.example ");
        say_good_bye(&a);
    }
    struct client b = connected();
    expect(&b, "421 4.7.0 mx.example too many connections from your address in a minute");
    expect_end(&b);
}

static void who_is_no_proxy_sends_no_header_and_who_is_must(void **state)
{
    (void)state;
    static const struct address_range others = {
        .family = 4, .prefix_bits = 32, .ip = {192, 0, 2, 1}};
    t.door = (struct receiver_door){.proxy_from = &others, .proxy_from_count = 1};
    start();
    struct client a = greeted();
    say(&a, "PROXY TCP4 192.0.2.7 198.51.100.1 54321 25\r\n");
    expect(&a, "500 ");
    say_good_bye(&a);
}

static void a_proxy_without_header_is_not_served(void **state)
{
    (void)state;
    t.door = (struct receiver_door){.proxy_from = &loopback, .proxy_from_count = 1};
    start();
    struct client a = connected();
    say(&a, "EHLO client.example\r\n");
    expect_end(&a);
    assert_true(log_has("session-refused client=127.0.0.1:"));
    struct client b = connected();
    say(&b, "PROXY TCP4 192.0.2.7");
    shutdown(b.fd, SHUT_WR);
    expect_end(&b);
}

static void say_content(struct client *c, size_t bytes)
{
    static char line[101];
    memset(line, 'x', 98);
    memcpy(line + 98, "\r\n", 3);
    for (size_t i = 0; i < bytes; i += 100)
        say(c, line);
}

static void memory_has_an_end_that_is_an_answer(void **state)
{
    (void)state;
    t.settings.memory_bytes_max = 100000;
    start();
    struct client a = greeted(), b = greeted(), c = greeted();
    begin_data(&a);
    begin_data(&b);
    say_content(&a, 60000);
    say_content(&b, 60000); /* who passes the limit is refused */
    say(&b, ".\r\n");
    expect(&b, "452 4.3.1");
    say(&a, ".\r\n");
    expect(&a, "250 2.0.0 accepted");
    wait_until_released();
    t.hold_queue = true; /* the messages stay in memory */
    begin_data(&a);
    say_content(&a, 60000);
    say(&a, ".\r\n");
    expect(&a, "250 2.0.0 accepted");
    begin_data(&b);
    say_content(&b, 40000);
    say(&b, ".\r\n");
    expect(&b, "452 4.3.1");
    release();
    for (int i = 0; i < 3; i++) {
        wait_until_released();
        begin_data(&c);
        say_content(&c, 60000);
        say(&c, ".\r\n");
        expect(&c, "250 2.0.0 accepted");
    }
    say_good_bye(&a);
    say_good_bye(&b);
    say_good_bye(&c);
}

static void full_memory_or_disk_refuses_at_mail(void **state)
{
    (void)state;
    start();
    t.mail_fault = FAULT_DISK_FULL;
    struct client c = greeted();
    say(&c, "MAIL FROM:<a@b.example>\r\n");
    expect(&c, "452 4.3.1");
    t.mail_fault = FAULT_DISK_ERROR;
    say(&c, "MAIL FROM:<a@b.example>\r\n");
    expect(&c, "451 4.3.0");
    t.mail_fault = FAULT_NONE;
    begin_data(&c);
    say(&c, ".\r\n");
    expect(&c, "250 2.0.0");
    say_good_bye(&c);
    assert_true(log_has("reply=\"451 4.3.0"));
}

static void loops_are_cut(void **state)
{
    (void)state;
    start();
    struct client c = greeted();
    for (int hops = 5; hops <= 6; hops++) {
        begin_data(&c);
        for (int i = 0; i < hops; i++)
            say(&c, "Received: by x\r\n");
        say(&c, "\r\nReceived: not a field\r\n.\r\n");
        expect(&c, hops == 5 ? "250 2.0.0" : "554 5.4.6");
    }
    say_good_bye(&c);
}

static void stopping_lets_messages_end(void **state)
{
    (void)state;
    start();
    struct client a = greeted(), b = greeted();
    begin_data(&b);
    on_worker(stop_receiver);
    expect(&a, "421 4.3.2");
    expect_end(&a);
    say(&b, "x\r\n.\r\n");
    expect(&b, "250 2.0.0 accepted");
    expect(&b, "421 4.3.2");
    expect_end(&b);
    wait_until_idle();
}

/* Tests: content files ------------------------------------------------------------------------ */

static uint8_t *some_lines(size_t len)
{
    uint8_t *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i % 77 == 75 ? '\r' : i % 77 == 76 ? '\n' : 'a' + i / 77 % 26);
    memcpy(bytes + len - 2, "\r\n", 2);
    if (bytes[len - 3] == '\r')
        bytes[len - 3] = 'x';
    return bytes;
}

static void send_large(struct client *c, size_t len)
{
    uint8_t *bytes = some_lines(len);
    char text[128];
    (void)snprintf(text, sizeof text, ENVELOPE "BDAT %zu LAST\r\n", len);
    say(c, text);
    say_bytes(c, span_of(bytes, len));
    expect(c, "250 2.1.0");
    expect(c, "250 2.1.5");
    free(bytes);
}

static void expect_file(size_t i, size_t len)
{
    uint8_t *bytes = some_lines(len);
    struct arena arena;
    arena_init(&arena, 4096);
    struct envelope e = appended(i, &arena);
    assert_true(e.content_in_file && e.content.len == 0);
    assert_int_equal(e.content_bytes, len);
    assert_int_equal(t.file.len, len);
    assert_memory_equal(t.file.data, bytes, len);
    arena_fini(&arena);
    free(bytes);
}

static void content_at_the_inline_limit_and_one_beyond(void **state)
{
    (void)state;
    start();
    struct client c = greeted();
    send_large(&c, ENVELOPE_INLINE_MAX);
    expect(&c, "250 2.0.0 accepted");
    assert_int_equal(t.files_open, 0);
    send_large(&c, ENVELOPE_INLINE_MAX + 1);
    expect(&c, "250 2.0.0 accepted");
    assert_int_equal(t.files_finished, 1);
    expect_file(1, ENVELOPE_INLINE_MAX + 1);
    say_good_bye(&c);
}

static void large_content_goes_to_a_file_in_bounded_memory(void **state)
{
    (void)state;
    enum { LEN = 20000003 };
    t.settings.memory_bytes_max = 2 << 20; /* a tenth of the message */
    start();
    struct client c = greeted();
    send_large(&c, LEN);
    expect(&c, "250 2.0.0 accepted");
    expect_file(0, LEN);
    assert_int_equal(t.files_dropped, 0);
    say_good_bye(&c);
}

struct large {
    struct client *client;
    size_t len;
};

static void *send_in_the_background(void *context)
{
    struct large *l = context;
    send_large(l->client, l->len);
    return NULL;
}

static void a_slow_disk_slows_the_client(void **state)
{
    (void)state;
    enum { LEN = 20000000 };
    t.settings.memory_bytes_max = 2 << 20;
    start();
    t.hold_jobs = true;
    struct client c = greeted();
    struct large large = {&c, LEN};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_in_the_background, &large), 0);
    for (int i = 0; i < 10; i++) {
        for (int ms = 0; ms < 20; ms++)
            nap();
        t.hold_jobs = false;
        wake_all();
        nap();
        t.hold_jobs = true;
    }
    struct loop_counters loop;
    loop_counters(actor_loop(t.worker), &loop);
    assert_true(loop.bytes_read < LEN); /* it was not all read while the disk was slow */
    release();
    pthread_join(thread, NULL);
    expect(&c, "250 2.0.0 accepted");
    expect_file(0, LEN);
    say_good_bye(&c);
}

static void a_disk_that_fails_while_content_comes(void **state)
{
    (void)state;
    start();
    struct client c = greeted();
    static const enum fault faults[] = {FAULT_DISK_FULL, FAULT_DISK_ERROR};
    for (size_t i = 0; i < ROWS(faults); i++) {
        t.job_fault = (int)faults[i];
        send_large(&c, 5000000);
        expect(&c, faults[i] == FAULT_DISK_FULL ? "452 4.3.1" : "451 4.3.0");
        t.job_fault = FAULT_NONE;
    }
    for (int ms = 0; ms < WAIT_MS && t.files_dropped < 2; ms++)
        nap();
    assert_int_equal(t.files_dropped, 2);
    buffer_reset(&t.file);
    send_large(&c, 300000);
    expect(&c, "250 2.0.0 accepted");
    expect_file(0, 300000);
    t.append_fault = FAULT_DISK_FULL; /* all is written, and then the record is refused */
    send_large(&c, 300000);
    expect(&c, "452 4.3.1");
    say_good_bye(&c);
    wait_until_idle();
    assert_int_equal(t.files_dropped, 3);
}

static void a_client_gone_in_large_content_leaves_no_file(void **state)
{
    (void)state;
    start();
    for (int held = 0; held < 2; held++) {
        int dropped = t.files_dropped;
        t.hold_jobs = held == 1;
        struct client c = greeted();
        begin_data(&c);
        say_content(&c, 400000);
        for (int ms = 0; ms < 30; ms++)
            nap();
        close_hard(&c);
        for (int ms = 0; ms < WAIT_MS && counters().sessions_open > 0; ms++)
            nap();
        release();
        wait_until_idle();
        assert_int_equal(t.files_dropped, dropped + 1);
    }
    assert_int_equal(appended_count(), 0);
}

static void gone_after_the_dot_of_large_content(void **state)
{
    (void)state;
    start();
    t.hold_jobs = true;
    struct client c = greeted();
    begin_data(&c);
    say_content(&c, 300000);
    say(&c, ".\r\n");
    for (int ms = 0; ms < 30; ms++)
        nap();
    close_hard(&c);
    release();
    wait_until_idle();
    assert_int_equal(appended_count(), 1);
    assert_int_equal(t.files_dropped, 0);
}

/* Tests: costs -------------------------------------------------------------------------------- */

static void a_message_costs_few_calls(void **state)
{
    (void)state;
    enum { N = 50 };
    start();
    struct client c = greeted();
    struct loop_counters before, after;
    loop_counters(actor_loop(t.worker), &before);
    for (int i = 0; i < N; i++) {
        begin_data(&c);
        say(&c, "Subject: x\r\n\r\nbody\r\n.\r\n");
        expect(&c, "250 2.0.0");
    }
    loop_counters(actor_loop(t.worker), &after);
    /* Of one message: two pieces come and two go. A piece may be cut on its way. */
    assert_in_range(after.sends - before.sends, 2 * N, 2 * N + N / 5);
    assert_in_range(after.reads - before.reads, 2 * N, 2 * N + N / 5);
    assert_int_equal(after.controls, before.controls);
    assert_int_equal(counters().copies, N);
    say_good_bye(&c);
}

static void measure(void)
{
    t.number = mallinfo2().uordblks;
}

static void an_idle_session_is_small(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct client c[N];
    start();
    on_worker(measure);
    size_t before = t.number;
    for (int i = 0; i < N; i++) {
        c[i] = greeted();
        begin_data(&c[i]);
        say(&c[i], "x\r\n.\r\n");
        expect(&c[i], "250 2.0.0");
    }
    on_worker(measure);
    size_t each = (t.number - before) / N;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    print_message("%zu bytes an idle session\n", each);
    assert_in_range(each, 500, 3000); /* of it our copies of what was appended: some 400 */
#endif
    (void)each;
    for (int i = 0; i < N; i++)
        close(c[i].fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_appended_as_it_came),
        TEST(what_was_asked_for_is_in_the_envelope),
        TEST(nobody_learns_of_other_recipients),
        TEST(pipelined_messages_are_answered_in_order),
        TEST(bytes_of_any_split_give_the_same),
        TEST(no_250_before_the_spool_has_answered),
        TEST(a_refused_append_is_answered_and_the_next_message_goes),
        TEST(answers_out_of_order_find_their_sessions),
        TEST(by_bdat_too),
        TEST(a_client_may_go_at_any_byte),
        TEST(gone_after_the_dot_it_is_accepted_all_the_same),
        TEST(a_client_that_has_shut_its_side_gets_its_replies),
        TEST(who_does_not_read_is_bounded_and_then_served),
        TEST(a_silent_client_is_timed_out),
        TEST(a_client_that_never_reads_is_closed),
        TEST(a_session_has_an_end),
        TEST(sessions_are_limited_in_all_and_for_each_client),
        TEST(one_client_may_not_take_all),
        TEST(strangers_may_not_relay),
        TEST(early_talkers_are_turned_away),
        TEST(a_proxys_client_that_spoke_already_is_turned_away),
        TEST(bytes_that_are_there_already_are_seen_without_a_delay),
        TEST(who_may_relay_may_also_speak_early),
        TEST(who_may_relay_is_not_counted),
        TEST(a_client_has_so_many_sessions_a_minute),
        TEST(a_proxy_says_who_the_client_is),
        TEST(who_is_no_proxy_sends_no_header_and_who_is_must),
        TEST(a_proxy_without_header_is_not_served),
        TEST(memory_has_an_end_that_is_an_answer),
        TEST(full_memory_or_disk_refuses_at_mail),
        TEST(loops_are_cut),
        TEST(stopping_lets_messages_end),
        TEST(content_at_the_inline_limit_and_one_beyond),
        TEST(large_content_goes_to_a_file_in_bounded_memory),
        TEST(a_slow_disk_slows_the_client),
        TEST(a_disk_that_fails_while_content_comes),
        TEST(a_client_gone_in_large_content_leaves_no_file),
        TEST(gone_after_the_dot_of_large_content),
        TEST(a_message_costs_few_calls),
        TEST(an_idle_session_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
