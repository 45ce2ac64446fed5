/*
 * town: the places of one seed: the machines that take mail, the domains that lead to them, and
 * what each recipient's server thinks of it for ever.
 *
 * Drawn once, then never changed; the simulated DNS is filled from it.
 */
#ifndef SIM_SCENARIO_TOWN_H
#define SIM_SCENARIO_TOWN_H

#include "sim/random.h"
#include "sim/scenario/ledger.h"

#define TOWN_HOSTS_MAX   5
#define TOWN_DOMAINS_MAX 10
#define TOWN_HOMES       2 /* the first domains: senders live there */

struct host {
    char name[32];
    struct machine *machine;
    struct endpoint addresses[2]; /* with their port */
    uint32_t address_count;
    bool has_pipelining, has_size, has_8bitmime, has_dsn, has_chunking, knows_ehlo;
};

enum domain_kind {
    DOMAIN_WELL,
    DOMAIN_IMPLICIT, /* no MX: its own address */
    DOMAIN_OURS,     /* the engine knows its users and aliases, and the host; DNS says another */
    DOMAIN_MISSING,  /* does not exist */
    DOMAIN_REFUSING  /* null MX */
};

struct place {
    char name[32];
    enum domain_kind kind;
    uint32_t hosts; /* a bit for each that may take its mail */
};

struct town {
    uint64_t seed;
    struct host hosts[TOWN_HOSTS_MAX];
    uint32_t host_count;
    struct place domains[TOWN_DOMAINS_MAX];
    uint32_t domain_count;
    bool has_next_hop;   /* all mail goes to the first host */
    uint32_t last_first; /* parcels from this one on are taken by everybody */
};

enum opinion { OPINION_TAKES, OPINION_LATER, OPINION_NEVER };

void town_draw(struct town *t, struct sim *s, uint64_t seed, struct random *r);
/* May this host have the domain's mail? */
bool town_leads_to(const struct town *t, uint32_t domain, uint32_t host);
/* What the recipient's server says to RCPT, and to a content, in peace too. */
enum opinion town_of_addressee(const struct town *t, const struct parcel *p, uint32_t addressee);
enum opinion town_of_content(const struct town *t, const struct parcel *p);

#endif
