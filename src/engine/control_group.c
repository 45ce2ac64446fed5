/*
 * control_group: what waits, counted by domain, site, sender, reply or state; see control_inside.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "engine/control_inside.h"

struct group {
    struct tally tally;
    struct id last; /* the message counted last: its other recipients are no messages more */
    uint32_t key_len;
    uint8_t key[];
};

static struct span key_of(const void *object)
{
    const struct group *g = object;
    return span_of(g->key, g->key_len);
}

void groups_init(struct groups *g, uint64_t secret)
{
    map_init(&g->map, key_of, secret);
}

void groups_fini(struct groups *g)
{
    size_t at = 0;
    struct group *group;
    while (g->map.key_of != NULL && (group = map_next(&g->map, &at)) != NULL)
        free(group);
    if (g->map.key_of != NULL)
        map_fini(&g->map);
    free(g->sorted);
}

static struct group *group_new(struct groups *g, struct span key)
{
    struct group *group = calloc(1, sizeof *group + key.len);
    if (group == NULL)
        return NULL;
    group->key_len = (uint32_t)key.len;
    if (key.len > 0)
        memcpy(group->key, key.data, key.len);
    if (map_put(&g->map, group))
        return group;
    free(group);
    return NULL;
}

bool groups_count(struct groups *g, struct span key, struct id id, uint64_t bytes)
{
    struct group *group = map_get(&g->map, key);
    if (group == NULL && g->map.count >= CONTROL_GROUPS_MAX) {
        g->others.messages++;
        g->others.recipients++;
        g->others.bytes += bytes;
        return true;
    }
    if (group == NULL)
        group = group_new(g, key);
    if (group == NULL)
        return false;
    bool is_new = group->tally.messages == 0 || !id_equal(group->last, id);
    group->tally.messages += is_new;
    group->tally.bytes += is_new ? bytes : 0;
    group->tally.recipients++;
    group->last = id;
    return true;
}

static int by_size(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a;
    const struct group *y = *(const struct group *const *)b;
    if (x->tally.recipients != y->tally.recipients)
        return x->tally.recipients > y->tally.recipients ? -1 : 1;
    return span_compare(key_of(x), key_of(y));
}

static bool sort(struct groups *g)
{
    size_t at = 0, count = 0;
    struct group *group;
    g->sorted = malloc((g->map.count + 1) * sizeof(struct group *));
    if (g->sorted == NULL)
        return false;
    while ((group = map_next(&g->map, &at)) != NULL)
        g->sorted[count++] = group;
    qsort(g->sorted, count, sizeof(struct group *), by_size);
    return true;
}

static bool put_group(struct buffer *out, struct span key, const struct tally *t)
{
    return buffer_put_text(out, "{\"group\":") && encode_json_string(out, key) &&
           buffer_put_u8(out, ',') && control_put_tally(out, t) && buffer_put_text(out, "}\n");
}

bool groups_put(struct groups *g, struct buffer *out)
{
    bool ok = g->sorted != NULL || sort(g);
    while (ok && g->next < g->map.count && out->len < SOCKET_READ_BYTES) {
        const struct group *group = g->sorted[g->next++];
        ok = put_group(out, key_of(group), &group->tally);
    }
    if (ok && groups_are_written(g) && g->others.recipients > 0)
        ok = put_group(out, SPAN("(others)"), &g->others);
    return ok;
}

bool groups_are_written(const struct groups *g)
{
    return g->sorted != NULL && g->next == g->map.count;
}
