/*
 * client: one request to the running server over its control socket, for a command.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "cli/cli.h"

#define CLIENT_WAIT_S 60 /* for the next piece of an answer */

/*
 * Sends the words; on_row (may be NULL) gets each row, `line` without its LF and parsed. The exit
 * code; what went wrong was said on standard error.
 */
int client_ask(struct cli *c, const char *const *words, size_t count,
               void (*on_row)(struct cli *c, const char *line, json_t *row));

/* Does a server answer at the control socket? Says nothing. */
bool client_is_there(const struct cli *c);

/* Members of a row, with a harmless value where there is none. */
const char *row_text(const json_t *row, const char *key);
long long row_number(const json_t *row, const char *key);

#endif
