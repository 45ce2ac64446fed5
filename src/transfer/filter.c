#include "transfer/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"

enum type { TEXT, NUMBER, SIZE, DURATION };

static const struct {
    const char *name;
    enum type type;
} fields[] = {
#define FIELD(NAME, name, type, manual) {name, type},
#include "transfer/filter.def"
#undef FIELD
};

enum comparison {
    EQUAL,
    DIFFERENT,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL,
    MATCHES,
    MATCHES_NOT
};

/* Longer ones first, so that <= is not taken for <. */
static const struct {
    struct span text;
    enum comparison comparison;
} operators[] = {
    {SPAN("!="), DIFFERENT},     {SPAN("!~"), MATCHES_NOT}, {SPAN("<="), LESS_EQUAL},
    {SPAN(">="), GREATER_EQUAL}, {SPAN("="), EQUAL},        {SPAN("<"), LESS},
    {SPAN(">"), GREATER},        {SPAN("~"), MATCHES},
};

enum kind { TEST, NOT, AND, OR };

/* Operands stand before what joins them, so a run over all nodes in order is the evaluation. */
struct node {
    enum kind kind;
    enum filter_field field;
    enum comparison comparison;
    struct span text; /* into `texts` */
    uint64_t number;
    uint32_t pattern;
};

#define NODES_MAX (FILTER_TESTS_MAX * 2 + FILTER_TESTS_MAX * FILTER_DEPTH_MAX)

struct filter {
    uint32_t fields; /* bits */
    uint32_t node_count, pattern_count, test_count;
    size_t text_len;
    struct node nodes[NODES_MAX];
    struct pattern patterns[FILTER_TESTS_MAX];
    uint8_t texts[FILTER_TEXT_MAX];
};

/* Reading -------------------------------------------------------------------------------------- */

struct reader {
    struct span text;
    size_t at;
    uint32_t depth;
    struct filter *filter;
    struct filter_error error;
};

static bool fail(struct reader *r, size_t at, const char *why)
{
    r->error.at = at;
    r->error.why = why;
    return false;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->text.len && is_blank(r->text.data[r->at]))
        r->at++;
}

static bool ends_word(uint8_t byte)
{
    return is_blank(byte) || (byte != 0 && strchr("()=!<>~\"", byte) != NULL);
}

/* The word that stands here, or an empty one. */
static struct span peek_word(struct reader *r)
{
    skip_blanks(r);
    size_t end = r->at;
    while (end < r->text.len && !ends_word(r->text.data[end]))
        end++;
    return span_sub(r->text, r->at, end - r->at);
}

static bool take_word(struct reader *r, struct span word)
{
    bool is_it = span_equal_nocase(peek_word(r), word);
    r->at += is_it ? word.len : 0;
    return is_it;
}

static bool take_byte(struct reader *r, uint8_t byte)
{
    skip_blanks(r);
    bool is_it = r->at < r->text.len && r->text.data[r->at] == byte;
    r->at += is_it;
    return is_it;
}

static bool put_node(struct reader *r, struct node node)
{
    struct filter *f = r->filter;
    if (f->node_count == NODES_MAX)
        return fail(r, r->at, "the filter has too many parts");
    f->nodes[f->node_count++] = node;
    return true;
}

/* How far two words are apart, in bytes put in, taken out or changed. */
static size_t distance(struct span a, struct span b)
{
    size_t row[16];
    if (a.len >= sizeof row / sizeof row[0] || b.len >= sizeof row / sizeof row[0])
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = corner + (byte_lower(a.data[i - 1]) != byte_lower(b.data[j - 1]));
            corner = row[j];
            size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[b.len];
}

static bool parse_field(struct reader *r, enum filter_field *field_out)
{
    struct span word = peek_word(r);
    size_t least = 3;
    for (size_t i = 0; i < FILTER_FIELDS; i++) {
        struct span name = span_text(fields[i].name);
        *field_out = (enum filter_field)i;
        if (span_equal_nocase(word, name)) {
            r->at += word.len;
            return true;
        }
        size_t far = distance(word, name);
        if (far < least) {
            least = far;
            r->error.suggested = fields[i].name;
        }
    }
    return fail(r, r->at,
                word.len == 0 ? "a field is missing here, such as domain, last or age"
                              : "there is no such field");
}

static bool parse_operator(struct reader *r, enum comparison *comparison_out)
{
    skip_blanks(r);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (span_starts_with(span_skip(r->text, r->at), operators[i].text)) {
            r->at += operators[i].text.len;
            *comparison_out = operators[i].comparison;
            return true;
        }
    }
    return fail(r, r->at, "an operator is missing here: = != < <= > >= ~ !~");
}

/* The value's text, without its quotes; *at_out is where it begins. */
static bool parse_value(struct reader *r, struct span *value_out, size_t *at_out)
{
    struct filter *f = r->filter;
    uint8_t *to = f->texts + f->text_len;
    size_t len = 0;
    *value_out = peek_word(r);
    *at_out = r->at;
    size_t quote_at = r->at;
    if (!take_byte(r, '"')) {
        len = value_out->len;
        memcpy(to, value_out->data, len);
        r->at += len;
        if (len == 0)
            return fail(r, r->at, "a value is missing here");
    } else {
        *at_out = r->at;
        while (r->at < r->text.len && r->text.data[r->at] != '"') {
            bool is_escaped = r->text.data[r->at] == '\\' && r->at + 1 < r->text.len &&
                              (r->text.data[r->at + 1] == '"' || r->text.data[r->at + 1] == '\\');
            r->at += is_escaped;
            to[len++] = r->text.data[r->at++];
        }
        if (!take_byte(r, '"'))
            return fail(r, quote_at, "this quote is not closed");
    }
    f->text_len += len;
    *value_out = span_of(to, len);
    return true;
}

static bool find_unit(struct span unit, enum type type, uint64_t *factor_out)
{
    static const struct {
        const char *name;
        enum type type;
        uint64_t factor;
    } units[] = {
        {"", NUMBER, 1},
        {"", SIZE, 1},
        {"k", SIZE, 1u << 10},
        {"m", SIZE, 1u << 20},
        {"g", SIZE, 1u << 30},
        {"ms", DURATION, 1},
        {"s", DURATION, 1000},
        {"m", DURATION, 60 * 1000},
        {"h", DURATION, 3600 * 1000},
        {"d", DURATION, 24 * 3600 * 1000},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].type == type && span_equal_nocase(unit, span_text(units[i].name))) {
            *factor_out = units[i].factor;
            return true;
        }
    }
    return false;
}

static bool parse_number(struct reader *r, struct span value, size_t at, enum type type,
                         uint64_t *number_out)
{
    static const char *const wanted[] = {
        [TEXT] = "",
        [NUMBER] = "a number is wanted here",
        [SIZE] = "a size is wanted here, such as 100K or 5M",
        [DURATION] = "a duration is wanted here, such as 30s, 5m, 2h or 1d"};
    size_t digits = 0;
    uint64_t factor, count = 0;
    while (digits < value.len && value.data[digits] >= '0' && value.data[digits] <= '9')
        digits++;
    bool is_number =
        digits > 0 && digits <= 9 && span_parse_u64(span_sub(value, 0, digits), UINT32_MAX, &count);
    struct span unit = span_skip(value, digits);
    bool is_zero = is_number && count == 0 && unit.len == 0;
    if (is_zero)
        factor = 1;
    else if (!is_number || !find_unit(unit, type, &factor))
        return fail(r, at, wanted[type]);
    *number_out = count * factor;
    return true;
}

static bool parse_pattern(struct reader *r, struct span value, size_t at, struct node *n)
{
    struct filter *f = r->filter;
    size_t wrong_at;
    const char *why;
    n->pattern = f->pattern_count++;
    if (pattern_parse(value, &f->patterns[n->pattern], &wrong_at, &why))
        return true;
    return fail(r, at + wrong_at, why);
}

static bool is_state(struct span value)
{
    static const struct span states[] = {SPAN("new"), SPAN("active"), SPAN("deferred"),
                                         SPAN("held")};
    bool is_one = false;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        is_one = is_one || span_equal_nocase(value, states[i]);
    return is_one;
}

static bool parse_test(struct reader *r)
{
    struct filter *f = r->filter;
    struct node n = {.kind = TEST};
    struct span value;
    size_t operator_at, at;
    if (!parse_field(r, &n.field))
        return false;
    if (f->test_count++ == FILTER_TESTS_MAX)
        return fail(r, r->at, "the filter has too many comparisons");
    f->fields |= 1u << n.field;
    enum type type = fields[n.field].type;
    skip_blanks(r);
    operator_at = r->at;
    if (!parse_operator(r, &n.comparison) || !parse_value(r, &value, &at))
        return false;
    bool is_pattern = n.comparison == MATCHES || n.comparison == MATCHES_NOT;
    bool is_order = !is_pattern && n.comparison != EQUAL && n.comparison != DIFFERENT;
    if (type == TEXT && is_order)
        return fail(r, operator_at, "texts are compared with = != ~ !~");
    if (type != TEXT && is_pattern)
        return fail(r, operator_at, "numbers are compared with = != < <= > >=");
    n.text = value;
    if (n.field == FILTER_STATE && !is_pattern && !is_state(value))
        return fail(r, at, "a state is wanted here: new, active, deferred or held");
    if (type != TEXT && !parse_number(r, value, at, type, &n.number))
        return false;
    if (is_pattern && !parse_pattern(r, value, at, &n))
        return false;
    return put_node(r, n);
}

static bool parse_expression(struct reader *r);

static bool parse_factor(struct reader *r)
{
    skip_blanks(r);
    size_t at = r->at;
    bool is_not = take_word(r, SPAN("not"));
    if (!is_not && !take_byte(r, '('))
        return parse_test(r);
    if (++r->depth > FILTER_DEPTH_MAX)
        return fail(r, at, "this is nested too deep");
    if (is_not ? !parse_factor(r) : !parse_expression(r))
        return false;
    if (!is_not && !take_byte(r, ')'))
        return fail(r, r->at, "a ) is missing here");
    r->depth--;
    return !is_not || put_node(r, (struct node){.kind = NOT});
}

static bool parse_term(struct reader *r)
{
    bool ok = parse_factor(r);
    while (ok && take_word(r, SPAN("and")))
        ok = parse_factor(r) && put_node(r, (struct node){.kind = AND});
    return ok;
}

static bool parse_expression(struct reader *r)
{
    bool ok = parse_term(r);
    while (ok && take_word(r, SPAN("or")))
        ok = parse_term(r) && put_node(r, (struct node){.kind = OR});
    return ok;
}

enum fault filter_parse(struct span text, struct filter **filter_out,
                        struct filter_error *error_out)
{
    struct reader r = {.text = text};
    *error_out = (struct filter_error){0};
    if (text.len > FILTER_TEXT_MAX) {
        *error_out = (struct filter_error){FILTER_TEXT_MAX, "the filter is too long", NULL};
        return FAULT_SYNTAX;
    }
    r.filter = calloc(1, sizeof *r.filter);
    if (r.filter == NULL)
        return FAULT_NO_MEMORY;
    bool ok = parse_expression(&r);
    skip_blanks(&r);
    if (ok && r.at < text.len)
        ok = fail(&r, r.at, "here \"and\" or \"or\" is wanted, or the end");
    if (ok) {
        *filter_out = r.filter;
        return FAULT_NONE;
    }
    bool is_field = strcmp(r.error.why, "there is no such field") == 0;
    *error_out = r.error;
    error_out->suggested = is_field ? r.error.suggested : NULL;
    filter_free(r.filter);
    return FAULT_SYNTAX;
}

void filter_free(struct filter *f)
{
    free(f);
}

/* Asking --------------------------------------------------------------------------------------- */

static enum filter_answer yes_if(bool is_true)
{
    return is_true ? FILTER_YES : FILTER_NO;
}

/* Is `name` the host, or a domain above it? */
static bool is_within(struct span host, struct span name)
{
    if (name.len == 0 || !span_ends_with_nocase(host, name))
        return false;
    return host.len == name.len || host.data[host.len - name.len - 1] == '.';
}

/* A site is "host:port,host:port": one is meant by its whole key, by a host of it with or without
   the port, or by a domain that a host is in. */
static bool is_site(struct span site, struct span name)
{
    bool is_it = span_equal_nocase(site, name);
    while (!is_it && site.len > 0) {
        struct span host;
        site = span_split(site, ',', &host);
        is_it = span_equal_nocase(host, name);
        size_t end = host.len;
        while (end > 0 && host.data[end - 1] != ':')
            end--;
        is_it = is_it || (end > 0 && is_within(span_sub(host, 0, end - 1), name));
    }
    return is_it;
}

static enum filter_answer ask_text(const struct filter *f, const struct node *n, struct span fact)
{
    if (fact.data == NULL)
        return FILTER_MAYBE;
    bool is_same =
        n->field == FILTER_SITE ? is_site(fact, n->text) : span_equal_nocase(fact, n->text);
    if (n->comparison == EQUAL || n->comparison == DIFFERENT)
        return yes_if(is_same == (n->comparison == EQUAL));
    return yes_if(pattern_matches(&f->patterns[n->pattern], fact) == (n->comparison == MATCHES));
}

static enum filter_answer ask_number(const struct node *n, uint64_t fact)
{
    switch (n->comparison) {
    case EQUAL:
        return yes_if(fact == n->number);
    case DIFFERENT:
        return yes_if(fact != n->number);
    case LESS:
        return yes_if(fact < n->number);
    case LESS_EQUAL:
        return yes_if(fact <= n->number);
    case GREATER:
        return yes_if(fact > n->number);
    case GREATER_EQUAL:
        return yes_if(fact >= n->number);
    case MATCHES:
    case MATCHES_NOT:
        break;
    }
    return FILTER_NO;
}

enum filter_answer filter_ask(const struct filter *f, const struct filter_facts *facts)
{
    enum filter_answer stack[NODES_MAX];
    uint32_t top = 0;
    for (uint32_t i = 0; i < f->node_count; i++) {
        const struct node *n = &f->nodes[i];
        if (n->kind == TEST) {
            stack[top++] = fields[n->field].type == TEXT ? ask_text(f, n, facts->texts[n->field])
                                                         : ask_number(n, facts->numbers[n->field]);
        } else if (n->kind == NOT) {
            stack[top - 1] = (enum filter_answer)(FILTER_YES - stack[top - 1]);
        } else {
            top--;
            bool takes_less = n->kind == AND;
            if ((stack[top] < stack[top - 1]) == takes_less)
                stack[top - 1] = stack[top];
        }
    }
    return stack[0];
}

bool filter_uses(const struct filter *f, enum filter_field field)
{
    return (f->fields & 1u << field) != 0;
}

const char *filter_field_name(enum filter_field field)
{
    return fields[field].name;
}
