/*
 * value_mail: the values that are about mail: tables, addresses, separators, and where mail is
 * delivered; see value.h.
 */
#include <string.h>

#include "config/network.h"
#include "config/value_inside.h"
#include "mail/address.h"

#define MAILBOX_ARENA_MAX  1024
#define TEMPLATE_BYTES_MAX 1000

enum fault value_set_table(struct settings *s, void *record, const struct option *o,
                           struct span word, struct buffer *why)
{
    if (!span_starts_with(word, SPAN("file:")) || word.len < 6 || word.data[5] != '/')
        return value_refuse(why, word, "expected file:PATH, where PATH begins with /");
    return value_set_path(s, record, o, span_skip(word, 5), why);
}

enum fault value_set_mailbox(struct settings *s, void *record, const struct option *o,
                             struct span word, struct buffer *why)
{
    struct address address;
    struct arena arena;
    arena_init(&arena, MAILBOX_ARENA_MAX);
    enum fault fault = address_parse(word, 0, &arena, &address);
    arena_fini(&arena);
    if (fault == FAULT_NO_MEMORY)
        return fault;
    return fault == FAULT_NONE ? value_set_text(s, record, o, word)
                               : value_refuse_type(why, word, o->type);
}

enum fault value_set_separator(void *record, const struct option *o, struct span word,
                               struct buffer *why)
{
    char separator = word.len == 1 ? (char)word.data[0] : '\0';
    if (word.len > 1 || (word.len == 1 && strchr("+-_.=#/", separator) == NULL))
        return value_refuse_type(why, word, o->type);
    memcpy((uint8_t *)record + o->offset, &separator, 1);
    return FAULT_NONE;
}

/* The path may hold {user} and {domain}, and {user} it must, or all would share one mailbox; no
   step of it may lead up. NULL, or what is wrong. */
static const char *check_template(struct span path)
{
    bool has_user = false;
    if (path.len == 0 || path.data[0] != '/')
        return "the template of a Maildir begins with /";
    if (path.len > TEMPLATE_BYTES_MAX)
        return "the template is too long";
    if (span_find(path, SPAN("/../"), 0) < path.len || span_ends_with_nocase(path, SPAN("/..")))
        return "the template may not lead through ..";
    for (size_t i = 0; i < path.len; i++) {
        struct span rest = span_skip(path, i);
        bool is_user = span_starts_with(rest, SPAN("{user}"));
        bool is_domain = span_starts_with(rest, SPAN("{domain}"));
        has_user = has_user || is_user;
        if (is_user || is_domain)
            i += is_user ? sizeof "{user}" - 2 : sizeof "{domain}" - 2;
        else if (rest.data[0] == '{' || rest.data[0] == '}')
            return "the template may hold {user} and {domain}, and no other braces";
    }
    return has_user ? NULL : "without {user} all users would share one Maildir";
}

static const char *parse_host(struct span word, struct delivery_target *target_out)
{
    *target_out = (struct delivery_target){.kind = DELIVERY_SMTP};
    if (span_starts_with(word, SPAN("lmtp:")))
        target_out->kind = DELIVERY_LMTP;
    return network_parse_next_hop(word, &target_out->hop);
}

static const char *parse_deliver(struct span word, struct delivery_target *target_out,
                                 struct span *text_out)
{
    *target_out = (struct delivery_target){.kind = DELIVERY_DISCARD};
    *text_out = (struct span){NULL, 0};
    if (span_equal(word, SPAN("discard")))
        return NULL;
    if (span_starts_with(word, SPAN("maildir:"))) {
        target_out->kind = DELIVERY_MAILDIR;
        *text_out = span_skip(word, 8);
        return check_template(*text_out);
    }
    if (span_starts_with(word, SPAN("pipe:"))) {
        target_out->kind = DELIVERY_PIPE;
        *text_out = span_skip(word, 5);
        return text_out->len > 1 && text_out->data[0] == '/'
                   ? NULL
                   : "the path of a program begins with /";
    }
    if (!span_starts_with(word, SPAN("lmtp:")) && !span_starts_with(word, SPAN("smtp:")))
        return "expected " DELIVER_FORMS;
    return parse_host(word, target_out);
}

/* Several only of one kind, over the network. */
static const char *check_order(const struct delivery_target *list, uint32_t count,
                               const struct delivery_target *next)
{
    if (count == 0)
        return NULL;
    if ((next->kind != DELIVERY_LMTP && next->kind != DELIVERY_SMTP) ||
        (list[0].kind != DELIVERY_LMTP && list[0].kind != DELIVERY_SMTP))
        return "this stands alone: only hosts may be several";
    if (next->hop.host.data[0] == '/' || list[0].hop.host.data[0] == '/')
        return "a socket stands alone: only hosts with ports may be several";
    return next->kind == list[0].kind ? NULL : "several hosts are all of smtp: or all of lmtp:";
}

enum fault value_add_deliver(struct settings *s, void *record, const struct option *o,
                             struct span word, struct buffer *why)
{
    struct delivery_target target;
    struct span text = {NULL, 0};
    uint32_t count = 0;
    const struct delivery_target *list = value_list(record, o, &count);
    const char *wrong =
        o->type == TYPE_DELIVER ? parse_deliver(word, &target, &text) : parse_host(word, &target);
    if (wrong == NULL)
        wrong = check_order(list, count, &target);
    if (wrong != NULL)
        return value_refuse(why, word, wrong);
    target.text = text.len == 0 ? NULL : arena_text(&s->memory, text);
    target.hop.host = arena_copy(&s->memory, target.hop.host);
    if (s->memory.full)
        return FAULT_NO_MEMORY;
    return value_add_to_list(s, record, o, &target, sizeof target);
}

bool value_put_separator(const void *record, const struct option *o, struct buffer *out)
{
    char separator = '\0';
    memcpy(&separator, (const uint8_t *)record + o->offset, 1);
    return separator == '\0' || buffer_put_u8(out, (uint8_t)separator);
}

bool value_put_deliver(struct buffer *out, const struct delivery_target *target)
{
    switch (target->kind) {
    case DELIVERY_MAILDIR:
        return buffer_printf(out, "maildir:%s", target->text);
    case DELIVERY_PIPE:
        return buffer_printf(out, "pipe:%s", target->text);
    case DELIVERY_DISCARD:
        return buffer_put_text(out, "discard");
    case DELIVERY_LMTP:
    case DELIVERY_SMTP:
        return network_put_next_hop(out, &target->hop);
    }
    return false;
}
