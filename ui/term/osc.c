/* See the header. */
#include "config.h"

#include "ui/term/osc.h"

#include <string.h>

#include "src/base/err.h"
#include "src/base/utf8.h"

enum { TEXT_COLS = 100 };

static void text_add(struct buf *out, const char *text, bool ascii) { utf8_show(out, text, strlen(text), TEXT_COLS, ascii ? UTF8_ASCII : UTF8_FULL); }

void osc_title(struct buf *out, const char *text, bool ascii) {
    buf_adds(out, "\033]2;");
    text_add(out, text, ascii);
    buf_addc(out, '\a');
}

static enum notify known(const char *term) {
    static const struct {
        const char *term;
        enum notify how;
    } names[] = {{"rxvt", NOTIFY_OSC777}, {"xterm-kitty", NOTIFY_OSC9}, {"foot", NOTIFY_OSC777}, {"wezterm", NOTIFY_OSC9}, {"contour", NOTIFY_OSC777},
        {"xterm-ghostty", NOTIFY_OSC9}, {"iTerm", NOTIFY_OSC9}, {"iterm", NOTIFY_OSC9}, {"mintty", NOTIFY_OSC9}};
    for (size_t i = 0; term && i < LEN(names); i++)
        if (strncmp(term, names[i].term, strlen(names[i].term)) == 0) return names[i].how;
    return NOTIFY_OFF;
}

void osc_notify(struct buf *out, enum notify how, const char *term, const char *text, bool ascii) {
    if (how == NOTIFY_AUTO) how = known(term);
    if (how == NOTIFY_OFF) return;
    buf_adds(out, how == NOTIFY_OSC9 ? "\033]9;" : "\033]777;notify;hone;");
    text_add(out, text, ascii);
    buf_addc(out, '\a');
}

bool osc_copy(struct buf *out, const char *text, size_t n) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (n > OSC_COPY_MAX) return false;
    buf_adds(out, "\033]52;c;");
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)text[i] << 16;
        if (i + 1 < n) v |= (uint32_t)(unsigned char)text[i + 1] << 8;
        if (i + 2 < n) v |= (unsigned char)text[i + 2];
        buf_addc(out, digit[v >> 18 & 63]);
        buf_addc(out, digit[v >> 12 & 63]);
        buf_addc(out, i + 1 < n ? digit[v >> 6 & 63] : '=');
        buf_addc(out, i + 2 < n ? digit[v & 63] : '=');
    }
    buf_addc(out, '\a');
    return true;
}
