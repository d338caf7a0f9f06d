/* The prompt: readline behind the prompt port, without a terminal. It gets whole keys, never prints, and shows what the drawer
 * draws. readline keeps its state in globals, so there is one prompt a process; UI thread only. */
#ifndef HONE_PROMPT_PROMPT_H
#define HONE_PROMPT_PROMPT_H

#include "src/call/port.h"

/* Before the first newterm: readline is initialised here once, as "dumb". script: borrowed, may be filled in later, when the
 * script thread starts. History: $XDG_STATE_HOME/hone/history-HASH of the folder. */
int prompt_open(const struct script_port *script, struct prompt_port *out, struct err *e);
/* The same with a history file of one's own; NULL: none. */
int prompt_new(const struct script_port *script, const char *history_path, struct prompt_port *out, struct err *e);
void prompt_close(struct prompt_port *p); /* after the script thread ended */

#endif
