/* Filters: any text is parsed or refused with a place inside it, and what is parsed can be asked.
 */
#include <stdlib.h>

#include "base/check.h"
#include "transfer/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter *f;
    struct filter_error error;
    struct filter_facts facts = {0};
    enum fault fault = filter_parse(span_of(data, size), &f, &error);
    if (fault != FAULT_NONE) {
        check(fault == FAULT_SYNTAX && error.why != NULL && error.at <= size);
        return 0;
    }
    enum filter_answer blind = filter_ask(f, &facts);
    for (size_t i = 0; i < FILTER_FIELDS; i++)
        facts.texts[i] = SPAN("450 4.7.1 greylisted");
    enum filter_answer seeing = filter_ask(f, &facts);
    check(seeing != FILTER_MAYBE);
    check(blind == FILTER_MAYBE || blind == seeing);
    filter_free(f);
    return 0;
}
