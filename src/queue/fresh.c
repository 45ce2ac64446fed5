/*
 * fresh: see fresh.h.
 */
#include "queue/fresh.h"

#include <stdlib.h>

#include "base/check.h"

struct fresh {
    struct list node;
    struct message *message;
    struct mail_object *mail;
};

void fresh_init(struct fresh_cache *c, uint64_t bytes_max)
{
    list_init(&c->list);
    c->bytes = 0;
    c->bytes_max = bytes_max;
}

/* The oldest go until so many bytes are within the bound. */
static void make_room(struct fresh_cache *c, uint64_t bytes)
{
    while (!list_empty(&c->list) && c->bytes + bytes > c->bytes_max)
        fresh_drop(c, container_of(c->list.next, struct fresh, node)->message);
}

void fresh_limit(struct fresh_cache *c, uint64_t bytes_max)
{
    c->bytes_max = bytes_max;
    make_room(c, 0);
}

void fresh_keep(struct fresh_cache *c, struct message *m, struct mail_object *mail)
{
    check(m->fresh == NULL);
    if (mail->memory_bytes > c->bytes_max)
        return;
    make_room(c, mail->memory_bytes);
    struct fresh *f = malloc(sizeof *f);
    if (f == NULL)
        return;
    f->message = m;
    f->mail = mail_retain(mail);
    m->fresh = f;
    list_append(&c->list, &f->node);
    c->bytes += mail->memory_bytes;
}

const struct mail_object *fresh_look(const struct message *m)
{
    return m->fresh == NULL ? NULL : m->fresh->mail;
}

struct mail_object *fresh_take(struct fresh_cache *c, struct message *m, bool last)
{
    if (m->fresh == NULL)
        return NULL;
    struct mail_object *mail = mail_retain(m->fresh->mail);
    if (last)
        fresh_drop(c, m);
    return mail;
}

void fresh_drop(struct fresh_cache *c, struct message *m)
{
    struct fresh *f = m->fresh;
    if (f == NULL)
        return;
    m->fresh = NULL;
    list_remove(&f->node);
    c->bytes -= f->mail->memory_bytes;
    mail_release(f->mail);
    free(f);
}
