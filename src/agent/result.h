/*
 * result: how a delivery into a mailbox or a command has ended, with the words for it.
 *
 * A value. The text reads like a reply, code first ("452 4.2.2 the mailbox is full"), printable
 * ASCII on one line; a success may have one too. Pure.
 */
#ifndef AGENT_RESULT_H
#define AGENT_RESULT_H

#include "ipc/message.h"

#define RESULT_TEXT_MAX 900

struct agent_result {
    enum message_end end;
    size_t text_len;
    char text[RESULT_TEXT_MAX];
};

struct agent_result result_delivered(void);
/* Deferred or failed, as the fault's row says. */
struct agent_result result_of_fault(enum fault f);
/* code and enhanced code decide nothing: `end` does. Bytes of `more` are escaped. */
struct agent_result result_of(enum message_end end, const char *code, const char *text,
                              struct span more);
struct span result_text(const struct agent_result *r);

/* What a failed call on a mailbox means: all but a success is temporary, since an administrator or
   the user can mend it. */
enum fault mailbox_fault_of_errno(int error);

#endif
