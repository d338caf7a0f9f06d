/* What the picture decoders share, and the format of a single picture: a table of one row, for prediction. */
#include "datasets/formats/image.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/size.h"

#define FREE_BYTES ((size_t)16 << 20) /* pixels up to which any ratio to the packed size is taken */

static const struct image_reader *const readers[] = {&image_png, &image_jpeg, &image_pnm};

int image_room(const struct bytes *in, uint64_t w, uint64_t h, int c, struct image *out, struct err *e) {
    if (!w || !h) return err_set(e, "%s: a picture of %llu x %llu pixels", in->name, (unsigned long long)w, (unsigned long long)h);
    if (w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE)
        return err_set(
            e, "%s: a picture of %llu x %llu pixels; at most %d a side are read", in->name, (unsigned long long)w, (unsigned long long)h, IMAGE_MAX_SIDE);
    size_t n = (size_t)w * (size_t)h * (size_t)c;
    if (n > FREE_BYTES && n / FORMAT_BOMB_RATIO > in->n)
        return err_set(e, "%s: %llu x %llu pixels are more than %d times its %zu bytes, as files have that are made to fill a memory", in->name,
            (unsigned long long)w, (unsigned long long)h, FORMAT_BOMB_RATIO, in->n);
    *out = (struct image){(int)w, (int)h, c, mem_try(n, 1, in->name, e)};
    return out->p ? 0 : -1;
}

bool image_name(const char *path) {
    for (size_t i = 0; i < LEN(readers); i++)
        if (format_ends(path, readers[i]->ext, false)) return true;
    return false;
}

int image_decode(const struct bytes *in, struct image *out, struct err *e) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < LEN(readers); i++)
        if (readers[i]->probe(in)) return readers[i]->decode(in, out, e);
    if (in->n < 8) return err_set(e, "%s is %zu bytes long, too short for a picture", in->name, in->n);
    return err_set(e, "%s is no picture that can be read: it begins with bytes %02x %02x %02x %02x; PNG, JPEG, PPM and PGM can", in->name, in->p[0], in->p[1],
        in->p[2], in->p[3]);
}

/* (h, w, from) -> planes (to, h, w); grey becomes equal planes. */
static void planes(uint8_t *out, const struct image *m, int to) {
    size_t n = (size_t)m->w * (size_t)m->h;
    for (int c = 0; c < to; c++)
        for (size_t i = 0; i < n; i++) out[(size_t)c * n + i] = m->p[i * (size_t)m->c + (size_t)(m->c == 1 ? 0 : c)];
}

/* A colour picture after grey ones: all become colour, last row first so that nothing is overwritten. */
static int to_colour(struct images *s, struct err *e) {
    size_t n = (size_t)s->w * (size_t)s->h;
    uint8_t *p = mem_try((size_t)s->t->n * n * 3 + 1, 1, "the pictures", e);
    if (!p) return -1;
    for (int64_t i = 0; i < s->t->n; i++)
        for (size_t c = 0; c < 3; c++) memcpy(p + ((size_t)i * 3 + c) * n, s->p + (size_t)i * n, n);
    free(s->p);
    s->p = p;
    s->c = 3;
    s->len = s->cap = (size_t)s->t->n * n * 3;
    return 0;
}

int images_add(struct images *s, const struct bytes *in, const char *label, const struct read_opts *o, struct err *e) {
    struct image m;
    int r = image_decode(in, &m, e);
    s->broken = r != 0;
    if (!r && o && o->size > 0) r = image_fit(&m, o->size, in->name, e);
    if (!r && !s->t->n) {
        s->w = m.w, s->h = m.h, s->c = m.c;
        s->first = mem_str(in->name);
    }
    if (!r && (m.w != s->w || m.h != s->h))
        r = err_set(e, "%s has %d x %d pixels, but %s has %d x %d: give size=N, to which all are scaled and cut", in->name, m.w, m.h, s->first, s->w, s->h);
    if (!r && m.c > s->c) r = to_colour(s, e);
    size_t n = r ? 0 : (size_t)s->w * (size_t)s->h * (size_t)s->c;
    if (!r && s->len + n > (size_t)FORMAT_MAX_BYTES)
        r = err_set(e, "the pictures up to %s are more than %lld MiB; give a smaller size=", in->name, (long long)(FORMAT_MAX_BYTES >> 20));
    if (!r) {
        if (s->cap - s->len < n) s->p = X_GROW(s->p, uint8_t, s->cap = s->len + s->len / 2 + n);
        planes(s->p + s->len, &m, s->c);
        s->len += n;
        if (s->t->n == s->cap_n) s->t->origin = X_GROW(s->t->origin, char *, (size_t)(s->cap_n = s->cap_n ? 2 * s->cap_n : 64));
        s->t->origin[s->t->n++] = mem_str(in->name);
        cells_add(&s->label, label, strlen(label));
        cells_end_cell(&s->label);
    }
    free(m.p);
    return r;
}

void images_into(struct images *s, bool labels) {
    struct column *x = table_add(s->t, "x", COL_U8);
    x->ndim = 3;
    x->dim[0] = s->c, x->dim[1] = s->h, x->dim[2] = s->w;
    x->width = (int64_t)s->c * s->h * s->w;
    x->data = s->p;
    if (labels) cells_into(&s->label, table_add(s->t, "label", COL_TEXT));
    else cells_release(&s->label);
    s->t->named = true;
    free(s->first);
    memset(s, 0, sizeof *s);
}

static bool image_probe(const struct bytes *h) {
    for (size_t i = 0; i < LEN(readers); i++)
        if (readers[i]->probe(h)) return true;
    return false;
}

static int image_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct images s = {.t = out};
    int r = images_add(&s, in, "", o, e);
    images_into(&s, false);
    return r;
}

static const char *const ext[] = {".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pnm", NULL};
const struct format format_image = {"image", "a picture: PNG, JPEG, PPM, PGM", ext, image_probe, image_read, NULL, NULL, "size"};
