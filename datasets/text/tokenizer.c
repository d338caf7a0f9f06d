/* A tokenizer's life, and encoding: added tokens are found first, stretches between them are normalised, searched again for the added
 * tokens that want it, and cut into pieces. Reading is in tokenizer_read.c. */
#include "datasets/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/text/subword.h"
#include "datasets/text/unicode.h"
#include "src/base/hash.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/utf8.h"

/* ---- tables of pieces ---- */
void pieces_init(struct pieces *t, size_t n) {
    size_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    t->p = X_NEW(struct piece, slots);
    t->mask = slots - 1;
}

static uint64_t hash_of(const char *s, size_t n) { return hash_bytes(HASH_START, s, n); }

static struct piece *slot(const struct pieces *t, uint64_t hash, const char *s, size_t n) {
    for (size_t i = (hash ^ hash >> 29) & t->mask;; i = (i + 1) & t->mask) {
        struct piece *p = &t->p[i];
        if (!p->s || (p->hash == hash && p->n == n && !memcmp(p->s, s, n))) return p;
    }
}

void pieces_add(struct pieces *t, const char *s, size_t n, int32_t id) {
    uint64_t h = hash_of(s, n);
    struct piece *p = slot(t, h, s, n);
    t->n += !p->s;
    if (2 * t->n > t->mask + 1) BUG("a table of %zu pieces was sized too small", t->n);
    *p = (struct piece){h, s, (uint32_t)n, id};
    if (n > t->longest) t->longest = (uint32_t)n;
}

int32_t pieces_find_hash(const struct pieces *t, uint64_t hash, const char *s, size_t n) {
    const struct piece *p = slot(t, hash, s, n);
    return p->s ? p->id : -1;
}

int32_t pieces_find(const struct pieces *t, const char *s, size_t n) { return t->p ? pieces_find_hash(t, hash_of(s, n), s, n) : -1; }

/* ---- life ---- */
void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    for (int64_t i = 0; t->token && i < t->n_id; i++) free(t->token[i]);
    for (int i = 0; i < t->n_added; i++) free(t->added[i].s);
    free(t->token);
    free(t->added);
    free(t->front);
    free(t->back);
    free(t->word.p);
    free(t->inner.p);
    free(t->merge);
    free(t->text);
    free(t);
}

/* What sits beside the file and changes how it is used. */
static int read_config(struct tokenizer *t, const char *dir, struct err *e) {
    char *path = io_join(dir, "tokenizer_config.json");
    if (!io_exists(path)) return free(path), 0;
    struct val *v = json_read_file(path, (size_t)16 << 20, e);
    free(path);
    if (!v) return -1;
    t->lower = val_get_bool(v, "do_lower_case", t->lower);
    double len = val_get_num(v, "model_max_length", 0);
    if (len >= 1 && len <= 1e7) t->file_len = (int64_t)len;
    val_free(v);
    return 0;
}

static struct tokenizer *fresh(bool json, bool lower) {
    struct tokenizer *t = X_NEW(struct tokenizer, 1);
    t->from_json = json;
    t->lower = lower;
    t->unk = -1;
    t->max_chars = 100;
    return t;
}

static int finish(struct tokenizer *t, const char *name, struct err *e) {
    if (!utf8_valid(t->text, t->text_n) || memchr(t->text, 0, t->text_n))
        return err_set(e, "%s is not UTF-8 text; a tokenizer is a vocab.txt or a tokenizer.json", name);
    return t->from_json ? tokenizer_read_json(t, name, e) : tokenizer_read_vocab(t, name, e);
}

struct tokenizer *tokenizer_load(const char *path, bool lower, struct err *e) {
    static const char *const names[] = {"tokenizer.json", "vocab.txt"};
    char *file = NULL, *dir = NULL;
    struct buf b = BUF_INIT;
    struct tokenizer *t = NULL;
    if (io_is_dir(path)) {
        dir = mem_str(path);
        for (int i = 0; i < 2 && !file; i++) {
            file = io_join(path, names[i]);
            if (!io_exists(file)) free(file), file = NULL;
        }
        if (!file) {
            err_set(e, "%s has neither tokenizer.json nor vocab.txt", path);
            goto out;
        }
    } else {
        const char *slash = strrchr(path, '/');
        file = mem_str(path);
        dir = slash ? mem_strn(path, (size_t)(slash - path) + (slash == path)) : mem_str(".");
    }
    if (io_read_file(file, TOKENIZER_MAX_BYTES, &b, e)) goto out;
    size_t n = strlen(file), k = 0;
    while (k < b.len && (b.data[k] == ' ' || b.data[k] == '\n' || b.data[k] == '\r' || b.data[k] == '\t')) k++;
    t = fresh((n > 5 && !strcmp(file + n - 5, ".json")) || (k + 1 < b.len && b.data[k] == '{' && (b.data[k + 1] == '\n' || b.data[k + 1] == '"')), lower);
    t->text_n = b.len;
    t->text = buf_take(&b);
    if (read_config(t, dir, e) || finish(t, file, e)) tokenizer_free(t), t = NULL;
out:
    buf_release(&b);
    free(file);
    free(dir);
    return t;
}

struct val *tokenizer_to_val(const struct tokenizer *t) {
    struct val *v = val_table();
    val_set_str(v, "file", t->from_json ? "tokenizer.json" : "vocab.txt");
    val_set_bool(v, "lower", t->lower);
    val_set_int(v, "len", t->file_len);
    val_set(v, "text", val_strn(t->text, t->text_n));
    return v;
}

struct tokenizer *tokenizer_from_val(const struct val *v, struct err *e) {
    const struct val *text = val_get(v, "text");
    const char *file = val_get_str(v, "file", "");
    if (!text || text->type != VAL_STR || text->u.s.len > TOKENIZER_MAX_BYTES || (strcmp(file, "vocab.txt") != 0 && strcmp(file, "tokenizer.json") != 0)) {
        err_set(e, "the saved tokenizer is damaged: it needs the text of a vocab.txt or tokenizer.json of at most %zu MiB", TOKENIZER_MAX_BYTES >> 20);
        return NULL;
    }
    struct tokenizer *t = fresh(!strcmp(file, "tokenizer.json"), val_get_bool(v, "lower", true));
    t->file_len = val_get_int(v, "len", 0);
    t->text = mem_strn(text->u.s.p, text->u.s.len);
    t->text_n = text->u.s.len;
    if (!finish(t, "the saved tokenizer", e)) return t;
    tokenizer_free(t);
    return NULL;
}

const char *tokenizer_kind(const struct tokenizer *t) { return t->bpe ? "bpe" : "wordpiece"; }
int64_t tokenizer_size(const struct tokenizer *t) { return t->n_id; }
int64_t tokenizer_len(const struct tokenizer *t) { return t->file_len; }
int32_t tokenizer_pad(const struct tokenizer *t) { return t->pad; }

int32_t tokenizer_id(const struct tokenizer *t, const char *token) {
    for (int i = 0; i < t->n_added; i++)
        if (!strcmp(t->added[i].s, token)) return t->added[i].id;
    int32_t id = pieces_find(&t->word, token, strlen(token));
    if (id < 0 && !t->bpe && !strncmp(token, "##", 2)) id = pieces_find(&t->inner, token + 2, strlen(token + 2));
    return id;
}

const char *tokenizer_token(const struct tokenizer *t, int64_t id, size_t *n) {
    const char *s = id >= 0 && id < t->n_id && t->token[id] ? t->token[id] : "";
    *n = strlen(s);
    return s;
}

struct tokenizer_work *tokenizer_work_new(void) {
    struct tokenizer_work *w = X_NEW(struct tokenizer_work, 1);
    w->cache = X_NEW(struct cached, (size_t)1 << CACHE_BITS);
    return w;
}

void tokenizer_work_free(struct tokenizer_work *w) {
    if (!w) return;
    buf_release(&w->a);
    buf_release(&w->b);
    buf_release(&w->c);
    free(w->cache);
    free(w->sym);
    free(w->heap);
    free(w);
}

/* ---- encoding ---- */
static bool word_char(uint32_t cp) { return cp == '_' || unicode_class(cp) <= UNICODE_NUMBER || unicode_mark(cp); }

static bool word_before(const char *s, size_t at) {
    size_t i = at;
    uint32_t cp;
    if (!at) return false;
    do i--;
    while (i && ((unsigned char)s[i] & 0xc0) == 0x80);
    utf8_next(s + i, at - i, &cp);
    return !(cp & UTF8_BAD) && word_char(cp);
}

static bool word_after(const char *s, size_t n, size_t at) {
    uint32_t cp;
    return at < n && utf8_next(s + at, n - at, &cp) && !(cp & UTF8_BAD) && word_char(cp);
}

/* The added token at or after *at, longest first; where it begins in *at. */
static const struct added *next_added(const struct tokenizer *t, bool normalized, const char *s, size_t n, size_t *at) {
    const bool *first = normalized ? t->normal_first : t->raw_first;
    for (size_t i = *at; i < n; i++) {
        if (!first[(unsigned char)s[i]]) continue;
        for (int k = 0; k < t->n_added; k++) {
            const struct added *a = &t->added[k];
            if (a->normalized != normalized || a->n > n - i || memcmp(s + i, a->s, a->n) != 0) continue;
            if (a->single_word && (word_before(s, i) || word_after(s, n, i + a->n))) continue;
            *at = i;
            return a;
        }
    }
    return NULL;
}

static void stretch(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d, int64_t stop) {
    if (t->bpe) bpe_stretch(t, w, s, n, d, stop);
    else wordpiece_stretch(t, w, s, n, d, stop);
}

static size_t blanks_before(const char *s, size_t from, size_t at) {
    while (at > from) {
        size_t i = at;
        uint32_t cp;
        do i--;
        while (i > from && ((unsigned char)s[i] & 0xc0) == 0x80);
        utf8_next(s + i, at - i, &cp);
        if (!unicode_space(cp)) break;
        at = i;
    }
    return at;
}

static size_t blanks_after(const char *s, size_t n, size_t at) {
    uint32_t cp;
    for (size_t k; at < n && (k = utf8_next(s + at, n - at, &cp)) && unicode_space(cp); at += k) {}
    return at;
}

/* Cuts s at added tokens; what lies between goes on to be normalised, or, once it is, into pieces. */
static void cut(const struct tokenizer *t, struct tokenizer_work *w, bool normalized, const char *s, size_t n, struct ids *d, int64_t stop) {
    size_t from = 0;
    while (from < n && d->n <= stop) {
        size_t at = from, to = n;
        const struct added *a = (normalized ? t->has_normal : t->has_raw) ? next_added(t, normalized, s, n, &at) : NULL;
        if (a) to = a->lstrip ? blanks_before(s, from, at) : at;
        if (to > from) {
            const char *p = s + from;
            size_t k = to - from;
            if (normalized) stretch(t, w, p, k, d, stop);
            else {
                for (int i = 0; i < t->n_normal; i++) {
                    struct buf *o = i & 1 ? &w->b : &w->a;
                    buf_clear(o);
                    normal_pass(t->normal[i], p, k, o);
                    p = o->data ? o->data : "", k = o->len;
                }
                cut(t, w, true, p, k, d, stop);
            }
        }
        if (!a) return;
        ids_reserve(d, 1);
        d->p[d->n++] = a->id;
        from = a->rstrip ? blanks_after(s, n, at + a->n) : at + a->n;
    }
}

bool tokenizer_encode(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, int64_t len, bool tail, struct ids *out) {
    if (w->of != t) {
        memset(w->cache, 0, sizeof(struct cached) << CACHE_BITS);
        w->of = t;
    }
    if (n > INT32_MAX / 2) n = INT32_MAX / 2;
    ids_reserve(out, t->n_front + t->n_back + 1);
    int64_t front = t->n_front, back = t->n_back, room = len > front + back ? len - front - back : len ? 0 : INT64_MAX / 2;
    for (int i = 0; i < t->n_front; i++) out->p[out->n++] = t->front[i];
    int64_t from = out->n;
    cut(t, w, false, s, n, out, tail ? INT64_MAX : from + room);
    bool longer = out->n - from > room;
    if (longer && tail) memmove(out->p + from, out->p + out->n - room, (size_t)room * sizeof *out->p);
    if (longer) out->n = from + room;
    ids_reserve(out, back);
    for (int i = 0; i < t->n_back; i++) out->p[out->n++] = t->back[i];
    if (len && out->n - (from - front) > len) out->n = from - front + len; /* len is less than the special tokens */
    return longer;
}

void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n, bool special, struct buf *out) {
    bool begin = true;
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = tokenizer_token(t, ids[i], &k);
        const struct added *a = NULL;
        for (int j = 0; j < t->n_added && !a; j++)
            if (t->added[j].id == ids[i]) a = &t->added[j];
        if (a && a->special && !special) continue;
        if (!t->bpe) {
            bool inner = k > 2 && s[0] == '#' && s[1] == '#';
            if (!inner && !begin) buf_addc(out, ' ');
            buf_add(out, s + 2 * inner, k - 2u * inner);
            begin = false;
            continue;
        }
        for (size_t j = 0, used; j < k; j += used) {
            uint32_t cp;
            used = utf8_next(s + j, k - j, &cp);
            int b = a ? -1 : bpe_char_byte(cp);
            if (b >= 0) buf_addc(out, (char)b);
            else buf_add(out, s + j, used);
        }
    }
}
