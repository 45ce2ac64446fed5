#include "smtp/command.h"

#include "smtp/parameter.h"

#define CHUNK_BYTES_MAX UINT64_C(9999999999999999999)

enum argument {
    ARGUMENT_NONE,
    ARGUMENT_HELLO,
    ARGUMENT_PATH,
    ARGUMENT_CHUNK,
    ARGUMENT_TEXT,
    ARGUMENT_NAME
};

static const struct {
    struct span name;
    enum argument argument;
} table[] = {
#define COMMAND(name, argument) \
    [COMMAND_##name] = {{(const uint8_t *)#name, sizeof #name - 1}, ARGUMENT_##argument},
#include "smtp/command.def"
#undef COMMAND
};

static bool refuse(struct refusal *out, int code, const char *enhanced, const char *text)
{
    *out = (struct refusal){code, enhanced, text};
    return false;
}

/* CR, LF, NUL and other control bytes never belong in a command; a bare CR or LF in one is an
 * attempt to be read as two (CVE-2023-51764). */
static bool is_printable(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] < ' ' || line.data[i] == 127)
            return false;
    return true;
}

static bool parse_hello(struct span argument, struct command *c, struct refusal *no)
{
    if (argument.len == 0)
        return refuse(no, 501, "5.5.4", "a name is missing");
    if (argument.len > 255)
        return refuse(no, 501, "5.5.4", "the name is too long");
    for (size_t i = 0; i < argument.len; i++)
        if (argument.data[i] <= ' ' || argument.data[i] > 126)
            return refuse(no, 501, "5.5.4", "this is no domain name or address literal");
    c->argument = argument;
    return true;
}

/* Index of the > that ends the path, past quoted strings; path.len when there is none. */
static size_t path_end(struct span path)
{
    bool quoted = false;
    for (size_t i = 0; i < path.len; i++) {
        uint8_t byte = path.data[i];
        if (quoted && byte == '\\')
            i++;
        else if (byte == '"')
            quoted = !quoted;
        else if (byte == '>' && !quoted)
            return i;
    }
    return path.len;
}

static bool parse_path(struct span argument, struct command *c, struct refusal *no)
{
    struct span keyword = c->verb == COMMAND_MAIL ? SPAN("FROM:") : SPAN("TO:");
    if (!span_starts_with_nocase(argument, keyword))
        return refuse(no, 501, "5.5.4",
                      c->verb == COMMAND_MAIL ? "FROM: is missing" : "TO: is missing");
    struct span path = span_skip(argument, keyword.len);
    if (path.len == 0 || path.data[0] != '<')
        return refuse(no, 501, "5.5.4",
                      "the address must stand in < and >, right behind the colon");
    path = span_skip(path, 1);
    size_t end = path_end(path);
    if (end == path.len)
        return refuse(no, 501, "5.5.4", "the > after the address is missing");
    c->argument = span_sub(path, 0, end);
    struct span rest = span_skip(path, end + 1);
    while (rest.len > 0 && rest.data[rest.len - 1] == ' ')
        rest.len--; /* blanks before CRLF are to be tolerated: RFC 5321 4.1.1 */
    return parameter_parse(rest, c, no);
}

static bool parse_chunk(struct span argument, struct command *c, struct refusal *no)
{
    struct span size;
    struct span last = span_split(argument, ' ', &size);
    if (!span_parse_u64(size, CHUNK_BYTES_MAX, &c->size))
        return refuse(no, 501, "5.5.4", "the size of the chunk is no number");
    c->last = span_equal_nocase(last, SPAN("LAST"));
    if (last.len > 0 && !c->last)
        return refuse(no, 501, "5.5.4", "only LAST may follow the size");
    return true;
}

/* RFC 6531 3.7.4.2: SMTPUTF8 may stand behind the name. */
static bool parse_name(struct span argument, struct command *c, struct refusal *no)
{
    struct span utf8 = SPAN(" SMTPUTF8");
    c->smtputf8 = span_ends_with_nocase(argument, utf8);
    c->argument = span_sub(argument, 0, argument.len - (c->smtputf8 ? utf8.len : 0));
    if (argument.len == 0)
        return refuse(no, 501, "5.5.4", "a name is missing");
    return true;
}

static bool find_verb(struct span name, struct command *c)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!span_equal_nocase(name, table[i].name))
            continue;
        c->verb = (enum command_verb)i;
        return true;
    }
    return false;
}

bool command_parse(struct span line, struct command *command_out, struct refusal *no)
{
    struct command c = {.body = BODY_7BIT};
    struct span name;
    if (!is_printable(line))
        return refuse(no, 500, "5.5.2", "control characters in a command");
    struct span argument = span_split(line, ' ', &name);
    if (!find_verb(name, &c))
        return refuse(no, 500, "5.5.1", "command not known");
    struct span trimmed = span_trim(argument);
    bool ok = true;
    switch (table[c.verb].argument) {
    case ARGUMENT_NONE:
        if (trimmed.len > 0)
            ok = refuse(no, 501, "5.5.4", "this command takes no argument");
        break;
    case ARGUMENT_HELLO:
        ok = parse_hello(trimmed, &c, no);
        break;
    case ARGUMENT_PATH:
        ok = parse_path(argument, &c, no);
        break;
    case ARGUMENT_CHUNK:
        ok = parse_chunk(trimmed, &c, no);
        break;
    case ARGUMENT_NAME:
        ok = parse_name(trimmed, &c, no);
        break;
    case ARGUMENT_TEXT:
        c.argument = trimmed;
        break;
    }
    if (ok)
        *command_out = c;
    return ok;
}
