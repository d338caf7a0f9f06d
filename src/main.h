/* What the files of main share: parsed options, the joined application, exit codes, signals. Main thread only. */
#ifndef HONE_MAIN_H
#define HONE_MAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"
#include "src/call/call.h"
#include "src/call/port.h"
#include "ui/plain.h"

struct runs;

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_STOPPED = 3, EXIT_GOAL = 4, EXIT_PREEMPTED = 75 };

/* ---- main_opts.c: the option table ---- */
struct opts {
    bool json, plain, quiet, help, version, license, deterministic;
    bool help_of_word; /* hone NAME .. --help: the words are help NAME now */
    bool session, viewer; /* hidden: be the session process, the one of hone watch */
    const char *runs; /* --runs or HONE_RUNS or "runs" */
    const char *idle; /* hidden, with --session: seconds without job and client after which it ends */
    const char *rank; /* hidden: be this rank of a run whose rank 0 started it */
    const char *ready; /* hidden: descriptor that gets the ready byte; with --viewer the client's socket */
    struct val *set; /* NAME=VALUE pairs of --set and of the options that are properties, in order */
    struct val *given; /* the same by option name, for commands that have an argument of that name */
    char **cmd; /* of -c */
    size_t n_cmd;
    char **word; /* command name and what follows it, options of the command still in it */
    size_t n_word;
};
int opts_parse(struct opts *o, int argc, char **argv, struct err *e);
void opts_help_word(struct opts *o); /* turns the words NAME .. into help NAME */
void opts_release(struct opts *o);
void opts_usage(struct buf *b, struct hub *h); /* --help: synopsis, options, commands */
/* Words after a command's name to its argument table: NAME=VALUE, --name VALUE, --name=VALUE, --value-of-an-enum, -x, positional. */
struct val *opts_args(const struct cmd *c, char *const *word, size_t n, const struct val *given, struct err *e);
const char *opts_nearest_command(const char *word); /* what a mistyped word may have meant, or NULL */

/* ---- main_signals.c ---- */
enum stop_wish { WISH_NONE, WISH_INTERRUPT, WISH_PREEMPT };
void signals_line_mode(void); /* the table's column "line mode" */
void signals_session(void); /* the column "session" */
void signals_at_prompt(bool on); /* an interrupt ends an evaluation, however many come */
int signals_fd(void); /* readable after a signal; signals_take drains it */
enum stop_wish signals_take(void); /* what was asked since the last call */
bool signals_preempted(void); /* it was to end with a checkpoint */
void signals_crash_file(const char *path); /* where a crash report goes (NULL: stderr) */

/* ---- main.c ---- */
struct app {
    struct opts o;
    struct runs *runs;
    struct hub *hub;
    struct script_port script;
    bool engine_on, script_on;
    FILE *out; /* results: standard output; under --json what it was at the start */
    bool tty; /* a dashboard can be drawn and was not declined */
    bool dumb; /* a terminal that cannot move its cursor, or CI */
};
extern const struct cmd *const *const app_cmds[]; /* every list of rows */
int app_kept(struct err *e); /* what the user keeps in files: settings, keys; before app_settings. -1: something in them is wrong, the rest counts */
int app_settings(struct app *a, struct err *e); /* options into properties */
void app_open(struct app *a); /* runs and hub; a second call does nothing */
int app_need(struct app *a, enum owner owner, struct err *e); /* starts the threads that this owner's commands need */
void app_close(struct app *a); /* ends the threads, frees; a second call does nothing */
char *share_path(const char *name); /* of hone's own files: lib, experiments, samples; new string or NULL */
int exit_of(const struct err *e);
int exit_of_end(const struct val *end); /* of a run that ended, by its fields "exit" and "state" */
int fail(const struct err *e); /* says it; gives its exit code */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "hone: ..." to stderr, made harmless */

/* ---- main_line.c, main_prompt.c: foreground line mode; each returns the exit code ---- */
int line_commands(struct app *a); /* every -c, in order */
int line_word(struct app *a, const struct cmd *c); /* hone NAME args.. */
int line_script(struct app *a, const char *path, char *const *arg, size_t n);
int line_prompt(struct app *a); /* lines of stdin: commands, or Lua */
void line_print(struct app *a, const char *name, const struct val *v); /* one result that came from a session */
bool out_is_ascii(void);
enum plain_mode out_mode(const struct app *a); /* as the options say */

/* ---- main_front.c: the words that reach or start a session ---- */
/* 1: done, *status is the exit code; 0: not such a word. word NULL: none was given. */
int front_terminal(struct app *a, const char *word, int *status); /* nothing, attach, demo, run, reset: before app_open */
int front_word(struct app *a, const char *word, int *status); /* stop, status, watch ..: after it */

/* ---- main_runs.c: runs of other processes, by their files; name NULL: the newest that lives, else the newest; the exit code ---- */
int files_wait(struct app *a, const char *name);
int files_follow(struct app *a, const char *name); /* the log as it grows, until the run ends */

/* ---- main_watch.c: the process that draws for hone watch ---- */
int viewer_main(struct app *a);

/* ---- main_session.c: the session process ---- */
int session_main(struct app *a);

#endif
