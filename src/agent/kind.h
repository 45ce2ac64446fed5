/*
 * kind: what is done with a recipient's mail.
 */
#ifndef AGENT_KIND_H
#define AGENT_KIND_H

enum agent_kind {
    AGENT_MAILDIR, /* a file in `path` */
    AGENT_COMMAND, /* the standard input of `arguments` */
    AGENT_DISCARD  /* nothing; no hand is asked */
};

#endif
