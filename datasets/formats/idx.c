/* IDX: the format of MNIST and its kin (big-endian header: 0 0 TYPE NDIM, sizes, then the numbers row by row).
 * Type 0x08 u8, 0x09 i8, 0x0B i16, 0x0C i32, 0x0D f32, 0x0E f64. Images (N, H, W) become examples (1, H, W). */
#include "datasets/formats/format.h"

#include <math.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/size.h"

static uint32_t be32(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static bool idx_probe(const struct bytes *h) { return h->n >= 8 && !h->p[0] && !h->p[1] && h->p[2] >= 8 && h->p[2] <= 0xe && h->p[3] >= 1 && h->p[3] <= 4; }

static int element_size(int type) {
    switch (type) {
    case 0x08:
    case 0x09: return 1;
    case 0x0b: return 2;
    case 0x0c:
    case 0x0d: return 4;
    case 0x0e: return 8;
    }
    return 0;
}

/* Values after the header into the column; count is already checked against the bytes there. */
static int fill(struct column *c, int type, const unsigned char *p, size_t count, const char *name, struct err *e) {
    size_t each = type == 0x08 ? 1 : 4;
    if (!(c->data = mem_try(count ? count : 1, each, name, e))) return -1;
    if (type == 0x08) {
        memcpy(c->data, p, count);
        return 0;
    }
    float *f = c->data;
    int32_t *d = c->data;
    for (size_t i = 0; i < count; i++) switch (type) {
        case 0x09: d[i] = (int8_t)p[i]; break;
        case 0x0b: d[i] = (int16_t)((uint16_t)p[2 * i] << 8 | p[2 * i + 1]); break;
        case 0x0c: d[i] = (int32_t)be32(p + 4 * i); break;
        case 0x0d: {
            uint32_t u = be32(p + 4 * i);
            memcpy(f + i, &u, 4);
            break;
        }
        default: {
            uint64_t u = (uint64_t)be32(p + 8 * i) << 32 | be32(p + 8 * i + 4);
            double v;
            memcpy(&v, &u, 8);
            f[i] = (float)v;
        }
        }
    return 0;
}

static int idx_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    (void)o;
    const unsigned char *p = in->p;
    if (in->n < 4) return err_set(e, "%s is %zu bytes long, too short for an IDX header of 4 bytes and its sizes; fetch it again", in->name, in->n);
    if (p[0] || p[1])
        return err_set(e, "%s is not an IDX file: it begins with bytes %02x %02x %02x %02x, not 00 00 TYPE NDIM", in->name, p[0], p[1], p[2], p[3]);
    int type = p[2], nd = p[3], size = element_size(type);
    if (!size) return err_set(e, "%s: IDX type 0x%02x is unknown; 08 09 0b 0c 0d 0e are", in->name, type);
    if (nd < 1 || nd > 4) return err_set(e, "%s: an IDX file of %d dimensions; 1 to 4 can be read", in->name, nd);
    size_t head = 4 + 4 * (size_t)nd;
    if (in->n < head) return err_set(e, "%s ends inside its header: %zu bytes, the header alone is %zu; fetch it again", in->name, in->n, head);
    size_t count = 1, bytes;
    bool over = false;
    for (int i = 0; i < nd; i++) over |= !size_mul(count, be32(p + 4 + 4 * i), &count);
    over |= !size_mul(count, (size_t)size, &bytes);
    uint32_t n = be32(p + 4);
    if (over) return err_set(e, "%s: the sizes in its header (%u examples) do not fit in memory; it is not an IDX file or it is damaged", in->name, n);
    if (bytes > in->n - head)
        return err_set(e, "%s is cut short: its header says %u examples, %zu bytes, but only %zu follow; fetch it again", in->name, n, bytes, in->n - head);
    if (bytes < in->n - head) return err_set(e, "%s has %zu bytes after its %u examples; the header does not fit the file", in->name, in->n - head - bytes, n);
    for (int i = 0; i < nd; i++)
        if (!be32(p + 4 + 4 * i)) return err_set(e, "%s holds no values: size %d of its header is 0", in->name, i + 1);
    struct column *c = table_add(out, nd == 1 ? "y" : "x", type == 0x08 ? COL_U8 : type >= 0x0d ? COL_F32 : COL_I32);
    out->n = n;
    c->width = (int64_t)(count / n);
    if (nd == 3) c->dim[c->ndim++] = 1; /* grey images: (1, H, W) */
    for (int i = 1; i < nd; i++) c->dim[c->ndim++] = be32(p + 4 + 4 * i);
    if (fill(c, type, p + head, count, in->name, e)) return -1;
    if (c->type == COL_F32)
        for (size_t i = 0; i < count; i++)
            if (!isfinite(((float *)c->data)[i]))
                return err_set(e, "%s: value %zu of example %zu is not a finite number", in->name, i % (size_t)c->width + 1, i / (size_t)c->width + 1);
    return 0;
}

static const char *const ext[] = {"-ubyte", ".idx", ".idx1", ".idx3", NULL};
const struct format format_idx = {"idx", "IDX arrays, as of MNIST", ext, idx_probe, idx_read, NULL};
