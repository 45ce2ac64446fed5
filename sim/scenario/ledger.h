/*
 * ledger: what was promised and what became of it, as the clients and servers around the engine saw
 * it.
 *
 * Clients write down what they have sent and what they have read; servers what they have taken,
 * refused and been told by notifications. Nothing here comes from the engine itself, but for the
 * names of its lives and the repeats that it has foretold. A promise that is broken is said in one
 * sentence, the first one is kept. Owns all of it.
 */
#ifndef SIM_SCENARIO_LEDGER_H
#define SIM_SCENARIO_LEDGER_H

#include "base/buffer.h"
#include "base/list.h"
#include "sim/world.h"

#define LEDGER_ADDRESS_MAX  64
#define LEDGER_LIVES_MAX    64
#define LEDGER_ID_MAX       32
#define LEDGER_TROUBLES_MAX 32

/* A transaction that a server has answered with 250. */
struct handover {
    struct list node; /* in ledger.handovers */
    int64_t at_us;
    int64_t confirmed_us; /* the engine went on, so it has read the 250; 0: nobody knows */
    uint32_t life;
    uint32_t host;
};

struct take {
    struct take *next; /* the one before */
    const struct handover *handover;
};

/* A notification, by its own message id. */
struct notice {
    struct list node; /* in ledger.notices */
    char id[LEDGER_ID_MAX];
    struct take *takes;
};

/* What a client wants to be told of an addressee (RFC 3461 4.1). */
enum wish { WISH_NEVER = 1, WISH_SUCCESS = 2, WISH_FAILURE = 4, WISH_DELAY = 8 };

struct addressee {
    char address[LEDGER_ADDRESS_MAX];
    unsigned wishes; /* a set of enum wish; 0: it says nothing */
    bool has_orcpt;  /* it says ORCPT: its own address */
    uint32_t domain;
    uint32_t said;      /* the one that its client has said: itself, or an alias that leads to it */
    bool is_ours;       /* in a domain of the engine, which anybody may write to */
    bool is_alias;      /* nothing comes for it, but for others */
    bool is_list;       /* for several: its client may be told that it is expanded */
    bool is_unknown;    /* the engine has to refuse it */
    int rcpt_code;      /* read by the client; 0: none */
    struct take *takes; /* the last one first */
    bool is_refused;    /* a server has said 5xx that means it */
    struct notice *notice; /* that says it has failed */
    struct notice *late_notice, *success_notice, *expanded_notice;
    int64_t noticed_us; /* when it came first */
};

/* A message. */
struct parcel {
    uint32_t number;
    char sender[LEDGER_ADDRESS_MAX]; /* empty: the null reverse-path */
    uint32_t home;                   /* the sender's domain */
    struct addressee *addressees;    /* those that the client says come first */
    uint32_t said_count;
    uint32_t addressee_count;
    struct buffer content;
    bool is_stranger; /* its client may not relay */
    bool by_bdat, is_8bit;
    const char *ret;     /* RET, or NULL */
    bool has_envid;      /* it says ENVID: its own number */
    bool is_settled;     /* its client does nothing more about it */
    bool is_whole_sent;  /* the end of its content may have reached the engine */
    int content_code;    /* read after the content; 0: none */
    int64_t begun_us;    /* when its client began with it */
    int64_t accepted_us; /* when that was read */
    char id[LEDGER_ID_MAX];
};

/* A life of the engine. */
struct engine_life {
    int64_t begun_us, ended_us; /* ended: SIM_NEVER while it lasts */
    bool is_crash;              /* killed, or it was stopped with work in hand */
    bool is_power_cut;
};

/* A time in which the disk failed or was full. */
struct disk_trouble {
    int64_t from_us, to_us; /* to: SIM_NEVER while it lasts */
};

struct repeat {
    struct list node; /* in ledger.repeats */
    char id[LEDGER_ID_MAX];
    uint32_t life;
};

struct ledger {
    struct sim *sim;
    uint64_t seed;
    bool is_traced;
    struct parcel *parcels;
    uint32_t parcel_count;
    struct list handovers, notices, repeats;
    struct engine_life lives[LEDGER_LIVES_MAX];
    uint32_t life_count;
    struct disk_trouble troubles[LEDGER_TROUBLES_MAX]; /* the last may still last */
    uint32_t trouble_count;
    bool is_broken;
    char sentence[512];
};

struct ledger *ledger_new(struct sim *s, uint64_t seed, uint32_t parcel_count);
void ledger_free(struct ledger *l);

/* Fills the parcel's content with `bytes` or a little more, drawn; the addressees are to be set. */
void parcel_make(struct ledger *l, uint32_t number, uint32_t addressees, size_t bytes,
                 struct random *r);
/* "r3x0@d1.test" leads to its parcel and addressee. False: nothing of ours. */
bool ledger_find(struct ledger *l, struct span address, struct parcel **parcel_out,
                 struct addressee **addressee_out);

/* The parameters of MAIL and RCPT by which this is asked for (RFC 3461 4), each after a blank. */
void ledger_put_mail_wishes(const struct parcel *p, struct buffer *out);
void ledger_put_rcpt_wishes(const struct parcel *p, const struct addressee *a, struct buffer *out);
/* May its client be told of this about the addressee? */
bool ledger_may_tell(const struct addressee *a, enum wish what);

struct handover *ledger_handover(struct ledger *l, uint32_t host);
void ledger_take(struct ledger *l, struct take **takes, const struct handover *h);
struct notice *ledger_notice(struct ledger *l, struct span id);
void ledger_repeat(struct ledger *l, struct span id);
/* The disk fails from now on, or no longer. */
void ledger_disk_trouble(struct ledger *l, bool fails);
uint32_t ledger_life(const struct ledger *l); /* the number of the present or last one */

/* A promise is broken; the first sentence counts. */
__attribute__((format(printf, 2, 3))) void ledger_break(struct ledger *l, const char *format, ...);
/* A line of the trace. */
__attribute__((format(printf, 2, 3))) void ledger_trace(const struct ledger *l, const char *format,
                                                        ...);

#endif
