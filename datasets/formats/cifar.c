/* CIFAR-10 and CIFAR-100 binary: records without a header, one label byte (CIFAR-100: coarse, then fine; the fine one is taken), then 1,024 red, green and
 * blue bytes of 32 x 32 pixels, row by row. The class names lie beside the file: one a line, in the order of the labels. */
#include "datasets/formats/format.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"

#define PIXELS 3072
#define MAX_NAMES ((size_t)1 << 16)

static int cifar_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    (void)o;
    bool hundred = in->n % (PIXELS + 1) && in->n % (PIXELS + 2) == 0;
    size_t each = PIXELS + 1 + hundred, n = in->n / each;
    int classes = hundred ? 100 : 10;
    if (!n || in->n % each)
        return err_set(e, "%s is %zu bytes long, which is no whole number of records of CIFAR-10 (%d bytes each) or CIFAR-100 (%d); fetch it again", in->name,
            in->n, PIXELS + 1, PIXELS + 2);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *r = in->p + i * each;
        if (hundred && r[0] >= 20) return err_set(e, "%s: record %zu has the coarse label %d; CIFAR-100 has 0 to 19", in->name, i + 1, r[0]);
        if (r[each - PIXELS - 1] >= classes)
            return err_set(e, "%s: record %zu has the label %d; CIFAR-%d has 0 to %d", in->name, i + 1, r[each - PIXELS - 1], classes, classes - 1);
    }
    struct column *x = table_add(out, "x", COL_U8);
    x->ndim = 3;
    x->dim[0] = 3, x->dim[1] = x->dim[2] = 32;
    x->width = PIXELS;
    uint8_t *p = x->data = mem_try(n * PIXELS, 1, in->name, e);
    if (!p) return -1;
    struct column *y = table_add(out, "y", COL_U8);
    uint8_t *label = y->data = X_NEW(uint8_t, n);
    y->width = 1;
    for (size_t i = 0; i < n; i++) {
        memcpy(p + i * PIXELS, in->p + (i + 1) * each - PIXELS, PIXELS);
        label[i] = in->p[(i + 1) * each - PIXELS - 1];
    }
    out->n = (int64_t)n;
    out->named = true;
    return 0;
}

static int names_beside(const char *path, struct table *out, struct err *e) {
    static const char *const file[] = {"batches.meta.txt", "fine_label_names.txt"};
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_strn(path, (size_t)(slash - path) + (slash == path)) : mem_str(".");
    struct buf b = BUF_INIT;
    int r = 0;
    for (size_t i = 0; i < LEN(file) && !b.len && !r; i++) {
        char *p = io_join(dir, file[i]);
        if (io_exists(p)) r = io_read_file(p, MAX_NAMES, &b, e);
        if (!r && b.len && text_bad_byte((unsigned char *)b.data, b.len) >= 0) r = err_set(e, "%s is not UTF-8; it holds one class name a line", p);
        free(p);
    }
    for (size_t at = 0; at < b.len && !r;) {
        size_t n = 0;
        while (at + n < b.len && b.data[at + n] != '\n') n++;
        size_t k = n - (n && b.data[at + n - 1] == '\r');
        if (k) {
            out->label_name = X_GROW(out->label_name, char *, (size_t)out->n_label_name + 1);
            out->label_name[out->n_label_name++] = mem_strn(b.data + at, k);
        }
        at += n + 1;
    }
    buf_release(&b);
    free(dir);
    return r;
}

static const char *const ext[] = {".bin", NULL};
const struct format format_cifar = {"cifar", "CIFAR-10 or CIFAR-100, binary version", ext, NULL, cifar_read, NULL, names_beside};
