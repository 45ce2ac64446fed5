/*
 * notify: see notify.h.
 */
#include "mail/notify.h"

#include <stdio.h>

struct span notify_text(uint8_t set, char text_out[NOTIFY_TEXT_MAX])
{
    static const struct {
        enum notify bit;
        const char *word;
    } words[] = {
        {NOTIFY_NEVER, "NEVER"},
        {NOTIFY_SUCCESS, "SUCCESS"},
        {NOTIFY_FAILURE, "FAILURE"},
        {NOTIFY_DELAY, "DELAY"},
    };
    size_t len = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if ((set & words[i].bit) == 0)
            continue;
        int n = snprintf(text_out + len, NOTIFY_TEXT_MAX - len, "%s%s", len == 0 ? "" : ",",
                         words[i].word);
        len += n < 0 ? 0 : (size_t)n;
    }
    return span_of(text_out, len);
}

struct span notify_return_text(enum notify_return ret)
{
    switch (ret) {
    case RETURN_UNSAID:
        break;
    case RETURN_FULL:
        return SPAN("FULL");
    case RETURN_HEADERS:
        return SPAN("HDRS");
    }
    return SPAN("");
}
