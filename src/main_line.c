/* Foreground line mode: submits calls, waits for their replies and jobs; what is printed is ui/plain.c's business. Nothing is
 * spawned. The main thread serves the UI's queue meanwhile, so that commands of the UI answer (or refuse) here too. */
#include "config.h"

#include "src/main.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"
#include "src/call/job.h"
#include "src/main_line.h"
#include "src/prompt/terminal.h"
#include "src/script/script.h"
#include "src/stored/folder.h"

bool out_is_ascii(void) {
    const char *l = getenv("LC_ALL");
    if (!l || !*l) l = getenv("LC_CTYPE");
    if (!l || !*l) l = getenv("LANG");
    return isatty(1) && !(l && (strcasestr(l, "UTF-8") || strcasestr(l, "UTF8")));
}

enum plain_mode out_mode(const struct app *a) { return a->o.json ? PLAIN_JSON : a->o.quiet ? PLAIN_QUIET : PLAIN_TEXT; }

/* What a script prints while a line is edited on the terminal waits for the thread that has the line. */
static struct queue said;
static _Atomic bool editing;

/* Line by line through the one sink. */
void line_say(const struct app *a, const char *text, size_t n) {
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

/* print() of a script, on the script thread. */
static void on_print(void *ctx, const char *text, size_t n) {
    char *copy = atomic_load(&editing) ? mem_strn(text, n) : NULL;
    for (int i = 0; copy && queue_put(&said, copy) != 0; i++) {
        if (i == 500 || !atomic_load(&editing)) {
            free(copy);
            copy = NULL;
        } else clock_sleep(0.002);
    }
    if (!copy) line_say(ctx, text, n);
}

static void take_said(const struct line *l) {
    for (char *text; (text = queue_get(&said, 0)); free(text)) {
        terminal_hide();
        line_say(l->app, text, strlen(text));
    }
}

void line_editing(struct line *l, bool on) {
    plain_at_prompt(l->view, on ? terminal_hide : NULL);
    atomic_store(&editing, on);
    take_said(l);
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
    if (w == WISH_INTERRUPT && l->at_prompt) { /* the evaluation and nothing else; runs in the background go on */
        if (l->waiting) hub_stop(l->app->hub, l->waiting, STOP_AFTER_STEP);
        else if (l->evaluating) interrupt_script(l);
        else l->interrupted = true;
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
bool line_turn(struct line *l, int in, int timeout_ms) {
    struct pollfd p[] = {{signals_fd(), POLLIN, 0}, {l->reply.wake_fd, POLLIN, 0}, {l->output.wake_fd, POLLIN, 0},
        {hub_queue(l->app->hub, OWNER_UI)->wake_fd, POLLIN, 0}, {plain_fd(l->view), POLLIN, 0}, {in, POLLIN, 0}, {said.wake_fd, POLLIN, 0}};
    poll(p, LEN(p), l->wish == WISH_NONE ? timeout_ms : 20);
    take_signals(l);
    hub_serve(l->app->hub, OWNER_UI, 0);
    if (p[6].revents) take_said(l);
    plain_step(l->view);
    return p[5].revents != 0;
}

int line_open(struct line *l, struct app *a) {
    memset(l, 0, sizeof *l);
    l->app = a;
    if (queue_init(&l->reply, 16) || queue_init(&l->output, 256) || (!said.slot && queue_init(&said, 256))) {
        say("cannot make the queues of line mode: %s", strerror(errno));
        return -1;
    }
    l->view = plain_new(a->runs, out_mode(a), a->out, stderr, isatty(2) && !a->dumb && !a->o.plain, out_is_ascii());
    script_on_print(on_print, a);
    return 0;
}

/* The queues stay until the process ends: a reply that comes later must find its reserved slot. So a struct line with calls is static. */
int line_close(struct line *l, int code) {
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

int line_fail(struct line *l, const struct err *e) {
    if (!(l->wish != WISH_NONE && e->code == ERR_STOPPED)) plain_error(l->view, e);
    return exit_of(e);
}

/* Of a data set that was only loaded: what is in it. */
static void print_data(struct line *l, struct handle h) {
    struct err e = {0};
    struct val *args = val_table(), *id = NULL;
    struct buf b = BUF_INIT;
    val_push(args, val_handle(h));
    val_push(args, val_str("identity"));
    if (call_sync(l->app->hub, "field", args, BY_LINE, &id, &e) < 0) return;
    const struct val *rows = val_get(id, "rows");
    buf_addf(&b, "%s: %" PRId64 " training, %" PRId64 " validation, %" PRId64 " test rows; hone data show tells more", val_get_str(id, "name", "data"),
        val_get_int(rows, "train", 0), val_get_int(rows, "val", 0), val_get_int(rows, "test", 0));
    struct val *text = val_str(b.data);
    plain_value(l->view, "data", text);
    val_free(text);
    val_free(id);
    buf_release(&b);
}

/* Of an evaluation or a list of them, which name the part they are of, the text that Lua shows; NULL: the Lua library is not there, or v is no such thing. */
static struct val *sheet(struct line *l, const char *name, const struct val *v) {
    struct err e = {0};
    struct val *args, *text = NULL;
    if (!val_get(v, "split") && !val_get(val_at(v, 0), "split")) return NULL;
    if (app_need(l->app, OWNER_SCRIPT, &e)) return NULL;
    args = val_table();
    val_set(args, "report", val_copy(v));
    val_set_str(args, "command", name);
    if (call_sync(l->app->hub, "sheet", args, BY_LINE, &text, &e) < 0) log_write(LOG_WARN, "%s", e.text);
    if (text && text->type == VAL_STR) return text;
    val_free(text);
    return NULL;
}

/* Of an answer with a "text", people want the text. */
static void print_result(struct line *l, const char *name, const struct val *v) {
    struct val *made = l->app->o.json ? NULL : sheet(l, name, v);
    const struct val *text = l->app->o.json ? NULL : made ? made : val_get(v, "text");
    if (v && v->type == VAL_HANDLE && !l->app->o.json) {
        if (v->u.h.kind == HANDLE_DATA) print_data(l, v->u.h);
        return;
    }
    plain_value(l->view, name, text && text->type == VAL_STR ? text : v);
    val_free(made);
}

static int job_code(struct line *l, struct job *j) {
    enum job_state s = hub_job_state(l->app->hub, j);
    if (s == JOB_FAILED) return line_fail(l, &j->err);
    return s == JOB_STOPPED ? EXIT_STOPPED : EXIT_DONE;
}

/* A job was started and its handle came back: its end is the command's end. */
static int wait_job(struct line *l, const char *name, struct handle h) {
    struct job *j = hub_job(l->app->hub, h);
    if (!j) return EXIT_DONE;
    l->waiting = j;
    while (hub_job_state(l->app->hub, j) <= JOB_RUNNING) line_turn(l, -1, 100);
    l->waiting = NULL;
    plain_step(l->view);
    int code = job_code(l, j);
    if (code == EXIT_DONE && j->result) print_result(l, name, j->result);
    if (code == EXIT_DONE && val_get_bool(j->result, "unsaved", false)) code = EXIT_FAILED; /* the run said why; this process held the only weights */
    return code;
}

static int finish_call(struct line *l, struct call *c) {
    int code = EXIT_DONE;
    plain_step(l->view);
    if (c->status) code = line_fail(l, &c->err);
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

/* config.lua holds for commands as it does for scripts: it is run before the first that could be told by it. */
static int need_config(struct line *l, enum owner owner, struct err *e) {
    char *config = (owner == OWNER_ENGINE || owner == OWNER_HELPER) && !l->app->script_on ? script_config() : NULL;
    int rc = config ? app_need(l->app, OWNER_SCRIPT, e) : 0;
    while (config && rc == 0 && l->wish == WISH_NONE && l->app->script.busy(l->app->script.ctx)) line_turn(l, -1, 5);
    free(config);
    return rc;
}

/* A model that is named comes out of the Lua library. */
static bool names_model(const struct call *c) {
    for (const struct arg *a = c->cmd->kind.args; a && a->name; a++) {
        const struct val *v = a->source == SRC_MODEL ? val_get(c->args, a->name) : NULL;
        if (v && (v->type == VAL_STR || v->type == VAL_TABLE)) return true;
    }
    return false;
}

int line_call(struct line *l, struct call *c_take) {
    struct err e = {0};
    if ((names_model(c_take) && app_need(l->app, OWNER_SCRIPT, &e)) || need_config(l, c_take->cmd->owner, &e) || app_need(l->app, c_take->cmd->owner, &e)) {
        call_free(c_take);
        return line_fail(l, &e);
    }
    return call_submit(c_take, &l->reply, NULL, &e) ? line_fail(l, &e) : wait_call(l);
}

/* Jobs that were left running are waited for; one that fails now was seen by nobody else. */
int line_wait_all(struct line *l) {
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
        code = c ? line_call(&l, c) : line_fail(&l, &e);
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
    return line_close(&l, c ? line_call(&l, c) : line_fail(&l, &e));
}

void line_print(struct app *a, const char *name, const struct val *v) {
    struct line l;
    if (line_open(&l, a)) return;
    print_result(&l, name, v);
    line_close(&l, 0);
    queue_release(&l.reply); /* nothing was asked */
    queue_release(&l.output);
}

/* ---- scripts ---- */

/* The script that is given on standard input. */
static int read_script(struct line *l, struct buf *text, struct err *e) {
    enum { MOST = 16 << 20 }; /* as of a file */
    char piece[4096];
    buf_add(text, "", 0);
    for (ssize_t n = 1; n != 0;) {
        if (!line_turn(l, 0, -1)) {
            if (l->wish != WISH_NONE) return err_code(e, ERR_STOPPED, "stopped before the script was read");
            continue;
        }
        n = read(0, piece, sizeof piece);
        if (n < 0 && errno != EINTR) return err_sys(e, "read the script from", "standard input");
        if (n > 0) buf_add(text, piece, (size_t)n);
        if (text->len > MOST) return err_set(e, "the script on standard input is larger than 16 MiB: data belongs in a data file");
    }
    if (strlen(text->data) != text->len)
        return err_set(e, "the script on standard input holds a NUL byte at offset %zu: it is no Lua text", strlen(text->data));
    return 0;
}

int line_script(struct app *a, const char *path, char *const *arg, size_t n) {
    static struct line l;
    struct err e = {0};
    if (line_open(&l, a)) return EXIT_FAILED;
    int code;
    struct buf text = BUF_INIT;
    bool given = strcmp(path, "-") == 0;
    crashed_tell(a->runs, "notice");
    if ((given && read_script(&l, &text, &e)) || app_need(a, OWNER_SCRIPT, &e) ||
        script_run_file(a->hub, path, given ? text.data : NULL, (int)n, (const char *const *)(const void *)arg, &l.reply, NULL, &e))
        code = line_fail(&l, &e);
    else code = wait_call(&l);
    buf_release(&text);
    if (code == EXIT_USAGE) code = EXIT_FAILED; /* a script's mistake, not one of the command line */
    int rest = line_wait_all(&l);
    return line_close(&l, code ? code : rest);
}
