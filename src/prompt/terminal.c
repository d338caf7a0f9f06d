/* readline on standard input and output through its callback interface: in line settings of its own while a line is edited, in those it found while
 * one is evaluated. */
#include "config.h"

#include "src/prompt/terminal.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "src/base/buf.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/prompt/block.h"

#define CHOICE_ROWS 12
#define CTRL_C 3
#define PASTE_MS 2000 /* a paste whose next byte takes longer has no end */

static struct terminal {
    struct terminal_ways ways;
    bool asking, hidden; /* a line is edited; it is not on the screen */
    bool end, edit;
    bool interrupted; /* Ctrl-C was read */
    bool no_eof; /* see eof_is_key */
    cc_t eof;
    char *taken; /* the block that Enter took */
    char *begin; /* what the next one begins with */
} T;
static volatile sig_atomic_t continued;

static void on_continue(int sig) {
    (void)sig;
    continued = 1;
}

/* While nothing is edited the terminal gathers lines. There an end of file typed ahead would be lost when readline takes over: it is a key until then. */
static void eof_is_key(bool on) {
    struct termios t;
    if (on == T.no_eof || tcgetattr(0, &t) != 0) return;
    if (on) T.eof = t.c_cc[VEOF];
    t.c_cc[VEOF] = on ? (cc_t)_POSIX_VDISABLE : T.eof;
    T.no_eof = tcsetattr(0, TCSANOW, &t) == 0 ? on : T.no_eof;
}

/* While a line is edited Ctrl-C is read like any key: as a signal it overtakes what was typed before it, and the terminal drops what it has not yet been
 * sent, rows of the block among them. readline puts the old settings back. */
static void interrupt_is_key(void) {
    struct termios t;
    if (tcgetattr(0, &t) != 0) return;
    t.c_cc[VINTR] = _POSIX_VDISABLE;
    tcsetattr(0, TCSANOW, &t);
}

/* The terminal as readline found it, which is without an end of file when it took over between two lines: that stays so until the next one, and who else gets
 * the terminal finds it as it was. */
static void put_back(void) {
    rl_deprep_terminal();
    if (T.asking) eof_is_key(false);
}

static void stop_reading(void) {
    T.asking = false;
    rl_callback_handler_remove();
    eof_is_key(true);
}

static void line_done(char *line) {
    stop_reading();
    T.taken = line;
    if (!line) T.end = true;
}

/* ---- what readline's keys ask for ---- */
static void face_changed(void) {}

static void face_choices(const struct val *names) {
    int rows, cols, widest = 0, row = 0;
    struct buf b = BUF_INIT;
    size_t n = val_len(names), shown = 0;
    bool ascii = MB_CUR_MAX == 1;
    rl_get_screen_size(&rows, &cols);
    if (cols < 20) cols = 20;
    for (size_t i = 0; i < n; i++) {
        int w = utf8_columns(val_at(names, i)->u.s.p, val_at(names, i)->u.s.len);
        if (w > widest) widest = w;
    }
    if (widest > cols - 3) widest = cols - 3;
    for (int x = 0; shown < n; shown++) {
        if (x + widest + 2 > cols && ++row == CHOICE_ROWS) break;
        if (x + widest + 2 > cols) buf_addc(&b, '\n'), x = 0;
        int w = utf8_show(&b, val_at(names, shown)->u.s.p, val_at(names, shown)->u.s.len, widest, ascii ? UTF8_ASCII : UTF8_FULL);
        for (x += widest + 2; w < widest + 2; w++) buf_addc(&b, ' ');
    }
    rl_crlf();
    fprintf(rl_outstream, "%s\n", b.data ? b.data : "");
    if (shown < n) fprintf(rl_outstream, "+%zu more\n", n - shown);
    buf_release(&b);
    rl_on_new_line();
}

static bool face_enter(void) {
    if (block_blank(rl_line_buffer) || T.ways.whole(T.ways.ctx, rl_line_buffer, (size_t)rl_end)) return true;
    rl_insert_text("\n");
    return false;
}

static void face_editor(void) { T.edit = true; }

static int key_interrupt(int count, int key) {
    (void)count, (void)key;
    T.interrupted = true;
    return 0;
}

static const struct block_face face = {face_changed, face_choices, face_enter, face_editor};

/* Between the bracket markers: taken whole, nothing in it is a key. */
static int key_paste(int count, int key) {
    static const char mark[] = "\033[201~";
    struct buf b = BUF_INIT;
    (void)count, (void)key;
    for (struct pollfd p = {0, POLLIN, 0}; poll(&p, 1, PASTE_MS) > 0;) {
        int c = rl_read_key();
        if (c == EOF) break;
        buf_addc(&b, (char)c);
        if (b.len < sizeof mark - 1 || memcmp(b.data + b.len - (sizeof mark - 1), mark, sizeof mark - 1) != 0) continue;
        b.len -= sizeof mark - 1;
        break;
    }
    if (b.len) block_paste(b.data, b.len);
    buf_release(&b);
    return 0;
}

/* ---- the caller's side ---- */
void terminal_open(const struct script_port *script, const char *history, const struct terminal_ways *ways) {
    struct sigaction a;
    T = (struct terminal){.ways = *ways};
    block_open(script, history, &face, true, stdin, stdout);
    rl_deprep_term_function = put_back;
    rl_bind_keyseq("\\e[200~", key_paste);
    rl_bind_key(CTRL_C, key_interrupt);
    memset(&a, 0, sizeof a);
    a.sa_handler = on_continue;
    sigaction(SIGCONT, &a, NULL);
}

void terminal_ask(void) {
    if (T.asking && continued) { /* others had the terminal meanwhile */
        rl_deprep_terminal();
        rl_prep_terminal(1);
        interrupt_is_key();
        T.hidden = true;
    }
    continued = 0;
    if (T.asking && T.hidden) {
        rl_on_new_line();
        rl_redisplay();
    }
    T.hidden = false;
    if (T.asking || T.end) return;
    T.asking = true;
    rl_callback_handler_install("> ", line_done); /* an end of file is a key before and behind it: no moment is left in which it is not */
    interrupt_is_key();
    if (!T.begin) return;
    rl_insert_text(T.begin);
    rl_redisplay();
    free(T.begin);
    T.begin = NULL;
}

char *terminal_read(bool *end) {
    struct pollfd p = {0, POLLIN, 0};
    if (T.asking && !T.edit && poll(&p, 1, 0) > 0) rl_callback_read_char(); /* one: an interrupt is taken before what was typed after it */
    char *text = T.taken;
    T.taken = NULL;
    if (T.interrupted) terminal_interrupt();
    *end = T.end;
    return text;
}

void terminal_hide(void) {
    if (!T.asking || T.hidden) return;
    rl_clear_visible_line();
    fflush(rl_outstream);
    T.hidden = true;
}

/* Leaves the line, whose text is kept or dropped by the caller, on the screen. */
static void leave_line(const char *mark) {
    rl_free_line_state();
    rl_callback_sigcleanup(); /* of a search */
    if (T.hidden) terminal_ask();
    rl_point = rl_end;
    rl_redisplay();
    fprintf(rl_outstream, "%s\n", mark);
    fflush(rl_outstream);
    rl_replace_line("", 1);
    rl_point = 0;
}

static void stop_asking(void) {
    leave_line("");
    stop_reading();
}

/* In the same line settings: what is typed at once behind it are keys already. */
void terminal_interrupt(void) {
    T.interrupted = false;
    if (!T.asking) return;
    leave_line("^C");
    using_history();
    rl_on_new_line();
    rl_redisplay();
}

bool terminal_wants_editor(struct buf *block) {
    if (!T.edit || !T.asking) return false;
    T.edit = false;
    buf_adds(block, rl_line_buffer);
    stop_asking();
    eof_is_key(false);
    return true;
}

void terminal_edited(const char *text, size_t n) {
    free(T.begin);
    T.begin = mem_strn(text, n);
}

void terminal_remember(const char *text) { block_remember(text); }

void terminal_close(void) {
    if (T.asking) stop_asking();
    eof_is_key(false);
    free(T.begin);
    free(T.taken);
    T = (struct terminal){0};
    rl_deprep_term_function = rl_deprep_terminal;
    signal(SIGCONT, SIG_DFL);
    block_close();
}
