/* Foreground line mode: submits calls, waits for their replies and jobs; what is printed is ui/plain.c's business. Nothing is
 * spawned. The main thread serves the UI's queue meanwhile, so that commands of the UI answer (or refuse) here too. */
#include "config.h"

#include "src/main.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/call/job.h"
#include "src/run/record.h"
#include "src/script/script.h"
#include "src/stored/folder.h"
#include "ui/plain.h"

/* One foreground run of the program. */
struct line {
    struct app *app;
    struct plain *view; /* what is printed of runs */
    struct queue reply; /* finished calls */
    struct queue output; /* script_reply pieces */
    enum stop_wish wish; /* what a signal asked for */
    bool at_prompt; /* an interrupt ends the evaluation only */
};

bool out_is_ascii(void) {
    const char *l = getenv("LC_ALL");
    if (!l || !*l) l = getenv("LC_CTYPE");
    if (!l || !*l) l = getenv("LANG");
    return isatty(1) && !(l && (strcasestr(l, "UTF-8") || strcasestr(l, "UTF8")));
}

/* print() of a script, on the script thread: line by line through the one sink. */
static void on_print(void *ctx, const char *text, size_t n) {
    const struct app *a = ctx;
    FILE *f = a->o.json ? stderr : stdout;
    struct buf b = BUF_INIT;
    while (n > 0) {
        const char *nl = memchr(text, '\n', n);
        size_t len = nl ? (size_t)(nl - text) : n;
        utf8_show(&b, text, len, -1, out_is_ascii() ? UTF8_ASCII : UTF8_FULL);
        if (nl) buf_addc(&b, '\n');
        text += len + (nl ? 1 : 0);
        n -= len + (nl ? 1 : 0);
    }
    if (b.len) fwrite(b.data, 1, b.len, f);
    fflush(f);
    buf_release(&b);
}

/* ---- waiting ---- */

static void stop_jobs(struct line *l, enum job_stop how) {
    struct handle newest = {0};
    struct job *j = hub_busy(l->app->hub) ? hub_job(l->app->hub, newest) : NULL;
    if (j) hub_stop(l->app->hub, j, how);
}

static void interrupt_script(const struct line *l) {
    if (l->app->script_on) l->app->script.interrupt(l->app->script.ctx);
}

static void take_signals(struct line *l) {
    enum stop_wish w = signals_take();
    if (w == WISH_NONE && l->wish == WISH_NONE) return;
    if (w == WISH_INTERRUPT && l->at_prompt && !hub_busy(l->app->hub)) {
        interrupt_script(l);
        return;
    }
    if (w != WISH_NONE && (l->wish == WISH_NONE || w == WISH_PREEMPT)) {
        l->wish = w;
        interrupt_script(l);
        if (!l->app->o.quiet && !l->app->o.json)
            say("%s", w == WISH_PREEMPT ? "asked to end: saving a checkpoint" : "stopping at the next step; a second interrupt within 5 s ends at once");
    }
    stop_jobs(l, l->wish == WISH_PREEMPT ? STOP_PREEMPT : STOP_AFTER_STEP); /* also those that start after it */
}

/* Sleeps until something happens, then serves it. in: another descriptor to wake for, or -1. */
static bool line_turn(struct line *l, int in, int timeout_ms) {
    struct pollfd p[] = {{signals_fd(), POLLIN, 0}, {l->reply.wake_fd, POLLIN, 0}, {l->output.wake_fd, POLLIN, 0},
        {hub_queue(l->app->hub, OWNER_UI)->wake_fd, POLLIN, 0}, {plain_fd(l->view), POLLIN, 0}, {in, POLLIN, 0}};
    poll(p, LEN(p), l->wish == WISH_NONE ? timeout_ms : 20);
    take_signals(l);
    hub_serve(l->app->hub, OWNER_UI, 0);
    plain_step(l->view);
    return p[5].revents != 0;
}

static int line_open(struct line *l, struct app *a) {
    memset(l, 0, sizeof *l);
    l->app = a;
    if (queue_init(&l->reply, 16) || queue_init(&l->output, 256)) {
        say("cannot make the queues of line mode: %s", strerror(errno));
        return -1;
    }
    l->view = plain_new(a->runs,
        a->o.json    ? PLAIN_JSON
        : a->o.quiet ? PLAIN_QUIET
                     : PLAIN_TEXT,
        a->out, stderr, isatty(2) && !a->dumb && !a->o.plain, out_is_ascii());
    script_on_print(on_print, a);
    return 0;
}

/* The queues stay until the process ends: a reply that comes later must find its reserved slot. So a struct line with calls is static. */
static int line_close(struct line *l, int code) {
    plain_step(l->view);
    bool broken = plain_broken(l->view);
    plain_free(l->view);
    if (l->wish == WISH_PREEMPT) return EXIT_PREEMPTED;
    if (l->wish == WISH_INTERRUPT) return EXIT_STOPPED;
    struct stat st;
    if (!broken || code != EXIT_DONE) return code;
    if (fstat(fileno(l->app->out), &st) == 0 && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) say("cannot write to standard output: is the disk full?");
    return EXIT_FAILED;
}

static int fail(struct line *l, const struct err *e) {
    if (!(l->wish != WISH_NONE && e->code == ERR_STOPPED)) plain_error(l->view, e);
    return exit_of(e);
}

/* Of an answer with a "text", people want the text. */
static void print_result(struct line *l, const char *name, const struct val *v) {
    const struct val *text = l->app->o.json ? NULL : val_get(v, "text");
    if (v && v->type == VAL_HANDLE && !l->app->o.json) return;
    plain_value(l->view, name, text && text->type == VAL_STR ? text : v);
}

static int job_code(struct line *l, struct job *j) {
    enum job_state s = hub_job_state(l->app->hub, j);
    if (s == JOB_FAILED) return fail(l, &j->err);
    return s == JOB_STOPPED ? EXIT_STOPPED : EXIT_DONE;
}

/* A job was started and its handle came back: its end is the command's end. */
static int wait_job(struct line *l, const char *name, struct handle h) {
    struct job *j = hub_job(l->app->hub, h);
    if (!j) return EXIT_DONE;
    while (hub_job_state(l->app->hub, j) <= JOB_RUNNING) line_turn(l, -1, 100);
    plain_step(l->view);
    int code = job_code(l, j);
    if (code == EXIT_DONE && j->result) print_result(l, name, j->result);
    return code;
}

static int finish_call(struct line *l, struct call *c) {
    int code = EXIT_DONE;
    plain_step(l->view);
    if (c->status) code = fail(l, &c->err);
    else if (c->result && c->result->type == VAL_HANDLE && c->cmd->job) code = wait_job(l, c->cmd->kind.name, c->result->u.h);
    else print_result(l, c->cmd->kind.name, c->result);
    call_free(c);
    return code;
}

static int wait_call(struct line *l) {
    struct call *done;
    while ((done = queue_get(&l->reply, 0)) == NULL) line_turn(l, -1, 250);
    return finish_call(l, done);
}

static int run_call(struct line *l, struct call *c_take) {
    struct err e = {0};
    if (app_need(l->app, c_take->cmd->owner, &e)) {
        call_free(c_take);
        return fail(l, &e);
    }
    return call_submit(c_take, &l->reply, NULL, &e) ? fail(l, &e) : wait_call(l);
}

/* Jobs that were left running are waited for; one that fails now was seen by nobody else. */
static int wait_all(struct line *l) {
    int code = EXIT_DONE;
    struct handle newest = {0};
    while (hub_busy(l->app->hub)) {
        struct job *j = hub_job(l->app->hub, newest);
        while (j && hub_job_state(l->app->hub, j) <= JOB_RUNNING) line_turn(l, -1, 100);
        int one = j ? job_code(l, j) : EXIT_DONE;
        if (one > code) code = one;
    }
    return code;
}

int line_commands(struct app *a) {
    static struct line l;
    int code = EXIT_DONE;
    if (line_open(&l, a)) return EXIT_FAILED;
    for (size_t i = 0; i < a->o.n_cmd && code == EXIT_DONE && l.wish == WISH_NONE; i++) {
        struct err e = {0};
        struct call *c = app_need(a, OWNER_ANY, &e) ? NULL : call_parse(a->hub, a->o.cmd[i], BY_LINE, &e); /* ANY: names and ranges of properties */
        code = c ? run_call(&l, c) : fail(&l, &e);
    }
    return line_close(&l, code);
}

/* On a terminal a command that wants yes=true is asked once what it would do, and then the user. */
static void ask_yes(struct app *a, const struct cmd *cmd, struct val *args) {
    struct err e = {0};
    char answer[16];
    if (!(cmd->flags & CMD_CONFIRM) || !args_find(&cmd->kind, "yes") || val_get(args, "yes") || val_get(args, "dry_run") || !isatty(0) || !isatty(2)) return;
    if (app_need(a, cmd->owner, &e) || call_sync(a->hub, cmd->kind.name, val_copy(args), BY_LINE, NULL, &e) == 0 || e.code != ERR_USAGE) return;
    char *advice = strchr(e.text, ';');
    if (!advice) return;
    *advice = 0;
    struct buf b = BUF_INIT;
    utf8_show(&b, e.text, strlen(e.text), -1, out_is_ascii() ? UTF8_ASCII : UTF8_FULL);
    fprintf(stderr, "%s. Go on? [y/N] ", b.data);
    buf_release(&b);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) val_set_bool(args, "yes", true);
}

int line_word(struct app *a, const struct cmd *cmd) {
    static struct line l;
    struct err e = {0};
    if (line_open(&l, a)) return EXIT_FAILED;
    if (cmd->job) crashed_tell(a->runs, "notice");
    struct val *args = opts_args(cmd, a->o.word + 1, a->o.n_word - 1, a->o.given, &e);
    if (args) ask_yes(a, cmd, args);
    struct call *c = args ? call_new(a->hub, cmd->kind.name, args, BY_LINE, &e) : NULL;
    if (!c && e.code == ERR_FAIL) e.code = ERR_USAGE;
    return line_close(&l, c ? run_call(&l, c) : fail(&l, &e));
}

void line_print(struct app *a, const char *name, const struct val *v) {
    struct line l;
    if (line_open(&l, a)) return;
    print_result(&l, name, v);
    line_close(&l, 0);
    queue_release(&l.reply); /* nothing was asked */
    queue_release(&l.output);
}

/* ---- scripts and the prompt ---- */

int line_script(struct app *a, const char *path, char *const *arg, size_t n) {
    static struct line l;
    struct err e = {0};
    if (line_open(&l, a)) return EXIT_FAILED;
    int code;
    crashed_tell(a->runs, "notice");
    if (app_need(a, OWNER_SCRIPT, &e) || script_run_file(a->hub, path, (int)n, (const char *const *)(const void *)arg, &l.reply, NULL, &e)) code = fail(&l, &e);
    else code = wait_call(&l);
    if (code == EXIT_USAGE) code = EXIT_FAILED; /* a script's mistake, not one of the command line */
    int rest = wait_all(&l);
    return line_close(&l, code ? code : rest);
}

/* Takes the pieces of an evaluation; true at its end. */
static bool take_output(struct line *l, int *status, bool *more) {
    struct script_reply *r;
    bool end = false;
    while (!end && (r = queue_get(&l->output, 0)) != NULL) {
        if (r->output && r->text) on_print(l->app, r->text, strlen(r->text));
        if (!r->output) {
            end = true;
            *status = r->status;
            struct err e = {0};
            if (r->incomplete && more) *more = true;
            else if (r->status) fail(l, (err_set(&e, "%s", r->text ? r->text : "the evaluation failed"), &e));
            else if (r->text && *r->text) on_print(l->app, r->text, strlen(r->text));
        }
        reply_free(r);
    }
    return end;
}

/* more: set where the text is only the beginning of a chunk; NULL: that is an error like any other. */
static int eval(struct line *l, const char *text, size_t n, bool *more) {
    struct err e = {0};
    int status = 0;
    if (app_need(l->app, OWNER_SCRIPT, &e)) return fail(l, &e);
    if (l->app->script.eval(l->app->script.ctx, text, n, "=stdin", &l->output, NULL, &e)) return fail(l, &e);
    while (!take_output(l, &status, more)) line_turn(l, -1, 250);
    return status ? EXIT_FAILED : EXIT_DONE;
}

/* A line is a command where its first word is one, Lua after = or otherwise. */
static int prompt_line(struct line *l, const char *line, size_t n, bool *more) {
    char word[64];
    struct err e = {0};
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
    while (n && *line == ' ') line++, n--;
    if (n == 0) return EXIT_DONE;
    bool block = memchr(line, '\n', n);
    size_t len = strcspn(line, " \t\r\n");
    snprintf(word, sizeof word, "%.*s", (int)(len < n ? len : n), line);
    if (*line == '=') return eval(l, line + 1, n - 1, more);
    if (block || !hub_find(l->app->hub, word)) return eval(l, line, n, more);
    char *text = mem_strn(line, n);
    struct call *c = call_parse(l->app->hub, text, BY_PROMPT, &e);
    free(text);
    return c ? run_call(l, c) : fail(l, &e);
}

/* The next whole line of standard input into `in`, or its rest at the end. Its length, 0: no more. */
static size_t next_line(struct line *l, struct buf *in, bool *open) {
    for (;;) {
        char piece[4096], *nl = in->len ? memchr(in->data, '\n', in->len) : NULL;
        if (nl) return (size_t)(nl - in->data) + 1;
        if (!*open || l->wish != WISH_NONE) return l->wish == WISH_NONE ? in->len : 0;
        if (!line_turn(l, 0, -1)) continue;
        ssize_t r = read(0, piece, sizeof piece);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) *open = false;
        else buf_add(in, piece, (size_t)r);
    }
}

int line_prompt(struct app *a) {
    static struct line l;
    struct buf in = BUF_INIT;
    int code = EXIT_DONE;
    bool tty = isatty(0) && isatty(1), open = true;
    struct buf block = BUF_INIT; /* a chunk that goes on */
    if (line_open(&l, a)) return EXIT_FAILED;
    l.at_prompt = tty;
    if (tty) crashed_tell(a->runs, "notice");
    if (tty) hub_add_resumer(a->hub);
    while (code == EXIT_DONE) {
        if (tty && !a->o.quiet) fputs(block.len ? ">> " : "> ", stdout);
        fflush(stdout);
        size_t n = next_line(&l, &in, &open);
        bool more = false;
        if (n == 0 && !block.len) break;
        buf_add(&block, in.data, n);
        memmove(in.data, in.data + n, in.len - n);
        in.len -= n;
        int one = prompt_line(&l, block.data, block.len, n ? &more : NULL);
        if (more) continue;
        buf_clear(&block);
        if (!tty) code = one;
        if (n == 0) break;
    }
    buf_release(&block);
    if (tty && !a->o.quiet) fputc('\n', stdout);
    int rest = wait_all(&l);
    buf_release(&in);
    return line_close(&l, code ? code : rest);
}
