/* The drawer's prompt: readline as a line editor without a terminal: keys come through a pipe, whole ones at a time; nothing is printed; pastes are
 * inserted as one block; Enter asks the script thread, and only its "incomplete" continues the block. */
#include "config.h"

#include "src/prompt/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"
#include "src/prompt/block.h"
#include "src/prompt/history.h"

#define OUT_LINES 5000
#define OUT_COLUMNS 1000
#define CHOICES_MAX 200
#define AHEAD_MAX 32 /* blocks that wait for the evaluation before them */

static struct prompt {
    const struct script_port *script;
    struct queue replies;
    int pipe[2];
    FILE *in, *out;
    bool busy, open, dirty;
    bool again; /* the last text was incomplete */
    bool edit; /* the block is wanted in an editor */
    char *sent; /* the text of the running evaluation */
    double sent_t;
    char *line[2 * OUT_LINES]; /* a ring, written twice: the lines that are kept stand in a row from the oldest on */
    size_t n_line; /* that ever came */
    size_t since, ended; /* the line with which the last evaluation began; how many have ended */
    char *ahead[AHEAD_MAX]; /* entered while one was evaluated; the next first */
    size_t n_ahead;
    char *choice[CHOICES_MAX];
    size_t n_choice;
    struct buf part;
} P;

/* ---- output ---- */
static void out_line(const char *s, size_t n) {
    struct buf b = BUF_INIT;
    utf8_show(&b, s, n, OUT_COLUMNS, UTF8_FULL);
    size_t at = P.n_line++ % OUT_LINES;
    free(P.line[at]);
    P.line[at] = P.line[at + OUT_LINES] = buf_take(&b);
    P.dirty = true;
}

/* Pieces may end inside a line: the rest waits for the next one. */
static void out_text(const char *s, bool end) {
    const char *nl;
    if (P.part.len && *s) {
        buf_adds(&P.part, s);
        char *all = buf_take(&P.part);
        out_text(all, end);
        free(all);
        return;
    }
    for (; (nl = strchr(s, '\n')); s = nl + 1) out_line(s, (size_t)(nl - s));
    if (*s && end) out_line(s, strlen(s));
    else if (*s) buf_adds(&P.part, s);
    if (end && P.part.len) out_line(P.part.data, P.part.len), buf_clear(&P.part);
}

static void forget_choices(void) {
    for (size_t i = 0; i < P.n_choice; i++) free(P.choice[i]);
    P.n_choice = 0;
}

static void set_prompt(void) { rl_set_prompt(P.again ? ">> " : "> "); }

static void echo(const char *text) {
    const char *nl;
    struct buf b = BUF_INIT;
    for (bool first = true; text; first = false, text = nl ? nl + 1 : NULL) {
        nl = strchr(text, '\n');
        buf_clear(&b);
        buf_adds(&b, first ? "> " : ">> ");
        buf_add(&b, text, nl ? (size_t)(nl - text) : strlen(text));
        out_line(b.data, b.len);
    }
    buf_release(&b);
}

static void submit(const char *text) {
    struct err e = {0};
    P.again = false;
    if (block_blank(text)) return;
    if (!P.script->eval) {
        echo(text);
        out_text("the engine is still starting: press Enter again in a moment", true);
        return;
    }
    free(P.sent);
    P.sent = mem_str(text);
    P.sent_t = clock_now();
    if (P.script->eval(P.script->ctx, text, strlen(text), "prompt", &P.replies, NULL, &e) == 0) P.busy = true;
    else out_text(e.text, true);
}

static void line_done(char *line) {
    if (line) submit(line);
    free(line);
    set_prompt();
}

/* ---- what readline's keys ask for ---- */
static void face_changed(void) { P.dirty = true; }

static void face_choices(const struct val *names) {
    for (size_t i = 0; i < val_len(names) && i < CHOICES_MAX; i++) {
        struct buf b = BUF_INIT;
        utf8_show(&b, val_at(names, i)->u.s.p, val_at(names, i)->u.s.len, 60, UTF8_FULL);
        P.choice[P.n_choice++] = buf_take(&b);
    }
}

/* What is entered while something runs waits for its turn. */
static bool face_enter(void) {
    forget_choices();
    if (!P.busy) return true;
    if (P.n_ahead == AHEAD_MAX) {
        out_text("an evaluation is running and many lines wait for it: Ctrl-C interrupts it", true);
        return false;
    }
    if (!block_blank(rl_line_buffer)) P.ahead[P.n_ahead++] = mem_str(rl_line_buffer);
    rl_replace_line("", 1);
    rl_point = 0;
    P.dirty = true;
    return false;
}

static char *ahead_take(void) {
    char *text = P.ahead[0];
    memmove(P.ahead, P.ahead + 1, --P.n_ahead * sizeof *P.ahead);
    return text;
}

static void ahead_drop(void) {
    char text[64];
    if (P.n_ahead) {
        snprintf(text, sizeof text, "%zu line%s that waited: dropped", P.n_ahead, P.n_ahead > 1 ? "s" : "");
        out_text(text, true);
    }
    while (P.n_ahead) free(ahead_take());
}

static void face_editor(void) { P.edit = true; }

static const struct block_face face = {face_changed, face_choices, face_enter, face_editor};

/* ---- the port ---- */
static void feed(const char *bytes, size_t n) {
    struct pollfd p = {.fd = P.pipe[0], .events = POLLIN};
    if (write(P.pipe[1], bytes, n) != (ssize_t)n) return; /* keys are short: the pipe is empty here */
    while (poll(&p, 1, 0) > 0 && (p.revents & POLLIN)) rl_callback_read_char();
    P.dirty = true;
}

static bool searching(void) { return RL_ISSTATE(RL_STATE_ISEARCH | RL_STATE_NSEARCH); }

static void leave_search(void) {
    if (searching() || RL_ISSTATE(RL_STATE_MULTIKEY | RL_STATE_NUMERICARG | RL_STATE_METANEXT)) feed("\x07", 1);
}

static void port_key(void *ctx, const char *bytes, size_t n) {
    (void)ctx;
    if (n == 0 || n > 64) return;
    if (n == 1 && bytes[0] == 3) { /* Ctrl-C */
        forget_choices();
        if (P.busy && P.script->interrupt) {
            ahead_drop();
            P.script->interrupt(P.script->ctx);
            return;
        }
        leave_search();
        if (rl_end) echo(rl_line_buffer);
        P.again = false;
        rl_replace_line("", 1);
        rl_point = 0;
        set_prompt();
        P.dirty = true;
        return;
    }
    forget_choices();
    if (n == 1 && bytes[0] == 4 && rl_end == 0) return; /* Ctrl-D closes the drawer, which is the dashboard's matter */
    feed(bytes, n);
}

static void port_paste(void *ctx, const char *text, size_t n) {
    (void)ctx;
    leave_search();
    forget_choices();
    if (utf8_valid(text, n)) block_paste(text, n);
    else out_text("the pasted text is not UTF-8: it was not inserted", true);
    P.dirty = true;
}

static bool port_wants_editor(void *ctx, struct buf *block) {
    (void)ctx;
    if (!P.edit) return false;
    P.edit = false;
    buf_adds(block, rl_line_buffer);
    return true;
}

static void port_edited(void *ctx, const char *text, size_t n) {
    leave_search();
    rl_replace_line("", 1);
    rl_point = 0;
    port_paste(ctx, text, n);
}

static void port_size(void *ctx, int rows, int cols) {
    (void)ctx;
    rl_set_screen_size(rows < 2 ? 2 : rows, cols < 10 ? 10 : cols);
}

static void port_view(void *ctx, struct prompt_view *v) {
    (void)ctx;
    size_t n = P.n_line < OUT_LINES ? P.n_line : OUT_LINES, first = P.n_line - n;
    *v = (struct prompt_view){
        .prompt = rl_display_prompt ? rl_display_prompt : "> ",
        .line = rl_line_buffer ? rl_line_buffer : "",
        .cursor = (size_t)rl_point,
        .out = (const char *const *)P.line + first % OUT_LINES,
        .n_out = n,
        .first = first,
        .since = P.since,
        .ended = P.ended,
        .choices = P.n_choice ? (const char *const *)P.choice : NULL,
        .n_choices = P.n_choice,
        .busy = P.busy,
        .ahead = P.n_ahead,
        .searching = searching(),
    };
}

/* The text was only the beginning: with what was entered behind it it is tried again, else it comes back to be edited as one block, with what was typed
 * meanwhile behind it. */
static void go_on(void) {
    if (P.n_ahead) {
        struct buf b = BUF_INIT;
        char *more = ahead_take();
        buf_addf(&b, "%s\n%s", P.sent, more);
        free(more);
        submit(b.data);
        buf_release(&b);
        return;
    }
    char *typed = mem_str(rl_line_buffer);
    leave_search();
    P.again = true;
    rl_replace_line(P.sent, 1);
    rl_point = rl_end;
    rl_insert_text("\n");
    rl_insert_text(typed);
    set_prompt();
    free(typed);
}

/* The end of an evaluation: how long it took, where somebody could have felt it. */
static void took(void) {
    double t = clock_now() - P.sent_t;
    char text[48];
    if (P.busy && t > 0.1) {
        snprintf(text, sizeof text, t < 10 ? "(%.2f s)" : "(%.0f s)", t);
        out_text(text, true);
    }
    P.busy = false;
    P.ended++;
    while (P.n_ahead && !P.busy) { /* one that could not be handed over leaves the turn to the next */
        char *next = ahead_take();
        submit(next);
        free(next);
    }
}

static bool port_poll(void *ctx) {
    struct script_reply *r;
    (void)ctx;
    while ((r = queue_get(&P.replies, 0))) {
        P.dirty = true;
        if (r->incomplete) {
            P.busy = false;
            go_on();
        } else {
            if (P.sent) { /* the first piece: it was whole */
                P.since = P.n_line;
                echo(P.sent);
                block_remember(P.sent);
                free(P.sent);
                P.sent = NULL;
            }
            out_text(r->text ? r->text : "", !r->output);
            if (!r->output) took();
        }
        reply_free(r);
    }
    bool was = P.dirty;
    P.dirty = false;
    return was;
}

/* ---- making ---- */
static enum working port_working(void *ctx) {
    (void)ctx;
    if (!P.script->busy || !P.script->busy(P.script->ctx)) return WORKING_NONE;
    return P.script->scripted(P.script->ctx) ? WORKING_SCRIPT : WORKING_LINE;
}

int prompt_new(const struct script_port *script, const char *path, struct prompt_port *out, struct err *e) {
    if (P.open) return err_set(e, "there is one prompt a process, and it is open");
    P = (struct prompt){.script = script, .pipe = {-1, -1}};
    if (queue_init(&P.replies, 256) != 0) return err_set(e, "the prompt cannot be made: %s", strerror(errno));
    if (pipe2(P.pipe, O_CLOEXEC) != 0 || !(P.in = fdopen(P.pipe[0], "r")) || !(P.out = fopen("/dev/null", "we"))) {
        err_set(e, "the prompt cannot be made: %s", strerror(errno));
        if (P.in) fclose(P.in);
        else if (P.pipe[0] >= 0) close(P.pipe[0]);
        if (P.pipe[1] >= 0) close(P.pipe[1]);
        queue_release(&P.replies);
        return -1;
    }
    P.open = true;
    block_open(script, path, &face, false, P.in, P.out);
    rl_callback_handler_install("> ", line_done);
    *out = (struct prompt_port){.ctx = &P,
        .key = port_key,
        .paste = port_paste,
        .size = port_size,
        .view = port_view,
        .poll = port_poll,
        .working = port_working,
        .wants_editor = port_wants_editor,
        .edited = port_edited};
    return 0;
}

int prompt_open(const struct script_port *script, struct prompt_port *out, struct err *e) {
    char *folder = realpath(".", NULL), *path = folder ? history_path(folder) : NULL;
    int rc = prompt_new(script, path, out, e);
    free(path);
    free(folder);
    return rc;
}

void prompt_close(struct prompt_port *p) {
    struct script_reply *r;
    if (!P.open) return;
    rl_callback_handler_remove();
    while ((r = queue_get(&P.replies, 0))) reply_free(r);
    queue_release(&P.replies);
    forget_choices();
    for (size_t i = 0; i < OUT_LINES; i++) free(P.line[i]);
    fclose(P.in);
    fclose(P.out);
    close(P.pipe[1]);
    while (P.n_ahead) free(ahead_take());
    block_close();
    free(P.sent);
    buf_release(&P.part);
    P = (struct prompt){0};
    *p = (struct prompt_port){0};
}
