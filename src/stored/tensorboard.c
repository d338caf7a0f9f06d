/* TensorBoard's event files. A file is a sequence of TFRecords: u64 length, u32 masked CRC-32C of the length, data, u32 masked CRC-32C of the data
 * (tensorflow: core/lib/io/record_writer.h); the data are protocol buffers of type Event (tensorboard: compat/proto/event.proto, summary.proto).
 * Of these only five fields are written, each a few bytes, so they are encoded here: a code generator and a library would be needed to write the same
 * bytes. Values are 32-bit floats there; the CSV and JSON lines keep all digits. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/stored/export.h"
#include "src/run/store.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t n) {
    const unsigned char *s = p;
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= s[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0); /* the polynomial 0x1edc6f41, reflected */
    }
    return ~crc;
}

static uint32_t masked(const void *p, size_t n) {
    uint32_t c = crc32c(0, p, n);
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

/* ---- protocol buffers: a key is field << 3 | type; types 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes ---- */

static void varint(struct buf *b, uint64_t v) {
    for (; v >= 0x80; v >>= 7) buf_addc(b, (char)(v | 0x80));
    buf_addc(b, (char)v);
}
static void key(struct buf *b, unsigned field, unsigned type) { varint(b, field << 3 | type); }
static void bytes(struct buf *b, unsigned field, const void *p, size_t n) {
    key(b, field, 2);
    varint(b, n);
    buf_add(b, p, n);
}

struct writing {
    FILE *f;
    double created;
    struct buf event, summary, value;
    int64_t points;
    bool failed;
};

static void event_begin(struct writing *w, double t) {
    buf_clear(&w->event);
    key(&w->event, 1, 1); /* double wall_time */
    buf_add(&w->event, &t, 8);
}

static void event_write(struct writing *w) {
    uint64_t n = w->event.len;
    uint32_t crc = masked(&n, 8), data = masked(w->event.data, n);
    if (fwrite(&n, 8, 1, w->f) != 1 || fwrite(&crc, 4, 1, w->f) != 1 || fwrite(w->event.data, 1, n, w->f) != n || fwrite(&data, 4, 1, w->f) != 1)
        w->failed = true;
}

static bool add_point(void *ctx, const struct point *p) {
    struct writing *w = ctx;
    buf_clear(&w->summary);
    for (size_t i = 0; i < p->n; i++) {
        float v = (float)p->values[i];
        buf_clear(&w->value);
        bytes(&w->value, 1, p->names[i], strlen(p->names[i])); /* Summary.Value: string tag */
        key(&w->value, 2, 5); /* float simple_value */
        buf_add(&w->value, &v, 4);
        bytes(&w->summary, 1, w->value.data, w->value.len); /* Summary: repeated Value value */
    }
    event_begin(w, w->created + p->t);
    key(&w->event, 2, 0); /* int64 step */
    varint(&w->event, (uint64_t)p->step);
    bytes(&w->event, 5, w->summary.data ? w->summary.data : "", w->summary.len); /* Summary summary */
    event_write(w);
    w->points += (int64_t)p->n;
    return !w->failed;
}

int tensorboard_write(const struct folder *run, const char *out, int64_t *points, struct err *e) {
    char name[64], *dir = io_join(out, run->name), *source = io_join(run->dir, "metrics.bin");
    struct val *v = store_read_meta(run->dir, NULL);
    struct writing w = {.created = val_get_num(v, "created", 0)};
    snprintf(name, sizeof name, "events.out.tfevents.%.0f.hone", w.created);
    char *path = io_join(dir, name);
    int rc = io_mkdirs(dir, 0777, e);
    if (rc == 0 && !(w.f = fopen(path, "we"))) rc = err_sys(e, "write", path);
    if (rc == 0) {
        event_begin(&w, w.created);
        bytes(&w.event, 3, "brain.Event:2", 13); /* string file_version, always the first event */
        event_write(&w);
        rc = store_points(source, add_point, &w, NULL, e);
    }
    if (w.f && fclose(w.f) != 0) w.failed = true;
    if (rc == 0 && w.failed) rc = err_sys(e, "write", path);
    *points += w.points;
    buf_release(&w.event);
    buf_release(&w.summary);
    buf_release(&w.value);
    val_free(v);
    free(path);
    free(dir);
    free(source);
    return rc;
}
