/* Which way up a picture is, as cameras note it (Exif 2.3, tag 0x0112 of the first directory), and turning it so. */
#include "datasets/formats/image.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

static uint32_t number(const uint8_t *p, int bytes, bool big) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return v;
}

int image_exif_turn(const uint8_t *p, size_t n) {
    if (n < 14 || memcmp(p, "Exif\0", 6)) return 1;
    const uint8_t *tiff = p + 6;
    size_t left = n - 6;
    bool big = tiff[0] == 'M';
    if ((memcmp(tiff, "MM\0*", 4) && memcmp(tiff, "II*\0", 4)) || left < 10) return 1;
    size_t at = number(tiff + 4, 4, big);
    if (at > left - 2) return 1;
    size_t entries = number(tiff + at, 2, big);
    for (size_t i = 0; i < entries && left - at - 2 >= 12 * (i + 1); i++) {
        const uint8_t *t = tiff + at + 2 + 12 * i; /* tag, type, count, value */
        if (number(t, 2, big) != 0x0112 || number(t + 2, 2, big) != 3) continue;
        uint32_t turn = number(t + 8, 2, big);
        return turn >= 1 && turn <= 8 ? (int)turn : 1;
    }
    return 1;
}

/* Row and column of the turned picture at (y, x) come from the old one at: 2 mirrored, 3 half round, 4 upside down, 5 transposed, 6 a quarter to the right,
 * 7 transposed the other way, 8 a quarter to the left. */
int image_turn(struct image *m, int turn, const char *name, struct err *e) {
    if (turn <= 1) return 0;
    int w = turn >= 5 ? m->h : m->w, h = turn >= 5 ? m->w : m->h;
    uint8_t *p = mem_try((size_t)w * (size_t)h * (size_t)m->c, 1, name, e);
    if (!p) return -1;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int row = turn >= 5 ? x : y, col = turn >= 5 ? y : x;
            if (turn == 3 || turn == 4 || turn == 6 || turn == 7) row = m->h - 1 - row;
            if (turn == 2 || turn == 3 || turn == 7 || turn == 8) col = m->w - 1 - col;
            memcpy(p + ((size_t)y * (size_t)w + (size_t)x) * (size_t)m->c, m->p + ((size_t)row * (size_t)m->w + (size_t)col) * (size_t)m->c, (size_t)m->c);
        }
    free(m->p);
    m->p = p;
    m->w = w, m->h = h;
    return 0;
}
