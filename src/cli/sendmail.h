/*
 * sendmail: the program that others call by that name, with the options they know: `sendmail`,
 * `mailq`, `newaliases`, and `postrider sendmail`.
 *
 * Reads one message, completes it (mail/compose.h) and hands it to postrider-drop (docs/DROP.md),
 * so that it is safe whether the server runs or not. -bs speaks SMTP with the server for whoever is
 * at standard input; -bp, -q and -bi ask it; -bv checks addresses. Options that say how an older
 * sendmail was to work are passed over.
 */
#ifndef CLI_SENDMAIL_H
#define CLI_SENDMAIL_H

#include "cli/cli.h"

/* The names by which the program may be called instead of its own. */
bool sendmail_is_name(const char *path);
int sendmail_main(struct world *w, int argc, char **argv);

#endif
