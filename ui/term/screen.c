/* ncurses on a memory file; see the header. Traps it avoids: newterm asks the descriptor for its size (use_env, use_tioctl,
 * resizeterm), installs signal handlers (put back at once), and colour pairs belong to a screen (set again per attach). */
#include "config.h"

#define NCURSES_WIDECHAR 1
#include "ui/term/screen.h"

#include <curses.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "ui/term/pace.h"
#include "ui/term/squeeze.h"

enum { GAP = 6 }; /* blanks that cost no more than the cursor move over them */

struct screen {
    SCREEN *scr;
    FILE *out, *in;
    int fd, colors;
    bool ascii, full, first, ring, paste, no_color;
    bool probe, asked, titles, mouse; /* to ask how wide a glyph is, and that it was; what the terminal knows */
    struct buf more; /* goes out behind the next frame's cells */
    int row; /* where a frame in parts goes on */
    enum glyphs glyphs;
    char note[160], term[64];
    struct grid shown;
    struct squeeze squeeze;
    struct buf raw; /* what curses wrote */
    cchar_t *line; /* room for a row */
};

/* Distances of each pair >= 13 (CIEDE2000) for common, protan, deutan and tritan vision; contrast >= 3:1 on black and on white. */
const short screen_series_256[8] = {105, 197, 29, 58, 93, 139, 126, 66};
const short screen_ink_256[INK_SERIES] = {-1, 243, 29, 136, 197, -1}; /* ORDER enum ink */
static const short series_16[8] = {12, 9, 10, 11, 13, 14, 6, 5};
static const short series_8[8] = {4, 1, 2, 3, 5, 6, 7, 7};

static locale_t wide_locale;

/* ncurses decides by the thread's locale; the grid sees to it that a client without UTF-8 gets ASCII only. */
static void locale_wide(void) {
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
    if (!wide_locale) wide_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (wide_locale) uselocale(wide_locale);
}

static bool term_name_ok(const char *t) {
    size_t n = t ? strlen(t) : 0;
    return n > 0 && n < 64 && t[0] != '.' && t[0] != '-' && strspn(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") == n;
}

/* newterm of an unknown type would leak, so its description is looked up first. */
static SCREEN *try_term(struct screen *s, const char *name) {
    int found;
    if (!term_name_ok(name) || strcmp(name, "dumb") == 0 || setupterm(name, s->fd, &found) != OK) return NULL;
    del_curterm(cur_term);
    return newterm(name, s->out, s->in);
}

/* The name as given, without its suffixes, then common ones. */
static SCREEN *open_term(struct screen *s, const char *term) {
    static const char *const others[] = {"xterm-256color", "xterm", "vt100", "ansi"};
    SCREEN *scr = try_term(s, term);
    char name[64];
    if (scr) return scr;
    snprintf(name, sizeof name, "%.63s", term_name_ok(term) ? term : "");
    for (char *cut; !scr && (cut = strrchr(name, '-')) != NULL && cut > name;) {
        *cut = 0;
        scr = try_term(s, name);
    }
    for (size_t i = 0; i < LEN(others) && !scr; i++) {
        scr = try_term(s, others[i]);
        snprintf(name, sizeof name, "%s", others[i]);
    }
    if (scr) snprintf(s->note, sizeof s->note, "The terminal type \"%.40s\" is not known here; drawing for %.40s.", term_name_ok(term) ? term : "?", name);
    return scr;
}

static int color_level(const struct screen *s, const char *ask) {
    int have = has_colors() ? tigetnum("colors") : 0; /* COLORS is not set before start_color */
    if (s->no_color && strcmp(ask, "auto") == 0) return 0;
    if (strcmp(ask, "none") == 0 || have < 8) return 0;
    int want = strcmp(ask, "256") == 0 ? 256 : strcmp(ask, "16") == 0 ? 16 : strcmp(ask, "8") == 0 ? 8 : have;
    if (want > have) want = have;
    return want >= 256 ? 256 : want >= 16 ? 16 : 8;
}

static void pairs_init(struct screen *s) {
    start_color();
    bool own = use_default_colors() == OK;
    short bg = own ? -1 : COLOR_BLACK, fg = own ? -1 : COLOR_WHITE;
    bool many = s->colors == 256, bright = s->colors >= 16;
    const short few[INK_SERIES] = {fg, fg, COLOR_GREEN, COLOR_YELLOW, bright ? 9 : COLOR_RED, fg};
    for (int i = 0; i < INK_SERIES; i++) init_pair((short)(i + 1), !many ? few[i] : screen_ink_256[i] < 0 ? fg : screen_ink_256[i], bg);
    for (int i = 0; i < 8; i++) init_pair((short)(INK_SERIES + i + 1), many ? screen_series_256[i] : bright ? series_16[i] : series_8[i], bg);
}

static enum glyphs glyphs_for(const struct screen *s, const char *ask) {
    if (s->ascii) return GLYPHS_ASCII;
    for (int i = 0; glyphs_names[i]; i++)
        if (strcmp(ask, glyphs_names[i]) == 0) return (enum glyphs)i;
    if (strncmp(s->term, "linux", 5) == 0) return GLYPHS_HALF; /* the console's font has no braille */
    if (strncmp(s->term, "vt", 2) == 0 || strcmp(s->term, "ansi") == 0) return GLYPHS_ASCII;
    return GLYPHS_BRAILLE;
}

/* A string of the terminal's description; NULL: it has none of that name. */
static const char *described(const char *name) {
    const char *text = tigetstr(name);
    return text != (char *)-1 ? text : NULL;
}

static bool described_as(const char *name, const char *text) {
    const char *have = described(name);
    return have && strcmp(have, text) == 0;
}

struct screen *screen_open(const struct term_info *t, struct err *e) {
    static const int signals[] = {SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
    struct sigaction old[LEN(signals)];
    struct screen *s = X_NEW(struct screen, 1);
    locale_wide();
    s->fd = memfd_create("hone-frame", MFD_CLOEXEC);
    s->out = s->fd >= 0 ? fdopen(s->fd, "w+") : NULL;
    s->in = fopen("/dev/null", "re");
    if (!s->out || !s->in) {
        err_sys(e, "make a frame file", "memfd");
        goto fail;
    }
    for (size_t i = 0; i < LEN(signals); i++) sigaction(signals[i], NULL, &old[i]);
    use_env(FALSE);
    use_tioctl(TRUE);
    s->scr = open_term(s, t->term);
    for (size_t i = 0; i < LEN(signals); i++) sigaction(signals[i], &old[i], NULL);
    if (!s->scr) {
        err_set(e, "the terminal type \"%.40s\" cannot be drawn on; set TERM, for example to xterm, or use --plain", term_name_ok(t->term) ? t->term : "?");
        goto fail;
    }
    set_term(s->scr);
    endwin(); /* until then curses takes it for a screen not begun yet, and writes each movement by itself */
    fflush(s->out);
    lseek(s->fd, 0, SEEK_SET);
    nonl();
    noecho();
    leaveok(stdscr, FALSE);
    s->ascii = !t->codeset || (strcasecmp(t->codeset, "UTF-8") != 0 && strcasecmp(t->codeset, "utf8") != 0);
    s->no_color = t->no_color;
    snprintf(s->term, sizeof s->term, "%.63s", t->term ? t->term : "");
    screen_looks(s, t->colors, t->glyphs);
    curs_set(0);
    static const char *const pasting[] = {
        "xterm", "screen", "tmux", "rxvt", "alacritty", "foot", "kitty", "st-", "wezterm", "contour", "konsole", "gnome", "vte", "putty"};
    for (size_t i = 0; i < LEN(pasting); i++)
        if (t->term && strncmp(t->term, pasting[i], strlen(pasting[i])) == 0) s->paste = true;
    const char *tsl = described("tsl");
    s->mouse = described("kmous") && strncmp(s->term, "linux", 5) != 0; /* the console has one by gpm only */
    s->titles = tigetflag("XT") == 1 || (tsl && strncmp(tsl, "\033]", 2) == 0);
    if (s->note[0]) s->mouse = s->titles = false; /* drawn for as something else */
    s->first = true;
    s->line = X_NEW(cchar_t, GRID_MAX + 2); /* columns of a grid, and a wide character more */
    squeeze_start(&s->squeeze, t->rows, t->cols, described_as("hpa", "\033[%i%p1%dG"), described_as("vpa", "\033[%i%p1%dd"));
    grid_init(&s->shown, 1, 1, false);
    screen_resize(s, t->rows, t->cols);
    return s;
fail:
    if (s->out) fclose(s->out);
    else if (s->fd >= 0) close(s->fd);
    if (s->in) fclose(s->in);
    free(s);
    return NULL;
}

void screen_looks(struct screen *s, const char *colors, const char *glyphs) {
    set_term(s->scr);
    int level = color_level(s, colors ? colors : "auto");
    s->glyphs = glyphs_for(s, glyphs ? glyphs : "auto");
    if (level == s->colors) return;
    s->colors = level;
    if (level) pairs_init(s);
    s->full = true;
}

void screen_close(struct screen *s) {
    if (!s) return;
    set_term(s->scr);
    endwin();
    delscreen(s->scr);
    fclose(s->out);
    fclose(s->in);
    grid_release(&s->shown);
    buf_release(&s->more);
    buf_release(&s->raw);
    free(s->line);
    free(s);
}

void screen_resize(struct screen *s, int rows, int cols) {
    rows = grid_size(rows);
    cols = grid_size(cols);
    set_term(s->scr);
    resizeterm(rows, cols);
    squeeze_size(&s->squeeze, rows, cols);
    s->full = true;
}

void screen_clear(struct screen *s) { s->full = true; }

void screen_redraw(struct screen *s) {
    set_term(s->scr);
    if (!s->first) endwin(); /* the next update enters the screen again */
    s->first = s->full = true;
}

void screen_bell(struct screen *s) { s->ring = true; }
struct buf *screen_more(struct screen *s) {
    return &s->more;
}
bool screen_titles(const struct screen *s) { return s->titles; }
int screen_spare(const struct screen *s) {
    set_term(s->scr);
    return auto_right_margin && !eat_newline_glitch;
}
bool screen_mouse(const struct screen *s) { return s->mouse; }
void screen_probe(struct screen *s) { s->probe = true; }
bool screen_ascii(const struct screen *s) { return s->ascii; }
enum glyphs screen_glyphs(const struct screen *s) { return s->glyphs; }
const char *screen_note(const struct screen *s) { return s->note[0] ? s->note : NULL; }
int screen_colors(const struct screen *s) { return s->colors; }

static attr_t attributes(struct style st, int colors) {
    attr_t a = 0;
    if (st.at & AT_BOLD) a |= A_BOLD;
    if (st.at & AT_DIM || (st.ink == INK_DIM && colors < 256 && colors)) a |= A_DIM;
    if (st.at & AT_REVERSE) a |= A_REVERSE;
    if (st.at & AT_UNDER) a |= A_UNDERLINE;
    return a;
}

/* The columns curses takes a character for, kept for those that charts and boxes are made of. */
static int width_of(wchar_t w) {
    enum { FROM = 0x2500, TO = 0x2900 };
    static signed char known[TO - FROM]; /* columns + 2 */
    if (w >= 0x20 && w < 0x7f) return 1;
    if (w < FROM || w >= TO) return wcwidth(w);
    if (!known[w - FROM]) known[w - FROM] = (signed char)(wcwidth(w) + 2);
    return known[w - FROM] - 2;
}

/* curses places by wcwidth; where that differs from our table, question marks keep the columns. Returns how many cells of `to` were filled. */
static int cell_set(const struct gcell *c, const cchar_t *like, cchar_t *to) {
    uint32_t one;
    size_t first = utf8_next(c->text, sizeof c->text, &one);
    if (!c->text[first] && c->width == 1 && !(one & UTF8_BAD) && width_of((wchar_t)one) == 1) { /* nearly all */
        *to = *like;
        to->chars[0] = (wchar_t)one;
        return 1;
    }
    wchar_t w[8] = {0};
    size_t n = 0, len = strlen(c->text);
    for (size_t i = 0; i < len && n < 5;) {
        uint32_t cp;
        size_t used = utf8_next(c->text + i, len - i, &cp);
        if (!used) break;
        w[n++] = cp & UTF8_BAD ? L'?' : (wchar_t)cp;
        i += used;
    }
    if (!n) w[0] = L' ', n = 1;
    bool odd = width_of(w[0]) != c->width;
    for (size_t i = 1; i < n; i++)
        if (wcwidth(w[i]) != 0) w[i] = 0, n = i;
    for (int k = 0; k < (odd ? c->width : 1); k++) {
        to[k] = *like;
        if (odd) to[k].chars[0] = L'?';
        else
            for (size_t i = 0; i < n && i < CCHARW_MAX; i++) to[k].chars[i] = w[i];
    }
    return odd ? c->width : 1;
}

/* A blank in this style, to be copied. */
static cchar_t style_cell(const struct screen *s, struct style st) {
    cchar_t cc;
    short pair = s->colors && st.ink != INK_TEXT && st.ink != INK_TITLE ? (short)(st.ink + 1) : 0;
    setcchar(&cc, L" ", attributes(st, s->colors), pair, NULL);
    return cc;
}

static bool is_blank(const struct gcell *c) { return c->width == 1 && c->text[0] == ' ' && !c->text[1] && !(c->style.at & (AT_REVERSE | AT_UNDER)); }

/* A blank looks the same in any colour: short gaps take the style before them, which saves a change and a cursor move; longer
 * ones and the ends of rows are plain, which the terminal can skip or clear. */
static void blanks_style(struct grid *g) {
    for (int y = 0; y < g->rows; y++) {
        struct gcell *row = &g->cell[y * g->cols];
        for (int x = 0, from; x < g->cols; x++) {
            if (!is_blank(&row[x])) continue;
            for (from = x; x < g->cols && is_blank(&row[x]); x++) {}
            bool fill = from > 0 && x < g->cols && x - from <= GAP && !(row[from - 1].style.at & (AT_REVERSE | AT_UNDER));
            for (int i = from; i < x; i++) row[i].style = fill ? row[from - 1].style : (struct style){INK_TEXT, 0};
        }
    }
}

/* Behind the sequence that clears the screen: of xterm, of screen, tmux and linux. NULL: this type has another. */
static char *clear_end(char *p, size_t n) {
    static const char *const clear[] = {"\033[H\033[2J", "\033[H\033[J"};
    for (size_t i = 0; i < LEN(clear); i++) {
        char *at = memmem(p, n, clear[i], strlen(clear[i]));
        if (at) return at + strlen(clear[i]);
    }
    return NULL;
}

/* As curses enters the screen again it has the terminal put its palette back to what it was built with, which may not be what the user chose. */
static void palette_keep(struct buf *b) {
    const char *oc = described("oc");
    char *at = oc ? memmem(b->data, b->len, oc, strlen(oc)) : NULL;
    if (!at) return;
    size_t n = strlen(oc);
    memmove(at, at + n, b->len - (size_t)(at - b->data) - n);
    b->len -= n;
}

/* What curses wrote since, shorter, behind out. The file keeps its memory. */
static size_t frame_take(struct screen *s, struct buf *out) {
    fflush(s->out);
    off_t n = lseek(s->fd, 0, SEEK_CUR);
    if (n <= 0) return 0;
    size_t from = out->len;
    buf_clear(&s->raw);
    buf_reserve(&s->raw, (size_t)n);
    for (off_t at = 0; at < n;) {
        ssize_t got = pread(s->fd, s->raw.data + s->raw.len, (size_t)(n - at), at);
        if (got <= 0) break;
        s->raw.len += (size_t)got;
        at += got;
    }
    if (s->first) palette_keep(&s->raw);
    char *p = s->raw.data, *clear = s->first ? clear_end(p, s->raw.len) : NULL; /* what selects the charset comes before it */
    size_t keep = clear ? (size_t)(clear - p) : s->first ? s->raw.len : 0;
    buf_add(out, p, keep);
    if (clear) squeeze_at(&s->squeeze, 0, 0);
    if (clear && s->probe) { /* at the upper left corner of an empty screen */
        buf_adds(out, s->ascii ? PACE_ASK : SCREEN_PROBE "\033[6n\r\033[K");
        s->probe = false;
        s->asked = true;
    }
    squeeze(&s->squeeze, p + keep, s->raw.len - keep, out);
    lseek(s->fd, 0, SEEK_SET);
    return out->len - from;
}

/* Cells that differ go to curses, those that stand together at once. */
static void row_out(struct screen *s, const struct grid *g, int y, bool full) {
    const struct gcell *row = &g->cell[y * g->cols];
    struct gcell *old = &s->shown.cell[y * g->cols];
    int cols = g->cols < COLS ? g->cols : COLS;
    if (!full && memcmp(row, old, sizeof *row * (size_t)g->cols) == 0) return;
    cchar_t like = style_cell(s, row->style);
    struct style of = row->style;
    for (int x = 0; x < cols; x++) {
        int from = x, n = 0;
        for (; x < cols && (full || memcmp(&row[x], &old[x], sizeof *row) != 0); x++) {
            if (row[x].style.ink != of.ink || row[x].style.at != of.at) like = style_cell(s, of = row[x].style);
            if (row[x].width) n += cell_set(&row[x], &like, s->line + n);
            old[x] = row[x];
        }
        while (n && from < x && !row[from].width) from++; /* the right half of a wide one */
        if (n) mvwadd_wchnstr(newscr, y, from, s->line, n);
    }
}

size_t screen_frame_part(struct screen *s, struct grid *g, size_t limit, bool *whole, struct buf *out) {
    size_t before = out->len;
    bool full = s->full || s->shown.rows != g->rows || s->shown.cols != g->cols;
    *whole = true;
    blanks_style(g);
    if (!full && !s->ring && !s->more.len && grid_equal(&s->shown, g)) return 0;
    set_term(s->scr);
    bool on = g->cur_row >= 0 && g->cur_row < LINES && g->cur_col < COLS, had = s->shown.cur_row >= 0 && !s->first;
    if (s->full && !s->first) clearok(curscr, TRUE);
    if (full) {
        werase(newscr);
        grid_copy(&s->shown, g);
        limit = 0;
    }
    if (s->ring) beep();
    if (on != had || s->first) curs_set(on ? 1 : 0);
    for (int i = 0; i < g->rows; i++) {
        int y = limit ? (s->row + i) % g->rows : i;
        if (y < LINES) row_out(s, g, y, full);
        if (limit == 0) continue;
        doupdate();
        frame_take(s, out);
        if (out->len - before < limit) continue;
        s->row = (y + 1) % g->rows;
        break;
    }
    if (on) wmove(newscr, g->cur_row, g->cur_col);
    doupdate();
    frame_take(s, out);
    s->shown.cur_row = g->cur_row;
    s->shown.cur_col = g->cur_col;
    *whole = !limit || grid_equal(&s->shown, g);
    squeeze_end(&s->squeeze, on, out);
    if (s->first && s->paste) buf_adds(out, "\x1b[?2004h");
    buf_add(out, s->more.data ? s->more.data : "", s->more.len);
    buf_clear(&s->more);
    s->first = s->full = s->ring = false;
    return out->len - before;
}

bool screen_asked(const struct screen *s) { return s->asked; }

size_t screen_frame(struct screen *s, struct grid *g, struct buf *out) {
    bool whole;
    return screen_frame_part(s, g, 0, &whole, out);
}
