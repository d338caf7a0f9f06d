/* Line mode's prompt: lines of standard input are commands, or Lua. On a terminal they are edited with readline (src/prompt/terminal.c) as in the
 * dashboard's drawer; elsewhere they are read as they come. Main thread. */
#include "config.h"

#include "src/main.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/main_line.h"
#include "src/prompt/history.h"
#include "src/prompt/terminal.h"
#include "src/script/script.h"
#include "src/session/client.h"
#include "src/session/editor.h"
#include "src/stored/folder.h"

/* Takes the pieces of an evaluation; true at its end. */
static bool take_output(struct line *l, int *status, bool *more) {
    struct script_reply *r;
    bool end = false;
    while (!end && (r = queue_get(&l->output, 0)) != NULL) {
        if (r->output && r->text) line_say(l->app, r->text, strlen(r->text));
        if (!r->output) {
            end = true;
            *status = r->status;
            struct err e = {0};
            if (r->incomplete && more) *more = true;
            else if (r->status) line_fail(l, (err_set(&e, "%s", r->text ? r->text : "the evaluation failed"), &e));
            else if (r->text && *r->text) {
                line_say(l->app, r->text, strlen(r->text));
                if (r->text[strlen(r->text) - 1] != '\n') line_say(l->app, "\n", 1);
            }
        }
        reply_free(r);
    }
    return end;
}

/* more: set where the text is only the beginning of a chunk; NULL: that is an error like any other. */
static int eval(struct line *l, const char *text, size_t n, bool *more) {
    struct err e = {0};
    int status = 0;
    if (app_need(l->app, OWNER_SCRIPT, &e)) return line_fail(l, &e);
    if (l->app->script.eval(l->app->script.ctx, text, n, "=stdin", &l->output, NULL, &e)) return line_fail(l, &e);
    l->evaluating = true;
    while (!take_output(l, &status, more)) line_turn(l, -1, 250);
    l->evaluating = false;
    return status ? EXIT_FAILED : EXIT_DONE;
}

/* What follows a name in an expression or an assignment, and in no argument of a command. */
static bool goes_on_as_lua(const char *p, const char *end) {
    bool apart = end - p >= 2 && p[1] == ' ', equal = end - p >= 2 && p[1] == '=';
    if (p == end) return false;
    return strchr("=,([{:", *p) || (apart && strchr("+-*/%^<>&|~", *p)) || (equal && strchr("~<>", *p)) || (end - p >= 3 && strncmp(p, ".. ", 3) == 0);
}

/* A line is a command where its first word is one and nothing behind it makes it Lua (data = hone.data{..}). */
static bool is_command(const struct line *l, const char *line, size_t n) {
    char word[64];
    size_t len = 0;
    while (len < n && !strchr(" \t\r\n", line[len])) len++;
    if (memchr(line, '\n', n) || len >= sizeof word) return false;
    snprintf(word, sizeof word, "%.*s", (int)len, line);
    while (len < n && (line[len] == ' ' || line[len] == '\t')) len++;
    return hub_find(l->app->hub, word) && !goes_on_as_lua(line + len, line + n);
}

static int prompt_line(struct line *l, const char *line, size_t n, bool *more) {
    struct err e = {0};
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
    while (n && *line == ' ') line++, n--;
    if (n == 0) return EXIT_DONE;
    if (*line == '=') return eval(l, line + 1, n - 1, more);
    if (!is_command(l, line, n)) return eval(l, line, n, more);
    char *text = mem_strn(line, n);
    struct call *c = call_parse(l->app->hub, text, BY_PROMPT, &e);
    free(text);
    return c ? line_call(l, c) : line_fail(l, &e);
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

/* Lines of a file or a pipe: the first that fails ends it. */
static int prompt_plain(struct line *l) {
    struct buf in = BUF_INIT, block = BUF_INIT; /* a chunk that goes on */
    int code = EXIT_DONE;
    for (bool open = true; code == EXIT_DONE;) {
        fflush(stdout);
        size_t n = next_line(l, &in, &open);
        bool more = false;
        if (n == 0 && !block.len) break;
        buf_add(&block, in.data, n);
        memmove(in.data, in.data + n, in.len - n);
        in.len -= n;
        code = prompt_line(l, block.data, block.len, n ? &more : NULL);
        if (more) {
            code = EXIT_DONE;
            continue;
        }
        buf_clear(&block);
        if (n == 0) break;
    }
    buf_release(&block);
    buf_release(&in);
    return code;
}

/* ---- on a terminal ---- */

static bool whole(void *ctx, const char *text, size_t n) {
    while (n && *text == ' ') text++, n--;
    bool lua = n && *text == '=';
    return (!lua && is_command(ctx, text, n)) || !script_unfinished(text + lua, n - lua);
}

static void to_editor(const struct buf *block) {
    struct buf text = BUF_INIT;
    struct err e = {0};
    if (editor_run(block->data ? block->data : "", block->len, NULL, &text, &e) == 0) terminal_edited(text.data ? text.data : "", text.len);
    else {
        say("%s", e.text);
        terminal_edited(block->data ? block->data : "", block->len);
    }
    buf_release(&text);
}

/* The next block, edited while the rest of the program is served; NULL: there is no more. */
static char *next_block(struct line *l) {
    char *text = NULL;
    struct buf block = BUF_INIT;
    bool end = false;
    line_editing(l, true);
    while (!text && !end && l->wish == WISH_NONE) {
        terminal_ask();
        struct err e = {0};
        if (!l->app->script_on && app_need(l->app, OWNER_SCRIPT, &e)) { /* behind the first prompt: Tab asks it */
            terminal_hide();
            say("%s", e.text);
            break;
        }
        bool keys = line_turn(l, 0, -1);
        if (l->interrupted) { /* before what was typed after it */
            terminal_interrupt();
            terminal_ask();
        }
        l->interrupted = false;
        if (keys) text = terminal_read(&end);
        if (!text && terminal_wants_editor(&block)) {
            to_editor(&block);
            buf_clear(&block);
        }
    }
    terminal_hide();
    line_editing(l, false);
    buf_release(&block);
    return text;
}

static void prompt_terminal(struct line *l) {
    char *folder = realpath(".", NULL), *path = folder ? history_path(folder) : NULL, *text;
    struct terminal_ways ways = {l, whole};
    struct termios modes;
    if (tcgetattr(0, &modes) == 0) client_guard(&modes);
    crashed_tell(l->app->runs, "notice");
    hub_add_resumer(l->app->hub);
    terminal_open(&l->app->script, path, &ways);
    l->at_prompt = true;
    signals_at_prompt(true);
    while ((text = next_block(l))) {
        double t = clock_now();
        l->interrupted = false;
        prompt_line(l, text, strlen(text), NULL);
        t = clock_now() - t;
        if (t > 0.1) printf(t < 10 ? "(%.2f s)\n" : "(%.0f s)\n", t);
        if (text[strspn(text, " \t\n")]) terminal_remember(text);
        free(text);
        fflush(stdout);
    }
    terminal_close();
    client_guard(NULL);
    signals_at_prompt(false);
    l->at_prompt = false;
    free(path);
    free(folder);
    if (!l->app->o.quiet) fputc('\n', stdout);
}

int line_prompt(struct app *a) {
    static struct line l;
    int code = EXIT_DONE;
    if (line_open(&l, a)) return EXIT_FAILED;
    if (isatty(0) && isatty(1)) prompt_terminal(&l);
    else code = prompt_plain(&l);
    int rest = line_wait_all(&l);
    return line_close(&l, code ? code : rest);
}
