/* Prompt lines to chunks, and errors to sentences: an expression is tried first, only a true end of input asks for more, a syntax
 * error shows line, caret and reason, a runtime error one sentence and at most four lines of traceback. */
#include "config.h"

#include "src/script/script.h"
#include "src/script/state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/thread.h"
#include "src/base/utf8.h"

#define TRACE_LINES 4
#define MESSAGE_MAX 2000 /* bytes of the sentence */

struct compile {
    struct task *t;
    const char *text;
    size_t n;
    bool ok, eof;
    char message[512];
};

static bool at_eof(const char *msg) {
    size_t n = strlen(msg);
    if (strstr(msg, "unfinished string")) return false; /* a quoted string ends on its line */
    if (n && msg[n - 1] == '\'') n--;
    return n >= 5 && memcmp(msg + n - 5, "<eof>", 5) == 0;
}

/* Compiles text; on success the function goes to the task's thread (if any). Runs on the main Lua thread, protected. */
static int compile_protected(lua_State *L) {
    struct compile *c = lua_touserdata(L, 1);
    int rc = safe_load_text(L, c->text, c->n, "=prompt", 0);
    c->ok = rc == LUA_OK;
    if (c->ok) {
        if (c->t) lua_xmove(L, c->t->co, 1);
    } else {
        snprintf(c->message, sizeof c->message, "%s", lua_tostring(L, -1));
        c->eof = rc == LUA_ERRSYNTAX && at_eof(c->message);
    }
    return 0;
}

static void compile(struct script *s, struct compile *c) {
    c->ok = c->eof = false;
    c->message[0] = '\0';
    lua_pushcfunction(s->L, compile_protected);
    lua_pushlightuserdata(s->L, c);
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK) return;
    snprintf(c->message, sizeof c->message, "%s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "cannot compile");
    lua_pop(s->L, 1);
}

/* Where the token that the message names stands: the first place in its line after which the text is wrong rather than short. */
static ptrdiff_t error_offset(struct script *s, const struct compile *bad, int *line, const char **reason) {
    const char *msg = bad->message, *near = strstr(msg, " near '"), *p, *end = bad->text + bad->n;
    *line = 1;
    *reason = msg;
    if (strncmp(msg, "prompt:", 7) == 0) {
        char *after;
        *line = (int)strtol(msg + 7, &after, 10);
        *reason = *after == ':' ? after + 2 : msg;
        if (strncmp(*reason, "syntax error near ", 18) == 0) *reason += 13; /* said already */
    }
    p = bad->text;
    for (int i = 1; i < *line && p < end; i++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        p = nl ? nl + 1 : end;
    }
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    if (!stop) stop = end;
    if (!near || bad->n > (64u << 10)) return -1;
    const char *tok = near + 7;
    size_t len = strlen(tok);
    if (len < 2 || tok[len - 1] != '\'') return -1;
    len--;
    struct compile part = {.text = bad->text};
    for (int tries = 0; p + len <= stop && tries < 64; p++) {
        if (memcmp(p, tok, len) != 0) continue;
        tries++;
        part.n = (size_t)(p - bad->text) + len;
        compile(s, &part);
        if (!part.ok && !part.eof) return p - bad->text;
    }
    return -1;
}

static void syntax_message(const struct compile *bad, ptrdiff_t at, int skip, int line, const char *reason, struct err *e) {
    struct buf shown = BUF_INIT, before = BUF_INIT, out = BUF_INIT;
    buf_addf(&out, "syntax error in line %d: %s", line, reason);
    if (at >= skip) {
        const char *text = bad->text, *from = text + at, *to = from;
        while (from > text + skip && from[-1] != '\n') from--;
        while (to < text + bad->n && *to != '\n') to++;
        if (text + at - from > 60) { /* keep the place in sight */
            from = text + at - 50;
            while (from < text + at && (*from & 0xc0) == 0x80) from++;
        }
        utf8_show(&shown, from, (size_t)(to - from), 74, UTF8_FULL);
        int columns = utf8_show(&before, from, (size_t)(text + at - from), 74, UTF8_FULL);
        buf_addf(&out, "\n  %s\n  %*s^", shown.data ? shown.data : "", columns, "");
    }
    err_set(e, "%s", out.data);
    buf_release(&shown);
    buf_release(&before);
    buf_release(&out);
}

/* "= x" is x, as in the palette and in line mode. */
void script_equals(const char **text, size_t *n) {
    const char *p = *text, *end = p + *n;
    while (p < end && isspace((unsigned char)*p)) p++;
    if (p == end || *p != '=' || (p + 1 < end && p[1] == '=')) return;
    *n = (size_t)(end - p) - 1;
    *text = p + 1;
}

int chunk_prompt(struct script *s, struct task *t, const char *text, size_t n, bool *incomplete) {
    script_equals(&text, &n);
    struct buf expr = BUF_INIT;
    struct compile as_expr = {.t = t}, as_chunk = {.t = t, .text = text, .n = n};
    size_t end = n;
    bool silent;
    int rc = -1, line_e, line_c;
    while (end && isspace((unsigned char)text[end - 1])) end--;
    silent = end && text[end - 1] == ';';
    while (end && (isspace((unsigned char)text[end - 1]) || text[end - 1] == ';')) end--;
    *incomplete = false;
    if (meta_line(text, n, &expr)) silent = false;
    else {
        buf_adds(&expr, "return ");
        buf_add(&expr, text, end);
    }
    as_expr.text = expr.data;
    as_expr.n = expr.len;
    if (end) compile(s, &as_expr);
    t->show = !silent;
    if (end && as_expr.ok) rc = 0;
    else {
        compile(s, &as_chunk);
        if (as_chunk.ok) rc = 0;
    }
    if (rc == 0) goto out;
    if (as_chunk.eof || as_expr.eof) {
        *incomplete = true;
        err_set(&t->err, "%s", as_chunk.message);
        goto out;
    }
    const char *why_e, *why_c;
    ptrdiff_t at_e = error_offset(s, &as_expr, &line_e, &why_e), at_c = error_offset(s, &as_chunk, &line_c, &why_c);
    if (at_e - 7 > at_c && at_e >= 7) syntax_message(&as_expr, at_e, 7, line_e, why_e, &t->err); /* the reading that got further */
    else syntax_message(&as_chunk, at_c, 0, line_c, why_c, &t->err);
out:
    buf_release(&expr);
    return rc;
}

static int load_text(lua_State *L, const char *text, size_t n) {
    int rc = luaL_loadbufferx(L, text, n, "=prompt", "t");
    bool eof = rc == LUA_ERRSYNTAX && at_eof(lua_tostring(L, -1));
    lua_settop(L, 0);
    return rc == LUA_OK ? 0 : eof ? 1 : -1;
}

bool script_unfinished(const char *text, size_t n) {
    struct buf expr = BUF_INIT;
    size_t end = n;
    if (n > (1u << 20) || meta_line(text, n, &expr)) { /* a text of that size is no line being typed: its end tells */
        buf_release(&expr);
        return false;
    }
    lua_State *L = luaL_newstate(); /* only compiles: nothing is opened in it */
    if (!L) return false;
    while (end && (isspace((unsigned char)text[end - 1]) || text[end - 1] == ';')) end--;
    buf_adds(&expr, "return ");
    buf_add(&expr, text, end);
    int as_expr = load_text(L, expr.data, expr.len), as_chunk = load_text(L, text, n);
    lua_close(L);
    buf_release(&expr);
    return as_expr != 0 && as_chunk != 0 && (as_expr > 0 || as_chunk > 0);
}

/* ---- runtime errors ---- */
/* "... (global 'trian')": what it may have meant. */
static bool nearest_global(struct script *s, const char *msg, struct buf *out) {
    const char *p = strstr(msg, "(global '");
    char wrong[64];
    if (!p) return false;
    p += 9;
    size_t len = strcspn(p, "'");
    if (len >= sizeof wrong) return false;
    snprintf(wrong, sizeof wrong, "%.*s", (int)len, p);
    return names_near(s, wrong, out, NULL);
}

static void trace(lua_State *co, struct buf *out, bool prompt) {
    lua_Debug ar;
    int shown = 0, more = 0, level = 0;
    struct buf b = BUF_INIT;
    for (; level < 1000 && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sln", &ar);
        if (ar.currentline <= 0) continue;
        if (shown == TRACE_LINES - 1) {
            more++;
            continue;
        }
        buf_addf(
            &b, "\n  %s:%d: in %s%s%s", ar.short_src, ar.currentline, ar.name ? "function '" : "the main chunk", ar.name ? ar.name : "", ar.name ? "'" : "");
        shown++;
    }
    if (more) buf_addf(&b, "\n  ... and %d more", more);
    if (shown > 1 || !prompt) buf_adds(out, b.data ? b.data : "");
    buf_release(&b);
}

static int to_text(lua_State *L) {
    struct buf *out = lua_touserdata(L, 2);
    if (lua_istable(L, 1) && luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL) {
        buf_adds(out, "an error object: ");
        show_values(L, 1, 1, out);
        return 0;
    }
    lua_settop(L, 1);
    size_t n;
    const char *p = luaL_tolstring(L, 1, &n);
    buf_add(out, p, n < MESSAGE_MAX ? n : MESSAGE_MAX);
    return 0;
}

/* The error object of co's top as text, through the main Lua thread, in at most 50 ms. */
static void object_text(struct script *s, lua_State *co, struct buf *out) {
    if (lua_type(co, -1) == LUA_TSTRING) {
        size_t n;
        const char *p = lua_tolstring(co, -1, &n);
        buf_add(out, p, n < MESSAGE_MAX ? n : MESSAGE_MAX);
        return;
    }
    lua_pushcfunction(s->L, to_text);
    lua_xmove(co, s->L, 1);
    lua_pushlightuserdata(s->L, out);
    s->deadline = clock_now() + 0.05;
    if (lua_pcall(s->L, 2, 0, 0) != LUA_OK) {
        buf_clear(out);
        buf_adds(out, s->late ? "an error object whose __tostring took too long" : "an error object whose __tostring failed");
        lua_pop(s->L, 1);
    }
    s->deadline = 0;
    s->late = false;
    state_rearm(s->L);
    if (!out->len) buf_adds(out, "an error without a text");
}

void chunk_error(struct script *s, lua_State *co, struct buf *out, const struct task *t) {
    bool prompt = t->kind == TASK_PROMPT || t->kind == TASK_LUA;
    struct buf text = BUF_INIT, near = BUF_INIT;
    const char *p;
    object_text(s, co, &text);
    buf_adds(&text, "");
    p = text.data;
    if (prompt && strncmp(p, "prompt:1: ", 10) == 0) p += 10;
    if (strcmp(p, "not enough memory") == 0 && s->over_block)
        buf_adds(out, "not enough memory: a string may have 16 MiB, a table 2 million items (1 million with names); data belongs in a data file");
    else if (strcmp(p, "not enough memory") == 0) buf_addf(out, "not enough memory: scripts may use %zu MiB", s->cap >> 20);
    else buf_adds(out, p);
    s->over_block = false;
    if (nearest_global(s, p, &near)) buf_addf(out, ": did you mean %s?", near.data);
    if (t->kind != TASK_ASK) trace(co, out, prompt);
    buf_release(&text);
    buf_release(&near);
}
