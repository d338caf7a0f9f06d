/* Charts without a terminal: a spike in 10 M steps, NaN, zeros on a log axis, smoothing, the sticky range; input decoder. */
#include "config.h"

#include "src/base/err.h"
#include "src/base/rng.h"
#include "src/run/series.h"
#include "tests/tap.h"
#include "ui/draw/plot.h"
#include "ui/term/decode.h"

static struct bucket buckets[PLOT_COLS];

static void draw(struct grid *g, const struct series *s, enum glyphs set, bool log, struct plot_range *range) {
    struct plot p = {.area = {0, 0, 24, 80}, .set = set, .log = log, .cursor = -1};
    p.x.sub = set == GLYPHS_BRAILLE ? 2 : 1;
    struct plot_series ps = {.name = "loss", .b = buckets};
    ps.n = series_read(s, buckets, (size_t)(plot_columns(&p) * p.x.sub), &p.x.k);
    p.s = &ps;
    p.n = 1;
    grid_release(g);
    grid_init(g, 24, 80, false);
    plot_draw(g, &p, range, 0);
}

static int row_count(const struct grid *g, int row, char c) {
    int n = 0;
    for (int x = 7; x < g->cols; x++) n += g->cell[row * g->cols + x].text[0] == c;
    return n;
}

static void plots(void) {
    struct grid g = {0};
    for (int set = 0; set < GLYPHS_N; set++) {
        struct series *s = series_new("loss");
        struct plot_range r = {0};
        for (int64_t i = 0; i < 10000000; i += set == 3 ? 1 : 100) series_add(s, i, i == 7000000 ? 1000.0 : 1 + 0.01 * rng_unit(1, 1, (uint64_t)i));
        draw(&g, s, (enum glyphs)set, false, &r);
        tap_ok(row_count(&g, 0, '^') == 1 && r.hi < 2, "t.C1, %s: one spike in 10 M steps is marked, the scale is the series' own", glyphs_names[set]);
        series_free(s);
    }
    struct series *s = series_new("nan");
    struct plot_range r = {0};
    for (int64_t i = 0; i < 1000; i++) series_add(s, i, NAN);
    draw(&g, s, GLYPHS_ASCII, false, &r);
    struct buf b = BUF_INIT;
    grid_dump(&g, &b);
    tap_ok(row_count(&g, 0, 'x') > 30 && strstr(b.data, "x1000"), "t.C3: an all-NaN series: x on the top edge and the count");
    series_free(s);
    s = series_new("log");
    r = (struct plot_range){0};
    for (int64_t i = 0; i < 1000; i++) series_add(s, i, i % 100 == 0 ? 0 : i % 100 == 50 ? -1 : pow(10, -(double)i / 200));
    draw(&g, s, GLYPHS_ASCII, true, &r);
    buf_clear(&b);
    grid_dump(&g, &b);
    tap_ok(row_count(&g, 21, '_') >= 10 && strstr(b.data, "<=0:20"), "t.C4: a log axis counts and marks zeros and negatives");
    series_free(s);
    buf_release(&b);
    grid_release(&g);

    double x[200], y[200], worst = 0;
    for (int i = 0; i < 200; i++) x[i] = rng_normal(3, 1, (uint64_t)i);
    for (int w = 0; w < 3; w++) {
        double k = (double[]){0, 0.9, 0.999}[w];
        plot_smooth(x, y, 200, k);
        for (int i = 0; i < 200; i++) { /* the sum written out: sum (1-w) w^(i-j) x_j / (1 - w^(i+1)) */
            double sum = 0;
            for (int j = 0; j <= i; j++) sum += (1 - k) * pow(k, i - j) * x[j];
            double want = sum / (1 - pow(k, i + 1));
            if (fabs(want - y[i]) > worst) worst = fabs(want - y[i]);
        }
    }
    tap_ok(worst < 1e-12, "t.C5: smoothing agrees with its formula to %.1e", worst);
    tap_ok(plot_nice(1, 5) == 0.2 && plot_nice(0.9, 2) == 0.5 && plot_nice(7, 5) == 2, "ticks are 1, 2, 5");
    r = (struct plot_range){0};
    plot_range_update(&r, 0, 1, 5, false, 0);
    plot_range_update(&r, 0, 3, 5, false, 0.1);
    tap_ok(r.hi >= 3, "a range widens at once");
    plot_range_update(&r, 0, 1, 5, false, 1);
    plot_range_update(&r, 0, 1, 5, false, 10.9);
    bool waits = r.hi >= 3;
    plot_range_update(&r, 0, 1, 5, false, 11.1);
    tap_ok(waits && r.hi == 1, "and narrows after 10 s");
}

static char seen[4096];
static int keys;
static void on_key(void *ctx, const struct tkey *k) {
    (void)ctx;
    keys++;
    if (strlen(seen) < 3900)
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%.20s ",
            k->type == TKEY_PASTE   ? "P:"
            : k->type == TKEY_REPLY ? "R:"
            : k->type == TKEY_MOUSE ? "M:"
                                    : "",
            k->type == TKEY_KEY     ? k->name
            : k->type == TKEY_PASTE ? k->bytes
                                    : "");
}

static void keys_are(const char *in, const char *want) {
    struct decode d;
    decode_init(&d);
    seen[0] = 0;
    decode_feed(&d, in, strlen(in), 0, on_key, NULL);
    decode_tick(&d, 1, on_key, NULL);
    tap_is(seen, want, want);
    char all[sizeof seen];
    snprintf(all, sizeof all, "%s", seen);
    seen[0] = 0;
    for (size_t i = 0; i < strlen(in); i++) decode_feed(&d, in + i, 1, 2 + 0.02 * (double)i, on_key, NULL); /* byte by byte, 20 ms apart */
    decode_tick(&d, 100, on_key, NULL);
    if (strcmp(seen, all) != 0) tap_is(seen, all, "the same byte by byte");
    decode_release(&d);
}

static void decoding(void) {
    keys_are("a\x1b[A\x1bOB\x1b[5~\x1b[1;5C\x1bx\r\t\x7f", "a Up Down PgUp C-Right M-x Enter Tab Bsp ");
    keys_are("\x1b", "Esc ");
    keys_are("\xc3\xa9\xe4\xb8\xad\xff", "\xc3\xa9 \xe4\xb8\xad ");
    keys_are("\x1b\x87O", "O "); /* a byte that begins nothing ends what was waited for */
    keys_are("\x1b[200~one\x1b[20two\x1b[201~z", "P:one\x1b[20two z ");
    keys_are("\x1b[200~one\x1b[0ntwo\x1b[201~z", "R: P:onetwo z "); /* an answer that arrives in the midst of a paste */
    keys_are("\x1b[0n\x1b[12;40R\x1b[<0;5;6M\x1b]0;x\aq\x1b[[D", "R: R: M: q F4 ");
    struct decode d;
    decode_init(&d);
    char junk[4096];
    keys = 0;
    for (uint64_t r = 0; r < 500; r++) {
        for (size_t i = 0; i < sizeof junk; i++) {
            uint32_t v = rng_u32(5, r, i);
            junk[i] = (char)(v % 4 ? "\x1b[O]P;0123456789~ABMm<\x07\\"[v / 4 % 24] : (int)(v >> 8 & 0xff));
        }
        decode_feed(&d, junk, sizeof junk, (double)r, on_key, NULL);
    }
    decode_release(&d);
    tap_ok(keys > 1000, "2 MB of random bytes: %d keys, no crash", keys);
}

static void cut_names(void) {
    static const struct {
        const char *text;
        int max;
        const char *want;
    } t[] = {{"card_payment_fee_charged", 30, "card_payment_fee_charged"}, {"card_payment_fee_charged", 16, "card_pay~charged"}, {"abcdefgh", 8, "abcdefgh"},
        {"abcdefghi", 8, "abcd~ghi"}, {"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", 7, "\xe6\xbc\xa2\xe6\xbc\xa2~\xe6\xbc\xa2"}, {"abcdef", 4, "abc~"},
        {"e\xcc\x81x\xcc\x81z\xcc\x81y\xcc\x81w\xcc\x81v", 5, "\xc3\xa9x~\xe1\xba\x83v"}};
    int bad = 0;
    for (size_t i = 0; i < LEN(t); i++) {
        struct grid g;
        struct buf b = BUF_INIT;
        grid_init(&g, 1, 40, false);
        int used = grid_middle(&g, 0, 0, t[i].max, (struct style){0, 0}, t[i].text);
        grid_row_text(&g, 0, &b);
        if (strcmp(b.data, t[i].want) != 0 || used > t[i].max) bad++, printf("# \"%s\" in %d: \"%s\"\n", t[i].text, t[i].max, b.data);
        buf_release(&b);
        grid_release(&g);
    }
    tap_ok(bad == 0, "t.A6: names are cut in the middle, between characters, within their columns");
}

int main(void) {
    cut_names();
    plots();
    decoding();
    return tap_done();
}
