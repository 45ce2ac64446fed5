/*
 * settings: the configuration as the program uses it: plain fields, every one with a safe default.
 *
 * Made whole by config_parse (config/config.h) or settings_default, then shared and never changed:
 * whoever holds a reference may read it from any thread. A test or the simulator may set fields
 * between making it and sharing it. The strings and lists that config_parse made belong to the
 * settings and live as long as they; what a test points a field to must outlive them.
 *
 * The options, their limits and their manual text are the rows of option.def. Durations are in
 * milliseconds, sizes in bytes.
 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/arena.h"
#include "base/log.h"
#include "config/table.h"
#include "os/socket.h"

/* All addresses that share the first `prefix_bits` bits. A value. */
struct address_range {
    uint8_t family;      /* 4 or 6 */
    uint8_t prefix_bits; /* at most 32 or 128 */
    uint8_t ip[16];      /* IPv4 in the first four; zero beyond the prefix */
};

/* Whether mail may be handed over in clear. */
enum tls_demand {
    TLS_DEMAND_UNSAID, /* as `deliver` has it */
    TLS_DEMAND_MAY,
    TLS_DEMAND_MUST,
    TLS_DEMAND_NEVER
};

/* Where mail is handed to: a host, or for LMTP the path of a Unix socket. A value. */
struct next_hop {
    struct span host; /* without brackets, or a path that begins with / */
    uint16_t port;
    bool is_lmtp;
};

enum listen_kind {
    LISTEN_SMTP,
    LISTEN_SUBMISSION,  /* RFC 6409 */
    LISTEN_SUBMISSIONS, /* RFC 8314: under TLS from the first byte */
    LISTEN_LMTP         /* RFC 2033 */
};

/* A `listen` block. */
struct listen_settings {
    enum listen_kind kind;
    const struct endpoint *at; /* at least one */
    uint32_t at_count;
    /* Proxies that say for whom they connect (PROXY protocol); from them it is required, and from
       nobody else it is taken. */
    const struct address_range *proxy_from;
    uint32_t proxy_from_count;
};

/* A `tls` block: one certificate. */
struct tls_settings {
    const char *certificate; /* paths of PEM files */
    const char *key;
};

enum delivery_kind {
    DELIVERY_MAILDIR,
    DELIVERY_PIPE,
    DELIVERY_DISCARD,
    DELIVERY_LMTP,
    DELIVERY_SMTP /* we relay for the domain */
};

/* A value of `deliver`. */
struct delivery_target {
    enum delivery_kind kind;
    const char *text; /* MAILDIR: the path, PIPE: the command, with {user} and {domain} in them */
    struct next_hop hop; /* LMTP, SMTP */
};

/* A `domain` block: a domain that is ours, or that we relay for. */
struct domain_settings {
    const char *name;       /* in lower case */
    const char *users_file; /* paths; NULL: not set */
    const char *aliases_file;
    struct table *users; /* NULL: every user is one; or users_file was not loaded */
    struct table *aliases;
    const struct delivery_target *deliver; /* the first that takes it; more than one only by SMTP or
                                              LMTP, and all by the same */
    uint32_t deliver_count;                /* 0: there are only aliases */
    const char *catch_all;      /* an address with a domain; NULL: unknown users are refused */
    const char *postmaster;     /* an address with a domain; NULL: as `postmaster` of all */
    uint64_t message_bytes_max; /* 0: there is no limit of its own */
    char subaddress;            /* the separator; 0: there are no subaddresses */
    enum tls_demand tls;        /* for `deliver` over the network */
};

struct settings {
    const char *hostname;      /* of this server, in greetings, Received and DSNs */
    const char *spool;         /* folder, absolute */
    const char *control;       /* path of the control socket, absolute */
    const char *drop;          /* folder of messages by local programs, absolute */
    const char *control_group; /* whose members are administrators; NULL: none */
    const char *user;          /* whom a server started as root becomes */
    uint32_t workers;          /* 0: one for each processor */

    const char *postmaster;   /* an address with a domain, for domains without; may be NULL */
    const char *aliases_file; /* aliases of all our domains; NULL: not set */
    struct table *aliases;    /* NULL: none, or not loaded */

    /* In the order of the file. */
    struct listen_settings **listen;
    uint32_t listen_count; /* 0 is possible: `serve` then has nothing to do and refuses */
    struct tls_settings *
        *certificates; /* the first is for clients that name no other; none: no TLS */
    uint32_t certificates_count;
    struct domain_settings **domains;
    uint32_t domains_count;
    uint32_t *domain_slots; /* of settings_index_domains; NULL: all are looked at */
    uint32_t domain_slot_count;

    /* relay */
    const struct address_range *relay_from; /* clients that may send to any domain */
    uint32_t relay_from_count;
    const struct delivery_target *relay_to; /* in the order to be tried; hosts, all by SMTP or all
                                               by LMTP */
    uint32_t relay_to_count;                /* 0: by MX */
    enum tls_demand relay_tls;

    /* dns */
    struct endpoint dns_server; /* family 0: those of /etc/resolv.conf */
    uint32_t dns_timeout_ms;    /* for one question with all its tries */

    /* deliver */
    enum tls_demand deliver_tls;
    const char *deliver_tls_authorities;  /* path of a PEM file; NULL: those of the system */
    uint16_t deliver_port;                /* of hosts found by MX */
    uint32_t deliver_connections_max;     /* at once to one site */
    uint32_t deliver_recipients_max;      /* in one transaction */
    uint32_t deliver_attempts_max;        /* addresses tried for one delivery */
    uint32_t deliver_messages_max;        /* over one connection, then it is renewed */
    uint32_t deliver_idle_ms;             /* a connection without work is kept that long */
    struct endpoint deliver_source_ipv4;  /* family 0: any; the port is 0 */
    struct endpoint deliver_source_ipv6;  /* family 0: any; the port is 0 */
    uint32_t deliver_connect_timeout_ms;  /* these and the following: RFC 5321 4.5.3.2 */
    uint32_t deliver_greeting_timeout_ms; /* 4.5.3.2.1 */
    uint32_t deliver_ehlo_timeout_ms;
    uint32_t deliver_mail_timeout_ms;  /* 4.5.3.2.2 */
    uint32_t deliver_rcpt_timeout_ms;  /* 4.5.3.2.3 */
    uint32_t deliver_data_timeout_ms;  /* 4.5.3.2.4: until 354 */
    uint32_t deliver_block_timeout_ms; /* 4.5.3.2.5: for each piece of the content */
    uint32_t deliver_dot_timeout_ms;   /* 4.5.3.2.6: for the reply to the final dot */
    uint32_t deliver_quit_timeout_ms;

    /* agent */
    const char *agent_user; /* for users without a uid; NULL: none */
    uint32_t agent_command_time_ms;

    /* limits: of what comes in */
    uint64_t message_bytes_max;
    uint32_t recipients_max; /* of one message */
    uint32_t sessions_max;   /* at once */
    uint32_t sessions_per_client_max;
    uint32_t sessions_per_minute_max; /* these two: of one client; 0: no limit */
    uint32_t messages_per_minute_max;
    uint32_t greeting_delay_ms;
    uint32_t errors_max; /* refused commands in one session */
    uint32_t idle_commands_max;
    uint32_t command_timeout_ms;
    uint32_t data_timeout_ms;
    uint32_t session_time_max_ms;
    uint64_t memory_bytes_max; /* fresh_bytes_max is a part of it; beyond: 4xx */
    uint32_t hops_max;         /* Received fields: RFC 5321 6.3 */

    /* queue */
    uint32_t retry_first_ms; /* doubles with every attempt */
    uint32_t retry_max_ms;
    uint32_t queue_lifetime_ms;
    uint32_t delay_notice_ms; /* 0: nobody is told of delays */
    uint64_t fresh_bytes_max; /* content kept in memory until the first attempt */

    /* disk */
    uint64_t segment_bytes;    /* a multiple of 1 MiB */
    uint64_t spool_bytes_max;  /* 0: what the file system has */
    uint32_t reserve_segments; /* only for outcomes and compaction */
    uint32_t disk_threads;

    /* log */
    const char *log_file; /* absolute; NULL: standard error */
    enum log_format log_format;
    enum log_level log_level; /* the most that is logged */

    /* Of settings.c and the parser alone. */
    struct arena memory;
    _Atomic uint32_t references;
};

/* All defaults, one reference; no listener, nobody may relay. `hostname` is copied. NULL: no
   memory. */
struct settings *settings_default(const char *hostname);

/* Another reference to the same settings, and the return of one: the last frees. NULL is let be. */
const struct settings *settings_retain(const struct settings *s);
void settings_release(const struct settings *s);

/* All addresses that are listened at, block by block: how many, and the one of this index with its
   block. */
uint32_t settings_listener_count(const struct settings *s);
const struct listen_settings *settings_listener(const struct settings *s, uint32_t index,
                                                struct endpoint *at_out);
/* When all domains are there, so that one is found in O(1). False: no memory. */
bool settings_index_domains(struct settings *s);
/* The `domain` block of this name, in any case, and also in U-labels (RFC 6531 3.3); NULL: it is
   none of ours. */
const struct domain_settings *settings_domain(const struct settings *s, struct span name);

/* The port does not matter. */
bool address_range_contains(const struct address_range *range, struct endpoint address);
/* The address is in one of them. */
bool address_ranges_contain(const struct address_range *ranges, size_t count,
                            struct endpoint address);
/* The address is in one of relay_from. */
bool settings_may_relay(const struct settings *s, struct endpoint client);

#endif
