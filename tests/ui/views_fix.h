/* What the tests of single screens share: the screen after some keys, and its golden captures at four sizes. */
#ifndef HONE_TESTS_VIEWS_FIX_H
#define HONE_TESTS_VIEWS_FIX_H

#include <stdlib.h>

#include "tests/tap.h"
#include "tests/ui/fixture.h"
#include "tests/ui/golden.h"

/* The screen after these keys; the caller frees it. A second of the clock passes, for what reads the machine twice. */
static inline char *shown(struct fx *f, const char *keys) {
    struct buf frame = BUF_INIT, text = BUF_INIT;
    fx_keys(f, keys);
    fx_frame(f, &frame);
    fx_time += 1;
    fx_frame(f, &frame);
    ui_port(f->u)->last_screen(f->u, &text);
    buf_release(&frame);
    return text.data;
}

static inline void escape(struct fx *f, int n) {
    struct buf frame = BUF_INIT;
    for (int i = 0; i < n; i++) {
        fx_keys(f, "\x1b");
        fx_time += 0.1;
        fx_frame(f, &frame);
    }
    buf_release(&frame);
}

static inline bool has(const char *text, const char *part) { return text && strstr(text, part); }

/* S1: nothing but what hone means to show, the footer in the last row, the same as the golden file. */
static inline void golden(struct fx *f, const char *id, const char *name, const char *keys) {
    for (size_t z = 0; z < LEN(sizes); z++) {
        fx_attach(f, "xterm-256color", "UTF-8", "ascii", sizes[z].rows, sizes[z].cols, false);
        char *now = shown(f, keys);
        bool same = golden_same(name, sizes[z].rows, sizes[z].cols, now);
        tap_ok(same && has(now, "?help"), "%s: %s at %dx%d", id, name, sizes[z].cols, sizes[z].rows);
        free(now);
        escape(f, 4);
    }
}

#endif
