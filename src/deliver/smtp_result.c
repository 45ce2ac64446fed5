/*
 * smtp_result: see smtp_result.h.
 */
#include "deliver/smtp_result.h"

const char *client_phase_name(enum client_phase phase)
{
    static const char *const names[] = {
#define CLIENT_PHASE(name, text) [CLIENT_##name] = text,
#include "deliver/smtp_phase.def"
#undef CLIENT_PHASE
    };
    return names[phase];
}

bool client_result_is_final(const struct client_result *r)
{
    return r->verdict != CLIENT_UNDECIDED && r->verdict != CLIENT_TAKEN;
}

struct client_result client_result_of_fault(enum client_phase phase, enum client_verdict verdict,
                                            enum fault fault)
{
    return (struct client_result){
        .verdict = verdict, .phase = phase, .fault = fault, .status = status_of_fault(fault)};
}

struct client_result client_result_of_nonsense(enum client_phase phase, const struct reply *reply)
{
    struct client_result r = client_result_of_fault(phase, CLIENT_DEFERRED, FAULT_PROTOCOL);
    r.code = reply->code;
    r.text = reply->text;
    return r;
}

struct client_result client_result_of_reply(enum client_phase phase, const struct reply *reply)
{
    struct client_result r = client_result_of_nonsense(phase, reply);
    int class = reply->code / 100;
    if (class != 2 && class != 4 && class != 5)
        return r;
    r.verdict = class == 2 ? CLIENT_DELIVERED : class == 4 ? CLIENT_DEFERRED : CLIENT_FAILED;
    r.fault = FAULT_NONE;
    r.status = status_of_reply(reply->code, reply->text);
    return r;
}

struct client_result client_result_deferred(struct client_result r)
{
    r.verdict = CLIENT_DEFERRED;
    r.status.class = 4;
    return r;
}
