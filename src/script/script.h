/* The script thread: it alone owns the Lua state. Prompt lines, scripts, config.lua and callbacks are coroutines on it; all they
 * do to hone is command calls. Reached through the port (eval, interrupt, complete) and the commands lua, run_script, interrupt. */
#ifndef HONE_SCRIPT_SCRIPT_H
#define HONE_SCRIPT_SCRIPT_H

#include "src/call/port.h"

/* Where print() of scripts and callbacks goes (that of a prompt line goes into its replies). Called on the script thread.
 * Set before script_start; without it the text goes to the log. */
void script_on_print(void (*fn)(void *ctx, const char *text, size_t n), void *ctx);
/* Before script_start; default 256 MiB. */
void script_memory(size_t bytes);

/* One a process. catalogs end with group == NULL (NULL: none); lib_dirs: a colon list of folders that hold hone/report.lua and
 * friends. Runs $XDG_CONFIG_HOME/hone/config.lua first; a mistake in it is a notice, not a failure. */
int script_start(struct hub *h, const struct catalog *catalogs, const char *lib_dirs, struct script_port *out, struct err *e);
void script_stop(struct script_port *p); /* interrupts what runs, ends the thread, frees the state */

/* The user's config.lua, if there is one: a new string, or NULL. script_start runs it; the port is busy until then. */
char *script_config(void);

/* Runs a file, or a text that path names, on the script thread; the finished call comes to `reply` when the script and the jobs it started have ended. Its
 * status is -1 if the script raised (err.code ERR_FAIL), was interrupted or a job of it was stopped (ERR_STOPPED), or a job failed. */
int script_run_file(struct hub *h, const char *path, const char *text, int argc, const char *const *argv, struct queue *reply, void *ctx, struct err *e);
/* A shelf_where_fn (src/stored/shelf.h): which runs an expression holds for. Any thread; needs no script thread. */
struct shelf;
int script_where(const char *text, const struct shelf *s, bool *keep, struct err *e);
/* The text is only the beginning of a chunk: what eval calls incomplete. Any thread; needs no script thread. */
bool script_unfinished(const char *text, size_t n);

#endif
