#include "receive/importer.h"

#include <stdlib.h>

#include "base/check.h"
#include "receive/drop_import.h"
#include "spool/recovered.h"
#include "transfer/accepted.h"

/*
 *   IDLE -> LISTING -> IDLE
 *   IDLE -> TAKING -> ASKING -> APPENDING -> FORGETTING -> QUEUEING -> IDLE (the next one)
 *   TAKING, ASKING, APPENDING -> ASIDE -> IDLE;  TAKING -> IDLE (it is gone)
 *   TAKING, ASIDE -> PAUSING (a fault of ours) -> IDLE; APPENDING, FORGETTING -> PAUSING -> again
 *   IDLE -> CLEARING (a file whose message is in the spool) -> IDLE (the letter goes on)
 */
enum importer_state {
    IDLE,
    LISTING,
    TAKING,
    ASKING,
    APPENDING,
    FORGETTING,
    QUEUEING,
    ASIDE,
    PAUSING,
    CLEARING
};

struct importer {
    struct actor *actor;
    struct log *log;
    struct spool *spool;
    struct actor *queue;
    const struct settings *settings; /* a reference */
    struct disk *folder;
    struct timer timer;
    enum importer_state state, after_pause;
    struct drop_import import;
    struct drop_name names[DROP_LIST_MAX]; /* to be imported, from next_name on */
    uint32_t name_count, next_name;
    struct drop_name *taken; /* at the start; those whose message was found have is_taken false */
    uint32_t taken_count;
    struct recovered *recovered; /* the spool's letter, which waits for its answer; or NULL */
    uint32_t looked_at;          /* of its messages */
    struct recovered forwarded;  /* the same, to the queue */
    bool is_recovered, is_forwarded;
    struct mail_object *mail;
    struct fetch fetch;
    struct append append;
    struct accepted accepted;
    struct letter *stop;
    bool is_look_due, is_stopping, is_ending;
};

static void enter(struct importer *i, enum importer_state next)
{
    static const uint16_t moves[] = {
        [IDLE] = 1 << LISTING | 1 << TAKING | 1 << CLEARING,
        [LISTING] = 1 << IDLE,
        [TAKING] = 1 << IDLE | 1 << ASKING | 1 << ASIDE | 1 << PAUSING,
        [ASKING] = 1 << APPENDING | 1 << ASIDE | 1 << PAUSING,
        [APPENDING] = 1 << FORGETTING | 1 << ASIDE | 1 << PAUSING,
        [FORGETTING] = 1 << QUEUEING | 1 << PAUSING,
        [QUEUEING] = 1 << IDLE,
        [ASIDE] = 1 << IDLE | 1 << PAUSING,
        [PAUSING] = 1 << IDLE | 1 << APPENDING | 1 << FORGETTING,
        [CLEARING] = 1 << IDLE | 1 << PAUSING,
    };
    check((moves[i->state] & 1u << next) != 0);
    i->state = next;
}

static void set_timer(struct importer *i, int64_t ms)
{
    struct loop *l = actor_loop(i->actor);
    /* The timer is set all the time: moving it needs no memory. */
    enum fault fault = timer_set(l, &i->timer, loop_mono_us(l) + ms * 1000);
    check(fault == FAULT_NONE);
}

static void send_job(struct importer *i, enum drop_import_step step)
{
    i->import.folder = i->folder;
    i->import.spool = spool_disk(i->spool);
    i->import.inline_bytes_max = spool_settings(i->spool)->inline_bytes_max;
    settings_release(i->import.settings);
    i->import.settings = settings_retain(i->settings); /* a renewal may come meanwhile */
    i->import.wall_ms = loop_wall_ms(actor_loop(i->actor));
    drop_import_send(i->actor, spool_pool(i->spool), &i->import, step);
}

/* The folder is then looked at anew: the oldest file is the first again, so that not many are taken
   at once. */
static void pause_before(struct importer *i, enum importer_state after, enum fault fault)
{
    i->name_count = i->next_name = 0;
    LOG(i->log, EVENT_DROP_FAILED, log_id("id", i->import.id), log_fault("fault", fault));
    enter(i, PAUSING);
    i->after_pause = after;
    set_timer(i, IMPORTER_PAUSE_MS);
}

/* One message ---------------------------------------------------------------------------------- */

static void begin(struct importer *i, const struct drop_name *name)
{
    enter(i, TAKING);
    i->import.id = name->id;
    i->import.is_taken = name->is_taken;
    i->import.mail = NULL;
    send_job(i, DROP_IMPORT_TAKE);
}

static void set_aside(struct importer *i, const char *why)
{
    LOG(i->log, EVENT_DROP_ASIDE, log_id("id", i->import.id), log_u64("owner", i->import.owner),
        log_text("reason", why));
    enter(i, ASIDE);
    send_job(i, DROP_IMPORT_ASIDE);
}

static void on_taken(struct importer *i)
{
    enum fault fault = i->import.fault;
    if (fault == FAULT_DAMAGED) {
        set_aside(i, i->import.why);
    } else if (fault == FAULT_DENIED) {
        set_aside(i, "the server may not read it");
    } else if (fault == FAULT_NOT_FOUND) {
        enter(i, IDLE); /* somebody has taken it away */
    } else if (fault != FAULT_NONE) {
        pause_before(i, IDLE, fault);
    } else {
        i->mail = i->import.mail;
        i->import.mail = NULL;
        enter(i, ASKING);
        i->fetch.id = i->import.id;
        letter_send(i->actor, spool_actor(i->spool), &i->fetch.letter, LETTER_FETCH, NULL);
    }
}

static void send_append(struct importer *i)
{
    i->append.type = RECORD_ACCEPTED;
    i->append.version = 0;
    i->append.id = i->mail->id;
    i->append.parts[0] = i->mail->payload;
    i->append.part_count = 1;
    i->append.payload_crc = i->mail->payload_crc;
    letter_send(i->actor, spool_actor(i->spool), &i->append.letter, LETTER_APPEND, NULL);
}

/* An id is a file's name, and so an enemy's word: no message of that name may be there. */
static void on_asked(struct importer *i)
{
    enum fault fault = i->fetch.fault;
    mail_release(i->fetch.mail);
    i->fetch.mail = NULL;
    if (fault == FAULT_NOT_FOUND) {
        enter(i, APPENDING);
        send_append(i);
        return;
    }
    mail_release(i->mail);
    i->mail = NULL;
    if (fault == FAULT_NONE || fault == FAULT_DAMAGED)
        set_aside(i, "there is a message of that id");
    else
        pause_before(i, IDLE, fault);
}

static void on_appended(struct importer *i)
{
    if (i->append.fault == FAULT_LIMIT) { /* and nothing was written */
        mail_release(i->mail);
        i->mail = NULL;
        set_aside(i, "no segment has room for it");
    } else if (i->append.fault != FAULT_NONE) {
        pause_before(i, APPENDING, i->append.fault);
    } else {
        enter(i, FORGETTING);
        send_job(i, DROP_IMPORT_FORGET);
    }
}

static void on_forgotten(struct importer *i)
{
    if (i->import.fault != FAULT_NONE) {
        pause_before(i, FORGETTING, i->import.fault);
        return;
    }
    const struct envelope *e = &i->mail->envelope;
    LOG(i->log, EVENT_DROP_TAKEN, log_id("id", i->mail->id), log_span("from", e->reverse_path),
        log_u64("size", e->content_bytes), log_u64("recipients", e->recipient_count),
        log_u64("owner", i->import.owner));
    enter(i, QUEUEING);
    i->accepted.mail = i->mail;
    letter_send(i->actor, i->queue, &i->accepted.letter, LETTER_ACCEPTED, NULL);
}

/* The recovery ----------------------------------------------------------------------------------
 */

static int compare_name(const void *key, const void *name)
{
    return id_compare(*(const struct id *)key, ((const struct drop_name *)name)->id);
}

/* The file of this message that was taken before the start; NULL: there is none. */
static struct drop_name *find_taken(struct importer *i, struct id id)
{
    if (i->taken_count == 0)
        return NULL;
    struct drop_name *name =
        bsearch(&id, i->taken, i->taken_count, sizeof i->taken[0], compare_name);
    return name != NULL && name->is_taken ? name : NULL;
}

static void forward(struct importer *i)
{
    const struct recovered *r = i->recovered;
    i->forwarded.messages = r->messages;
    i->forwarded.count = r->count;
    i->forwarded.last = r->last;
    i->is_forwarded = true;
    letter_send(i->actor, i->queue, &i->forwarded.letter, LETTER_RECOVERED, NULL);
}

/* Once each file of a message in the letter is durably gone the queue hears of them. */
static void look_at_recovered(struct importer *i)
{
    for (; i->looked_at < i->recovered->count; i->looked_at++) {
        struct id id = i->recovered->messages[i->looked_at].id;
        if (find_taken(i, id) == NULL)
            continue;
        enter(i, CLEARING);
        i->import.id = id;
        send_job(i, DROP_IMPORT_FORGET);
        return;
    }
    forward(i);
}

static void on_cleared(struct importer *i)
{
    if (i->import.fault != FAULT_NONE) {
        pause_before(i, IDLE, i->import.fault);
        return;
    }
    find_taken(i, i->import.id)->is_taken = false;
    enter(i, IDLE);
}

static void on_recovered(struct importer *i, struct recovered *r)
{
    check(i->recovered == NULL);
    i->recovered = r;
    i->looked_at = 0;
}

static void on_forwarded(struct importer *i)
{
    struct recovered *r = i->recovered;
    i->is_recovered = i->is_recovered || r->last;
    i->is_forwarded = false;
    i->recovered = NULL;
    letter_answer(i->actor, &r->letter);
}

/* The actor -------------------------------------------------------------------------------------
 */

static void on_listed(struct importer *i)
{
    struct drop_import *d = &i->import;
    enter(i, IDLE);
    if (d->fault != FAULT_NONE)
        LOG(i->log, EVENT_DROP_FAILED, log_fault("fault", d->fault));
    i->name_count = d->fault == FAULT_NONE ? d->name_count : 0;
    i->next_name = 0;
    for (uint32_t k = 0; k < i->name_count; k++)
        i->names[k] = d->names[k];
}

static void look(struct importer *i)
{
    enter(i, LISTING);
    i->is_look_due = false;
    send_job(i, DROP_IMPORT_LIST);
}

/* What is to be done next, when nothing is under way. */
static void go_on(struct importer *i)
{
    if (i->state != IDLE)
        return;
    if (i->recovered != NULL && !i->is_forwarded)
        look_at_recovered(i);
    else if (!i->is_recovered || i->is_stopping)
        return;
    else if (i->next_name < i->name_count)
        begin(i, &i->names[i->next_name++]);
    else if (i->name_count > 0 || i->is_look_due)
        look(i);
}

static void on_timer(void *context)
{
    struct importer *i = context;
    set_timer(i, IMPORTER_LOOK_MS);
    i->is_look_due = true; /* on_turn follows */
    if (i->state != PAUSING || i->is_stopping)
        return;
    enter(i, i->after_pause);
    if (i->state == APPENDING)
        send_append(i);
    else if (i->state == FORGETTING)
        send_job(i, DROP_IMPORT_FORGET);
}

static void on_job(struct importer *i)
{
    switch (i->state) {
    case LISTING:
        on_listed(i);
        return;
    case TAKING:
        on_taken(i);
        return;
    case FORGETTING:
        on_forgotten(i);
        return;
    case ASIDE:
        if (i->import.fault == FAULT_NONE)
            enter(i, IDLE);
        else
            pause_before(i, IDLE, i->import.fault);
        return;
    case CLEARING:
        on_cleared(i);
        return;
    case IDLE:
    case ASKING:
    case APPENDING:
    case QUEUEING:
    case PAUSING:
        break;
    }
    check(false);
}

static void on_answer(struct importer *i, struct letter *letter)
{
    switch ((int)letter->type) {
    case LETTER_JOB:
        on_job(i);
        return;
    case LETTER_FETCH:
        on_asked(i);
        return;
    case LETTER_APPEND:
        on_appended(i);
        return;
    case LETTER_ACCEPTED:
        mail_release(i->mail);
        i->mail = NULL;
        enter(i, IDLE);
        return;
    case LETTER_RECOVERED:
        on_forwarded(i);
        return;
    default:
        check(false);
    }
}

static void on_letter(void *self, struct letter *letter)
{
    struct importer *i = self;
    if (letter->is_answer) {
        on_answer(i, letter);
    } else if (letter->type == LETTER_RECOVERED) {
        on_recovered(i, container_of(letter, struct recovered, letter));
    } else if (letter->type == LETTER_STOP) {
        i->stop = letter;
        i->is_ending = i->is_stopping;
        i->is_stopping = true;
    } else if (letter->type == LETTER_RENEW) {
        struct importer_renewal *r = container_of(letter, struct importer_renewal, letter);
        settings_release(i->settings);
        i->settings = settings_retain(r->settings);
        letter_answer(i->actor, letter);
    } else {
        letter_answer(i->actor, letter); /* PING */
    }
}

/* A job has the settings: they are changed between two only. */
static void on_turn(void *self)
{
    struct importer *i = self;
    go_on(i);
    bool is_quiet = i->state == IDLE || i->state == PAUSING;
    if (i->stop == NULL || !is_quiet)
        return;
    letter_answer(i->actor, i->stop);
    i->stop = NULL;
    if (i->is_ending)
        actor_stop(i->actor);
}

static const struct actor_role role = {"importer", on_letter, on_turn};

/* Which files may have their message in the spool already. */
static enum fault find_all_taken(struct importer *i)
{
    struct drop_import *d = &i->import;
    d->folder = i->folder;
    d->step = DROP_IMPORT_LIST;
    d->only_taken = true;
    drop_import_run(d);
    d->only_taken = false;
    i->taken = calloc(d->name_count + 1, sizeof i->taken[0]);
    if (i->taken == NULL)
        return FAULT_NO_MEMORY;
    for (uint32_t k = 0; k < d->name_count; k++)
        if (d->names[k].is_taken)
            i->taken[i->taken_count++] = d->names[k];
    return d->fault;
}

enum fault importer_new(struct world *w, const struct settings *settings, struct spool *spool,
                        struct actor *queue, uint32_t max_letters, struct log *log,
                        struct importer **importer_out)
{
    struct importer *i = calloc(1, sizeof *i);
    if (i == NULL)
        return FAULT_NO_MEMORY;
    i->spool = spool;
    i->queue = queue;
    i->log = log;
    i->settings = settings_retain(settings);
    timer_init(&i->timer, on_timer, i);
    enum fault fault = disk_new(w, settings->drop, &i->folder);
    if (fault == FAULT_NONE)
        fault = find_all_taken(i);
    if (fault == FAULT_NONE)
        fault = actor_new(w, &role, i, max_letters, log, &i->actor);
    if (fault == FAULT_NONE) {
        struct loop *l = actor_loop(i->actor);
        fault = timer_set(l, &i->timer, loop_mono_us(l));
    }
    if (fault != FAULT_NONE) {
        importer_free(i);
        return fault;
    }
    *importer_out = i;
    return FAULT_NONE;
}

struct actor *importer_actor(struct importer *i)
{
    return i->actor;
}

void importer_free(struct importer *i)
{
    if (i == NULL)
        return;
    if (i->actor != NULL)
        timer_cancel(actor_loop(i->actor), &i->timer);
    mail_release(i->mail);
    mail_release(i->import.mail);
    mail_release(i->fetch.mail);
    disk_free(i->folder);
    settings_release(i->settings);
    settings_release(i->import.settings);
    actor_free(i->actor);
    free(i->taken);
    free(i);
}
