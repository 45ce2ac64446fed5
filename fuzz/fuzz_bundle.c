/* bundle: whatever the bytes are, a file that is found lies within them. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "config/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span paths[] = {SPAN("/etc/a"), SPAN("/etc/b"), SPAN("")};
    struct span all = span_of(data, size);
    struct bundle_file f;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!bundle_find(all, paths[i], &f))
            continue;
        check(span_equal(f.path, paths[i]));
        check(f.text.data >= data && f.text.len <= size);
        check(f.text.data + f.text.len <= data + size);
    }
    return 0;
}
