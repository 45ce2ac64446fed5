/*
 * message: the message every session sends: a short header that carries the id, and deterministic
 * filler of full lines. Only the header is copied per message; the body is shared by all sessions.
 * No line begins with a dot, so that DATA and BDAT send the same bytes.
 */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEAD_MAX 640
#define MESSAGE_ID_MAX   96
#define MESSAGE_RUN_MAX  64

struct message {
    char run[MESSAGE_RUN_MAX + 1];
    size_t head_length; /* the same for every message of a run */
    size_t body_length; /* without the final dot */
    char *body;         /* the lines, then ".\r\n" */
};

/* Builds the body for messages of exactly size bytes (the final dot not counted); dies if the
 * header alone is longer. */
void message_init(struct message *message, const char *run, size_t size);
void message_fini(struct message *message);

/* Writes the id of message number n, "<run>-<10 digits>"; returns its length. */
size_t message_id(const struct message *message, uint64_t number, char id_out[MESSAGE_ID_MAX]);

/* Writes the header of the message with this id, the empty line included. */
void message_head(const char *id, char head_out[MESSAGE_HEAD_MAX]);

#endif
