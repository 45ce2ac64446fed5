/* DNS packets: the first byte chooses the type, a name up to a zero byte what was asked; the rest
   is the answer. Whatever it is, what comes out keeps the promises of answers.h. */
#include "base/check.h"
#include "dns/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum answer_type types[] = {ANSWER_A, ANSWER_MX, ANSWER_AAAA};
    static struct answer answer;
    struct span name;
    if (size == 0)
        return 0;
    enum answer_type type = types[data[0] % 3];
    struct span packet = span_split(span_of(data + 1, size - 1), 0, &name);
    enum fault fault = answer_parse(packet, name, type, &answer);
    check(fault == FAULT_NONE || fault == FAULT_DNS_NO_DOMAIN || fault == FAULT_DNS_TEMPORARY ||
          fault == FAULT_PROTOCOL);
    check(answer.ttl_s <= ANSWER_TTL_MAX_S && answer.count <= ANSWER_RECORDS_MAX);
    check(fault == FAULT_NONE || answer.count == 0);
    for (uint32_t i = 0; i < answer.count; i++) {
        const struct answer_record *r = &answer.records[i];
        if (type != ANSWER_MX)
            check(r->address.family == 4 || r->address.family == 6);
        else if (r->host_len > 0)
            check(!r->is_root && domain_check(answer_host(r), 0) == FAULT_NONE);
    }
    return 0;
}
