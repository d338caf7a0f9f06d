/* Fuzz target: what is read of runs that came from elsewhere. The first byte chooses: a bundle, a row of the index, a packed series, a metrics.bin. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/stored/folder.h"
#include "src/run/series.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"
#include "tests/fuzz/fuzz.h"

static char dir[] = "/tmp/hone-fuzz-runs-XXXXXX";
static void clean(void) { io_remove_tree(dir, NULL); }

static char *scratch(const char *name) {
    static bool made;
    if (!made && (!mkdtemp(dir) || atexit(clean) != 0)) abort();
    made = true;
    return io_join(dir, name);
}

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
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    io_write_all(fd, p, n, file, NULL);
    close(fd);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size || size > 1 << 20) return 0;
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    if (data[0] % 4 == 0) bundle(p, n);
    else if (data[0] % 4 == 1) row_unref(row_unpack(p, n));
    else if (data[0] % 4 == 2) series(p, n);
    else points(p, n);
    return 0;
}
