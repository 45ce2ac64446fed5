#include "agent/result.h"

#include <errno.h>
#include <stdio.h>

#include "base/encode.h"

struct agent_result result_delivered(void)
{
    return (struct agent_result){.end = MESSAGE_DELIVERED};
}

struct agent_result result_of(enum message_end end, const char *code, const char *text,
                              struct span more)
{
    struct agent_result r = {.end = end};
    struct buffer b;
    buffer_init(&b, RESULT_TEXT_MAX);
    bool ok = buffer_printf(&b, "%s %s", code, text);
    /* Escaped bytes are up to four times as many; what has no room is left out. */
    size_t room = b.len + 2 < RESULT_TEXT_MAX ? (RESULT_TEXT_MAX - b.len - 2) / 4 : 0;
    if (ok && more.len > 0 && buffer_put_text(&b, ": "))
        (void)encode_escaped(&b, span_sub(more, 0, room));
    if (b.len > 0)
        memcpy(r.text, b.data, b.len);
    r.text_len = b.len;
    buffer_fini(&b);
    return r;
}

struct agent_result result_of_fault(enum fault f)
{
    char code[24];
    (void)snprintf(code, sizeof code, "%d %s", fault_smtp_code(f), fault_enhanced(f));
    enum message_end end = fault_is_temporary(f) ? MESSAGE_DEFERRED : MESSAGE_FAILED;
    return result_of(end, code, fault_text(f), (struct span){NULL, 0});
}

struct span result_text(const struct agent_result *r)
{
    return span_of(r->text, r->text_len);
}

enum fault mailbox_fault_of_errno(int error)
{
    static const struct {
        int error;
        enum fault fault;
    } rows[] = {
        {ENOSPC, FAULT_DISK_FULL},      {EDQUOT, FAULT_MAILBOX_FULL},
        {EFBIG, FAULT_MAILBOX_FULL},    {ENOENT, FAULT_MAILBOX_DENIED},
        {EACCES, FAULT_MAILBOX_DENIED}, {EPERM, FAULT_MAILBOX_DENIED},
        {ELOOP, FAULT_MAILBOX_UNSAFE},  {ENOTDIR, FAULT_MAILBOX_UNSAFE},
        {EXDEV, FAULT_MAILBOX_UNSAFE},  {EISDIR, FAULT_MAILBOX_UNSAFE},
        {EEXIST, FAULT_MAILBOX_UNSAFE}, {ENAMETOOLONG, FAULT_MAILBOX_UNSAFE},
        {EMLINK, FAULT_MAILBOX_FULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].error == error)
            return rows[i].fault;
    enum fault fault = fault_of_errno(error);
    return fault != FAULT_NONE && fault_is_temporary(fault) ? fault : FAULT_UNKNOWN;
}
