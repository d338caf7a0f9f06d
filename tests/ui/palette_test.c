/* t.A3: distances of the series' colours for common and deficient vision, contrast on black and on white, and the patterns that tell 8 series apart without
 * colour. CIEDE2000 after Sharma, Wu, Dalal (2005), "The CIEDE2000 color-difference formula: implementation notes, supplementary test data"; the simulation
 * is that of Machado, Oliveira, Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency", severity 1; contrast after
 * WCAG 2.1. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "src/base/err.h"
#include "tests/tap.h"
#include "ui/draw/plot.h"
#include "ui/term/screen.h"

#define PI 3.14159265358979323846

/* ---- colours ---- */

/* xterm's 256 colours from 16 on: a cube of 6 x 6 x 6, then 24 greys. */
static void rgb_of(int i, double rgb[3]) {
    static const int level[6] = {0, 95, 135, 175, 215, 255};
    int c = i - 16, v[3] = {level[c / 36 % 6], level[c / 6 % 6], level[c % 6]};
    for (int k = 0; k < 3; k++) {
        double x = (i >= 232 ? 8 + 10 * (i - 232) : v[k]) / 255.0;
        rgb[k] = x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4); /* linear light */
    }
}

static double luminance(const double rgb[3]) { return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]; }

static double contrast(double a, double b) { return (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05); }

static double lab_f(double t) { return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116; }

/* Linear sRGB, D65. */
static void lab_of(const double c[3], double lab[3]) {
    double x = (0.4124564 * c[0] + 0.3575761 * c[1] + 0.1804375 * c[2]) / 0.95047, y = 0.2126729 * c[0] + 0.7151522 * c[1] + 0.0721750 * c[2],
           z = (0.0193339 * c[0] + 0.1191920 * c[1] + 0.9503041 * c[2]) / 1.08883;
    lab[0] = 116 * lab_f(y) - 16;
    lab[1] = 500 * (lab_f(x) - lab_f(y));
    lab[2] = 200 * (lab_f(y) - lab_f(z));
}

static double hue(double a, double b) {
    double h = a == 0 && b == 0 ? 0 : atan2(b, a) * 180 / PI;
    return h < 0 ? h + 360 : h;
}

static double sin_deg(double x) { return sin(x * PI / 180); }
static double cos_deg(double x) { return cos(x * PI / 180); }

static double ciede2000(const double p[3], const double q[3]) {
    double cm = (hypot(p[1], p[2]) + hypot(q[1], q[2])) / 2, g = 0.5 * (1 - sqrt(pow(cm, 7) / (pow(cm, 7) + pow(25, 7))));
    double a1 = (1 + g) * p[1], a2 = (1 + g) * q[1], c1 = hypot(a1, p[2]), c2 = hypot(a2, q[2]), h1 = hue(a1, p[2]), h2 = hue(a2, q[2]);
    double dl = q[0] - p[0], dc = c2 - c1, dh = c1 * c2 == 0 ? 0 : h2 - h1 > 180 ? h2 - h1 - 360 : h2 - h1 < -180 ? h2 - h1 + 360 : h2 - h1;
    double dbig = 2 * sqrt(c1 * c2) * sin_deg(dh / 2), l = (p[0] + q[0]) / 2, c = (c1 + c2) / 2;
    double h = c1 * c2 == 0 ? h1 + h2 : fabs(h1 - h2) <= 180 ? (h1 + h2) / 2 : h1 + h2 < 360 ? (h1 + h2 + 360) / 2 : (h1 + h2 - 360) / 2;
    double t = 1 - 0.17 * cos_deg(h - 30) + 0.24 * cos_deg(2 * h) + 0.32 * cos_deg(3 * h + 6) - 0.20 * cos_deg(4 * h - 63);
    double sl = 1 + 0.015 * pow(l - 50, 2) / sqrt(20 + pow(l - 50, 2)), sc = 1 + 0.045 * c, sh = 1 + 0.015 * c * t;
    double rt = -sin_deg(60 * exp(-pow((h - 275) / 25, 2))) * 2 * sqrt(pow(c, 7) / (pow(c, 7) + pow(25, 7)));
    return sqrt(pow(dl / sl, 2) + pow(dc / sc, 2) + pow(dbig / sh, 2) + rt * (dc / sc) * (dbig / sh));
}

static void test_formula(void) { /* pairs 1, 17, 18, 20, 25 and 34 of Sharma's supplementary data */
    static const double t[][7] = {{50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425}, {50, 2.5, 0, 73, 25, -18, 27.1492}, {50, 2.5, 0, 61, -5, 29, 22.8977},
        {50, 2.5, 0, 58, 24, 15, 19.4535}, {60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644},
        {2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082}};
    double worst = 0;
    for (size_t i = 0; i < LEN(t); i++) worst = fmax(worst, fabs(ciede2000(t[i], t[i] + 3) - t[i][6]));
    tap_ok(worst < 1e-4, "CIEDE2000 agrees with its authors' data to %.1e", worst);
}

static const struct {
    const char *name;
    double m[3][3];
} vision[] = {{"common", {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
    {"protan", {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}},
    {"deutan", {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}},
    {"tritan", {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}}};

static void seen(int color, const double m[3][3], double lab[3]) {
    double rgb[3], s[3];
    rgb_of(color, rgb);
    for (int i = 0; i < 3; i++) {
        double x = m[i][0] * rgb[0] + m[i][1] * rgb[1] + m[i][2] * rgb[2];
        s[i] = x < 0 ? 0 : x > 1 ? 1 : x;
    }
    lab_of(s, lab);
}

static void test_series(void) {
    for (size_t v = 0; v < LEN(vision); v++) {
        double worst = 1e9;
        int a = 0, b = 0;
        for (int i = 0; i < 6; i++)
            for (int j = i + 1; j < 6; j++) {
                double p[3], q[3];
                seen(screen_series_256[i], vision[v].m, p);
                seen(screen_series_256[j], vision[v].m, q);
                double d = ciede2000(p, q);
                if (d < worst) worst = d, a = i, b = j;
            }
        tap_ok(worst >= 10, "t.A3, %s vision: the first 6 series differ by %.1f or more (CIEDE2000; %d and %d)", vision[v].name, worst, screen_series_256[a],
            screen_series_256[b]);
    }
}

static void test_contrast(void) {
    double black = 1e9, white = 1e9;
    for (int i = 0; i < 8 + INK_SERIES; i++) {
        int color = i < 8 ? screen_series_256[i] : screen_ink_256[i - 8];
        double rgb[3];
        if (color < 0) continue; /* the terminal's own */
        rgb_of(color, rgb);
        double on_black = contrast(luminance(rgb), 0), on_white = contrast(luminance(rgb), 1);
        if (on_black < 3 || on_white < 3) printf("# %d: %.2f on black, %.2f on white\n", color, on_black, on_white);
        black = fmin(black, on_black);
        white = fmin(white, on_white);
    }
    tap_ok(black >= 3 && white >= 3, "t.A3: every colour has a contrast of %.2f:1 or more on black, %.2f:1 on white", black, white);
    tap_ok(screen_ink_256[INK_TEXT] < 0 && screen_ink_256[INK_TITLE] < 0, "t.A3: text has the terminal's own foreground");
}

/* ---- without colour ---- */

enum { N = 200 };

/* The cells of a flat series drawn in the place of series `ink`. */
static void flat(int ink, enum glyphs set, struct buf *out) {
    static struct bucket b[N];
    struct plot_series s = {.name = "x", .b = b, .n = N, .ink = ink};
    struct plot p = {.area = {0, 0, 12, 70}, .set = set, .cursor = -1, .s = &s, .n = 1};
    struct plot_range range = {0};
    struct grid g;
    for (int i = 0; i < N; i++) b[i] = (struct bucket){.step0 = i, .count = 1, .min = 1, .max = 1, .mean = 1, .at_min = i, .at_max = i};
    p.x.sub = set == GLYPHS_BRAILLE ? 2 : 1;
    grid_init(&g, 12, 70, set == GLYPHS_ASCII);
    plot_draw(&g, &p, &range, 0);
    for (int y = 0; y < 10; y++) { /* without axis and legend */
        for (int x = 10; x < 60; x++) buf_adds(out, g.cell[y * g.cols + x].text);
        buf_addc(out, '\n');
    }
    grid_release(&g);
}

static void test_patterns(void) {
    for (int set = 0; set < GLYPHS_N; set++) {
        struct buf text[PLOT_SERIES] = {{0}};
        int same = 0, empty = 0;
        for (int i = 0; i < PLOT_SERIES; i++) {
            flat(i, (enum glyphs)set, &text[i]);
            empty += strspn(text[i].data, " \n") == text[i].len;
            for (int j = 0; j < i; j++) same += strcmp(text[i].data, text[j].data) == 0;
        }
        tap_ok(!same && !empty, "t.A3, %s: 8 series are drawn in 8 ways without colour", glyphs_names[set]);
        if (same || empty)
            for (int i = 0; i < PLOT_SERIES; i++) printf("# %d:\n# %.300s\n", i, text[i].data);
        for (int i = 0; i < PLOT_SERIES; i++) buf_release(&text[i]);
    }
    int same = 0;
    for (int i = 0; i < PLOT_SERIES; i++)
        for (int j = 0; j < i; j++) same += plot_marks[i] == plot_marks[j];
    tap_ok(!same, "t.A3: 8 marks in the legend, \"%s\"", plot_marks);
}

int main(void) {
    test_formula();
    test_series();
    test_contrast();
    test_patterns();
    return tap_done();
}
