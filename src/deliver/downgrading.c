/*
 * downgrading: 8-bit content for hosts without 8BITMIME (RFC 6152 3): the survey, once for a
 * delivery, however many hosts ask; of content in a file it reads all of it first.
 */
#include "deliver/connection.h"
#include "mail/idn.h"

void downgrading_forget(struct connection *c)
{
    downgrade_free(c->downgrade);
    c->downgrade = NULL;
    c->is_judged = c->is_surveying = false;
    buffer_free_memory(&c->converted);
}

static void settle(struct connection *c, enum downgrade_verdict verdict)
{
    c->verdict = verdict;
    c->is_judged = true;
    c->is_surveying = false;
}

/* Our own fields are a part of the header. */
static enum fault begin_survey(struct connection *c)
{
    downgrade_free(c->downgrade);
    c->downgrade = downgrade_new();
    if (c->downgrade == NULL)
        return FAULT_NO_MEMORY;
    downgrade_survey(c->downgrade, c->mail->envelope.prefix);
    return FAULT_NONE;
}

static enum fault survey_memory(struct connection *c)
{
    const struct envelope *e = &c->mail->envelope;
    if (idn_is_ascii(e->prefix) && idn_is_ascii(e->content)) {
        settle(c, DOWNGRADE_NEEDLESS); /* as nearly always */
        return FAULT_NONE;
    }
    enum fault fault = begin_survey(c);
    if (fault != FAULT_NONE)
        return fault;
    downgrade_survey(c->downgrade, e->content);
    settle(c, downgrade_conclude(c->downgrade));
    return FAULT_NONE;
}

static enum fault survey_file(struct connection *c)
{
    if (c->is_surveying)
        return FAULT_NONE;
    enum fault fault = begin_survey(c);
    if (fault != FAULT_NONE)
        return fault;
    c->is_surveying = true;
    if (!c->is_job_out) /* else one is, for a host before: its answer begins ours */
        outgoing_read_block(c);
    return FAULT_NONE;
}

enum fault downgrading_judge(struct connection *c)
{
    if (c->is_judged)
        return FAULT_NONE;
    return c->mail->envelope.content_in_file ? survey_file(c) : survey_memory(c);
}

void downgrading_on_block(struct connection *c, bool is_stale, enum fault fault)
{
    const struct content *read = &c->reading.content;
    if (is_stale) {
        outgoing_read_block(c);
        return;
    }
    if (fault == FAULT_NONE)
        downgrade_survey(c->downgrade, read->bytes);
    bool is_over = read->is_over || read->bytes.len == 0;
    if (fault == FAULT_NONE && !is_over) {
        outgoing_read_block(c);
        return;
    }
    if (fault == FAULT_NONE && read->total_bytes != c->mail->envelope.content_bytes)
        fault = FAULT_DAMAGED;
    outgoing_end(c); /* it is read again when it is sent */
    if (fault == FAULT_NONE) {
        settle(c, downgrade_conclude(c->downgrade));
        conversation_go_on(c);
    } else {
        conversation_lost(c, fault);
    }
}
