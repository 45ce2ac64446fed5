/*
 * command: hands one message to a program's standard input, without a shell, and tells what its
 * exit status means.
 *
 * The program gets a clean environment, nothing open but its standard three, a process group of its
 * own and limited time: then SIGTERM, then SIGKILL, to it and to whatever it has left running. Its
 * exit status is one of sysexits.h; what is none of them, or a signal, is temporary, since mail is
 * not lost to doubt. The first bytes that it says go into the reply. Runs as the recipient's user;
 * blocks until the program has ended.
 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include "agent/result.h"
#include "os/packet.h"

#define COMMAND_ARGUMENTS_MAX 32
#define COMMAND_OUTPUT_MAX    200
#define COMMAND_GRACE_MS      5000 /* from SIGTERM to SIGKILL */

struct agent_result command_run(const struct message_put *put, const struct enclosure *enclosed);

#endif
