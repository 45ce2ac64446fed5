/*
 * submit: the ways in which commands hand a message to the server.
 */
#ifndef CLI_SUBMIT_H
#define CLI_SUBMIT_H

#include "config/settings.h"

/*
 * Has postrider-drop (beside this program) put it into the folder. `envelope`: records of
 * mail/drop_file.h before the content; the content's and the end follow here. The exit code: EX_OK
 * once it is durable; what went wrong was said. shows_id: prints the id.
 */
int submit_drop(const char *folder, struct span envelope, struct span content, bool shows_id);

/* Joins standard input and output with the server's first SMTP listener, until either ends. */
int submit_smtp(const struct settings *s);

/* A connection to an SMTP listener of these settings; -1: errno says why not. */
int submit_connect(const struct settings *s);

#endif
