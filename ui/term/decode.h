/* Terminal input: raw bytes to keys. One state machine for control characters, UTF-8, CSI, SS3, strings, bracketed paste,
 * mouse and status replies. A lone Escape is told from the start of a sequence by a 25 ms timer. Never fails: what it does not
 * know is passed over. One thread. */
#ifndef HONE_UI_TERM_DECODE_H
#define HONE_UI_TERM_DECODE_H

#include <stddef.h>

#include "src/base/buf.h"

enum tkey_type { TKEY_KEY, TKEY_PASTE, TKEY_MOUSE, TKEY_REPLY };
struct tkey {
    enum tkey_type type;
    char name[16]; /* "a" "é" "Space" "Enter" "Tab" "Esc" "Bsp" "Up" "PgDn" "F4" "C-l" "M-x" "S-Tab" "C-Right" */
    const char *bytes; /* as they came (TKEY_PASTE: the text); borrowed during the call */
    size_t n;
    int button, row, col; /* TKEY_MOUSE, 0-based */
};
typedef void (*decode_fn)(void *ctx, const struct tkey *k);

struct decode {
    int state;
    char seq[64];
    size_t n, need;
    double since; /* when the byte that waits came */
    struct buf paste;
    size_t match; /* bytes of the end mark seen */
};
#define DECODE_ESC_S 0.025
void decode_init(struct decode *d);
void decode_release(struct decode *d);
void decode_feed(struct decode *d, const char *p, size_t n, double now, decode_fn fn, void *ctx);
void decode_tick(struct decode *d, double now, decode_fn fn, void *ctx);
double decode_wait(const struct decode *d, double now); /* seconds until decode_tick matters; < 0: nothing waits */

#endif
