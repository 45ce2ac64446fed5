/*
 * recipient: see recipient.h.
 *
 * An address is looked up without any memory; only where an alias stands for it, each address met
 * on the way is noted, so that each is expanded once and a loop is seen. The recursion is as deep
 * as the aliases, RECIPIENT_DEPTH_MAX at most.
 */
#include "route/recipient.h"

#include <string.h>

#include "base/map.h"

#define POSTMASTER SPAN("postmaster")
#define KEY_MAX    TABLE_NAME_MAX

/* What is known of an address in a domain of ours. */
struct finding {
    bool is_user;
    const struct table_alias *alias; /* or NULL */
    const char *other;               /* an address that stands for it, or NULL */
    bool is_postmaster;              /* and nobody is named for him */
};

/* An address met while an alias is expanded. */
struct met {
    struct span key; /* in lower case as far as case does not matter */
    bool is_open;    /* what it stands for is being looked at */
};

struct expansion {
    const struct settings *settings;
    struct arena *arena;
    struct map met;
    struct span *paths;
    uint32_t count, capacity;
};

/* Looking up -------------------------------------------------------------------------------------
 */

static struct span join(struct span local, struct span domain, uint8_t text_out[KEY_MAX])
{
    if (local.len + 1 + domain.len > KEY_MAX)
        return (struct span){NULL, 0};
    if (local.len > 0)
        memcpy(text_out, local.data, local.len);
    text_out[local.len] = '@';
    memcpy(text_out + local.len + 1, domain.data, domain.len);
    return span_of(text_out, local.len + 1 + domain.len);
}

static const struct table_alias *find_in(const struct table *t, struct span key)
{
    return t == NULL || key.len == 0 ? NULL : table_find_alias(t, key);
}

/* Of the domain's own table, else of that of all domains. */
static const struct table_alias *find_alias(const struct settings *s,
                                            const struct domain_settings *d, struct span local)
{
    uint8_t text[KEY_MAX];
    struct span full = join(local, span_text(d->name), text);
    /* A quoted local part may look like a name with its domain. */
    struct span plain = span_find_byte(local, '@', 0) < local.len ? (struct span){NULL, 0} : local;
    const struct table_alias *found = find_in(d->aliases, full);
    if (found == NULL)
        found = find_in(d->aliases, plain);
    if (found == NULL)
        found = find_in(s->aliases, full);
    return found == NULL ? find_in(s->aliases, plain) : found;
}

static bool is_user(const struct domain_settings *d, struct span local)
{
    if (d->users != NULL)
        return table_find_user(d->users, local) != NULL;
    return d->users_file == NULL && d->deliver_count > 0;
}

/* What stands before the separator; empty: there is none, or nothing before it. */
static struct span base_of(const struct domain_settings *d, struct span local)
{
    size_t at = d->subaddress == 0 ? local.len : span_find_byte(local, (uint8_t)d->subaddress, 0);
    return at < local.len ? span_sub(local, 0, at) : (struct span){NULL, 0};
}

/* False: nobody of this name. */
static bool find_name(const struct settings *s, const struct domain_settings *d, struct span local,
                      struct finding *f)
{
    f->alias = find_alias(s, d, local);
    f->is_user = is_user(d, local);
    return f->alias != NULL || f->is_user;
}

/* Who gets what is for nobody else; false: nobody. */
static bool find_rest(const struct settings *s, const struct domain_settings *d, struct span local,
                      struct finding *f)
{
    if (span_equal_nocase(local, POSTMASTER)) {
        f->other = d->postmaster != NULL ? d->postmaster : s->postmaster;
        f->is_postmaster = f->other == NULL;
        return true;
    }
    f->alias = find_alias(s, d, (struct span){NULL, 0});
    f->other = d->catch_all;
    return f->alias != NULL || f->other != NULL;
}

static enum fault find(const struct settings *s, const struct domain_settings *d, struct span local,
                       struct finding *f_out)
{
    *f_out = (struct finding){.is_user = false};
    if ((d->users_file != NULL && d->users == NULL) ||
        (d->aliases_file != NULL && d->aliases == NULL) ||
        (s->aliases_file != NULL && s->aliases == NULL))
        return FAULT_NO_TABLE;
    struct span base = base_of(d, local);
    if (find_name(s, d, local, f_out) || (base.len > 0 && find_name(s, d, base, f_out)) ||
        find_rest(s, d, local, f_out))
        return FAULT_NONE;
    return FAULT_NO_USER;
}

const struct table_user *recipient_user(const struct domain_settings *domain, struct span local)
{
    if (domain->users == NULL)
        return NULL;
    const struct table_user *found = table_find_user(domain->users, local);
    struct span base = base_of(domain, local);
    return found == NULL && base.len > 0 ? table_find_user(domain->users, base) : found;
}

/* Expanding --------------------------------------------------------------------------------------
 */

static struct span key_of(const void *met)
{
    return ((const struct met *)met)->key;
}

static enum fault add_path(struct expansion *x, struct span path)
{
    if (x->count == RECIPIENT_ADDRESSES_MAX)
        return FAULT_ALIAS_LIMIT;
    if (x->count == x->capacity) {
        uint32_t capacity = x->capacity == 0 ? 8 : x->capacity * 2;
        struct span *larger = arena_alloc(x->arena, capacity * sizeof *larger);
        if (larger == NULL)
            return FAULT_NO_MEMORY;
        if (x->count > 0)
            memcpy(larger, x->paths, x->count * sizeof *larger);
        x->paths = larger;
        x->capacity = capacity;
    }
    x->paths[x->count++] = path;
    return FAULT_NONE;
}

/* Case matters in local parts that are not ours (RFC 5321 2.4). */
static struct met *met_new(struct expansion *x, const struct address *a, bool is_ours)
{
    uint8_t *key = arena_alloc(x->arena, a->local.len + 1 + a->domain.len);
    struct met *m = arena_alloc(x->arena, sizeof *m);
    if (key == NULL || m == NULL)
        return NULL;
    size_t len = 0;
    for (size_t i = 0; i < a->local.len; i++)
        key[len++] = is_ours ? byte_lower(a->local.data[i]) : a->local.data[i];
    key[len++] = '@';
    for (size_t i = 0; i < a->domain.len; i++)
        key[len++] = byte_lower(a->domain.data[i]);
    m->key = span_of(key, len);
    return m;
}

static struct span path_of(struct arena *arena, const struct address *a)
{
    struct buffer text;
    buffer_init(&text, ADDRESS_MAX * 2);
    struct span path = {NULL, 0};
    if (address_format(&text, a))
        path = arena_copy(arena, buffer_span(&text));
    buffer_fini(&text);
    return path;
}

static enum fault expand(struct expansion *x, const struct address *a, struct span path,
                         const struct met *parent, unsigned depth);

/* An address of an alias, or one that the settings name. */
static enum fault expand_text(struct expansion *x, struct span text, struct span domain,
                              const struct met *parent, unsigned depth)
{
    struct address a;
    bool is_quoted = text.len > 0 && text.data[0] == '"';
    size_t at = is_quoted ? text.len : span_find_byte(text, '@', 0);
    /* A quoted one ends with its quote when it has no domain. */
    bool has_domain = is_quoted ? text.data[text.len - 1] != '"' : at < text.len;
    if (!has_domain)
        text = arena_printf(x->arena, "%.*s@%.*s", SPAN_PRINT(text), SPAN_PRINT(domain));
    if (text.data == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = address_parse(text, ADDRESS_UTF8_OK, x->arena, &a);
    if (fault != FAULT_NONE)
        return fault == FAULT_NO_MEMORY ? fault : FAULT_NO_USER;
    if (is_quoted && (text = path_of(x->arena, &a)).data == NULL) /* perhaps for no reason */
        return FAULT_NO_MEMORY;
    return expand(x, &a, text, parent, depth);
}

static enum fault expand_found(struct expansion *x, const struct finding *f, struct span domain,
                               const struct met *own, unsigned depth)
{
    enum fault fault = FAULT_NONE;
    if (depth == RECIPIENT_DEPTH_MAX)
        return FAULT_ALIAS_LIMIT;
    if (f->is_postmaster)
        return add_path(x, POSTMASTER);
    if (f->alias == NULL)
        return expand_text(x, span_text(f->other), domain, own, depth + 1);
    for (uint32_t i = 0; i < f->alias->target_count && fault == FAULT_NONE; i++)
        fault = expand_text(x, f->alias->targets[i], domain, own, depth + 1);
    return fault;
}

/*
 * One that is met again: a second time in all it is left out; while it is open, it is a loop; but
 * an alias that names itself means the user of that name.
 */
static enum fault meet_again(struct expansion *x, const struct met *before,
                             const struct met *parent, bool is_a_user, struct span path)
{
    if (!before->is_open)
        return FAULT_NONE;
    if (before != parent || !is_a_user)
        return FAULT_ALIAS_LOOP;
    for (uint32_t i = 0; i < x->count; i++)
        if (span_equal_nocase(x->paths[i], path))
            return FAULT_NONE;
    return add_path(x, path);
}

static enum fault expand(struct expansion *x, const struct address *a, struct span path,
                         const struct met *parent, unsigned depth)
{
    const struct domain_settings *d = settings_domain(x->settings, a->domain);
    struct finding f = {.is_user = true};
    struct met *own = met_new(x, a, d != NULL);
    if (own == NULL)
        return FAULT_NO_MEMORY;
    enum fault fault = d == NULL ? FAULT_NONE : find(x->settings, d, a->local, &f);
    if (fault != FAULT_NONE && fault != FAULT_NO_USER)
        return fault;
    const struct met *before = map_get(&x->met, own->key);
    if (before != NULL)
        return meet_again(x, before, parent, f.is_user, path);
    if (x->met.count == RECIPIENT_ADDRESSES_MAX)
        return FAULT_ALIAS_LIMIT;
    if (!map_put(&x->met, own))
        return FAULT_NO_MEMORY;
    /* Nobody of that name: the delivery will say so, and the others of the alias get theirs. */
    if (f.alias == NULL && f.other == NULL && !f.is_postmaster)
        return add_path(x, path);
    own->is_open = true;
    fault = expand_found(x, &f, a->domain, own, depth);
    own->is_open = false;
    return fault;
}

/* The whole --------------------------------------------------------------------------------------
 */

static enum fault expand_all(const struct settings *s, const struct address *a, struct arena *arena,
                             struct recipient_result *result_out)
{
    struct expansion x = {.settings = s, .arena = arena};
    struct span path = path_of(arena, a);
    if (path.data == NULL)
        return FAULT_NO_MEMORY;
    map_init(&x.met, key_of, 0); /* the administrator's words, but for one */
    enum fault fault = expand(&x, a, path, NULL, 0);
    map_fini(&x.met);
    if (fault == FAULT_NONE && x.count == 0)
        fault = FAULT_ALIAS_LOOP;
    if (fault == FAULT_NONE)
        *result_out = (struct recipient_result){x.paths, x.count};
    return fault;
}

/* RFC 5321 4.5.1: postmaster without a domain is the server's. */
static const struct domain_settings *home_of_postmaster(const struct settings *s)
{
    const struct domain_settings *d = settings_domain(s, span_text(s->hostname));
    return d == NULL && s->domains_count > 0 ? s->domains[0] : d;
}

/* No domain is ours: he is who the settings say, or of whom we relay for. Else his mail is held. */
static enum fault resolve_postmaster(const struct settings *s, struct arena *arena,
                                     struct recipient_result *result_out)
{
    struct span *path = arena_alloc(arena, sizeof *path);
    if (path == NULL)
        return FAULT_NO_MEMORY;
    if (s->postmaster != NULL)
        *path = span_text(s->postmaster);
    else if (s->relay_to_count > 0)
        *path = arena_printf(arena, "postmaster@%s", s->hostname);
    else
        return FAULT_NONE;
    *result_out = (struct recipient_result){path, 1};
    return path->data == NULL ? FAULT_NO_MEMORY : FAULT_NONE;
}

enum fault recipient_resolve(const struct settings *settings, const struct address *address,
                             const struct recipient_client *client, struct arena *arena,
                             struct recipient_result *result_out)
{
    struct address a = *address;
    struct finding f;
    const struct domain_settings *d = settings_domain(settings, a.domain);
    *result_out = (struct recipient_result){NULL, 0};
    if (a.domain.len == 0) {
        d = home_of_postmaster(settings);
        if (d == NULL)
            return resolve_postmaster(settings, arena, result_out);
        a.domain = span_text(d->name);
    }
    if (d == NULL)
        return client->may_relay ? FAULT_NONE : FAULT_RELAYING;
    enum fault fault = find(settings, d, a.local, &f);
    if (fault != FAULT_NONE)
        return fault;
    if (f.alias == NULL && f.other == NULL && !f.is_postmaster && address->domain.len > 0)
        return FAULT_NONE;
    return expand_all(settings, &a, arena, result_out);
}
