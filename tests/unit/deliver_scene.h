/*
 * deliver_scene: what the tests of deliveries consist of; deliver_house.h acts it.
 */
#ifndef TESTS_UNIT_DELIVER_SCENE_H
#define TESTS_UNIT_DELIVER_SCENE_H

#include "deliver/connection.h"
#include "expect.h"
#include "sim/inside.h"
#include "sim/world.h"
#include "tls/link.h"
#include "transfer/notification.h"

enum {
    HOSTS = 6,
    MESSAGES_MAX = 400,
    CHANNELS_MAX = 16,
    RECIPIENTS_MAX = 1000,
    LEDGER_MAX = 2000,
    HELD_MAX = 200,
    INLINE_MAX = 100000,
    DELIVERIES_MAX = 50 /* of a message */
};

/* When a server does something. */
enum moment {
    AT_GREETING,
    AT_EHLO,
    AT_HELO,
    AT_MAIL,
    AT_RCPT,
    AT_DATA,
    AT_CONTENT, /* once mid_data bytes of it have come */
    AT_DOT,
    AT_RSET,
    AT_STARTTLS,
    AT_QUIT,
    MOMENTS
};

/*
 * What a server does instead of what a good one would: says the text, then, by its last byte, '!':
 * closes; '#': resets; '~': is silent for ever; '$': ends TLS, but not the connection. `times`:
 * only the first so often; 0: always.
 */
struct misdeed {
    const char *text;
    uint32_t times;
};

struct manner {
    struct misdeed at[MOMENTS];
    size_t mid_data;
    bool has_no_pipelining, is_slow; /* slow: reads now and then, answers late */
    bool is_lmtp, offers_chunks;
    bool offers_tls, breaks_handshake, is_mute_in_handshake;
    bool is_tls_after_misdeed; /* the handshake follows the misdeed AT_STARTTLS, too */
    uint32_t good_dots;        /* LMTP: replies after the dot before the misdeed AT_DOT begins */
    int64_t closes_idle_ms;    /* after a transaction; 0: never */
};

struct host {
    struct endpoint at;
    char name[32];
    struct socket *listener;
    struct manner manner;
    uint32_t chunks, connections, transactions, quits, resets, mails, secured, mails_in_clear;
    uint32_t done[MOMENTS];
};

/* A server's side of a connection. */
struct session {
    struct list node;
    struct host *host;
    struct link link;
    struct timer timer;
    struct buffer in, out, sending, content;
    bool is_sending, is_silent, is_in_data, has_refused;
    size_t chunk_bytes; /* that are still to come */
    bool is_in_chunk;
    bool is_7bit;      /* EHLO was answered without 8BITMIME */
    bool is_junk_next; /* the client's first flight is answered with anything but TLS */
    bool is_tls_next;  /* the reply to STARTTLS is on its way */
    char after;        /* what follows once `out` is sent */
    char recipients[16384];
    uint32_t recipient_count;
};

struct ledger_entry {
    uint32_t host, message;
    bool is_yes, is_whole;
    char *recipients; /* "<a@b> <c@d> " that were taken */
};

struct message {
    struct mail_object *mail;
    struct span content;     /* with prefix, as it should arrive */
    struct buffer converted; /* as it should at a host without 8BITMIME, if it has 8-bit bytes */
    char *memory;
    bool may_be_fetched, is_in_file;
    uint32_t deliveries;                  /* the present one's number is the record's version */
    uint32_t sendings_of[DELIVERIES_MAX]; /* written for each delivery */
    uint32_t sendings;                    /* for all of them */
    uint32_t taken, delivered, doubts;    /* recipients: by servers that said yes; as we heard it */
};

struct channel {
    struct delivery delivery;
    struct message *message;
    uint32_t recipients[RECIPIENTS_MAX];
    uint32_t lent, back;
    bool is_lent;
    int64_t lent_us, back_us;
};

/* Answers later, if it is told to. */
struct late {
    struct actor *actor;
    struct timer timer;
    struct letter *held[HELD_MAX];
    size_t count;
    bool holds;
    void (*work)(struct letter *letter);
};

struct spool {
    struct spool_settings settings;
};

struct house {
    struct sim *sim;
    struct random *random;
    struct machine *sender, *peers;
    struct world *sender_life, *peers_life;
    struct actor *worker, *queue;
    struct late spool_late, disk_late;
    struct spool spool;
    struct disk *disk;
    struct deliverer_settings settings;
    struct deliverer *deliverer;
    struct tls_context *tls; /* of the servers; NULL: none offers TLS */
    uint32_t slow;           /* per million: a letter waits for another turn */
    uint32_t eight_bit;      /* per million: a message has 8-bit bytes */
    uint32_t append_faults, fetch_faults, job_faults; /* per million */
    enum fault append_fault, fetch_fault, job_fault;  /* which then */

    struct loop *loop; /* of the servers */
    struct thread *thread;
    struct host hosts[HOSTS];
    struct list sessions;
    struct message messages[MESSAGES_MAX];
    uint32_t message_count;
    struct channel channels[CHANNELS_MAX];
    uint32_t channel_count;
    struct ledger_entry ledger[LEDGER_MAX];
    uint32_t ledger_count;
    struct notification *notified; /* the last one that came back */
};

static struct house house;

static inline bool chance(uint32_t per_million)
{
    return random_chance(house.random, per_million);
}

static inline size_t below(size_t limit)
{
    return (size_t)random_below(house.random, limit);
}

static inline struct message *message_of(struct id id)
{
    for (uint32_t i = 0; i < house.message_count; i++)
        if (id_equal(house.messages[i].mail->id, id))
            return &house.messages[i];
    fail_msg("nobody knows this message");
    return NULL;
}

#endif
