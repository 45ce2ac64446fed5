/*
 * control_inside: what the parts of the control actor share; nobody else includes it.
 *
 * control.c has the connections and the actor; control_queue.c carries requests about the queue
 * out, a page at a time; control_ask.c reads such requests; control_rows.c writes rows of JSON;
 * control_group.c counts by something. All of it runs on the actor's thread.
 */
#ifndef ENGINE_CONTROL_INSIDE_H
#define ENGINE_CONTROL_INSIDE_H

#include <stdatomic.h>

#include "base/map.h"
#include "engine/engine_inside.h"
#include "ipc/control.h"
#include "spool/content.h"
#include "spool/spool.h"
#include "transfer/operate.h"

#define CONTROL_ARENA_MAX   (64u * 1024 * 1024) /* texts of one page, or of one message */
#define CONTROL_FETCHES_MAX 64
#define CONTROL_GROUPS_MAX  10000 /* what comes later is counted as others */

struct control {
    struct actor *actor;
    struct engine *engine;
    struct socket *listener;
    struct list connections;
    uint32_t connection_count;
    struct letter *stop;
    const struct settings *settings; /* a reference */
    struct ended *_Atomic reload;    /* what came of one; NULL: nothing new */
};

/* What came of a reload. */
struct ended {
    bool is_good;
    struct buffer text;
};

/*
 *   ASKING --request--> WORKING <--> SENDING --last row sent--> closed
 * WORKING has letters under way (of operations and fetches), or waits for a reload; when the client
 * goes away meanwhile the connection is an ORPHAN until the letters are back.
 */
enum connection_state { ASKING, WORKING, SENDING, ORPHAN };

enum request {
    REQUEST_COUNTS, /* of the whole queue; with the engine's for `status` */
    REQUEST_SHOW,
    REQUEST_SITES,
    REQUEST_CAT, /* the message itself */
    REQUEST_CHANGE_ONE,
    /* All that follow walk over the pages of what the filter takes. */
    REQUEST_LIST,
    REQUEST_TALLY,
    REQUEST_GROUP,
    REQUEST_CHANGE
};

struct tally {
    uint64_t messages, recipients, bytes;
};

struct group;

struct groups {
    struct map map;
    struct group **sorted; /* NULL while they are being counted */
    size_t next;           /* of those to be written */
    struct tally others;
};

/* A row being fetched. */
struct row_fetch {
    struct fetch fetch;
    struct connection *connection;
};

struct connection {
    struct list node;
    struct control *control;
    struct socket *socket; /* NULL: an orphan */
    struct timer timeout;
    enum connection_state state;
    enum request request;
    struct buffer input, output;
    struct arena arena;    /* texts of the page */
    struct filter *filter; /* or NULL */
    struct operate page;   /* asks for pages, or for the one thing that is asked */
    struct operate change; /* of those that one page has given */
    struct operate_row rows[CONTROL_PAGE_ROWS];
    struct id ids[CONTROL_PAGE_ROWS]; /* to be changed */
    uint32_t id_count;
    struct row_fetch fetches[CONTROL_FETCHES_MAX]; /* of the rows from `row` on */
    uint32_t row, batch_end, letters_out;
    uint64_t rows_left; /* of --limit */
    struct tally tally;
    enum filter_field by; /* of GROUP */
    struct groups groups;
    uint64_t changed;
    struct mail_object *mail; /* of CAT; a reference */
    struct content content;   /* its file */
    size_t catted;            /* bytes of prefix and content in memory that were written */
    bool is_status, is_last, is_reload, is_brief;
};

/* control.c */
void control_connection_enter(struct connection *c, enum connection_state next);
void control_connection_free(struct connection *c);
void control_connection_send(
    struct connection *c); /* what is in `output`; control_queue_go_on follows */
/* The last line, and the end. */
void control_connection_finish(struct connection *c, enum control_exit code, const char *message);

/* control_ask.c */
/* Takes the words behind "queue". NULL, or what is wrong with them. */
const char *control_queue_take(struct connection *c, const struct span *words, size_t count);

/* control_queue.c */
void control_queue_begin(struct connection *c);
void control_queue_go_on(struct connection *c); /* all that was written has been sent */
struct connection *control_queue_connection(struct letter *letter); /* whose answer it is */
void control_queue_answered(struct connection *c, struct letter *letter);
void control_queue_fini(struct connection *c);
void control_await(struct connection *c); /* a letter has been sent, or is about to be */
void control_fetch(struct connection *c, uint32_t i, struct id id); /* with fetches[i] */

/* control_cat.c */
void control_cat_answered(struct connection *c, struct letter *letter);
void control_cat_go_on(struct connection *c);

/* control_rows.c; all answer false when there is no room. */
must_use bool control_put_row(struct connection *c, const struct operate_row *r,
                              const struct mail_object *mail);
must_use bool control_put_counts(struct connection *c);
must_use bool control_put_site(struct buffer *out, const struct operate_site *s);
must_use bool control_put_tally(struct buffer *out, const struct tally *t);

/* control_group.c */
void groups_init(struct groups *g, uint64_t secret);
void groups_fini(struct groups *g);
/* A recipient that waits, of message `id` of so many bytes. False: no memory. */
must_use bool groups_count(struct groups *g, struct span key, struct id id, uint64_t bytes);
/* Writes rows, the largest group first, as many as one sending should have. False: no memory. */
must_use bool groups_put(struct groups *g, struct buffer *out);
bool groups_are_written(const struct groups *g);

#endif
