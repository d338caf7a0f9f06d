/* The input state machine; see the header. */
#include "config.h"

#include "ui/term/decode.h"

#include <stdio.h>
#include <string.h>

#include "src/base/err.h"
#include "src/base/utf8.h"

enum { GROUND, ESC, CSI, SS3, STRING, STRING_ESC, UTF8, PASTE, MOUSE_X10 };
enum { PASTE_MAX = 4 << 20 };
static const char paste_end[] = "\x1b[201~";

void decode_init(struct decode *d) { *d = (struct decode){0}; }
void decode_release(struct decode *d) { buf_release(&d->paste); }

static void emit(struct decode *d, decode_fn fn, void *ctx, const char *mod, const char *name) {
    struct tkey k = {.type = TKEY_KEY, .bytes = d->seq, .n = d->n};
    snprintf(k.name, sizeof k.name, "%s%s", mod, name);
    d->state = GROUND;
    fn(ctx, &k);
    d->n = 0;
}

static const char *control_name(unsigned char c, char out[8]) {
    switch (c) {
    case 0: return "C-Space";
    case 8:
    case 127: return "Bsp";
    case 9: return "Tab";
    case 10:
    case 13: return "Enter";
    case 32: return "Space";
    default: break;
    }
    if (c < 27) snprintf(out, 8, "C-%c", 'a' + c - 1);
    else if (c < 32) snprintf(out, 8, "C-%c", "[\\]^_"[c - 27]);
    else snprintf(out, 8, "%c", c);
    return out;
}

static const struct {
    int number;
    const char *name;
} tilde[] = {{1, "Home"}, {2, "Ins"}, {3, "Del"}, {4, "End"}, {5, "PgUp"}, {6, "PgDn"}, {7, "Home"}, {8, "End"}, {11, "F1"}, {12, "F2"}, {13, "F3"}, {14, "F4"},
    {15, "F5"}, {17, "F6"}, {18, "F7"}, {19, "F8"}, {20, "F9"}, {21, "F10"}, {23, "F11"}, {24, "F12"}};

static const char *final_name(char f) {
    switch (f) {
    case 'A': return "Up";
    case 'B': return "Down";
    case 'C': return "Right";
    case 'D': return "Left";
    case 'F': return "End";
    case 'H': return "Home";
    case 'P': return "F1";
    case 'Q': return "F2";
    case 'R': return "F3";
    case 'S': return "F4";
    case 'Z': return "S-Tab";
    default: return NULL;
    }
}

static const char *modifier(int m) {
    static const char *const names[] = {"", "", "S-", "M-", "S-M-", "C-", "C-S-", "C-M-", "C-S-M-"};
    return m >= 0 && m < 9 ? names[m] : "";
}

static void csi_done(struct decode *d, decode_fn fn, void *ctx) {
    char final = d->seq[d->n - 1];
    int p[4] = {0}, n = 0;
    bool private = d->seq[2] == '<' || d->seq[2] == '?' || d->seq[2] == '>';
    for (size_t i = private ? 3 : 2; i < d->n - 1 && n < 4; i++) {
        if (d->seq[i] >= '0' && d->seq[i] <= '9') p[n] = p[n] < 100000 ? p[n] * 10 + d->seq[i] - '0' : p[n];
        else if (d->seq[i] == ';') n++;
    }
    d->state = GROUND;
    if (d->seq[2] == '[') { /* Linux console: ESC [ [ A */
        static const char *const names[] = {"F1", "F2", "F3", "F4", "F5"};
        if (final >= 'A' && final <= 'E') emit(d, fn, ctx, "", names[final - 'A']);
    } else if (d->seq[2] == '<' && (final == 'M' || final == 'm')) {
        struct tkey k = {.type = TKEY_MOUSE, .bytes = d->seq, .n = d->n, .button = final == 'm' ? -1 : p[0], .col = p[1] - 1, .row = p[2] - 1};
        fn(ctx, &k);
    } else if (final == '~' && p[0] == 200) {
        buf_clear(&d->paste);
        d->match = 0;
        d->state = PASTE;
    } else if (final == '~') {
        for (size_t i = 0; i < LEN(tilde); i++)
            if (tilde[i].number == p[0]) {
                emit(d, fn, ctx, modifier(p[1]), tilde[i].name);
                break;
            }
    } else if (private || final == 'n' || final == 'c' || (final == 'R' && n == 1)) {
        struct tkey k = {.type = TKEY_REPLY, .bytes = d->seq, .n = d->n, .row = p[0] - 1, .col = p[1] - 1};
        fn(ctx, &k);
    } else if (final_name(final)) {
        emit(d, fn, ctx, modifier(p[1]), final_name(final));
    }
    d->n = 0;
}

static void ground(struct decode *d, unsigned char c, double now, decode_fn fn, void *ctx) {
    char name[8];
    d->seq[0] = (char)c;
    d->n = 1;
    if (c == 0x1b) {
        d->state = ESC;
        d->since = now;
    } else if (c >= 0xc2 && c < 0xf5) {
        d->need = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        d->state = UTF8;
    } else if (c < 0x80) {
        emit(d, fn, ctx, "", control_name(c, name));
    } else {
        d->state = GROUND;
        d->n = 0;
    }
}

static void paste_byte(struct decode *d, char c, decode_fn fn, void *ctx) {
    if (c != paste_end[d->match]) { /* what looked like the end was text */
        if (d->paste.len < PASTE_MAX) buf_add(&d->paste, paste_end, d->match);
        d->match = 0;
    }
    if (c == paste_end[d->match]) d->match++;
    else if (d->paste.len < PASTE_MAX) buf_addc(&d->paste, c);
    if (c == 'n' && d->paste.len >= 4 && memcmp(d->paste.data + d->paste.len - 4, "\x1b[0n", 4) == 0) { /* the terminal's, in the midst of it */
        struct tkey reply = {.type = TKEY_REPLY, .bytes = "\x1b[0n", .n = 4, .row = -1, .col = -1};
        d->paste.data[d->paste.len -= 4] = 0;
        fn(ctx, &reply);
    }
    if (d->match < sizeof paste_end - 1) return;
    struct tkey k = {.type = TKEY_PASTE, .bytes = d->paste.data ? d->paste.data : "", .n = d->paste.len};
    d->state = GROUND;
    d->match = 0;
    fn(ctx, &k);
    buf_release(&d->paste);
}

static void byte(struct decode *d, char ch, double now, decode_fn fn, void *ctx) {
    unsigned char c = (unsigned char)ch;
    char name[8];
    if (d->state == PASTE) {
        paste_byte(d, ch, fn, ctx);
        return;
    }
    if (d->state == STRING || d->state == STRING_ESC) { /* OSC, DCS ...: passed over up to its end */
        d->state = c == 7 || (d->state == STRING_ESC && c == '\\') || ++d->need > 65536 ? GROUND : c == 0x1b ? STRING_ESC : STRING;
        return;
    }
    if (d->state == GROUND) {
        ground(d, c, now, fn, ctx);
        return;
    }
    if (d->n < sizeof d->seq - 1) d->seq[d->n++] = ch;
    switch (d->state) {
    case ESC:
        if (c == '[') d->state = CSI, d->since = now;
        else if (c == 'O') d->state = SS3, d->since = now;
        else if (c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X') d->state = STRING, d->need = 0;
        else if (c == 0x1b) {
            d->n = 1;
            emit(d, fn, ctx, "", "Esc");
            ground(d, c, now, fn, ctx);
        } else if (c < 0x80) emit(d, fn, ctx, "M-", control_name(c, name));
        else ground(d, c, now, fn, ctx);
        break;
    case CSI:
        if (c == 0x1b) ground(d, c, now, fn, ctx);
        else if (c == 'M' && d->n == 3) d->state = MOUSE_X10, d->need = 6;
        else if (c == '[' && d->n == 3) break;
        else if (c >= 0x40 && c < 0x7f) csi_done(d, fn, ctx);
        else if (c < 0x20 || c >= 0x7f || d->n >= sizeof d->seq - 1) d->state = GROUND, d->n = 0;
        break;
    case SS3:
        if (final_name(ch)) emit(d, fn, ctx, "", final_name(ch));
        else if (c == 0x1b) ground(d, c, now, fn, ctx);
        else d->state = GROUND, d->n = 0;
        break;
    case MOUSE_X10:
        if (d->n == d->need) {
            struct tkey k = {
                .type = TKEY_MOUSE, .bytes = d->seq, .n = d->n, .button = (unsigned char)d->seq[3] - 32, .col = (unsigned char)d->seq[4] - 33, .row = c - 33};
            d->state = GROUND;
            fn(ctx, &k);
            d->n = 0;
        }
        break;
    case UTF8:
        if ((c & 0xc0) != 0x80) {
            ground(d, c, now, fn, ctx);
        } else if (d->n == d->need) {
            d->seq[d->n] = 0;
            if (utf8_valid(d->seq, d->n)) emit(d, fn, ctx, "", d->seq);
            d->state = GROUND;
            d->n = 0;
        }
        break;
    default: d->state = GROUND; break;
    }
}

void decode_feed(struct decode *d, const char *p, size_t n, double now, decode_fn fn, void *ctx) {
    decode_tick(d, now, fn, ctx);
    for (size_t i = 0; i < n; i++) byte(d, p[i], now, fn, ctx);
}

void decode_tick(struct decode *d, double now, decode_fn fn, void *ctx) {
    double waited = now - d->since;
    if (d->state == ESC && waited >= DECODE_ESC_S) emit(d, fn, ctx, "", "Esc");
    else if ((d->state == CSI || d->state == SS3) && d->n == 2 && waited >= DECODE_ESC_S) emit(d, fn, ctx, "M-", d->state == CSI ? "[" : "O");
    else if (d->state == CSI && waited >= 1) d->state = GROUND, d->n = 0;
}

double decode_wait(const struct decode *d, double now) {
    if (d->state != ESC && d->state != CSI && d->state != SS3) return -1;
    double limit = d->state == CSI && d->n > 2 ? 1 : DECODE_ESC_S, left = d->since + limit - now;
    return left > 0 ? left : 0;
}
