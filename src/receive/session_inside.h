/*
 * session_inside: what session.c (lines, content, states) and verbs.c (commands) share; nobody else
 * includes it.
 */
#ifndef RECEIVE_SESSION_INSIDE_H
#define RECEIVE_SESSION_INSIDE_H

#include "receive/session.h"

struct session {
    const struct session_limits *limits;
    const char *hostname;
    enum session_state state;
    bool offers_tls, is_secure;
    bool speaks_lmtp;
    bool esmtp;
    bool body_8bit;
    bool smtputf8;
    enum notify_return ret;
    bool abandon;   /* a transaction was given up: say so before anything else */
    bool skip_line; /* the rest of a line that was too long */
    bool chunk_last;
    bool tells_refused; /* `refused` is to be told by WANT_LOG */
    uint32_t errors;
    uint32_t idle_commands;
    uint32_t recipient_count; /* of the list: final ones */
    uint32_t rcpt_count;      /* commands that were answered 250 */
    uint64_t chunk_left;
    uint64_t declared_bytes;
    uint64_t message_bytes_max; /* of the present message: what its recipients may get */
    enum fault mail_fault;      /* why MAIL and RCPT are refused; NONE: they are not */
    enum fault content_fault;
    struct refusal chunk_refusal; /* code 0: the chunk belongs to a message */
    struct buffer line;           /* a command that has come in part */
    struct buffer output;
    struct buffer helo;
    struct buffer refused_command; /* empty unless something is to be told */
    struct session_refused refused;
    struct span current; /* the command line in hand */
    struct arena envelope;
    struct span reverse_path;
    struct span envid;
    struct session_recipient *first, **last;
    struct session_recipient *asked; /* while RESOLVING; not in the list yet */
    struct content_reader content;
};

/* The only writer of the state. */
void session_enter(struct session *s, enum session_state next);
/* A reply fits always (no command is taken while SESSION_OUTPUT_MAX waits), unless memory is short:
 * then nothing can be said any more, and the session closes. */
void session_must_fit(struct session *s, bool fits);
void session_reply(struct session *s, int code, const char *enhanced, const char *text);
/* The same for an error: to be logged, and counted against errors_max. */
void session_refuse(struct session *s, int code, const char *enhanced, const char *text);
/* What WANT_LOG will tell; the reply is the caller's. */
void session_note_refused(struct session *s, int code, const char *enhanced, const char *text);
/* Back to READY; what was kept of the content is to be forgotten. */
void session_reset(struct session *s);
void session_forget_envelope(struct session *s);

/* verbs.c: a command line without its CRLF. */
void session_command(struct session *s, struct span line);

#endif
