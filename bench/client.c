#include "client.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"

#define INPUT_MAX   4096 /* a longer reply line is an error of the server */
#define ADDRESS_MAX 320

enum state { OFF, CONNECTING, GREETING, EHLO, IDLE, MAIL, RCPT, DATA, DOT, RSET, QUIT, STATES };

struct client {
    struct client_link link;
    struct load *load;
    int fd;
    enum state state;

    /* this connection */
    uint64_t messages_done;
    bool offers_pipelining;
    bool offers_chunking;
    bool offers_size;

    /* the message in hand; has_message says whether there is one */
    bool has_message;
    bool mail_accepted;
    struct ticket ticket;
    unsigned refusal; /* the reply that refused it, or 0 */
    unsigned recipients_answered;
    unsigned recipients_accepted;
    bool *recipient_accepted;
    uint64_t dot_sent_ns; /* 0: content not yet handed over in full */
    size_t id_length;
    char id[MESSAGE_ID_MAX];
    char head[MESSAGE_HEAD_MAX];

    /* output: up to three pieces (commands, head, body), sent in order */
    struct iovec pieces[3];
    unsigned piece;
    unsigned piece_count;
    bool output_ends_content;
    size_t commands_length;
    size_t commands_max;
    char *commands;

    size_t input_length;
    char input[INPUT_MAX];
};

/* ---- state ---- */

static void enter(struct client *client, enum state state)
{
#define BIT(s) (1U << (s))
    static const unsigned allowed[STATES] = {
        [OFF] = BIT(CONNECTING),
        [CONNECTING] = BIT(GREETING) | BIT(OFF),
        [GREETING] = BIT(EHLO) | BIT(OFF),
        [EHLO] = BIT(IDLE) | BIT(OFF),
        [IDLE] = BIT(MAIL) | BIT(QUIT) | BIT(OFF),
        [MAIL] = BIT(RCPT) | BIT(IDLE) | BIT(OFF),
        [RCPT] = BIT(DATA) | BIT(DOT) | BIT(RSET) | BIT(OFF),
        [DATA] = BIT(DOT) | BIT(RSET) | BIT(IDLE) | BIT(OFF),
        [DOT] = BIT(IDLE) | BIT(RSET) | BIT(OFF),
        [RSET] = BIT(IDLE) | BIT(OFF),
        [QUIT] = BIT(OFF),
    };

    if ((allowed[client->state] & BIT(state)) == 0)
        die("session goes from state %d to %d", (int)client->state, (int)state);
    client->state = state;
#undef BIT
}

struct client *client_new(struct load *load)
{
    struct client *client = calloc(1, sizeof *client);
    unsigned recipients = load_options(load)->recipients;

    if (client == NULL)
        die("out of memory");
    client->load = load;
    client->fd = -1;
    client->commands_max = 1024 + (size_t)recipients * (ADDRESS_MAX + 16);
    client->commands = malloc(client->commands_max);
    client->recipient_accepted = calloc(recipients, sizeof *client->recipient_accepted);
    if (client->commands == NULL || client->recipient_accepted == NULL)
        die("out of memory for %u recipients", recipients);
    return client;
}

void client_free(struct client *client)
{
    if (client->has_message)
        load_on_message_lost(client->load, client->dot_sent_ns != 0);
    if (client->fd >= 0)
        close(client->fd);
    free(client->commands);
    free(client->recipient_accepted);
    free(client);
}

struct client_link *client_link(struct client *client)
{
    return &client->link;
}

/* ---- connection ---- */

static void disconnect(struct client *client, bool lost)
{
    bool unexpected = lost && client->state != QUIT;

    if (unexpected && client->state != CONNECTING)
        load_counts(client->load)->connections_lost++;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->piece = client->piece_count = 0;
    client->input_length = 0;
    if (client->has_message) {
        client->has_message = false;
        load_on_message_lost(client->load, client->dot_sent_ns != 0);
    }
    enter(client, OFF);
    load_on_disconnect(client->load, client, unexpected);
}

void client_connect(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = client};

    enter(client, CONNECTING);
    client->messages_done = 0;
    client->offers_pipelining = client->offers_chunking = client->offers_size = false;
    client->fd = net_connect(&load_options(client->load)->server);
    if (client->fd < 0 ||
        epoll_ctl(load_epoll(client->load), EPOLL_CTL_ADD, client->fd, &event) != 0) {
        load_counts(client->load)->connect_failures++;
        disconnect(client, true);
    }
}

static void on_connected(struct client *client)
{
    if (net_error(client->fd) != 0) {
        load_counts(client->load)->connect_failures++;
        disconnect(client, true);
        return;
    }
    load_counts(client->load)->connections++;
    enter(client, GREETING);
}

/* ---- output ---- */

/* Sends what is left of the pieces; waits for EPOLLOUT when the socket is full. */
static void flush(struct client *client)
{
    while (client->piece < client->piece_count) {
        struct msghdr out = {.msg_iov = client->pieces + client->piece,
                             .msg_iovlen = client->piece_count - client->piece};
        ssize_t sent = sendmsg(client->fd, &out, MSG_NOSIGNAL);

        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                disconnect(client, true);
            if (errno != EINTR)
                return;
            continue;
        }
        for (size_t left = (size_t)sent; left > 0;) {
            struct iovec *piece = &client->pieces[client->piece];
            size_t n = left < piece->iov_len ? left : piece->iov_len;

            piece->iov_base = (char *)piece->iov_base + n;
            piece->iov_len -= n;
            left -= n;
            if (piece->iov_len == 0)
                client->piece++;
        }
    }
    if (client->output_ends_content) {
        client->output_ends_content = false;
        client->dot_sent_ns = clock_now_ns();
    }
}

static void begin_output(struct client *client)
{
    client->piece = client->piece_count = 0;
    client->commands_length = 0;
}

static void add_piece(struct client *client, char *bytes, size_t length)
{
    if (length > 0)
        client->pieces[client->piece_count++] = (struct iovec){bytes, length};
}

static void add_command(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_command(struct client *client, const char *format, ...)
{
    size_t room = client->commands_max - client->commands_length;
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(client->commands + client->commands_length, room, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= room)
        die("a group of commands is too long");
    client->commands_length += (size_t)length;
}

static void send_commands(struct client *client)
{
    add_piece(client, client->commands, client->commands_length);
    flush(client);
}

static void send_command(struct client *client, const char *command)
{
    begin_output(client);
    add_command(client, "%s", command);
    send_commands(client);
}

/* The content follows what was added before it; with_dot is false after BDAT. */
static void send_content(struct client *client, bool with_dot)
{
    const struct message *message = load_message(client->load);

    add_piece(client, client->commands, client->commands_length);
    add_piece(client, client->head, message->head_length);
    add_piece(client, message->body, message->body_length + (with_dot ? 3 : 0));
    client->output_ends_content = true;
    flush(client);
}

/* ---- the envelope ---- */

/* pattern with its first "{}" replaced by number. */
static void expand(char out[ADDRESS_MAX], const char *pattern, uint64_t number)
{
    const char *slot = strstr(pattern, "{}");

    if (slot == NULL)
        snprintf(out, ADDRESS_MAX, "%s", pattern);
    else
        snprintf(out, ADDRESS_MAX, "%.*s%llu%s", (int)(slot - pattern), pattern,
                 (unsigned long long)number, slot + 2);
}

static void recipient_address(const struct client *client, unsigned index, char out[ADDRESS_MAX])
{
    const struct load_options *options = load_options(client->load);
    char domain[ADDRESS_MAX];

    expand(domain, options->recipient_domain, client->ticket.number % options->domains);
    if (snprintf(out, ADDRESS_MAX, "user%u@%s", index, domain) >= ADDRESS_MAX)
        die("--recipient-domain is too long");
}

static void add_mail(struct client *client)
{
    const struct load_options *options = load_options(client->load);
    char from[ADDRESS_MAX];

    expand(from, options->from, client->ticket.number % options->senders);
    if (client->offers_size)
        add_command(client, "MAIL FROM:<%s> SIZE=%zu\r\n", from, options->size);
    else
        add_command(client, "MAIL FROM:<%s>\r\n", from);
}

static void add_rcpt(struct client *client, unsigned index)
{
    char address[ADDRESS_MAX];

    recipient_address(client, index, address);
    add_command(client, "RCPT TO:<%s>\r\n", address);
}

static bool uses_chunking(const struct client *client)
{
    return load_options(client->load)->chunking && client->offers_chunking;
}

static bool uses_groups(const struct client *client)
{
    return load_options(client->load)->pipelining && client->offers_pipelining;
}

static void send_group(struct client *client)
{
    const struct load_options *options = load_options(client->load);

    begin_output(client);
    add_mail(client);
    for (unsigned i = 0; i < options->recipients; i++)
        add_rcpt(client, i);
    if (uses_chunking(client)) {
        add_command(client, "BDAT %zu LAST\r\n", options->size);
        send_content(client, false);
        return;
    }
    add_command(client, "DATA\r\n");
    send_commands(client);
}

static void begin_message(struct client *client)
{
    struct load_result *counts = load_counts(client->load);

    client->has_message = true;
    client->mail_accepted = false;
    client->refusal = 0;
    client->recipients_answered = client->recipients_accepted = 0;
    client->dot_sent_ns = 0;
    client->id_length = message_id(load_message(client->load), client->ticket.number, client->id);
    message_head(client->id, client->head);
    if (counts->first_send_ns == 0)
        counts->first_send_ns = clock_now_ns();
    enter(client, MAIL);
    if (uses_groups(client)) {
        send_group(client);
        return;
    }
    begin_output(client);
    add_mail(client);
    send_commands(client);
}

/* ---- the next message ---- */

static void quit(struct client *client)
{
    enter(client, QUIT);
    send_command(client, "QUIT\r\n");
}

static void ask_for_message(struct client *client)
{
    uint64_t limit = load_options(client->load)->messages_per_connection;

    if (limit > 0 && client->messages_done >= limit) {
        quit(client);
        return;
    }
    switch (load_take(client->load, client, &client->ticket)) {
    case TAKE_NOW:
        begin_message(client);
        break;
    case TAKE_LATER:
        break;
    case TAKE_NEVER:
        quit(client);
        break;
    }
}

void client_wake(struct client *client)
{
    if (client->state == IDLE)
        ask_for_message(client);
}

/* ---- answers ---- */

static void note_ids(struct client *client)
{
    const struct load_options *options = load_options(client->load);
    char address[ADDRESS_MAX];

    if (!options->ids_with_recipients) {
        load_note_id(client->load, client->id, client->id_length, NULL);
        return;
    }
    for (unsigned i = 0; i < options->recipients; i++) {
        if (!client->recipient_accepted[i])
            continue;
        recipient_address(client, i, address);
        load_note_id(client->load, client->id, client->id_length, address);
    }
}

/* The message in hand has its final answer. */
static void conclude(struct client *client, unsigned code)
{
    client->has_message = false;
    client->messages_done++;
    client->link.failures = 0;
    if (code / 100 == 2)
        note_ids(client);
    load_on_answer(client->load, &client->ticket, code, client->dot_sent_ns);
}

static void reset(struct client *client)
{
    enter(client, RSET);
    send_command(client, "RSET\r\n");
}

static void rest(struct client *client)
{
    enter(client, IDLE);
    ask_for_message(client);
}

static void on_mail_reply(struct client *client, unsigned code)
{
    client->mail_accepted = code / 100 == 2;
    if (!client->mail_accepted)
        client->refusal = code;
    if (!client->mail_accepted && !uses_groups(client)) {
        conclude(client, code);
        rest(client);
        return;
    }
    enter(client, RCPT);
    if (!uses_groups(client)) {
        begin_output(client);
        add_rcpt(client, 0);
        send_commands(client);
    }
}

/* All recipients are answered, one command at a time: content comes next, if anyone takes it. */
static void send_content_command(struct client *client)
{
    if (client->recipients_accepted == 0) {
        conclude(client, client->refusal);
        reset(client);
    } else if (uses_chunking(client)) {
        enter(client, DOT);
        begin_output(client);
        add_command(client, "BDAT %zu LAST\r\n", load_options(client->load)->size);
        send_content(client, false);
    } else {
        enter(client, DATA);
        send_command(client, "DATA\r\n");
    }
}

static void on_rcpt_reply(struct client *client, unsigned code)
{
    bool accepted = code / 100 == 2;

    client->recipient_accepted[client->recipients_answered++] = accepted;
    client->recipients_accepted += accepted;
    if (!accepted) {
        load_counts(client->load)->recipients_refused++;
        if (client->refusal == 0)
            client->refusal = code;
    }
    if (client->recipients_answered < load_options(client->load)->recipients) {
        if (!uses_groups(client)) {
            begin_output(client);
            add_rcpt(client, client->recipients_answered);
            send_commands(client);
        }
    } else if (!uses_groups(client)) {
        send_content_command(client);
    } else {
        enter(client, uses_chunking(client) ? DOT : DATA);
    }
}

/* A server that refused everyone may answer the content as it likes: the refusal counts. */
static unsigned deciding_code(const struct client *client, unsigned code)
{
    return client->recipients_accepted == 0 && client->refusal != 0 ? client->refusal : code;
}

static void on_data_reply(struct client *client, unsigned code)
{
    if (code == 354) {
        enter(client, DOT);
        begin_output(client);
        if (client->recipients_accepted > 0)
            send_content(client, true);
        else
            send_command(client, ".\r\n"); /* RFC 2920 3.1 */
        return;
    }
    conclude(client, deciding_code(client, code));
    if (client->mail_accepted)
        reset(client);
    else
        rest(client);
}

static void on_dot_reply(struct client *client, unsigned code)
{
    bool early = client->piece < client->piece_count;
    bool nobody = client->recipients_accepted == 0;

    conclude(client, deciding_code(client, code));
    if (early)
        disconnect(client, true); /* answered before all was sent: the rest would be commands */
    else if (nobody && client->mail_accepted)
        reset(client);
    else
        rest(client);
}

static void on_greeting(struct client *client, unsigned code)
{
    char hello[ADDRESS_MAX];

    if (code != 220) {
        disconnect(client, true);
        return;
    }
    snprintf(hello, sizeof hello, "EHLO %s\r\n", load_options(client->load)->helo);
    enter(client, EHLO);
    send_command(client, hello);
}

static void on_reply(struct client *client, unsigned code)
{
    if (code == 421 && client->state != QUIT) {
        if (client->has_message)
            conclude(client, code);
        disconnect(client, true);
        return;
    }
    switch (client->state) {
    case GREETING:
        on_greeting(client, code);
        break;
    case EHLO:
        if (code == 250)
            rest(client);
        else
            disconnect(client, true);
        break;
    case MAIL:
        on_mail_reply(client, code);
        break;
    case RCPT:
        on_rcpt_reply(client, code);
        break;
    case DATA:
        on_data_reply(client, code);
        break;
    case DOT:
        on_dot_reply(client, code);
        break;
    case RSET:
        rest(client);
        break;
    case QUIT:
        disconnect(client, false);
        break;
    case IDLE: /* nothing was asked */
        disconnect(client, true);
        break;
    case OFF:
    case CONNECTING:
    case STATES:
        die("a reply without a connection");
    }
}

/* ---- input ---- */

static bool is_keyword(const char *line, size_t length, const char *keyword)
{
    size_t n = strlen(keyword);

    return length >= 4 + n && strncasecmp(line + 4, keyword, n) == 0 &&
           (length == 4 + n || line[4 + n] == ' ');
}

static void note_extension(struct client *client, const char *line, size_t length)
{
    client->offers_pipelining |= is_keyword(line, length, "PIPELINING");
    client->offers_chunking |= is_keyword(line, length, "CHUNKING");
    client->offers_size |= is_keyword(line, length, "SIZE");
}

/* One line of a reply, without its end. False: not a reply; the session is over. */
static bool on_line(struct client *client, const char *line, size_t length)
{
    if (length < 3 || !isdigit((unsigned char)line[0]) || !isdigit((unsigned char)line[1]) ||
        !isdigit((unsigned char)line[2]) || (length > 3 && line[3] != ' ' && line[3] != '-'))
        return false;
    if (client->state == EHLO)
        note_extension(client, line, length);
    if (length == 3 || line[3] == ' ')
        on_reply(client, (unsigned)(line[0] - '0') * 100 + (unsigned)(line[1] - '0') * 10 +
                             (unsigned)(line[2] - '0'));
    return true;
}

static void consume_lines(struct client *client)
{
    size_t start = 0;

    while (client->fd >= 0) {
        char *line = client->input + start;
        char *end = memchr(line, '\n', client->input_length - start);
        size_t length;

        if (end == NULL)
            break;
        length = (size_t)(end - line);
        start += length + 1;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (!on_line(client, line, length))
            disconnect(client, true);
    }
    if (client->fd < 0)
        return;
    client->input_length -= start;
    memmove(client->input, client->input + start, client->input_length);
}

/* Reads until the socket is empty: events are edge-triggered. A short read says that it is, unless
 * the other side has closed, whose edge may have come with the data. */
static void read_replies(struct client *client, bool to_the_end)
{
    int fd = client->fd;

    while (client->fd == fd && fd >= 0) {
        size_t room = sizeof client->input - client->input_length;
        ssize_t n = room == 0 ? 0 : recv(fd, client->input + client->input_length, room, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            disconnect(client, true);
            return;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        client->input_length += (size_t)n;
        consume_lines(client);
        if ((size_t)n < room && !to_the_end)
            return;
    }
}

void client_on_event(struct client *client, uint32_t events)
{
    bool closing = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;

    if (client->state == CONNECTING)
        on_connected(client);
    if (client->fd >= 0 && (events & EPOLLOUT) != 0 && client->piece < client->piece_count)
        flush(client);
    if (client->fd >= 0 && ((events & EPOLLIN) != 0 || closing))
        read_replies(client, closing);
}
