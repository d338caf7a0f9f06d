/* The keys of the prompt in readline's terms: Up and Down by line or by history, Tab, Enter, Ctrl-X Ctrl-E; and its history. */
#include "config.h"

#include "src/prompt/block.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/prompt/history.h"

#define HISTORY_MAX 5000

static struct block {
    const struct script_port *script;
    const struct block_face *face;
    char *history; /* its file, or NULL */
    char *last; /* the newest entry */
} B;

bool block_blank(const char *s) { return s[strspn(s, " \t\n")] == '\0'; }

void block_remember(const char *text) {
    struct err e = {0};
    if (B.last && strcmp(B.last, text) == 0) return;
    add_history(text);
    using_history(); /* the arrow keys start from the end again: the line was begun before this entry came */
    free(B.last);
    B.last = mem_str(text);
    if (B.history && history_append(B.history, text, &e) != 0) {
        log_write(LOG_WARN, "the prompt's history is not kept: %s", e.text);
        free(B.history);
        B.history = NULL;
    }
}

void block_paste(const char *text, size_t n) {
    char *clean = mem_new(n + 1, 1);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\r') {
            clean[k++] = '\n';
            if (i + 1 < n && text[i + 1] == '\n') i++;
        } else if (c == '\n' || c == '\t' || (c >= 32 && c != 127)) clean[k++] = (char)c;
    }
    while (k && clean[k - 1] == '\n') k--; /* the last newline is Enter, which the user presses */
    clean[k] = '\0';
    if (utf8_valid(clean, k)) rl_insert_text(clean);
    free(clean);
    B.face->changed();
}

/* ---- keys ---- */
static int key_enter(int count, int key) { return B.face->enter() ? rl_newline(count, key) : 0; }

static int key_newline(int count, int key) {
    (void)count, (void)key;
    rl_insert_text("\n");
    return 0;
}

static int key_editor(int count, int key) {
    (void)count, (void)key;
    B.face->editor();
    return 0;
}

static int line_down(int count, int key);
static int line_up(int count, int key);

/* readline starts a new search where another function came before; ours are its own under another name. */
static void go_on_searching(void) {
    if (rl_last_func == line_up || rl_last_func == line_down) rl_last_func = rl_history_search_backward;
}

/* Up and down: a line of the block while there is one, else the history by what stands before the cursor. */
static int line_up(int count, int key) {
    int start = rl_point, col;
    while (start > 0 && rl_line_buffer[start - 1] != '\n') start--;
    if (start == 0) {
        go_on_searching();
        return rl_history_search_backward(count, key);
    }
    col = rl_point - start;
    int before = start - 1;
    while (before > 0 && rl_line_buffer[before - 1] != '\n') before--;
    rl_point = before + col < start - 1 ? before + col : start - 1;
    while (rl_point > before && ((unsigned char)rl_line_buffer[rl_point] & 0xc0) == 0x80) rl_point--;
    B.face->changed();
    return 0;
}

static int line_down(int count, int key) {
    int start = rl_point, next = rl_point, end;
    while (start > 0 && rl_line_buffer[start - 1] != '\n') start--;
    while (next < rl_end && rl_line_buffer[next] != '\n') next++;
    if (next == rl_end) {
        go_on_searching();
        return rl_history_search_forward(count, key);
    }
    next++;
    for (end = next; end < rl_end && rl_line_buffer[end] != '\n';) end++;
    rl_point = next + (rl_point - start) < end ? next + (rl_point - start) : end;
    while (rl_point > next && ((unsigned char)rl_line_buffer[rl_point] & 0xc0) == 0x80) rl_point--;
    B.face->changed();
    return 0;
}

/* Tab: what all candidates begin with; several: shown. */
static int key_tab(int count, int key) {
    (void)count, (void)key;
    if (!B.script->complete) return 0;
    struct val *v = B.script->complete(B.script->ctx, rl_line_buffer, (size_t)rl_point);
    size_t n = v ? val_len(v) : 0;
    int64_t start = val_get_int(v, "start", rl_point);
    if (n && start >= 0 && start <= rl_point) {
        const char *first = val_at(v, 0)->u.s.p;
        size_t same = strlen(first), have = (size_t)(rl_point - start);
        for (size_t i = 1; i < n; i++) {
            const char *s = val_at(v, i)->u.s.p;
            size_t k = 0;
            while (k < same && s[k] == first[k]) k++;
            same = k;
        }
        while (same && same < strlen(first) && ((unsigned char)first[same] & 0xc0) == 0x80) same--;
        if (same > have) {
            char *more = mem_strn(first + have, same - have);
            if (utf8_harmless(more, "")) rl_insert_text(more); /* a file's name may hold anything, the line may not */
            free(more);
        }
        if (n > 1) B.face->choices(v);
    } else if (n == 0 && (rl_point == 0 || strchr(" \t\n", rl_line_buffer[rl_point - 1]))) rl_insert_text("    ");
    val_free(v);
    B.face->changed();
    return 0;
}

/* ---- making ---- */
static void load_entry(void *ctx, const char *entry) {
    (void)ctx;
    add_history(entry);
    free(B.last);
    B.last = mem_str(entry);
}

static void no_terminal(int meta) { (void)meta; }
static void no_terminal_either(void) {}
static void redisplay(void) { B.face->changed(); }

static void be_dumb(void) {
    rl_terminal_name = "dumb";
    rl_prep_term_function = no_terminal;
    rl_deprep_term_function = no_terminal_either;
    rl_redisplay_function = redisplay;
    rl_set_screen_size(24, 80);
}

static void bind(void) {
    static const char *const variables[][2] = {
        {"bell-style", "none"}, {"convert-meta", "off"}, {"input-meta", "on"}, {"output-meta", "on"}, {"history-size", "10000"}, {"page-completions", "off"}};
    for (size_t i = 0; i < LEN(variables); i++) rl_variable_bind(variables[i][0], variables[i][1]);
    rl_bind_key('\t', key_tab);
    rl_bind_key('\r', key_enter);
    rl_bind_key('\n', key_enter);
    rl_bind_keyseq("\\e\\r", key_newline);
    rl_bind_keyseq("\\e[A", line_up);
    rl_bind_keyseq("\\eOA", line_up);
    rl_bind_keyseq("\\e[B", line_down);
    rl_bind_keyseq("\\eOB", line_down);
    rl_bind_keyseq("\\C-x\\C-e", key_editor);
}

static void init(bool own) {
    static bool done;
    if (done) return;
    done = true;
    if (MB_CUR_MAX == 1 && !own) setlocale(LC_CTYPE, "C.UTF-8");
    rl_readline_name = "hone";
    rl_catch_signals = 0;
    rl_catch_sigwinch = own;
    rl_change_environment = 0;
    if (!own) be_dumb();
    rl_initialize();
    if (!own) {
        rl_variable_bind("enable-bracketed-paste", "off");
        rl_variable_bind("keyseq-timeout", "0");
    }
    bind();
    using_history();
}

void block_open(const struct script_port *script, const char *history, const struct block_face *face, bool own, FILE *in, FILE *out) {
    struct err why = {0};
    B = (struct block){.script = script, .face = face, .history = mem_str(history)};
    rl_instream = in;
    rl_outstream = out;
    init(own);
    clear_history();
    if (history && history_load(history, HISTORY_MAX, load_entry, NULL, &why) != 0) log_write(LOG_WARN, "the prompt's history cannot be read: %s", why.text);
}

void block_close(void) {
    free(B.history);
    free(B.last);
    B = (struct block){.face = B.face};
}
