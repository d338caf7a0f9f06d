/* Fuzz target: what is read of runs that came from elsewhere. The first byte chooses: a bundle, a row of the index, a packed series, a metrics.bin, a
 * run.json, a log.txt which is a journal.lua too. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/stored/folder.h"
#include "src/run/record.h"
#include "src/run/series.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

static void bundle(const uint8_t *p, size_t n) {
    char *file = scratch("b.tar.gz"), *into = scratch("into");
    struct val *names = val_list();
    gzFile z = gzopen(file, "wb1");
    gzwrite(z, p, (unsigned)n);
    gzclose(z);
    io_mkdirs(into, 0700, NULL);
    bundle_unpack(file, into, names, NULL);
    io_remove_tree(into, NULL);
    val_free(names);
    free(into);
    free(file);
}

static bool see(void *ctx, const struct point *p) {
    double *sum = ctx;
    for (size_t i = 0; i < p->n; i++) *sum += p->values[i] + (double)strlen(p->names[i]);
    return true;
}

static void points(const uint8_t *p, size_t n) {
    char *file = scratch("metrics.bin");
    double sum = 0;
    int64_t cut;
    scratch_put(file, p, n);
    store_points(file, see, &sum, &cut, NULL);
    store_tail(file, see, &sum, NULL);
    free(file);
}

static void series(const uint8_t *p, size_t n) {
    struct bucket b[64];
    struct series *s = series_unpack("x", p, n);
    if (!s) return;
    series_read(s, b, 64, NULL);
    series_window(s, 0, INT64_MAX, b, 64);
    series_add(s, 1 << 20, 1);
    series_free(s);
}

static void put(const char *run, const char *name, const void *p, size_t n) {
    char *path = io_join(run, name);
    scratch_put(path, p, n);
    free(path);
}

/* What lists, `hone watch` and reports read of a run folder. */
static void run_folder(const uint8_t *p, size_t n, bool meta) {
    static const char plain[] = "{\"run\": \"r\", \"state\": \"done\", \"created\": 1}";
    char *all = scratch("runs"), *one = io_join(all, "r");
    struct buf row = BUF_INIT;
    struct err e = {0};
    io_mkdirs(one, 0700, NULL);
    put(one, "run.json", meta ? (const void *)p : plain, meta ? n : sizeof plain - 1);
    put(one, "about.json", meta ? (const void *)p : "{}", meta ? n : 2);
    put(one, "log.txt", meta ? (const void *)"" : p, meta ? 0 : n);
    put(one, "journal.lua", meta ? (const void *)"" : p, meta ? 0 : n);
    struct shelf_row *r = row_read(one, "r");
    row_pack(r, &row);
    struct shelf_row *again = row_unpack(row.data, row.len);
    if (!again) abort();
    row_unref(again);
    row_unref(r);
    buf_release(&row);
    struct val *v = store_describe(one, &e);
    if (!v == !e.code) abort();
    val_free(v);
    struct runs *rs = runs_new(all);
    struct run *m = run_mirror(rs, "r");
    struct run_now now;
    run_fill(m, false, NULL);
    run_now(m, &now);
    if (!memchr(now.name, 0, sizeof now.name) || !memchr(now.model, 0, sizeof now.model)) abort();
    runs_free(rs);
    free(one);
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size || size > 1 << 20) return 0;
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    if (data[0] % 6 == 0) bundle(p, n);
    else if (data[0] % 6 == 1) row_unref(row_unpack(p, n));
    else if (data[0] % 6 == 2) series(p, n);
    else if (data[0] % 6 == 3) points(p, n);
    else run_folder(p, n, data[0] % 6 == 4);
    return 0;
}
