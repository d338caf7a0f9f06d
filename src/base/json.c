/* JSON text to value trees (libjansson reads) and value trees to JSON and Lua text (ours). A table with both items and fields is
 * written as an object whose items have the keys "1", "2" ...; a handle as its text form. No state, any thread. */
#include "config.h"

#include "src/base/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/utf8.h"

static struct val *convert(json_t *j) {
    size_t i;
    json_t *v;
    const char *key;
    struct val *t;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        t = val_table();
        json_object_foreach(j, key, v) val_append(t, key, convert(v));
        return t;
    case JSON_ARRAY:
        t = val_list();
        json_array_foreach(j, i, v) val_push(t, convert(v));
        return t;
    case JSON_STRING: return val_strn(json_string_value(j), json_string_length(j));
    case JSON_INTEGER: return val_int(json_integer_value(j));
    case JSON_REAL: return val_num(json_real_value(j));
    case JSON_TRUE: return val_bool(true);
    case JSON_FALSE: return val_bool(false);
    default: return val_nil();
    }
}

/* libjansson recurses while it reads and we while we convert: a bound that no file of ours comes near is tested first. */
static int depth_ok(const char *text, size_t n) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            if (text[i] == '\\') i++;
            else if (text[i] == '"') in_string = false;
        } else if (text[i] == '"') in_string = true;
        else if (text[i] == '[' || text[i] == '{') {
            if (++depth > JSON_DEPTH) return 0;
        } else if (text[i] == ']' || text[i] == '}') depth--;
    }
    return 1;
}

size_t json_count(const char *text, size_t n) {
    size_t count = 1;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string && text[i] == '\\') i++;
        else if (text[i] == '"') in_string = !in_string;
        else if (!in_string && (text[i] == ',' || text[i] == '[' || text[i] == '{')) count++;
    }
    return count;
}

struct val *json_parse(const char *text, size_t n, const char *where, struct err *e) {
    json_error_t je;
    struct buf near = BUF_INIT;
    if (!depth_ok(text, n)) {
        err_set(e, "%s is not usable JSON: it is nested deeper than %d levels", where, JSON_DEPTH);
        return NULL;
    }
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
    if (!j) {
        utf8_show(&near, je.text, strlen(je.text), 160, UTF8_FULL);
        err_set(e, "%s is not valid JSON: line %d, column %d: %s", where, je.line, je.column, near.data);
        buf_release(&near);
        return NULL;
    }
    struct val *v = convert(j);
    json_decref(j);
    return v;
}

struct val *json_read_file(const char *path, size_t max_bytes, struct err *e) {
    struct buf b = BUF_INIT;
    struct val *v = NULL;
    if (io_read_file(path, max_bytes, &b, e) == 0) v = json_parse(b.data ? b.data : "", b.len, path, e);
    buf_release(&b);
    return v;
}

/* lua: false: JSON, bad bytes become U+FFFD; true: a Lua string, every byte kept. */
static void put_string(struct buf *b, const char *s, size_t n, bool lua) {
    uint32_t cp;
    buf_addc(b, '"');
    for (size_t used; (used = utf8_next(s, n, &cp)) > 0; s += used, n -= used) {
        if (cp & UTF8_BAD) {
            if (lua) buf_addf(b, "\\x%02x", (unsigned char)*s);
            else buf_adds(b, "\\ufffd");
        } else if (cp == '"' || cp == '\\') buf_addc(b, '\\'), buf_addc(b, (char)cp);
        else if (cp == '\n') buf_adds(b, "\\n");
        else if (cp == '\t') buf_adds(b, "\\t");
        else if (cp == '\r') buf_adds(b, "\\r");
        else if (cp < 0x20 || cp == 0x7f) buf_addf(b, lua ? "\\%03u" : "\\u%04x", cp);
        else if (cp >= 0x80 && cp < 0xa0) buf_addf(b, lua ? "\\u{%x}" : "\\u%04x", cp); /* C1 controls */
        else buf_add(b, s, used);
    }
    buf_addc(b, '"');
}

static void put_handle(struct buf *b, struct handle h) {
    char t[48];
    handle_text(h, t);
    buf_adds(b, t);
}

struct style {
    bool pretty, lua;
};

static void put(struct buf *b, const struct val *v, struct style s, int depth);

static void line(struct buf *b, int depth) {
    buf_addc(b, '\n');
    for (int i = 0; i < depth; i++) buf_adds(b, "  ");
}

static bool flat(const struct val *v) { /* a short list of scalars stays on one line in pretty form */
    if (v->u.t.n_field || v->u.t.n_item > 16) return false;
    for (size_t i = 0; i < v->u.t.n_item; i++)
        if (v->u.t.item[i]->type == VAL_TABLE) return false;
    return true;
}

static void put_table(struct buf *b, const struct val *v, struct style s, int depth) {
    bool list = v->u.t.n_field == 0 && (v->u.t.n_item > 0 || v->is_list), first = true;
    s.pretty = s.pretty && !(list && flat(v));
    buf_addc(b, list ? '[' : '{');
    for (size_t i = 0; i < v->u.t.n_item; i++, first = false) {
        if (!first) buf_addc(b, ',');
        if (s.pretty) line(b, depth + 1);
        if (!list) buf_addf(b, s.pretty ? "\"%zu\": " : "\"%zu\":", i + 1);
        put(b, v->u.t.item[i], s, depth + 1);
    }
    for (size_t i = 0; i < v->u.t.n_field; i++, first = false) {
        const struct val_field *f = &v->u.t.field[i];
        if (!first) buf_addc(b, ',');
        if (s.pretty) line(b, depth + 1);
        put_string(b, f->name, strlen(f->name), false);
        buf_adds(b, s.pretty ? ": " : ":");
        put(b, f->v, s, depth + 1);
    }
    if (s.pretty && !first) line(b, depth);
    buf_addc(b, list ? ']' : '}');
}

const char *const lua_keywords[22] = {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
    "or", "repeat", "return", "then", "true", "until", "while"};

static bool lua_name(const char *s) {
    if (!*s || (*s >= '0' && *s <= '9')) return false;
    for (const char *p = s; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_')) return false;
    for (size_t i = 0; i < LEN(lua_keywords); i++)
        if (strcmp(s, lua_keywords[i]) == 0) return false;
    return true;
}

static void put_lua_table(struct buf *b, const struct val *v, struct style s, int depth) {
    bool first = true;
    buf_addc(b, '{');
    for (size_t i = 0; i < v->u.t.n_item; i++, first = false) {
        if (!first) buf_adds(b, ", ");
        put(b, v->u.t.item[i], s, depth + 1);
    }
    for (size_t i = 0; i < v->u.t.n_field; i++, first = false) {
        const struct val_field *f = &v->u.t.field[i];
        if (!first) buf_adds(b, ", ");
        if (lua_name(f->name)) buf_adds(b, f->name);
        else {
            buf_addc(b, '[');
            put_string(b, f->name, strlen(f->name), true);
            buf_addc(b, ']');
        }
        buf_addc(b, '=');
        put(b, f->v, s, depth + 1);
    }
    buf_addc(b, '}');
}

static void put_number(struct buf *b, double n, bool lua) {
    if (isfinite(n)) buf_addnum(b, n);
    else if (lua) buf_adds(b, isnan(n) ? "(0/0)" : n > 0 ? "(1/0)" : "(-1/0)");
    else {
        buf_addc(b, '"');
        buf_addnum(b, n);
        buf_addc(b, '"');
    }
}

static void put(struct buf *b, const struct val *v, struct style s, int depth) {
    if (!v) {
        buf_adds(b, s.lua ? "nil" : "null");
        return;
    }
    switch (v->type) {
    case VAL_NIL: buf_adds(b, s.lua ? "nil" : "null"); break;
    case VAL_BOOL: buf_adds(b, v->u.b ? "true" : "false"); break;
    case VAL_INT:
        if (s.lua && v->u.i == INT64_MIN) buf_adds(b, "0x8000000000000000"); /* the decimal form reads as a float */
        else buf_addf(b, "%lld", (long long)v->u.i);
        break;
    case VAL_NUM: put_number(b, v->u.n, s.lua); break;
    case VAL_STR: put_string(b, v->u.s.p, v->u.s.len, s.lua); break;
    case VAL_HANDLE:
        buf_adds(b, s.lua ? "hone.handle{\"" : "\"");
        put_handle(b, v->u.h);
        buf_adds(b, s.lua ? "\"}" : "\"");
        break;
    case VAL_TABLE:
        if (s.lua) put_lua_table(b, v, s, depth);
        else put_table(b, v, s, depth);
        break;
    }
}

void json_write(struct buf *b, const struct val *v) { put(b, v, (struct style){false, false}, 0); }

void json_write_pretty(struct buf *b, const struct val *v) {
    put(b, v, (struct style){true, false}, 0);
    buf_addc(b, '\n');
}

void lua_write(struct buf *b, const struct val *v) { put(b, v, (struct style){false, true}, 0); }
