/* Screens as text against golden files (UPDATE_GOLDEN=1 rewrites them), bytes of frames, terminal types, random keys, hostile text. */
#include "config.h"

#include "src/base/err.h"
#include "tests/tap.h"
#include "tests/ui/fixture.h"
#include "tests/ui/golden.h"
#include "tests/ui/vt.h"
#include "ui/term/pace.h"
#include "ui/term/squeeze.h"

static const struct {
    const char *name, *keys;
} shots[] = {{"overview", "1"}, {"metrics", "2"}, {"eval", "5"}, {"log", "9"}, {"help", "1?"}, {"settings", "0"}};

static void golden(struct fx *f) {
    struct buf frame = BUF_INIT;
    for (size_t z = 0; z < LEN(sizes); z++)
        for (size_t i = 0; i < LEN(shots); i++) {
            struct buf text = BUF_INIT;
            fx_attach(f, "xterm-256color", "UTF-8", "ascii", sizes[z].rows, sizes[z].cols, false);
            fx_keys(f, "\x1b");
            fx_time += 0.1;
            buf_clear(&frame);
            fx_frame(f, &frame);
            fx_keys(f, shots[i].keys);
            views[SCR_LOG]->start(f->u); /* follows the end again */
            fx_frame(f, &frame);
            ui_port(f->u)->last_screen(f->u, &text);
            tap_ok(golden_same(shots[i].name, sizes[z].rows, sizes[z].cols, text.data), "t.S1: %s at %dx%d", shots[i].name, sizes[z].cols, sizes[z].rows);
            buf_release(&text);
            fx_keys(f, "\x1b");
            fx_time += 0.1;
            fx_frame(f, &frame);
        }
    buf_release(&frame);
}

/* Bytes a second of a minute in which every metric changes in every frame; ~30 ms a step. */
static double minute(struct fx *f, int hz, int64_t *step) {
    struct buf b = BUF_INIT;
    int64_t total = 0;
    double t0 = fx_time;
    f->u->refresh = hz;
    while (fx_time < t0 + 60) {
        fx_time += 0.5 / 16;
        fx_step(f->r, *step, 100000);
        run_progress(f->r, *step, 100000, *step, 100000, (double)*step / 5000, 20);
        ++*step;
        buf_clear(&b);
        total += fx_frame(f, &b);
    }
    buf_release(&b);
    return (double)total / (fx_time - t0);
}

static void bytes(int rows, int cols, int first_max, int rate_max) {
    struct fx f;
    struct buf b = BUF_INIT;
    fx_open(&f, 60000, 100000);
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", rows, cols, false);
    int first = fx_frame(&f, &b);
    tap_ok(first > 200 && first <= first_max, "t.W4: first paint at %dx%d: %d bytes", cols, rows, first);
    int64_t step = 60000;
    double slow = minute(&f, 2, &step), fast = minute(&f, 10, &step);
    tap_ok(slow <= rate_max && slow > 20, "t.W2: overview at 2 Hz, %dx%d: %.0f B/s", cols, rows, slow);
    tap_ok(fast <= 1600 && fast > slow, "t.W3: overview at 10 Hz, %dx%d: %.0f B/s", cols, rows, fast);
    f.u->refresh = 2;
    int64_t idle = 0;
    for (int i = 0; i < 600; i++) {
        fx_time += 0.1;
        idle += fx_frame(&f, &b) && i > 10 ? 1 : 0;
    }
    tap_ok(idle == 0 && ui_port(f.u)->timeout(f.u) == -1, "t.W1: idle: no bytes in 60 s, no wake-up wanted");
    static const char *const change = "2905295291059250902190";
    int worst = 0, worse = 0;
    for (const char *k = change; *k; k++) { /* a change costs less than an attach that finds the screen open */
        char key[2] = {*k, 0};
        fx_keys(&f, key);
        int cost = fx_frame(&f, &b);
        fx_attach(&f, "xterm-256color", "UTF-8", "auto", rows, cols, false);
        int anew = fx_frame(&f, &b);
        if (cost > worst) worst = cost;
        if (cost > anew) worse++, printf("# screen %s: %d bytes, first paint %d\n", key, cost, anew);
        if (anew > first_max) worse++, printf("# screen %s: first paint %d bytes\n", key, anew);
    }
    tap_ok(worse == 0 && worst <= first_max, "t.W5: each screen change below its first paint, all first paints within %d bytes (largest change: %d)", first_max,
        worst);
    fx_keys(&f, "0");
    fx_frame(&f, &b);
    fx_keys(&f, "j");
    int cursor = fx_frame(&f, &b);
    tap_ok(cursor > 0 && cursor <= 120, "t.W5: cursor move: %d bytes", cursor);
    fx_close(&f);
    buf_release(&b);
}

static void squeezed(void) {
    static const struct {
        const char *from, *to;
    } t[] = {{"a\033[39m\033(B\033[mb", "ab"}, {"\033(B\033[0;1mx", "\033[1mx"}, {"\033[39;49m\033[38;5;105mx", "\033[38;5;105mx"},
        {"\033[1m\033[4m\033[31mx", "\033[1;4;31mx"}, {"\033[1mx\033[m\033[4my\033[m\017z", "\033[1mx\033[0;4my\033[mz"},
        {"\033[31mx\033[1;32my\033[39mz", "\033[31mx\033[1;32my\033[39mz"}, {"\033[9;9Hx\033[10d\b\bx", "\033[9;9Hx\n\b\bx"},
        {"\033[9;9Hx\033[9;40Hy\033[10;1Hz", "\033[9;9Hx\033[30Cy\n\rz"}, {"\033[9;9Hx\033[24;9H\033[9;10Hy", "\033[9;9Hxy"},
        {"\033[9;79Hxy\033[10;80Hz", "\033[9;79Hxy\033[10;80Hz"}, {"\033[9;9H\xe3\x81\x82\033[10;11Hz", "\033[9;9H\xe3\x81\x82\033[10;11Hz"},
        {"x\033[2;2Hy\033M\033[3;3Hz", "x\033[2;2Hy\033M\033[3;3Hz"}, {"\033[3;4H\033[1m", ""}, {"\033", "\033"}, {"\033[", "\033["}, {"\033[1", "\033[1"}};
    static const char *const piece[] = {"\033[m", "\033[39m", "\033[38;5;9m", "\033[1m", "\033(B", "x", "yz", " ", "\033[39;49m", "\033[0;7m", "\033[4;32m",
        "\017", "\xe2\xa0\x80", "\xe4\xb8\xad", "e\xcc\x81", "\r", "\b", "\033[5;7H", "\033[H", "\033[19;2H", "\033[7;40H", "\033[12d", "\033[13d\b",
        "\033[30G", "\033[3C", "\033[2D", "\033[A", "\033[2B", "\033[K", "\033[3X", "\033[2P", "\033[@", "\033[J", "q\033[3b", "\033[?25l", "\033[2;9r",
        "\033[r", "\033[L", "\t", "\a", "long words to the margin"};
    struct buf from = BUF_INIT, to = BUF_INIT;
    int bad = 0, shorter = 0;
    for (size_t i = 0; i < LEN(t); i++) {
        struct squeeze q;
        squeeze_start(&q, 24, 80, true, true);
        buf_clear(&to);
        squeeze(&q, t[i].from, strlen(t[i].from), &to);
        if (to.len != strlen(t[i].to) || memcmp(to.len ? to.data : "", t[i].to, to.len) != 0) bad++, printf("# case %zu: %zu bytes\n", i, to.len);
    }
    tap_ok(bad == 0, "attribute changes joined, movements shortened, nothing else touched");
    bad = 0;
    for (uint64_t i = 0; i < 4000; i++) { /* a terminal shows the same after every frame */
        struct squeeze q;
        struct vt a, b;
        vt_init(&a, 20, 48);
        vt_init(&b, 20, 48);
        squeeze_start(&q, 20, 48, i & 1, i & 2);
        for (uint64_t frame = 0, k = 0; frame < 3; frame++) {
            buf_clear(&from);
            buf_clear(&to);
            for (uint64_t end = k + 30; k < end; k++) buf_adds(&from, piece[rng_u32(fx_stream, i, k) % LEN(piece)]);
            squeeze(&q, from.data, from.len, &to);
            squeeze_end(&q, true, &to);
            vt_feed(&a, from.data, from.len);
            if (to.len) vt_feed(&b, to.data, to.len);
            bool same = a.cur.row == b.cur.row && a.cur.col == b.cur.col && !a.n_bad && !b.n_bad;
            if ((!same || memcmp(a.cell, b.cell, 20 * 48 * sizeof *a.cell) != 0) && bad++ == 0) {
                printf("# %d,%d and %d,%d %s %s: ", a.cur.row, a.cur.col, b.cur.row, b.cur.col, a.bad, b.bad);
                for (size_t j = 0; j < from.len; j++) printf(from.data[j] < 33 || from.data[j] > 126 ? "\\x%02x" : "%c", (unsigned char)from.data[j]);
                printf("\n# ");
                for (size_t j = 0; j < to.len; j++) printf(to.data[j] < 33 || to.data[j] > 126 ? "\\x%02x" : "%c", (unsigned char)to.data[j]);
                printf("\n");
            }
            shorter += to.len < from.len;
        }
        vt_release(&a);
        vt_release(&b);
    }
    tap_ok(bad == 0 && shorter > 11000, "12,000 squeezed frames leave the cells and the cursor of the given ones: %d differ, %d are shorter", bad, shorter);
    buf_release(&from);
    buf_release(&to);
}

/* Anything that a grid may hold, over what it held before: the terminal shows the grid after each frame, and after the last of one in parts. curses' way into
 * the corner at the lower right tears a wide character there: the last row gets none. */
static void random_cells(struct grid *g, uint64_t stream, uint64_t k) {
    static const char *const text[] = {
        "loss", "0.123", "a longer text with blanks  in it", "\xe4\xb8\xad\xe6\x96\x87", "e\xcc\x81t\xc3\xa9", "\xf0\x9f\x98\x80 x", "-----------"};
    static const uint32_t glyph[] = {' ', ':', '-', 'x', 0x2502, 0x2800 + 0x47, 0x2588};
    uint32_t r[6];
    for (uint64_t i = 0; i < LEN(r); i++) r[i] = rng_u32(stream, k, i);
    int row = (int)(r[0] % (unsigned)g->rows), col = (int)(r[1] % (unsigned)g->cols);
    struct style st = {(uint8_t)(r[2] % INK_N), (uint8_t)(r[2] >> 8 & (r[2] & 1 << 20 ? 15 : 0))};
    if (r[3] % 4 == 0) grid_clear(g, (struct rect){row, col, (int)(r[4] % 4), (int)(r[5] % 50)});
    else if (r[3] % 4 == 1) grid_text(g, r[4] % LEN(text) == 3 || r[4] % LEN(text) == 5 ? row % (g->rows - 1) : row, col, -1, st, text[r[4] % LEN(text)]);
    else if (r[3] % 4 == 2) grid_fill(g, row, col, (int)(r[5] % 40), st, glyph[r[4] % LEN(glyph)]);
    else grid_style(g, row, col, (int)(r[5] % 20), st);
}

static int cells_wrong(const struct vt *v, const struct grid *g) {
    int wrong = 0;
    for (int i = 0; i < g->rows * g->cols; i++) {
        const struct gcell *c = &g->cell[i];
        const struct vt_cell *t = &v->cell[i / g->cols * v->cols + i % g->cols];
        bool blank = c->text[0] == ' ';
        int at = (c->style.at & AT_BOLD ? VT_BOLD : 0) | (c->style.at & AT_UNDER ? VT_UNDER : 0) | (c->style.at & AT_REVERSE ? VT_REVERSE : 0);
        int mask = blank ? VT_UNDER | VT_REVERSE : VT_BOLD | VT_UNDER | VT_REVERSE;
        if (strcmp(t->text, c->text) != 0 || (c->width && (t->at & mask) != (at & mask))) wrong++;
    }
    return wrong;
}

static void painted(void) {
    static const char *const terms[] = {"xterm-256color", "xterm", "screen-256color", "tmux-256color", "linux", "vt100", "ansi"};
    for (size_t t = 0; t < LEN(terms); t++) {
        struct term_info in = {.term = terms[t],
            .codeset = "UTF-8",
            .colors = t < 4 ? "auto" : "none", /* the others have attributes without colours only */
            .glyphs = "auto",
            .rows = 20,
            .cols = 70};
        struct err e = {0};
        struct screen *s = screen_open(&in, &e);
        struct buf out = BUF_INIT;
        struct grid g, given;
        struct vt v;
        int bad = 0, part = 0, frames = 0;
        if (!s) {
            tap_ok(false, "%s", e.text);
            continue;
        }
        vt_init(&v, 20, 70);
        grid_init(&g, 20, 70 - screen_spare(s), false);
        grid_init(&given, g.rows, g.cols, false);
        for (uint64_t k = 0; k < 6000;) {
            bool whole = true;
            for (uint64_t end = k + 1 + rng_u32(fx_stream, t, k) % 9; k < end; k++) random_cells(&g, fx_stream + t, k);
            g.cur_row = k % 3 ? -1 : (int)(k % 20);
            g.cur_col = (int)(k % 60);
            do {
                buf_clear(&out);
                grid_copy(&given, &g);
                screen_frame_part(s, &given, k % 2 ? 0 : 40, &whole, &out);
                if (out.len) vt_feed(&v, out.data, out.len);
                part += !whole;
            } while (!whole);
            bool cursor = g.cur_row < 0 || (v.cur.row == g.cur_row && v.cur.col == g.cur_col);
            if ((cells_wrong(&v, &given) || !cursor || v.n_bad) && bad++ == 0)
                printf(
                    "# frame %d: %d cells, cursor %d,%d for %d,%d, %s\n", frames, cells_wrong(&v, &given), v.cur.row, v.cur.col, g.cur_row, g.cur_col, v.bad);
            if (++frames % 100 == 0) screen_clear(s);
        }
        tap_ok(bad == 0 && part > 100, "TERM=%s: shows the grid after each of %d frames, %d parts between (%d differ)", terms[t], frames, part, bad);
        grid_release(&g);
        grid_release(&given);
        vt_release(&v);
        buf_release(&out);
        screen_close(s);
    }
}

static void paced(void) {
    struct pace p;
    pace_init(&p);
    pace_sent(&p, 0, 500);
    pace_answer(&p, 0.6);
    pace_sent(&p, 1, 500);
    bool waits = p.answers && pace_wait(&p, 1.2, false) > 0;
    bool gone = pace_wait(&p, 1.1 + PACE_LOST_S, false) == 0 && !p.answers;
    pace_answer(&p, 60);
    bool back = p.answers && pace_wait(&p, 60, false) == 0;
    pace_sent(&p, 60, 500);
    back = back && pace_wait(&p, 60.5, false) > 0;
    pace_answer(&p, 61);
    tap_ok(waits && gone && back && pace_wait(&p, 61, false) == 0, "t.W6: a link that was away for a minute is paced by its answers again");
    pace_init(&p);
    pace_sent(&p, 0, 500);
    tap_ok(pace_wait(&p, 1 + PACE_LOST_S, false) == 0 && p.lost == 0 && !p.answers, "a terminal that never answers is not waited for");
}

/* Only these leave a frame: printable text, CR LF BS TAB SI SO, CSI sequences, charset choice, keypad and cursor saves, bell, title. */
static bool frame_clean(const char *p, size_t n, bool c_locale, bool color) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c_locale && c >= 0x80) return false;
        if (c == 0x1b) {
            unsigned char k = i + 1 < n ? (unsigned char)p[i + 1] : 0;
            if (k == '[') {
                size_t from = i += 2;
                while (i < n && (unsigned char)p[i] < 0x40) i++;
                if (i >= n || (unsigned char)p[i] > 0x7e) return false;
                for (size_t j = from; !color && p[i] == 'm' && j < i; j++)
                    if ((p[j] == '3' || p[j] == '4' || p[j] == '9') && (j == from || p[j - 1] == ';') && j + 1 < i && p[j + 1] >= '0' && p[j + 1] <= '8')
                        return false;
            } else if (k == ']' && i + 3 < n && memcmp(p + i + 2, "2;", 2) == 0) { /* the window's title */
                while (i < n && p[i] != '\a') i++;
            } else if (k == '(' || k == ')') {
                i += 2;
            } else if (k && strchr("=>78cMDEHlm", k)) {
                i += 1;
            } else {
                return false;
            }
        } else if ((c < 0x20 && !strchr("\r\n\b\t\a\x0e\x0f", c)) || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* t.W7 on the simulated clock: the worst 30 s of four minutes, ten metrics changing each frame; it must not starve either. */
static void budget(int rows, int cols, int bytes_s) {
    enum { TICK = 20, SECONDS = 240 };
    static int at[SECONDS * TICK];
    struct fx f;
    struct buf b = BUF_INIT;
    struct err e = {0};
    fx_open(&f, 60000, 100000);
    struct term_info t = {.term = "xterm-256color", .codeset = "UTF-8", .colors = "auto", .glyphs = "auto", .rows = rows, .cols = cols, .budget = bytes_s};
    ui_port(f.u)->attach(f.u, &t, &e);
    fx_frame(&f, &b);
    f.u->refresh = 10;
    int64_t step = 60000, sum = 0, worst = 0, all = 0;
    for (int i = 0; i < SECONDS * TICK; i++) {
        fx_time += 1.0 / TICK;
        fx_step(f.r, step, 100000);
        run_progress(f.r, step, 100000, step, 100000, (double)step / 5000, 20);
        step++;
        buf_clear(&b);
        at[i] = fx_frame(&f, &b);
        all += at[i];
        sum += at[i] - (i >= 30 * TICK ? at[i - 30 * TICK] : 0);
        if (sum > worst) worst = sum;
    }
    tap_ok(worst <= 33 * bytes_s && all >= SECONDS * bytes_s / 2 && f.u->slowed && f.u->reached >= 0.2,
        "t.W7: budget of %d B/s at %dx%d: worst 30 s %.0f B/s, mean %.0f, %.2f frames a second, said in the footer", bytes_s, cols, rows, (double)worst / 30,
        (double)all / SECONDS, f.u->reached);
    fx_close(&f);
    buf_release(&b);
}

/* Glyphs, colours and rate follow the settings while attached; a choice by key is remembered for its terminal type. */
static void settings_apply(void) {
    struct fx f;
    struct buf b = BUF_INIT;
    struct err e = {0};
    fx_open(&f, 60000, 100000);
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    fx_frame(&f, &b);
    struct val *v = val_str("ascii");
    buf_clear(&b);
    bool set = settings_set("glyphs", v, NULL, &e) == 0;
    tap_ok(set && fx_frame(&f, &b) > 100 && frame_clean(b.data, b.len, true, true), "set glyphs ascii: the next frame redraws without a byte above 0x7f");
    val_free(v);
    v = val_str("none");
    buf_clear(&b);
    set = settings_set("color", v, NULL, &e) == 0;
    tap_ok(set && fx_frame(&f, &b) > 1000 && frame_clean(b.data, b.len, true, false), "set color none: a full frame without colours");
    val_free(v);
    v = val_num(7);
    set = settings_set("refresh", v, NULL, &e) == 0;
    fx_frame(&f, &b);
    tap_ok(set && f.u->refresh == 7, "set refresh counts at once");
    val_free(v);
    static const char *const back[][2] = {{"glyphs", "auto"}, {"color", "auto"}};
    for (size_t i = 0; i < LEN(back); i++) {
        v = val_str(back[i][1]);
        settings_set(back[i][0], v, NULL, &e);
        val_free(v);
    }
    v = val_num(2);
    settings_set("refresh", v, NULL, &e);
    val_free(v);
    fx_frame(&f, &b);
    fx_keys(&f, "g");
    fx_frame(&f, &b);
    fx_attach(&f, "vt100", "UTF-8", "auto", 24, 80, false);
    bool other = f.u->glyphs == GLYPHS_ASCII;
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    tap_ok(other && f.u->glyphs == GLYPHS_HALF, "the set chosen by g comes back with the next attach of that type");
    fx_close(&f);
    buf_release(&b);
}

static void terminals(struct fx *f) {
    static const char *const terms[] = {
        "xterm-256color", "xterm", "screen-256color", "tmux-256color", "linux", "vt100", "ansi", "no-such-terminal", "xterm-of-nobody", "../../etc/passwd"};
    struct buf b = BUF_INIT;
    for (size_t t = 0; t < LEN(terms); t++)
        for (int c = 0; c < 2; c++) {
            bool ok = fx_attach(f, terms[t], c ? "ANSI_X3.4-1968" : "UTF-8", "auto", 24, 80, t % 2) == 0, clean = true;
            static const char *const all = "12590?";
            for (const char *k = all; *k && ok; k++) {
                char key[2] = {*k, 0};
                buf_clear(&b);
                fx_keys(f, key);
                ok = fx_frame(f, &b) > 0 || *k == '1';
                clean = clean && frame_clean(b.data ? b.data : "", b.len, c, !(t % 2));
                if (*k == '2') ui_port(f->u)->resize(f->u, 30, 100);
            }
            fx_keys(f, "\x1b");
            fx_time += 1;
            fx_frame(f, &b);
            tap_ok(ok && clean, "t.A1: TERM=%s in %s%s: draws, resizes, clean bytes", terms[t], c ? "C" : "UTF-8", t % 2 ? ", NO_COLOR" : "");
            ui_port(f->u)->detach(f->u);
        }
    buf_release(&b);
}

static void small(struct fx *f) {
    struct buf b = BUF_INIT, text = BUF_INIT;
    fx_attach(f, "xterm", "UTF-8", "auto", 10, 40, false);
    fx_keys(f, "1");
    fx_frame(f, &b);
    ui_port(f->u)->last_screen(f->u, &text);
    tap_ok(strstr(text.data, "TRAINING") && strstr(text.data, "step ") && strstr(text.data, "loss") && strstr(text.data, "alert"),
        "t.S2: 40x10 shows state, step, loss, alert");
    if (!strstr(text.data, "alert")) printf("# %s\n", text.data);
    for (int i = 0; i < 200; i++) {
        ui_port(f->u)->resize(f->u, 1 + (i * 37) % 120, 1 + (i * 91) % 300);
        fx_frame(f, &b);
    }
    ui_port(f->u)->resize(f->u, 5, 30);
    buf_clear(&text);
    fx_frame(f, &b);
    ui_port(f->u)->last_screen(f->u, &text);
    tap_ok(strncmp(text.data, "hone needs 40x10", 16) == 0, "t.S2: below that one line says the size needed");
    buf_release(&b);
    buf_release(&text);
}

static void random_keys(struct fx *f) {
    struct buf b = BUF_INIT;
    static const char *const seqs[] = {"\x1b", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\r", "\t", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F", "\x7f",
        "\x1b[200~x\x1by\x1b[201~", "\xc3\xa9", "\xff", "\x1b[M !!"};
    fx_attach(f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    size_t total = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        uint32_t x = rng_u32(fx_stream, 99, i);
        char one[2] = {(char)(x >> 8 & 0x7f), 0};
        const char *k = x % 3 ? one : seqs[(x >> 16) % LEN(seqs)];
        if (one[0] == 'q' && k == one) continue;
        ui_port(f->u)->input(f->u, k, k == one ? 1 : strlen(k));
        fx_time += 0.01;
        buf_clear(&b);
        total += (size_t)fx_frame(f, &b);
        if (i % 500 == 0) ui_port(f->u)->resize(f->u, 10 + (int)(x % 60), 40 + (int)(x % 200));
    }
    tap_ok(total > 0, "t.K4: 10,000 random keys (%zu bytes of frames)", total);
    struct err e = {0};
    struct val *none = val_str(""); /* they may have chosen glyphs for this terminal type */
    settings_set("glyphs_term", none, NULL, &e);
    val_free(none);
    buf_release(&b);
}

static void hostile(void) {
    struct fx f;
    struct buf b = BUF_INIT;
    fx_open(&f, 100, 1000);
    static const char *const text[] = {"\x1b[31mred", "\x1b]0;title\a",
        "\x9b"
        "2J",
        "a\xe2\x80\xae"
        "b",
        "\xe2\x80\x8b", "\xff\xfe", "\x1bP1;2|x\x1b\\", "\r\n\b\x7f", "\xf0\x9f\x98\x80", "\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"};
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    for (size_t i = 0; i < LEN(text); i++) {
        struct val *v = val_table();
        val_set_str(v, "text", text[i]);
        run_event(f.r, "note", (int64_t)i, v);
        runs_notice(f.rs, "warn", text[i]);
        run_metrics(f.r, 100 + (int64_t)i, 0, &text[i], (double[]){1}, 1);
        run_phase(f.r, text[i]);
    }
    runs_notice(f.rs, "error", big);
    run_report(f.r, "eval", fx_eval(10, true));
    struct val *info = val_table();
    val_set_str(info, "model", text[1]);
    val_set_str(info, "device", text[0]);
    run_info(f.r, info);
    bool clean = true;
    for (int c = 0; c < 2; c++) {
        fx_attach(&f, "xterm-256color", c ? "ASCII" : "UTF-8", "auto", 40, 120, false);
        for (const char *k = "1z1259z:"; *k; k++) {
            buf_clear(&b);
            ui_port(f.u)->input(f.u, k, 1);
            fx_frame(&f, &b);
            if (!frame_clean(b.data ? b.data : "", b.len, c, true) ||
                (b.data && (strstr(b.data, "\xe2\x80\xae") || strstr(b.data, "\x1b]0") || strstr(b.data, "\x1b]5"))))
                clean = false;
        }
        fx_keys(&f, "\x1b");
        fx_time += 1;
        fx_frame(&f, &b);
    }
    tap_ok(clean, "r.D5: hostile names, notes, phases, classes, log text: only allowed bytes in frames");
    fx_close(&f);
    buf_release(&b);
}

/* Each key's command exists, has a help line, and is on the palette. */
static void key_table(struct fx *f) {
    int bad = 0, n = 0;
    for (const struct key_row *r = key_rows(); r->keys; r++, n++) {
        struct err e = {0};
        struct call *c = call_parse(f->hub, r->command, BY_KEY, &e);
        if (!c || !r->help || !r->help[0] || !c->cmd->kind.help) bad++, printf("# %s: %s\n", r->keys, e.text);
        if (c) call_free(c);
    }
    tap_ok(bad == 0 && n > 30, "%d key rows: each a command with help", n);
    struct err e = {0};
    struct val *v = NULL;
    fx_attach(f, "xterm", "UTF-8", "ascii", 24, 80, false);
    struct call *c = call_new(f->hub, "screen", NULL, BY_USER, &e);
    struct queue q;
    queue_init(&q, 4);
    call_submit(c, &q, NULL, &e);
    hub_serve(f->hub, OWNER_UI, 0);
    c = queue_get(&q, 100);
    v = c ? c->result : NULL;
    tap_ok(v && v->type == VAL_STR && strstr(v->u.s.p, "mnist-mlp-1"), "the screen command gives the visible cells");
    if (c) call_free(c);
    queue_release(&q);
}

static void actions(struct fx *f) {
    struct buf b = BUF_INIT, text = BUF_INIT;
    fx_attach(f, "xterm", "UTF-8", "ascii", 24, 80, false);
    fx_keys(f, "1");
    fx_keys(f, "g");
    fx_frame(f, &b);
    bool echoed = false;
    for (int64_t i = f->u->n_log - 5; i < f->u->n_log; i++)
        if (log_at(f->u, i) && strstr(log_at(f->u, i)->text, "> hone.glyphs")) echoed = true;
    tap_ok(echoed, "a key's action is echoed as its Lua line (%s)", f->u->last);
    fx_keys(f, "l0.1\r");
    fx_frame(f, &b);
    ui_port(f->u)->last_screen(f->u, &text);
    tap_ok(strstr(text.data, "more than 10 times") != NULL, "t.E1: a change of the rate by more than 10x asks once");
    fx_keys(f, "\x1b");
    fx_time += 1;
    fx_frame(f, &b);
    fx_keys(f, ":opn metr\r");
    fx_frame(f, &b);
    tap_ok(f->u->screen == SCR_METRICS, "the palette finds a screen by letters");
    fx_keys(f, "s\r");
    tap_ok(f->u->popup == POP_NONE, "the stop menu offers cancel first");
    fx_keys(f, "q");
    tap_ok(ui_port(f->u)->wants_detach(f->u), "q detaches");
    buf_release(&b);
    buf_release(&text);
}

int main(void) {
    struct fx f;
    fx_open(&f, 60000, 100000);
    golden(&f);
    key_table(&f);
    terminals(&f);
    small(&f);
    actions(&f);
    random_keys(&f);
    fx_close(&f);
    bytes(24, 80, 3000, 400);
    bytes(50, 200, 8000, 450);
    budget(24, 80, 200);
    budget(50, 200, 500);
    settings_apply();
    hostile();
    squeezed();
    painted();
    paced();
    return tap_done();
}
