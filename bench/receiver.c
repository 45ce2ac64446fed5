#include "receiver.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "content.h"

#define READ_BYTES     (128 * 1024)
#define LINE_MAX_BYTES 4096
#define HEAD_MAX       8192 /* of the content, searched for the id */
#define REPLY_MAX      1024
#define OUTPUT_MAX     (1024 * 1024) /* a peer that sends this much unread answer is cut off */
#define HELD_MAX       (64 * 1024 * 1024)
#define RECIPIENTS_MAX 100000

enum mode { COMMANDS, CONTENT, CHUNK };

/* Bytes that grow on demand. */
struct bytes {
    char *data;
    size_t length;
    size_t capacity;
};

struct receiver {
    struct sink *sink;
    int fd;
    enum mode mode;
    bool is_dirty;
    bool is_paused;
    bool wants_write;
    bool closing; /* after the output is sent */
    bool doomed;  /* at once, without sending anything more */
    struct receiver *next_dirty;
    struct receiver *next_paused;
    uint64_t resume_at_ns;

    bool has_mail;
    enum trouble trouble;
    unsigned recipients_tried;
    unsigned recipient_count;
    struct content content;
    uint64_t content_bytes;
    uint64_t chunk_left;
    bool chunk_is_last;
    bool in_chunks; /* a BDAT was seen: DATA is out of order (RFC 3030 2) */
    size_t head_length;
    char head[HEAD_MAX];

    /* kept only for the store and for ids with recipients */
    struct bytes helo;
    struct bytes mail;
    struct bytes recipients; /* each ended by NUL */
    struct bytes message;

    struct bytes output;
    size_t output_sent;
    struct bytes line; /* of a command that has not ended yet */
    struct bytes held; /* input that came during a pause */
};

/* ---- bytes ---- */

static void append(struct bytes *bytes, const char *data, size_t length)
{
    if (length > bytes->capacity - bytes->length) {
        size_t capacity = bytes->capacity == 0 ? 256 : bytes->capacity;

        while (capacity - bytes->length < length)
            capacity *= 2;
        bytes->data = realloc(bytes->data, capacity);
        if (bytes->data == NULL)
            die("out of memory for %zu bytes", capacity);
        bytes->capacity = capacity;
    }
    if (length > 0)
        memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void set_string(struct bytes *bytes, const char *text, size_t length)
{
    bytes->length = 0;
    append(bytes, text, length);
    append(bytes, "", 1);
}

static const char *string_of(const struct bytes *bytes)
{
    return bytes->length == 0 ? "" : bytes->data;
}

/* ---- replies ---- */

static void mark_dirty(struct receiver *receiver)
{
    if (receiver->is_dirty)
        return;
    receiver->is_dirty = true;
    receiver->next_dirty = receiver->sink->dirty;
    receiver->sink->dirty = receiver;
}

static void reply(struct receiver *receiver, const char *text)
{
    append(&receiver->output, text, strlen(text));
    mark_dirty(receiver);
    if (receiver->output.length > OUTPUT_MAX)
        receiver->doomed = true;
}

static void reply_format(struct receiver *receiver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void reply_format(struct receiver *receiver, const char *format, ...)
{
    char text[REPLY_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reply(receiver, text);
}

static void drop(struct receiver *receiver)
{
    receiver->sink->counts.dropped++;
    receiver->doomed = true;
    mark_dirty(receiver);
}

/* Neither reads nor writes until the delay of this phase is over. */
static void pause_at(struct receiver *receiver, enum phase phase)
{
    struct sink *sink = receiver->sink;

    if (sink->options.delay_phase != phase || receiver->is_paused || receiver->doomed)
        return;
    receiver->is_paused = true;
    receiver->resume_at_ns = sink->turn_ns + sink->options.delay_ns;
    receiver->next_paused = NULL;
    if (sink->paused == NULL)
        sink->paused = receiver;
    else
        sink->paused_last->next_paused = receiver;
    sink->paused_last = receiver;
}

/* ---- transactions ---- */

static void reset_transaction(struct receiver *receiver)
{
    receiver->has_mail = receiver->in_chunks = false;
    receiver->trouble = TROUBLE_NONE;
    receiver->recipients_tried = receiver->recipient_count = 0;
    receiver->content = (struct content){CONTENT_LINE_START};
    receiver->content_bytes = 0;
    receiver->head[0] = '\n'; /* so that every field begins after one */
    receiver->head_length = 1;
    receiver->mail.length = receiver->recipients.length = receiver->message.length = 0;
}

static void take_content(void *owner, const char *bytes, size_t length)
{
    struct receiver *receiver = owner;
    size_t room = HEAD_MAX - receiver->head_length;
    size_t head = length < room ? length : room;

    memcpy(receiver->head + receiver->head_length, bytes, head);
    receiver->head_length += head;
    receiver->content_bytes += length;
    if (receiver->sink->store != NULL)
        append(&receiver->message, bytes, length);
}

/* The value of X-Bench-Id; NULL if there is none in the first HEAD_MAX bytes. */
static const char *find_id(const struct receiver *receiver, size_t *length_out)
{
    static const char field[] = "\nX-Bench-Id: ";
    size_t field_length = sizeof field - 1;
    const char *at = memmem(receiver->head, receiver->head_length, field, field_length);
    const char *end;

    if (at == NULL)
        return NULL;
    at += field_length;
    end = memchr(at, '\r', receiver->head_length - (size_t)(at - receiver->head));
    if (end == NULL || end == at)
        return NULL;
    *length_out = (size_t)(end - at);
    return at;
}

static void note_id(struct sink *sink, const char *id, size_t length, const char *recipient)
{
    idlog_add(sink->ids, id, length, recipient);
    if (!idset_add(&sink->seen, id, length, recipient))
        sink->counts.duplicates++;
}

/* The address alone, out of "<user@domain> PARAMETERS". */
static void bare_address(const char *text, char *out, size_t size)
{
    const char *start = *text == '<' ? text + 1 : text;
    size_t length = strcspn(start, "> ");

    if (length >= size)
        length = size - 1;
    memcpy(out, start, length);
    out[length] = '\0';
}

static void note_ids(struct receiver *receiver)
{
    struct sink *sink = receiver->sink;
    const char *recipient = string_of(&receiver->recipients);
    size_t length = 0;
    const char *id = find_id(receiver, &length);
    char address[512];

    if (id == NULL) {
        sink->counts.without_id++;
        return;
    }
    if (!sink->options.ids_with_recipients) {
        note_id(sink, id, length, NULL);
        return;
    }
    for (unsigned i = 0; i < receiver->recipient_count; i++) {
        bare_address(recipient, address, sizeof address);
        note_id(sink, id, length, address);
        recipient += strlen(recipient) + 1;
    }
}

static void save(struct receiver *receiver)
{
    const char **recipients = calloc(receiver->recipient_count, sizeof *recipients);
    const char *at = string_of(&receiver->recipients);
    struct store_envelope envelope = {.helo = string_of(&receiver->helo),
                                      .mail = string_of(&receiver->mail),
                                      .recipients = recipients,
                                      .recipient_count = receiver->recipient_count};

    if (recipients == NULL)
        die("out of memory");
    for (unsigned i = 0; i < receiver->recipient_count; i++) {
        recipients[i] = at;
        at += strlen(at) + 1;
    }
    store_save(receiver->sink->store, &envelope, receiver->message.data, receiver->message.length);
    free(recipients);
}

static void count_message(struct receiver *receiver)
{
    struct sink_counts *counts = &receiver->sink->counts;

    counts->messages++;
    counts->recipients += receiver->recipient_count;
    counts->bytes += receiver->content_bytes;
    counts->last_ns = receiver->sink->turn_ns;
    if (counts->first_ns == 0)
        counts->first_ns = counts->last_ns;
}

static void accept_message(struct receiver *receiver)
{
    note_ids(receiver);
    if (receiver->sink->store != NULL)
        save(receiver);
    count_message(receiver);
    if (receiver->trouble == TROUBLE_DROP_DOT) {
        receiver->sink->counts.dropped_after_dot++;
        drop(receiver);
    } else if (receiver->trouble == TROUBLE_DROP_REPLY) {
        receiver->sink->counts.dropped_after_dot++;
        receiver->sink->counts.dropped++;
        reply(receiver, "25");
        receiver->closing = true;
    } else {
        reply(receiver, "250 2.0.0 taken\r\n");
    }
}

static void finish_message(struct receiver *receiver)
{
    struct sink_counts *counts = &receiver->sink->counts;

    if (receiver->trouble == TROUBLE_TEMPFAIL_DOT) {
        counts->tempfailed++;
        reply(receiver, "451 4.3.0 not now, as asked\r\n");
    } else if (receiver->trouble == TROUBLE_REJECT_DOT) {
        counts->rejected++;
        reply(receiver, "554 5.6.0 not wanted, as asked\r\n");
    } else if (receiver->content_bytes > receiver->sink->options.size_max) {
        counts->rejected++;
        reply(receiver, "552 5.3.4 too large\r\n");
    } else {
        accept_message(receiver);
    }
    reset_transaction(receiver);
    receiver->mode = COMMANDS;
    pause_at(receiver, PHASE_DOT);
}

/* ---- commands ---- */

static bool offers(const struct receiver *receiver, enum extension extension)
{
    return (receiver->sink->options.without & (unsigned)extension) == 0;
}

static void on_ehlo(struct receiver *receiver, const char *argument, size_t length)
{
    const struct sink_options *options = &receiver->sink->options;

    if (!offers(receiver, WITHOUT_EHLO)) {
        reply(receiver, "502 5.5.1 not implemented, as asked\r\n");
        return;
    }
    reset_transaction(receiver);
    set_string(&receiver->helo, argument, length);
    reply_format(receiver, "250-%s\r\n", options->hostname);
    if (offers(receiver, WITHOUT_PIPELINING))
        reply(receiver, "250-PIPELINING\r\n");
    if (offers(receiver, WITHOUT_8BITMIME))
        reply(receiver, "250-8BITMIME\r\n");
    if (offers(receiver, WITHOUT_ENHANCEDSTATUSCODES))
        reply(receiver, "250-ENHANCEDSTATUSCODES\r\n");
    if (offers(receiver, WITHOUT_CHUNKING))
        reply(receiver, "250-CHUNKING\r\n");
    if (offers(receiver, WITHOUT_SIZE))
        reply_format(receiver, "250-SIZE %llu\r\n", (unsigned long long)options->size_max);
    reply(receiver, "250 HELP\r\n");
}

static void on_helo(struct receiver *receiver, const char *argument, size_t length)
{
    reset_transaction(receiver);
    set_string(&receiver->helo, argument, length);
    reply_format(receiver, "250 %s\r\n", receiver->sink->options.hostname);
}

static void on_mail(struct receiver *receiver, const char *argument, size_t length)
{
    if (receiver->has_mail) {
        reply(receiver, "503 5.5.1 a transaction is open\r\n");
        return;
    }
    if (length < 7 || strncasecmp(argument, "FROM:<", 6) != 0) {
        reply(receiver, "501 5.5.4 MAIL FROM:<address>\r\n");
        return;
    }
    receiver->trouble = trouble_draw(&receiver->sink->trouble);
    if (receiver->trouble == TROUBLE_DROP_MAIL) {
        drop(receiver);
        return;
    }
    receiver->has_mail = true;
    if (receiver->sink->store != NULL)
        set_string(&receiver->mail, argument + 5, length - 5);
    reply(receiver, "250 2.1.0 ok\r\n");
    pause_at(receiver, PHASE_MAIL);
}

/* The first recipient of a message in trouble takes it; the others are accepted. */
static bool trouble_at_rcpt(struct receiver *receiver)
{
    if (receiver->recipients_tried++ > 0)
        return false;
    if (receiver->trouble == TROUBLE_TEMPFAIL_RCPT) {
        receiver->sink->counts.tempfailed++;
        reply(receiver, "450 4.2.0 not now, as asked\r\n");
        return true;
    }
    if (receiver->trouble == TROUBLE_REJECT_RCPT) {
        receiver->sink->counts.rejected++;
        reply(receiver, "550 5.1.1 unknown here, as asked\r\n");
        return true;
    }
    if (receiver->trouble == TROUBLE_DROP_RCPT) {
        drop(receiver);
        return true;
    }
    return false;
}

static void on_rcpt(struct receiver *receiver, const char *argument, size_t length)
{
    struct sink *sink = receiver->sink;

    if (!receiver->has_mail) {
        reply(receiver, "503 5.5.1 MAIL first\r\n");
        return;
    }
    if (length < 5 || strncasecmp(argument, "TO:<", 4) != 0) {
        reply(receiver, "501 5.5.4 RCPT TO:<address>\r\n");
        return;
    }
    if (receiver->recipient_count >= RECIPIENTS_MAX) {
        reply(receiver, "452 4.5.3 too many recipients\r\n");
        return;
    }
    pause_at(receiver, PHASE_RCPT);
    if (trouble_at_rcpt(receiver))
        return;
    receiver->recipient_count++;
    if (sink->store != NULL || sink->options.ids_with_recipients) {
        append(&receiver->recipients, argument + 3, length - 3);
        append(&receiver->recipients, "", 1);
    }
    reply(receiver, "250 2.1.5 ok\r\n");
}

static void on_data(struct receiver *receiver)
{
    if (!receiver->has_mail || receiver->in_chunks) {
        reply(receiver, "503 5.5.1 bad sequence of commands\r\n");
    } else if (receiver->recipient_count == 0) {
        reply(receiver, "554 5.5.1 no valid recipients\r\n");
    } else if (receiver->trouble == TROUBLE_DROP_DATA) {
        drop(receiver);
    } else {
        receiver->mode = CONTENT;
        reply(receiver, "354 go on, end with a dot\r\n");
        pause_at(receiver, PHASE_DATA);
    }
}

/* RFC 3030 2: the bytes follow in any case and are read away when the chunk is refused. */
static void on_bdat(struct receiver *receiver, const char *argument)
{
    char *end = NULL;

    if (!isdigit((unsigned char)*argument)) {
        reply(receiver, "501 5.5.4 BDAT size [LAST]\r\n");
        receiver->closing = true; /* where the next command begins is unknown */
        return;
    }
    receiver->chunk_left = strtoull(argument, &end, 10);
    receiver->chunk_is_last = strcasecmp(end, " LAST") == 0;
    receiver->mode = CHUNK;
    receiver->in_chunks = true;
    pause_at(receiver, PHASE_DATA);
}

static void on_rset(struct receiver *receiver)
{
    reset_transaction(receiver);
    reply(receiver, "250 2.0.0 ok\r\n");
}

static void on_quit(struct receiver *receiver)
{
    reply(receiver, "221 2.0.0 bye\r\n");
    receiver->closing = true;
}

static bool is_verb(const char *line, size_t length, const char *verb)
{
    size_t n = strlen(verb);

    return length >= n && strncasecmp(line, verb, n) == 0 && (length == n || line[n] == ' ');
}

/* line is ended by NUL, its CRLF taken away. */
static void on_command(struct receiver *receiver, const char *line, size_t length)
{
    const char *argument = length > 5 ? line + 5 : "";
    size_t argument_length = length > 5 ? length - 5 : 0;

    if (is_verb(line, length, "MAIL"))
        on_mail(receiver, argument, argument_length);
    else if (is_verb(line, length, "RCPT"))
        on_rcpt(receiver, argument, argument_length);
    else if (is_verb(line, length, "DATA"))
        on_data(receiver);
    else if (is_verb(line, length, "BDAT") && offers(receiver, WITHOUT_CHUNKING))
        on_bdat(receiver, argument);
    else if (is_verb(line, length, "EHLO"))
        on_ehlo(receiver, argument, argument_length);
    else if (is_verb(line, length, "HELO"))
        on_helo(receiver, argument, argument_length);
    else if (is_verb(line, length, "RSET"))
        on_rset(receiver);
    else if (is_verb(line, length, "NOOP"))
        reply(receiver, "250 2.0.0 ok\r\n");
    else if (is_verb(line, length, "QUIT"))
        on_quit(receiver);
    else
        reply(receiver, "502 5.5.1 not implemented\r\n");
}

/* ---- input ---- */

/* Reads one command line, or a part of it; returns the bytes used. */
static size_t work_on_command(struct receiver *receiver, const char *bytes, size_t length)
{
    const char *end = memchr(bytes, '\n', length);
    size_t used = end == NULL ? length : (size_t)(end - bytes) + 1;
    char line[LINE_MAX_BYTES + 1];
    size_t line_length;

    append(&receiver->line, bytes, used);
    if (receiver->line.length > LINE_MAX_BYTES) {
        reply(receiver, "500 5.5.2 line too long\r\n");
        receiver->closing = true;
        return length;
    }
    if (end == NULL)
        return used;
    line_length = receiver->line.length - 1;
    if (line_length > 0 && receiver->line.data[line_length - 1] == '\r')
        line_length--;
    memcpy(line, receiver->line.data, line_length);
    line[line_length] = '\0';
    receiver->line.length = 0;
    on_command(receiver, line, line_length);
    return used;
}

static size_t work_on_content(struct receiver *receiver, const char *bytes, size_t length)
{
    bool ended = false;
    size_t used;

    if (receiver->trouble == TROUBLE_DROP_CONTENT) {
        drop(receiver);
        return length;
    }
    used = content_read(&receiver->content, bytes, length, take_content, receiver, &ended);
    if (ended)
        finish_message(receiver);
    return used;
}

static void finish_chunk(struct receiver *receiver)
{
    bool is_in_order = receiver->has_mail && receiver->recipient_count > 0;

    receiver->mode = COMMANDS;
    if (!is_in_order) {
        reset_transaction(receiver);
        reply(receiver, "503 5.5.1 bad sequence of commands\r\n");
    } else if (receiver->chunk_is_last) {
        finish_message(receiver);
    } else {
        reply(receiver, "250 2.0.0 go on\r\n");
    }
}

static size_t work_on_chunk(struct receiver *receiver, const char *bytes, size_t length)
{
    size_t used = length < receiver->chunk_left ? length : (size_t)receiver->chunk_left;

    if (receiver->trouble == TROUBLE_DROP_DATA || receiver->trouble == TROUBLE_DROP_CONTENT) {
        drop(receiver);
        return length;
    }
    if (receiver->has_mail && receiver->recipient_count > 0)
        take_content(receiver, bytes, used);
    receiver->chunk_left -= used;
    if (receiver->chunk_left == 0)
        finish_chunk(receiver);
    return used;
}

static size_t work_once(struct receiver *receiver, const char *bytes, size_t length)
{
    switch (receiver->mode) {
    case COMMANDS:
        return work_on_command(receiver, bytes, length);
    case CONTENT:
        return work_on_content(receiver, bytes, length);
    case CHUNK:
        return work_on_chunk(receiver, bytes, length);
    }
    return length;
}

/* Holds back what comes during a pause, to be worked on after it. */
static void hold(struct receiver *receiver, const char *bytes, size_t length)
{
    if (receiver->held.length + length > HELD_MAX) {
        drop(receiver);
        return;
    }
    append(&receiver->held, bytes, length);
}

static void work(struct receiver *receiver, const char *bytes, size_t length)
{
    /* An empty last chunk (BDAT 0 LAST) is complete without any further byte. */
    while ((length > 0 || (receiver->mode == CHUNK && receiver->chunk_left == 0)) &&
           !receiver->closing && !receiver->doomed) {
        size_t used;

        if (receiver->is_paused) {
            hold(receiver, bytes, length);
            return;
        }
        used = work_once(receiver, bytes, length);
        bytes += used;
        length -= used;
    }
}

static void end_now(struct receiver *receiver)
{
    receiver->doomed = true;
    mark_dirty(receiver);
}

/* Edge-triggered: reads until a short read, or to the end when the peer has closed. */
static void read_input(struct receiver *receiver, bool to_the_end)
{
    static char bytes[READ_BYTES]; /* one thread; nothing stays in it between calls */

    while (!receiver->doomed && !receiver->closing) {
        ssize_t n = recv(receiver->fd, bytes, sizeof bytes, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            end_now(receiver);
            return;
        }
        work(receiver, bytes, (size_t)n);
        if ((size_t)n < sizeof bytes && !to_the_end)
            return;
    }
}

void receiver_on_event(struct receiver *receiver, uint32_t events)
{
    bool closing = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;

    if ((events & EPOLLOUT) != 0 && receiver->wants_write)
        mark_dirty(receiver);
    if ((events & EPOLLIN) != 0 || closing)
        read_input(receiver, closing);
}

/* ---- life ---- */

void receiver_open(struct sink *sink, int fd)
{
    struct receiver *receiver = calloc(1, sizeof *receiver);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = receiver};

    if (receiver == NULL)
        die("out of memory");
    receiver->sink = sink;
    receiver->fd = fd;
    reset_transaction(receiver);
    sink->counts.connections++;
    sink->counts.open++;
    if (epoll_ctl(sink->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll: %s", strerror(errno));
    reply_format(receiver, "220 %s ESMTP\r\n", sink->options.hostname);
    pause_at(receiver, PHASE_CONNECT);
}

static void forget_pause(struct receiver *receiver)
{
    struct sink *sink = receiver->sink;
    struct receiver *last = NULL;

    for (struct receiver **at = &sink->paused; *at != NULL;) {
        if (*at == receiver) {
            *at = receiver->next_paused;
            continue;
        }
        last = *at;
        at = &(*at)->next_paused;
    }
    sink->paused_last = last;
}

static void close_receiver(struct receiver *receiver)
{
    if (receiver->is_paused)
        forget_pause(receiver);
    receiver->sink->counts.open--;
    close(receiver->fd);
    free(receiver->helo.data);
    free(receiver->mail.data);
    free(receiver->recipients.data);
    free(receiver->message.data);
    free(receiver->output.data);
    free(receiver->line.data);
    free(receiver->held.data);
    free(receiver);
}

uint64_t receiver_resume_at_ns(const struct sink *sink)
{
    return sink->paused == NULL ? UINT64_MAX : sink->paused->resume_at_ns;
}

void receiver_resume(struct sink *sink)
{
    while (sink->paused != NULL && sink->paused->resume_at_ns <= sink->turn_ns) {
        struct receiver *receiver = sink->paused;
        struct bytes held = receiver->held;

        sink->paused = receiver->next_paused;
        receiver->is_paused = false;
        receiver->held = (struct bytes){0};
        mark_dirty(receiver);
        work(receiver, held.data, held.length);
        free(held.data);
    }
}

/* Sends what there is; false: the connection is gone. */
static bool send_output(struct receiver *receiver)
{
    while (receiver->output_sent < receiver->output.length) {
        ssize_t n = send(receiver->fd, receiver->output.data + receiver->output_sent,
                         receiver->output.length - receiver->output_sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            receiver->wants_write = true;
            return true;
        }
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            receiver->output_sent += (size_t)n;
    }
    receiver->wants_write = false;
    receiver->output.length = receiver->output_sent = 0;
    return !receiver->closing;
}

void receiver_flush(struct sink *sink)
{
    while (sink->dirty != NULL) {
        struct receiver *receiver = sink->dirty;

        sink->dirty = receiver->next_dirty;
        receiver->is_dirty = false;
        if (receiver->doomed || (!receiver->is_paused && !send_output(receiver)))
            close_receiver(receiver);
    }
}
