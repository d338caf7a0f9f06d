/* Binary PGM (P5) and PPM (P6): width, height, largest value between white space and comments, one white space, then the rows; values of 16 bits come
 * high byte first. Scaled to 0..255. */
#include "datasets/formats/image.h"

static bool probe(const struct bytes *in) {
    return in->n >= 3 && in->p[0] == 'P' && in->p[1] >= '1' && in->p[1] <= '6' && (in->p[2] == '#' || in->p[2] == ' ' || (in->p[2] >= 9 && in->p[2] <= 13));
}

/* The next number of the header, or -1: none, or larger than 65535. */
static long number(const struct bytes *in, size_t *at) {
    size_t i = *at;
    for (; i < in->n && (in->p[i] == '#' || in->p[i] == ' ' || (in->p[i] >= 9 && in->p[i] <= 13)); i++)
        if (in->p[i] == '#')
            while (i + 1 < in->n && in->p[i] != '\n') i++;
    long v = -1;
    for (; i < in->n && in->p[i] >= '0' && in->p[i] <= '9'; i++) {
        v = (v < 0 ? 0 : v) * 10 + (in->p[i] - '0');
        if (v > 65535) return -1;
    }
    *at = i;
    return v;
}

static int decode(const struct bytes *in, struct image *out, struct err *e) {
    if (in->p[1] != '5' && in->p[1] != '6') return err_set(e, "%s is a picture of kind P%c; P5 and P6 are read, convert it", in->name, in->p[1]);
    size_t at = 2;
    long w = number(in, &at), h = w < 0 ? -1 : number(in, &at), max = h < 0 ? -1 : number(in, &at);
    if (max < 0) return err_set(e, "%s: its header has no %s up to 65535", in->name, w < 0 ? "width" : h < 0 ? "height" : "largest value");
    if (max < 1) return err_set(e, "%s: the largest value in its header is 0", in->name);
    if (at >= in->n || !(in->p[at] == ' ' || (in->p[at] >= 9 && in->p[at] <= 13)))
        return err_set(e, "%s ends after its header, or has other bytes there", in->name);
    at++;
    int c = in->p[1] == '5' ? 1 : 3, each = max > 255 ? 2 : 1;
    uint64_t need = (uint64_t)w * (uint64_t)h * (uint64_t)c * (uint64_t)each;
    if (need > in->n - at)
        return err_set(
            e, "%s is cut short: %ld x %ld pixels are %llu bytes, but only %zu follow its header", in->name, w, h, (unsigned long long)need, in->n - at);
    if (need < in->n - at) return err_set(e, "%s has %llu bytes after its %ld x %ld pixels", in->name, (unsigned long long)(in->n - at - need), w, h);
    if (image_room(in, (uint64_t)w, (uint64_t)h, c, out, e)) return -1;
    const unsigned char *p = in->p + at;
    for (uint64_t i = 0; i < need / (uint64_t)each; i++) {
        unsigned v = each == 1 ? p[i] : (unsigned)p[2 * i] << 8 | p[2 * i + 1];
        if (v > (unsigned)max) return err_set(e, "%s: value %llu is %u, above the %ld of its header", in->name, (unsigned long long)i + 1, v, max);
        out->p[i] = (uint8_t)(max == 255 ? v : (v * 255 + (unsigned)max / 2) / (unsigned)max);
    }
    return 0;
}

static const char *const ext[] = {".ppm", ".pgm", ".pnm", NULL};
const struct image_reader image_pnm = {"pnm", ext, probe, decode};
