/* Screens as text against the files of tests/ui/golden, at four sizes; UPDATE_GOLDEN=1 rewrites them. */
#ifndef HONE_TESTS_GOLDEN_H
#define HONE_TESTS_GOLDEN_H

#include <stdlib.h>

#include "src/base/io.h"
#include "tests/tap.h"

static const struct { int rows, cols; } sizes[] = {{24, 80}, {30, 100}, {43, 132}, {50, 200}};

/* Whether a screen is as its file has it; if not, what it is now is printed. */
static inline bool golden_same(const char *name, int rows, int cols, const char *now) {
    const char *src = getenv("top_srcdir");
    struct buf want = BUF_INIT;
    struct err e = {0};
    char path[512];
    size_t n = strlen(now);
    snprintf(path, sizeof path, "%s/tests/ui/golden/%s-%dx%d.txt", src ? src : ".", name, cols, rows);
    if (getenv("UPDATE_GOLDEN")) io_write_file(path, now, n, &e);
    bool same = io_read_file(path, 1 << 20, &want, &e) == 0 && want.len == n && memcmp(want.data, now, n) == 0;
    if (!same) printf("# %s differs (UPDATE_GOLDEN=1 rewrites); now:\n", path), tap_note(now);
    buf_release(&want);
    return same;
}

#endif
