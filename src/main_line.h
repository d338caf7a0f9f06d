/* What the files of line mode share: main_line.c (calls, waiting, printing) and main_prompt.c (lines of standard input). Main thread. */
#ifndef HONE_MAIN_LINE_H
#define HONE_MAIN_LINE_H

#include "src/base/queue.h"
#include "src/call/job.h"
#include "src/main.h"

/* One foreground run of the program. */
struct line {
    struct app *app;
    struct plain *view; /* what is printed of runs */
    struct queue reply; /* finished calls */
    struct queue output; /* script_reply pieces */
    enum stop_wish wish; /* what a signal asked for */
    bool at_prompt; /* an interrupt ends the evaluation only */
    bool evaluating; /* Lua */
    bool interrupted; /* while nothing was evaluated */
    struct job *waiting; /* of the command that is waited for, or NULL */
};

int line_open(struct line *l, struct app *a);
int line_close(struct line *l, int code); /* the exit code */
/* Sleeps until something happens, then serves it. in: another descriptor to wake for, or -1; true: it is readable. */
bool line_turn(struct line *l, int in, int timeout_ms);
int line_call(struct line *l, struct call *c_take); /* to its end, with the job it started; its result is printed */
int line_wait_all(struct line *l); /* jobs that were left running */
int line_fail(struct line *l, const struct err *e);
void line_say(const struct app *a, const char *text, size_t n); /* to standard output, made harmless */
void line_editing(struct line *l, bool on); /* the terminal has a line that is being edited */

#endif
