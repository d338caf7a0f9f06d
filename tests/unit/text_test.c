/* UTF-8, the text sink with random strings, JSON and Lua text. */
#include "config.h"

#include <locale.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "src/base/json.h"
#include "src/base/rng.h"
#include "src/base/utf8.h"
#include "tests/tap.h"

static void show(const char *s, size_t n, int max, enum utf8_set set, const char *want, int cols, const char *name) {
    struct buf b = BUF_INIT;
    int got = utf8_show(&b, s, n, max, set);
    tap_is(b.data, want, name);
    tap_ok(got == cols && utf8_columns(b.data, b.len) == cols, "%s: %d columns", name, cols);
    buf_release(&b);
}
#define SHOW(s, max, set, want, cols, name) show(s, sizeof(s) - 1, max, set, want, cols, name)

static void test_show(void) {
    SHOW("plain", -1, UTF8_FULL, "plain", 5, "plain");
    SHOW("a\x1b[31mb", -1, UTF8_FULL, "a\\x1b[31mb", 10, "escape");
    SHOW("a\tb\nc\r\nd\re", -1, UTF8_FULL, "a b c d\\x0de", 12, "tab and newline are a space");
    SHOW("\xc2\x9b"
         "1m",
        -1, UTF8_FULL, "\\u{9b}1m", 8, "C1");
    SHOW("\xe2\x80\xae"
         "evil",
        -1, UTF8_FULL, "\\u{202e}evil", 12, "bidi override");
    SHOW("z\xe2\x80\x8bw", -1, UTF8_FULL, "z\\u{200b}w", 10, "zero width");
    SHOW("\xff\xc0\x80", -1, UTF8_FULL, "\\xff\\xc0\\x80", 12, "bad bytes");
    SHOW("a\xe6\xbc", -1, UTF8_FULL, "a~", 2, "a text that was cut inside a character");
    SHOW("\xf0\x9f\x99", -1, UTF8_ASCII, "~", 1, "also of four bytes");
    SHOW("\xe6\xbc"
         "a",
        -1, UTF8_FULL,
        "\\xe6\\xbc"
        "a",
        9, "not at the end it is bad bytes");
    SHOW("\xed\xa0\x80", -1, UTF8_FULL, "\\xed\\xa0\\x80", 12, "surrogate");
    SHOW("\xee\x80\x80", -1, UTF8_FULL, "\\u{e000}", 8, "private");
    SHOW("e\xcc\x81x", -1, UTF8_FULL, "\xc3\xa9x", 2, "a mark joins its letter");
    SHOW("x\xcc\x81", -1, UTF8_FULL, "x\\u{301}", 8, "a mark that cannot join is escaped");
    SHOW("\xe6\xbc\xa2\xe5\xad\x97", -1, UTF8_FULL, "\xe6\xbc\xa2\xe5\xad\x97", 4, "wide");
    SHOW("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 4, UTF8_FULL, "\xe6\xbc\xa2~", 3, "a cut never halves a wide one");
    SHOW("\xe6\xbc\xa2\xe5\xad\x97", 4, UTF8_FULL, "\xe6\xbc\xa2\xe5\xad\x97", 4, "fits exactly");
    SHOW("abcdef", 4, UTF8_FULL, "abc~", 4, "cut");
    SHOW("abcd", 4, UTF8_FULL, "abcd", 4, "no cut");
    SHOW("abcd", 0, UTF8_FULL, "", 0, "no columns");
    SHOW("ab\x1b", 3, UTF8_FULL, "ab~", 3, "an escape is not cut in two");
    SHOW("\x1b", 1, UTF8_FULL, "~", 1, "nothing fits");
    SHOW("\xc3\xa9t\xc3\xa9", -1, UTF8_ASCII, "\\u{e9}t\\u{e9}", 13, "ASCII set");
    SHOW("", -1, UTF8_FULL, "", 0, "empty");
    SHOW("a\0b", -1, UTF8_FULL, "a\\x00b", 6, "NUL");
}

static bool harmless(const char *s, size_t n, int *cols, enum utf8_set set) {
    uint32_t cp;
    *cols = 0;
    for (size_t used; (used = utf8_next(s, n, &cp)) > 0; s += used, n -= used) {
        if (cp & UTF8_BAD || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) return false;
        if (set == UTF8_ASCII && cp > 0x7e) return false;
        if (cp >= 0xa0) {
            utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
            utf8proc_bidi_class_t d = utf8proc_get_property((utf8proc_int32_t)cp)->bidi_class;
            if (c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CN || c == UTF8PROC_CATEGORY_CO || c == UTF8PROC_CATEGORY_CS ||
                c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP ||
                (d >= UTF8PROC_BIDI_CLASS_LRE && d <= UTF8PROC_BIDI_CLASS_PDF && d != UTF8PROC_BIDI_CLASS_R && d != UTF8PROC_BIDI_CLASS_AL))
                return false;
            int w = utf8proc_charwidth((utf8proc_int32_t)cp);
            if (w < 1) return false;
            *cols += w;
        } else (*cols)++;
    }
    return true;
}

static void test_random(void) {
    uint64_t stream = rng_stream(7, "sink", 0);
    struct buf b = BUF_INIT;
    int bad = 0;
    const char *lg = getenv("HONE_LONG");
    uint64_t n_random = lg && strcmp(lg, "full") == 0 ? 10000000 : 1000000;
    for (uint64_t i = 0; i < n_random; i++) {
        char s[48];
        uint32_t r[4];
        size_t n = 0;
        for (uint64_t k = 0; n < 32 && k < 4; k++) {
            rng_block(stream, i, k, r);
            if (r[0] & 1) memcpy(s + n, &r[1], 4), n += 4; /* raw bytes */
            else n += utf8_put(s + n, r[0] & 2 ? r[1] % 0x110000 : r[0] & 4 ? r[1] % 0x3000 : r[1] % 0x100);
        }
        n = n ? r[2] % (n + 1) : 0;
        int max = r[3] & 1 ? -1 : (int)(r[3] >> 1) % 24, cols;
        enum utf8_set set = r[3] >> 30 ? UTF8_FULL : UTF8_ASCII;
        buf_clear(&b);
        int got = utf8_show(&b, s, n, max, set);
        if (!harmless(b.data, b.len, &cols, set) || cols != got || (max >= 0 && got > max)) bad++;
    }
    tap_ok(bad == 0, "r.D6: %llu random strings come out harmless and as wide as said (%d not)", (unsigned long long)n_random, bad);
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char s[4];
        int cols;
        size_t n = utf8_put(s, cp);
        buf_clear(&b);
        int got = utf8_show(&b, s, n, -1, UTF8_FULL);
        if (!harmless(b.data, b.len, &cols, UTF8_FULL) || cols != got) bad++;
    }
    tap_ok(bad == 0, "r.D6: every code point comes out harmless");
    buf_release(&b);
}

static char *round_trip(const char *text, struct err *e) {
    struct buf b = BUF_INIT;
    struct val *v = json_parse(text, strlen(text), "x.json", e);
    if (!v) return NULL;
    json_write(&b, v);
    val_free(v);
    return buf_take(&b);
}

static void test_json(void) {
    static const char *const same[] = {"{}", "[]", "[1,2.5,\"x\",true,false,null]", "{\"a\":{\"b\":[[]]},\"c\":1e+300}", "\"\\u0001\\n\\\"\\\\\"",
        "-9223372036854775808", "\"\xe6\xbc\xa2\"", "0.30000000000000004", "\"a\\u0000b\""};
    static const char *const wrong[] = {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "01", "nan", "[1] x", "\"\xff\"", "99999999999999999999", "1e999", "{'a':1}"};
    struct err e = {0};
    for (size_t i = 0; i < LEN(same); i++) {
        char *t = round_trip(same[i], &e);
        tap_is(t, same[i], "JSON round trip");
        free(t);
    }
    for (size_t i = 0; i < LEN(wrong); i++) {
        char *t = round_trip(wrong[i], &e);
        tap_ok(!t && strstr(e.text, "x.json is not valid JSON: line"), "refused: %s", e.text);
        free(t);
    }
    char deep[3000];
    memset(deep, '[', sizeof deep);
    tap_ok(!json_parse(deep, sizeof deep, "deep", &e) && strstr(e.text, "nested"), "refused: %s", e.text);
    struct buf b = BUF_INIT;
    struct val *v = val_table();
    val_set_num(v, "three", 3.0);
    val_set_num(v, "bad", NAN);
    val_set(v, "raw", val_strn("a\xff", 2));
    val_set(v, "h", val_handle((struct handle){3, 9, HANDLE_MODEL, 0}));
    json_write(&b, v);
    tap_is(b.data, "{\"three\":3,\"bad\":\"nan\",\"raw\":\"a\\ufffd\",\"h\":\"model#3\"}", "numbers, bad bytes, handles");
    buf_clear(&b);
    val_set(v, "end", val_int(INT64_MIN));
    val_set(v, "two words", val_bool(true));
    val_push(v, val_str("x\n\x01\"\x7f"));
    lua_write(&b, v);
    tap_is(b.data,
        "{\"x\\n\\001\\\"\\127\", three=3, bad=(0/0), raw=\"a\\xff\", h=hone.handle{\"model#3\"}, [\"end\"]=0x8000000000000000, [\"two words\"]=true}",
        "Lua expression");
    buf_clear(&b);
    struct val *mixed = val_table();
    val_push(mixed, val_str("imdb"));
    val_set_int(mixed, "train", 5);
    json_write(&b, mixed);
    tap_is(b.data, "{\"1\":\"imdb\",\"train\":5}", "items and fields");
    buf_clear(&b);
    val_set(mixed, "l", val_list());
    json_write_pretty(&b, mixed);
    tap_is(b.data, "{\n  \"1\": \"imdb\",\n  \"train\": 5,\n  \"l\": []\n}\n", "pretty");
    val_free(mixed);
    val_free(v);
    buf_release(&b);
}

static void test_locale(void) {
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) {
        tap_skip("numbers in a locale with a decimal comma", "de_DE.UTF-8 is not installed");
        return;
    }
    struct err e;
    char *t = round_trip("[0.5,1e-7]", &e);
    tap_is(t, "[0.5,1e-07]", "numbers in a locale with a decimal comma");
    free(t);
    setlocale(LC_ALL, "C");
}

int main(void) {
    test_show();
    test_random();
    test_json();
    test_locale();
    return tap_done();
}
