/*
 * control_ask: reads what is asked of the queue; see control_inside.h and ipc/control.h.
 *
 *   queue list  [--where FILTER] [--limit N] [--brief]
 *   queue count [--where FILTER]
 *   queue group by domain|site|sender|reply|state [--where FILTER]
 *   queue sites
 *   queue show|cat ID
 *   queue retry|hold|release|bounce|remove|reroute (ID | --where FILTER | --all) [--to WHERE]
 */
#include "engine/control_inside.h"

static const char *take_filter(struct connection *c, struct span text)
{
    struct filter_error error;
    if (c->filter != NULL || filter_parse(text, &c->filter, &error) != FAULT_NONE)
        return "the filter cannot be read"; /* the command line has said more */
    c->page.filter = c->filter;
    return NULL;
}

static bool take_group(struct connection *c, struct span name)
{
    static const struct {
        struct span name;
        enum filter_field field;
    } rows[] = {
        {SPAN("domain"), FILTER_DOMAIN}, {SPAN("site"), FILTER_SITE},
        {SPAN("sender"), FILTER_SENDER}, {SPAN("reply"), FILTER_LAST},
        {SPAN("last"), FILTER_LAST},     {SPAN("state"), FILTER_STATE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (span_equal(name, rows[i].name)) {
            c->by = rows[i].field;
            return true;
        }
    }
    return false;
}

struct options {
    bool has_id, has_all, has_by, has_limit;
};

static const char *take_options(struct connection *c, const struct span *words, size_t count,
                                struct options *o)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < count && wrong == NULL; i++) {
        struct span word = words[i];
        struct span value = i + 1 < count ? words[i + 1] : SPAN("");
        if (span_equal(word, SPAN("--all"))) {
            o->has_all = true;
        } else if (span_equal(word, SPAN("--brief"))) {
            c->is_brief = true;
        } else if (span_equal(word, SPAN("--where"))) {
            wrong = take_filter(c, value);
            i++;
        } else if (span_equal(word, SPAN("--limit"))) {
            o->has_limit = span_parse_u64(value, UINT64_MAX - 1, &c->rows_left) && c->rows_left > 0;
            wrong = o->has_limit ? NULL : "--limit takes a number, at least 1";
            i++;
        } else if (span_equal(word, SPAN("by"))) {
            o->has_by = take_group(c, value);
            wrong = o->has_by ? NULL : "group by domain, site, sender, reply or state";
            i++;
        } else if (!o->has_id && id_parse(word, &c->page.id)) {
            o->has_id = true;
        } else {
            wrong = "this is no message id";
        }
    }
    return wrong;
}

static const char *judge(struct connection *c, const struct options *o)
{
    int chosen = o->has_id + o->has_all + (c->filter != NULL);
    switch (c->request) {
    case REQUEST_SHOW:
    case REQUEST_CAT:
        return chosen == 1 && o->has_id ? NULL : "show and cat take one message id";
    case REQUEST_SITES:
        return chosen == 0 ? NULL : "sites takes nothing more";
    case REQUEST_GROUP:
        if (!o->has_by)
            return "group by domain, site, sender, reply or state";
        break;
    case REQUEST_CHANGE:
        if (chosen != 1)
            return "name one message, or --where FILTER, or --all";
        if (o->has_id)
            c->request = REQUEST_CHANGE_ONE;
        return NULL;
    case REQUEST_COUNTS:
    case REQUEST_CHANGE_ONE:
    case REQUEST_LIST:
    case REQUEST_TALLY:
        break;
    }
    if (c->request == REQUEST_COUNTS && c->filter != NULL)
        c->request = REQUEST_TALLY;
    return o->has_id || o->has_all ? "this is about all messages; --where chooses among them"
                                   : NULL;
}

const char *control_queue_take(struct connection *c, const struct span *words, size_t count)
{
    static const struct {
        struct span name;
        enum request request;
        enum operation operation; /* of the change, or of the one question */
    } rows[] = {
        {SPAN("list"), REQUEST_LIST, OPERATE_LIST},
        {SPAN("count"), REQUEST_COUNTS, OPERATE_COUNT},
        {SPAN("group"), REQUEST_GROUP, OPERATE_LIST},
        {SPAN("sites"), REQUEST_SITES, OPERATE_SITES},
        {SPAN("show"), REQUEST_SHOW, OPERATE_SHOW},
        {SPAN("cat"), REQUEST_CAT, OPERATE_SHOW},
        {SPAN("retry"), REQUEST_CHANGE, OPERATE_RETRY},
        {SPAN("hold"), REQUEST_CHANGE, OPERATE_HOLD},
        {SPAN("release"), REQUEST_CHANGE, OPERATE_RELEASE},
        {SPAN("bounce"), REQUEST_CHANGE, OPERATE_BOUNCE},
        {SPAN("remove"), REQUEST_CHANGE, OPERATE_REMOVE},
    };
    size_t i = 0;
    while (i < sizeof rows / sizeof rows[0] && (count == 0 || !span_equal(words[0], rows[i].name)))
        i++;
    if (i == sizeof rows / sizeof rows[0])
        return "queue knows: list count group sites show cat retry hold release bounce remove";
    struct options o = {0};
    c->request = rows[i].request;
    c->rows_left = UINT64_MAX;
    c->page.operation = c->change.operation = rows[i].operation;
    const char *wrong = take_options(c, words + 1, count - 1, &o);
    return wrong != NULL ? wrong : judge(c, &o);
}
