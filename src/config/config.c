/*
 * config: see config.h.
 */
#include "config/config.h"

#include "config/check.h"
#include "config/parser.h"
#include "config/report.h"

enum fault config_parse(struct span text, const char *file_name, struct buffer *errors_out,
                        struct settings **settings_out)
{
    struct report report;
    struct parser parser;
    report_init(&report, text, file_name, errors_out);
    if (text.len > CONFIG_BYTES_MAX) {
        report_error(&report, (struct place){1, 1, 0}, "the file is larger than %u bytes",
                     CONFIG_BYTES_MAX);
        return FAULT_SYNTAX;
    }
    struct settings *s = settings_default("");
    if (s == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = parser_run(&parser, text, &report, s);
    if (fault == FAULT_NONE && report.errors == 0)
        check_settings(s, &parser, &report);
    if (fault == FAULT_NONE && report.errors == 0 && !settings_index_domains(s))
        fault = FAULT_NO_MEMORY;
    if (!report_end(&report) && fault == FAULT_NONE)
        fault = FAULT_SYNTAX;
    if (fault != FAULT_NONE) {
        settings_release(s);
        return fault;
    }
    *settings_out = s;
    return FAULT_NONE;
}

bool config_control(struct span text, struct buffer *out)
{
    struct report report;
    struct parser parser;
    struct buffer unread;
    struct settings *s = settings_default("");
    if (s == NULL || text.len > CONFIG_BYTES_MAX) {
        settings_release(s);
        return false;
    }
    buffer_init(&unread, 0);
    report_init(&report, text, "", &unread);
    bool fits =
        parser_run(&parser, text, &report, s) == FAULT_NONE && buffer_put_text(out, s->control);
    settings_release(s);
    buffer_fini(&unread);
    return fits;
}
