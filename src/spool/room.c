/*
 * room: how much of the disk the spool may still take, and what it gives back.
 *
 * Promise 6: at most twice the live mail and SLACK_SEGMENTS. And a reserve for OUTCOME, DONE and
 * copies: new mail is refused before it is touched. While the file system has room in plenty the
 * reserve is only counted; when room gets short it is made into files, which nobody can take away.
 */
#include "base/log.h"
#include "spool/spool_inside.h"

#define LOOK_US      INT64_C(1000000)
#define PLENTY_TIMES 4u /* the reserve */

void room_look(struct spool *s)
{
    s->room_asked_us = loop_mono_us(actor_loop(s->actor));
    if (disk_room(s->disk, &s->room_bytes) != FAULT_NONE)
        s->room_bytes = 0;
}

/* Files that could still be made. */
static uint64_t files_left(const struct spool *s)
{
    uint64_t by_room = s->room_bytes / s->settings.segment_bytes;
    uint64_t used = (uint64_t)s->files * s->settings.segment_bytes + s->content_bytes;
    uint64_t most = s->settings.disk_bytes_max;
    uint64_t by_limit = most > used ? (most - used) / s->settings.segment_bytes : 0;
    if (most == 0)
        return by_room;
    return by_room < by_limit ? by_room : by_limit;
}

bool room_for_file(const struct spool *s)
{
    return files_left(s) > 0;
}

static uint64_t segments_left(const struct spool *s)
{
    return s->free_files + s->coming_files + (s->next != NULL) + files_left(s);
}

uint32_t room_files_wanted(const struct spool *s)
{
    uint32_t reserved = s->settings.segments_reserved;
    bool is_plenty = files_left(s) > PLENTY_TIMES * (uint64_t)(reserved + 1);
    return s->is_ready && !is_plenty ? reserved + 1 : 1;
}

enum fault room_for_mail(const struct spool *s)
{
    if (s->fail_fault != FAULT_NONE)
        return s->fail_fault;
    return segments_left(s) > s->settings.segments_reserved ? FAULT_NONE : FAULT_DISK_FULL;
}

static bool is_over_bound(const struct spool *s)
{
    uint64_t slack = s->settings.segments_reserved + SLACK_WORK;
    if (slack < SLACK_SEGMENTS)
        slack = SLACK_SEGMENTS;
    uint64_t used = (uint64_t)s->files * s->settings.segment_bytes;
    return used > 2 * s->live_bytes + slack * s->settings.segment_bytes;
}

static bool may_compact(struct life *l)
{
    return l->use == LIFE_SEALED && l->live_bytes > 0 && !l->is_job_out && !l->is_unreadable &&
           !l->is_paused;
}

/*
 * Of those that wait for nobody, and so are free as soon as they are copied, the emptiest. If they
 * all are nearly full, while others that hold little wait for them: the oldest, so that each is
 * copied once at the most before the others are free.
 */
static struct life *choose(struct spool *s, uint64_t bytes_max)
{
    struct life *emptiest = NULL, *oldest = NULL;
    bool is_blocked = false;
    for (uint32_t i = 0; i < s->life_count; i++) {
        struct life *l = s->lives[i];
        if (l->use == LIFE_SEALED && l->live_bytes <= s->settings.segment_bytes / 2 &&
            life_waits(l))
            is_blocked = true;
        if (!may_compact(l) || life_waits(l))
            continue;
        if (l->live_bytes <= bytes_max &&
            (emptiest == NULL || l->live_bytes < emptiest->live_bytes))
            emptiest = l;
        if (oldest == NULL || l->epoch < oldest->epoch)
            oldest = l;
    }
    return emptiest == NULL && is_blocked ? oldest : emptiest;
}

static struct life *spare_file(const struct spool *s)
{
    uint32_t files = s->free_files + s->coming_files + (s->next != NULL);
    struct life *spare = NULL;
    for (uint32_t i = 0; i < s->life_count && files > s->settings.segments_reserved + 1; i++)
        if (s->lives[i]->use == LIFE_FREE)
            spare = s->lives[i];
    return spare;
}

/* While mail is refused for want of room no append asks for any, and nobody tells when others have
   made some. */
void room_keep_looking(struct spool *s)
{
    if (loop_mono_us(actor_loop(s->actor)) - s->room_asked_us >= LOOK_US)
        room_look(s);
    if (room_for_mail(s) == FAULT_DISK_FULL)
        spool_retry_later(s);
}

/* Half a copy would free nothing. */
static bool has_place_for(const struct spool *s, const struct life *l)
{
    return s->next != NULL || s->free_files > 0 ||
           2 * l->live_bytes <= segment_room(s->tail->segment);
}

/* Copying begins a little before new mail is refused. */
void room_plan(struct spool *s)
{
    bool is_over = is_over_bound(s);
    bool is_short = segments_left(s) <= s->settings.segments_reserved + 1;
    struct life *l = is_over && !is_short ? spare_file(s) : NULL;
    if (l != NULL) {
        lives_trim(l);
        return;
    }
    if ((!is_over && !is_short) || s->tail == NULL || s->compaction.life != NULL)
        return;
    uint64_t bytes_max = s->settings.segment_bytes;
    l = choose(s, is_over ? bytes_max / 4 * 3 : bytes_max / 2);
    if (l != NULL && has_place_for(s, l))
        compact_begin(s, l);
}
