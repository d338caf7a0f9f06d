/* Frames, restore strings and line settings as text. No input or output here. */
#include "config.h"

#include "src/session/wire.h"

#include <string.h>

#include "src/base/err.h"

void wire_put(struct buf *out, enum wire_type type, const void *data, size_t n) {
    unsigned char head[WIRE_HEAD] = {(unsigned char)type, (unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16), (unsigned char)(n >> 24)};
    buf_add(out, head, sizeof head);
    if (n) buf_add(out, data, n);
}

long wire_get(const char *p, size_t len, size_t max, enum wire_type *type, const char **data, size_t *n) {
    if (len < WIRE_HEAD) return 0;
    const unsigned char *h = (const unsigned char *)p;
    size_t size = (size_t)h[1] | (size_t)h[2] << 8 | (size_t)h[3] << 16 | (size_t)h[4] << 24;
    if (size > max) return -1;
    if (len - WIRE_HEAD < size) return 0;
    *type = h[0];
    *data = p + WIRE_HEAD;
    *n = size;
    return (long)(WIRE_HEAD + size);
}

void wire_put_size(struct buf *out, enum wire_type type, int rows, int cols) {
    unsigned char b[4] = {(unsigned char)rows, (unsigned char)(rows >> 8), (unsigned char)cols, (unsigned char)(cols >> 8)};
    wire_put(out, type, b, sizeof b);
}

bool wire_size(const char *data, size_t n, int *rows, int *cols) {
    const unsigned char *b = (const unsigned char *)data;
    if (n != 4) return false;
    *rows = b[0] | b[1] << 8;
    *cols = b[2] | b[3] << 8;
    return true;
}

void wire_eat(struct buf *b, size_t n) {
    if (n == 0) return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = 0;
}

const char *wire_restore(const char *term, bool titled) {
    static const char *const no_alternate[] = {"linux", "vt100", "vt102", "vt220", "ansi", "cygwin"};
#define OFF "\033[?1006l\033[?1003l\033[?1002l\033[?1000l\033[?2004l\033[?1l\033>\033[0m\033(B\017\033[r\033[?25h"
    for (size_t i = 0; term && i < LEN(no_alternate); i++)
        if (strncmp(term, no_alternate[i], strlen(no_alternate[i])) == 0) return OFF "\033[999;1H\r\n";
    return titled ? OFF "\033[?1049l\033[23;2t" : OFF "\033[?1049l";
#undef OFF
}

bool wire_same_modes(const struct termios *a, const struct termios *b) {
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}
