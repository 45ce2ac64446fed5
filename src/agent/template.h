/*
 * template: what the configuration says of mailboxes and commands ("/var/mail/{domain}/{user}"),
 * filled in for one recipient.
 *
 * What is filled in comes from outside. In a path it must be one plain component, so that no
 * address names a folder that is not its own; in a command each word stays one argument, whatever
 * is in it, and none can become an option. Pure.
 */
#ifndef AGENT_TEMPLATE_H
#define AGENT_TEMPLATE_H

#include "base/arena.h"
#include "base/fault.h"

struct template_values {
    struct span user, domain, sender;
    struct span home; /* from the users file; empty: none */
};

/* One component of a path: no slash, no control byte, no dot at its beginning, not empty, not
   longer than 255 bytes. */
bool template_is_component(struct span value);

/*
 * The path, and how many of its first bytes, ended by a slash, are before anything that was filled
 * in but {home}, which may only be at the beginning. SYNTAX: the template is wrong. DENIED: a value
 * is no component, or the home no absolute path. NO_MEMORY.
 */
must_use enum fault template_path(struct span text, const struct template_values *v,
                                  struct arena *arena, struct span *path_out,
                                  uint32_t *base_bytes_out);

/* The words, parted by blanks, each filled in and ended by NUL. SYNTAX: the first is no absolute
   path, or a placeholder is unknown. DENIED: a value has a control byte, or would begin an argument
   with a dash. NO_MEMORY. */
must_use enum fault template_arguments(struct span text, const struct template_values *v,
                                       struct arena *arena, struct span *arguments_out);

#endif
