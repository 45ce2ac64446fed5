/* The grammar of command lines: an answer for any bytes, and spans that stay within the line. */
#include "base/check.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct command c;
    struct refusal no = {0};
    if (command_parse(span_of(data, size), &c, &no)) {
        bool inside = c.argument.data >= data && c.argument.data + c.argument.len <= data + size;
        check(c.argument.len == 0 || inside);
        check(c.envid.len <= 100 && c.orcpt.len <= 500);
        check((c.notify & 1) == 0 || c.notify == 1);
    } else {
        check(no.code >= 500 && no.code <= 555);
    }
    return 0;
}
