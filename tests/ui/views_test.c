/* The screens Eval, Compress, Model, System, Log, Settings: golden captures (UPDATE_GOLDEN=1 rewrites them), what their keys do, what they may cost. */
#include "config.h"

#include <stdlib.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "tests/tap.h"
#include "tests/ui/fixture.h"

static const struct { int rows, cols; } sizes[] = {{24, 80}, {30, 100}, {43, 132}, {50, 200}};

/* The screen after these keys; the caller frees it. A second of the clock passes, for what reads the machine twice. */
static char *shown(struct fx *f, const char *keys) {
    struct buf frame = BUF_INIT, text = BUF_INIT;
    fx_keys(f, keys);
    fx_frame(f, &frame);
    fx_time += 1;
    fx_frame(f, &frame);
    ui_port(f->u)->last_screen(f->u, &text);
    buf_release(&frame);
    return text.data;
}

static void escape(struct fx *f, int n) {
    struct buf frame = BUF_INIT;
    for (int i = 0; i < n; i++) {
        fx_keys(f, "\x1b");
        fx_time += 0.1;
        fx_frame(f, &frame);
    }
    buf_release(&frame);
}

/* S1: nothing but what hone means to show, the footer in the last row, the same as the golden file. */
static void golden(struct fx *f, const char *id, const char *name, const char *keys) {
    const char *src = getenv("top_srcdir");
    for (size_t z = 0; z < LEN(sizes); z++) {
        struct buf want = BUF_INIT;
        struct err e = {0};
        char path[512];
        fx_attach(f, "xterm-256color", "UTF-8", "ascii", sizes[z].rows, sizes[z].cols, false);
        char *now = shown(f, keys);
        size_t n = strlen(now);
        snprintf(path, sizeof path, "%s/tests/ui/golden/%s-%dx%d.txt", src ? src : ".", name, sizes[z].cols, sizes[z].rows);
        if (getenv("UPDATE_GOLDEN")) io_write_file(path, now, n, &e);
        bool read = io_read_file(path, 1 << 20, &want, &e) == 0, same = read && want.len == n && memcmp(want.data, now, n) == 0;
        bool footer = n > 2 && strstr(now, "?help") != NULL;
        tap_ok(same && footer, "%s: %s at %dx%d", id, name, sizes[z].cols, sizes[z].rows);
        if (!same) printf("# %s differs (UPDATE_GOLDEN=1 rewrites); now:\n", path);
        for (const char *p = now; !same && *p;) {
            size_t len = strcspn(p, "\n");
            printf("# %.*s\n", (int)len, p);
            p += len + (p[len] == '\n');
        }
        buf_release(&want);
        free(now);
        escape(f, 4);
    }
}

static bool has(const char *text, const char *part) { return text && strstr(text, part); }

/* ---- Model, System ---- */

static void model(void) {
    struct fx f;
    fx_open(&f, 2000, 4000);
    golden(&f, "t.S1", "model", "7");
    golden(&f, "t.S1", "model-layer", "7\x1b[Hj\r");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    char *text = shown(&f, "7\x1b[Hjjjh");
    tap_ok(has(text, "+block1") && !has(text, "  relu1  ") && has(text, "301/512") && has(text, "6 bad"), "t.S1: a layer folds; dead units and gradients that are not finite show");
    free(text);
    text = shown(&f, "F");
    tap_ok(has(text, "-block1"), "F unfolds");
    free(text);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 10, 40, false);
    text = shown(&f, "7");
    tap_ok(has(text, "hidden") && has(text, "?help"), "t.S3: layers that do not fit are announced");
    free(text);
    fx_close(&f);
}

static void machine(void) {
    static struct machine_reading m;
    struct fx f;
    fx_open(&f, 2000, 4000);
    golden(&f, "t.S1", "system", "8");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    free(shown(&f, "8"));
    double t0 = clock_now();
    for (int i = 0; i < 20; i++) machine_read(&m, "/proc", ".");
    double ms = (clock_now() - t0) * 1e3 / 20;
    tap_ok(ms < 50 && m.n >= 1 && m.rss > 1e5 && m.total > m.rss && m.threads >= 1 && m.disk_total > 0, "a reading of /proc: %.2f ms, %d cores", ms, m.n);
    fx_keys(&f, "1");
    struct buf b = BUF_INIT;
    fx_frame(&f, &b);
    tap_ok(ui_port(f.u)->timeout(f.u) == -1, "t.W1: no wake-up is wanted while the System screen is not shown");
    buf_release(&b);
    fx_close(&f);
}

int main(void) {
    model();
    machine();
    return tap_done();
}
