/*
 * control: the grammar of the control socket, between the command line and the engine.
 *
 * A request is one line: words parted by TAB, ended by LF, at most CONTROL_REQUEST_MAX bytes. The
 * answer is lines of JSON objects (rows), then one object {"end":true,"exit":N,"message":"…"}, then
 * the end of the connection. Exit codes are those of sysexits. Pure.
 */
#ifndef IPC_CONTROL_H
#define IPC_CONTROL_H

#include "base/buffer.h"
#include "base/fault.h"

#define CONTROL_REQUEST_MAX 4096
#define CONTROL_WORDS_MAX   32

enum control_exit {
    CONTROL_OK = 0,
    CONTROL_USAGE = 64,       /* EX_USAGE */
    CONTROL_NOT_FOUND = 66,   /* EX_NOINPUT: no such message */
    CONTROL_UNAVAILABLE = 69, /* EX_UNAVAILABLE */
    CONTROL_FAILED = 75,      /* EX_TEMPFAIL */
    CONTROL_DENIED = 77,      /* EX_NOPERM */
    CONTROL_CONFIG = 78       /* EX_CONFIG: a configuration with errors */
};

/* False: a word holds TAB or a control byte, or all is too long. */
must_use bool control_request_format(struct buffer *out, const struct span *words, size_t count);
/* `line` without its LF. False: no words, too many, or a byte that no word may hold. */
must_use bool control_request_parse(struct span line, struct span words_out[CONTROL_WORDS_MAX],
                                    size_t *count_out);
/* The last line of an answer. False: full. */
bool control_end_format(struct buffer *out, enum control_exit code, const char *message);

#endif
