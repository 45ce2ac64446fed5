#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

#define LINE_BYTES 78 /* RFC 5322 2.1.1 asks for no more; CRLF counted here */

static const char filler[] = "The quick post rider changes horses at every inn and never loses a "
                             "letter on the way. ";

/* One line of exactly length bytes, CRLF included; each begins elsewhere in the filler, so that the
 * text is not one repeated line. */
static void fill_line(char *line, size_t length, size_t start)
{
    for (size_t i = 0; i + 2 < length; i++)
        line[i] = filler[(start + i) % (sizeof filler - 1)];
    if (length > 2 && line[0] == '.')
        line[0] = ',';
    line[length - 2] = '\r';
    line[length - 1] = '\n';
}

static void fill_body(char *body, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t left = length - at;
        size_t line = left < LINE_BYTES ? left : LINE_BYTES;

        if (left == LINE_BYTES + 1)
            line--; /* a last line needs two bytes for its end */
        fill_line(body + at, line, at);
        at += line;
    }
}

void message_init(struct message *message, const char *run, size_t size)
{
    char id[MESSAGE_ID_MAX];
    char head[MESSAGE_HEAD_MAX];

    memset(message, 0, sizeof *message);
    if (strlen(run) > MESSAGE_RUN_MAX || strpbrk(run, " \t<>@") != NULL)
        die("--run: at most %d bytes without blanks, <, > and @", MESSAGE_RUN_MAX);
    memcpy(message->run, run, strlen(run));
    message_id(message, 0, id);
    message_head(id, head);
    message->head_length = strlen(head);
    if (size < message->head_length + 2)
        die("--size must be at least %zu", message->head_length + 2);
    message->body_length = size - message->head_length;
    message->body = malloc(message->body_length + 3);
    if (message->body == NULL)
        die("out of memory for a message of %zu bytes", size);
    fill_body(message->body, message->body_length);
    memcpy(message->body + message->body_length, ".\r\n", 3);
}

void message_fini(struct message *message)
{
    free(message->body);
    message->body = NULL;
}

size_t message_id(const struct message *message, uint64_t number, char id_out[MESSAGE_ID_MAX])
{
    int length =
        snprintf(id_out, MESSAGE_ID_MAX, "%s-%010llu", message->run, (unsigned long long)number);

    return (size_t)length;
}

void message_head(const char *id, char head_out[MESSAGE_HEAD_MAX])
{
    snprintf(head_out, MESSAGE_HEAD_MAX,
             "From: Bench <bench@sender.example>\r\n"
             "To: Reader <reader@recipient.example>\r\n"
             "Subject: bench message\r\n"
             "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
             "Message-ID: <%s@bench.example>\r\n"
             "X-Bench-Id: %s\r\n"
             "MIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=us-ascii\r\n"
             "\r\n",
             id, id);
}
