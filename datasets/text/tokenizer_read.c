/* Reading vocab.txt and tokenizer.json into a tokenizer's tables. Every id, size and name is checked; a part that is not known is refused
 * by its name, because ids would differ from the reference without it. */
#include <stdlib.h>
#include <string.h>

#include "datasets/text/subword.h"
#include "datasets/text/unicode.h"
#include "src/base/json.h"
#include "src/base/utf8.h"

static int set_token(struct tokenizer *t, const char *name, int64_t id, const char *s, size_t n, struct err *e) {
    if (id < 0 || id >= t->n_id) return err_set(e, "%s: token \"%.60s\" has the id %lld, outside 0 to %lld", name, s, (long long)id, (long long)t->n_id - 1);
    if (t->token[id] && strcmp(t->token[id], s) != 0)
        return err_set(e, "%s: the tokens \"%.60s\" and \"%.60s\" have the same id %lld", name, t->token[id], s, (long long)id);
    if (!t->token[id]) t->token[id] = mem_strn(s, n);
    return 0;
}

static int by_length(const void *pa, const void *pb) {
    const struct added *a = pa, *b = pb;
    return (a->n < b->n) - (a->n > b->n);
}

static void add_special(struct tokenizer *t, struct added a) {
    t->added = X_GROW(t->added, struct added, (size_t)t->n_added + 1);
    t->added[t->n_added++] = a;
}

static void finish_added(struct tokenizer *t) {
    if (t->n_added) qsort(t->added, (size_t)t->n_added, sizeof *t->added, by_length);
    for (int i = 0; i < t->n_added; i++) {
        struct added *a = &t->added[i];
        if (a->normalized && t->n_normal) { /* looked for in normalised text, so it must be normalised itself */
            struct buf b[2] = {BUF_INIT, BUF_INIT};
            const char *p = a->s;
            size_t n = a->n;
            for (int k = 0; k < t->n_normal; k++) {
                buf_clear(&b[k & 1]);
                normal_pass(t->normal[k], p, n, &b[k & 1]);
                p = b[k & 1].data ? b[k & 1].data : "", n = b[k & 1].len;
            }
            char *s = mem_strn(p, n);
            free(a->s);
            a->s = s, a->n = n;
            buf_release(&b[0]);
            buf_release(&b[1]);
        }
        if (!a->n) continue;
        (a->normalized ? t->normal_first : t->raw_first)[(unsigned char)a->s[0]] = true;
        *(a->normalized ? &t->has_normal : &t->has_raw) = true;
    }
    int n = 0;
    for (int i = 0; i < t->n_added; i++) {
        if (t->added[i].n) t->added[n++] = t->added[i];
        else free(t->added[i].s);
    }
    t->n_added = n;
}

static void wordpiece_tables(struct tokenizer *t, const char *prefix) {
    size_t n_prefix = strlen(prefix), words = 0, inner = 0;
    for (int64_t i = 0; i < t->n_id; i++)
        if (t->token[i]) words++, inner += n_prefix == 0 || !strncmp(t->token[i], prefix, n_prefix);
    pieces_init(&t->word, words + 1);
    pieces_init(&t->inner, inner + 1);
    for (int64_t i = 0; i < t->n_id; i++) {
        if (!t->token[i] || !*t->token[i]) continue;
        size_t n = strlen(t->token[i]);
        pieces_add(&t->word, t->token[i], n, (int32_t)i);
        if (!strncmp(t->token[i], prefix, n_prefix) && n > n_prefix) pieces_add(&t->inner, t->token[i] + n_prefix, n - n_prefix, (int32_t)i);
    }
    for (uint32_t c = 0; c < 128; c++) t->ascii[c] = unicode_space(c) ? 1 : unicode_punct(c) ? 2 : 0;
}

static void around(int32_t **list, int *n, int32_t id) {
    *list = X_GROW(*list, int32_t, (size_t)*n + 1);
    (*list)[(*n)++] = id;
}

int tokenizer_read_vocab(struct tokenizer *t, const char *name, struct err *e) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    const char *p = t->text, *end = p + t->text_n;
    int64_t lines = 0;
    for (const char *q = p; q < end; q++) lines += *q == '\n';
    lines += t->text_n && end[-1] != '\n';
    if (lines < 1 || lines > TOKENIZER_MAX_IDS)
        return err_set(e, "%s has %lld lines; a vocabulary has one token a line, 1 to %d", name, (long long)lines, TOKENIZER_MAX_IDS);
    t->n_id = lines;
    t->token = X_NEW(char *, (size_t)lines);
    for (int64_t i = 0; i < lines; i++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *to = nl ? nl : end;
        while (to > p && (to[-1] == ' ' || (to[-1] >= 9 && to[-1] <= 13))) to--;
        t->token[i] = mem_strn(p, (size_t)(to - p));
        p = nl ? nl + 1 : end;
    }
    wordpiece_tables(t, "##");
    int32_t id[5];
    for (int i = 0; i < 5; i++) {
        id[i] = pieces_find(&t->word, special[i], strlen(special[i]));
        if (id[i] >= 0) add_special(t, (struct added){mem_str(special[i]), strlen(special[i]), id[i], false, false, false, false, true});
    }
    if (id[1] < 0) return err_set(e, "%s has no line [UNK]; it is not a WordPiece vocabulary (one token a line, line number = id)", name);
    t->pad = id[0] < 0 ? 0 : id[0];
    t->unk = id[1];
    if (id[2] >= 0 && id[3] >= 0) {
        around(&t->front, &t->n_front, id[2]);
        around(&t->back, &t->n_back, id[3]);
    }
    t->normal[t->n_normal++] = NORMAL_CLEAN | NORMAL_CJK | (t->lower ? NORMAL_STRIP | NORMAL_LOWER : 0);
    if (!t->file_len) t->file_len = 512;
    finish_added(t);
    return 0;
}

/* ---- tokenizer.json ---- */
static bool none(const struct val *v) { return !v || v->type == VAL_NIL; }

static int read_normalizer(struct tokenizer *t, const char *name, const struct val *v, int depth, struct err *e) {
    static const struct {
        const char *type;
        unsigned flags;
    } simple[] = {{"NFC", NORMAL_NFC}, {"NFD", NORMAL_NFD}, {"NFKC", NORMAL_NFKC}, {"NFKD", NORMAL_NFKD}, {"Lowercase", NORMAL_LOWER}};
    if (none(v)) return 0;
    const char *type = val_get_str(v, "type", "");
    if (!strcmp(type, "Sequence") && !depth) {
        const struct val *l = val_get(v, "normalizers");
        for (size_t i = 0; i < val_len(l); i++)
            if (read_normalizer(t, name, val_at(l, i), 1, e)) return -1;
        return 0;
    }
    if (t->n_normal == (int)LEN(t->normal)) return err_set(e, "%s: it has more than %zu normalizers", name, LEN(t->normal));
    unsigned *f = &t->normal[t->n_normal++];
    for (size_t i = 0; i < LEN(simple); i++)
        if (!strcmp(type, simple[i].type)) return *f = simple[i].flags, 0;
    if (strcmp(type, "BertNormalizer") != 0)
        return err_set(e, "%s: the normalizer \"%.40s\" is not known; BertNormalizer, NFC, NFD, NFKC, NFKD and Lowercase are", name, type);
    bool lower = val_get_bool(v, "lowercase", true);
    *f = (val_get_bool(v, "clean_text", true) ? NORMAL_CLEAN : 0) | (val_get_bool(v, "handle_chinese_chars", true) ? NORMAL_CJK : 0);
    *f |= (val_get_bool(v, "strip_accents", lower) ? NORMAL_STRIP : 0) | (lower ? NORMAL_LOWER : 0);
    return 0;
}

static int read_pre(struct tokenizer *t, const char *name, const struct val *v, struct err *e) {
    const struct val *l = val_get(v, "pretokenizers");
    if (l && val_len(l) == 1) v = val_at(l, 0);
    const char *type = none(v) ? "none" : val_get_str(v, "type", ""), *want = t->bpe ? "ByteLevel" : "BertPreTokenizer";
    if (strcmp(type, want) != 0)
        return err_set(e, "%s: the pre-tokenizer of a %s model must be %s, but it is \"%.40s\"", name, t->bpe ? "BPE" : "WordPiece", want, type);
    t->prefix_space = val_get_bool(v, "add_prefix_space", true);
    t->regex = val_get_bool(v, "use_regex", true);
    return 0;
}

static int special_id(struct tokenizer *t, const char *name, const struct val *pair, bool front, struct err *e) {
    int64_t id = -1;
    if (val_len(pair) != 2 || !val_as_int(val_at(pair, 1), &id) || id < 0 || id >= t->n_id)
        return err_set(e, "%s: the post-processor names the id %lld, which is no token", name, (long long)id);
    if (front) around(&t->front, &t->n_front, (int32_t)id);
    else around(&t->back, &t->n_back, (int32_t)id);
    return 0;
}

static int read_template(struct tokenizer *t, const char *name, const struct val *v, struct err *e) {
    const struct val *l = val_get(v, "single"), *table = val_get(v, "special_tokens");
    int texts = 0;
    for (size_t i = 0; i < val_len(l); i++) {
        const struct val *s = val_get(val_at(l, i), "SpecialToken"), *q = val_get(val_at(l, i), "Sequence");
        if (q && !strcmp(val_get_str(q, "id", ""), "A")) {
            texts++;
            continue;
        }
        const struct val *ids = val_get(val_get(table, val_get_str(s, "id", "")), "ids");
        if (!val_len(ids)) return err_set(e, "%s: the template names the token \"%.40s\", which special_tokens does not have", name, val_get_str(s, "id", "?"));
        for (size_t k = 0; k < val_len(ids); k++) {
            struct val *pair = val_list();
            val_push(pair, val_nil());
            val_push(pair, val_copy(val_at(ids, k)));
            int r = special_id(t, name, pair, !texts, e);
            val_free(pair);
            if (r) return -1;
        }
    }
    return texts == 1 ? 0 : err_set(e, "%s: the template of a single text holds the text %d times, not once", name, texts);
}

static int read_post(struct tokenizer *t, const char *name, const struct val *v, int depth, struct err *e) {
    if (none(v)) return 0;
    const char *type = val_get_str(v, "type", "");
    if (!strcmp(type, "ByteLevel")) return 0;
    if (!strcmp(type, "TemplateProcessing")) return read_template(t, name, v, e);
    if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
        return special_id(t, name, val_get(v, "cls"), true, e) || special_id(t, name, val_get(v, "sep"), false, e) ? -1 : 0;
    if (strcmp(type, "Sequence") != 0 || depth)
        return err_set(e, "%s: the post-processor \"%.40s\" is not known; TemplateProcessing, BertProcessing, RobertaProcessing and ByteLevel are", name, type);
    const struct val *l = val_get(v, "processors");
    for (size_t i = 0; i < val_len(l); i++)
        if (read_post(t, name, val_at(l, i), 1, e)) return -1;
    return 0;
}

/* Ids of the vocabulary and of added tokens: how many there are and that they are close together, before anything is sized by them. */
static int read_ids(struct tokenizer *t, const char *name, const struct val *vocab, const struct val *added, struct err *e) {
    if (!vocab || vocab->type != VAL_TABLE || !vocab->u.t.n_field) return err_set(e, "%s: model.vocab is not an object of tokens and ids", name);
    size_t n = vocab->u.t.n_field;
    int64_t top = -1;
    for (size_t i = 0; i < n + val_len(added); i++) {
        int64_t id = -1;
        const struct val *v = i < n ? vocab->u.t.field[i].v : val_get(val_at(added, i - n), "id");
        if (!v || !val_as_int(v, &id) || id < 0 || id >= TOKENIZER_MAX_IDS || (uint64_t)id > 4 * (n + val_len(added)) + 65536)
            return err_set(e, "%s: \"%.60s\" has the id %lld; ids are whole numbers from 0, without large gaps", name,
                i < n ? vocab->u.t.field[i].name : val_get_str(val_at(added, i - n), "content", "?"), (long long)id);
        if (id > top) top = id;
    }
    t->n_id = top + 1;
    t->token = X_NEW(char *, (size_t)t->n_id);
    for (size_t i = 0; i < n; i++) {
        int64_t id = 0;
        val_as_int(vocab->u.t.field[i].v, &id);
        if (set_token(t, name, id, vocab->u.t.field[i].name, strlen(vocab->u.t.field[i].name), e)) return -1;
    }
    return 0;
}

static int read_added(struct tokenizer *t, const char *name, const struct val *l, struct err *e) {
    if (val_len(l) > 100000) return err_set(e, "%s has %zu added tokens; at most 100000", name, val_len(l));
    for (size_t i = 0; i < val_len(l); i++) {
        const struct val *v = val_at(l, i);
        const char *s = val_get_str(v, "content", "");
        if (!*s) return err_set(e, "%s: added token %zu is empty", name, i + 1);
        int64_t id = val_get_int(v, "id", -1);
        if (set_token(t, name, id, s, strlen(s), e)) return -1;
        add_special(t, (struct added){mem_str(s), strlen(s), (int32_t)id, val_get_bool(v, "single_word", false), val_get_bool(v, "lstrip", false),
                           val_get_bool(v, "rstrip", false), val_get_bool(v, "normalized", true), val_get_bool(v, "special", false)});
    }
    return 0;
}

static int read_wordpiece(struct tokenizer *t, const char *name, const struct val *m, struct err *e) {
    const char *unk = val_get_str(m, "unk_token", "[UNK]"), *prefix = val_get_str(m, "continuing_subword_prefix", "##");
    t->max_chars = val_get_int(m, "max_input_chars_per_word", 100);
    wordpiece_tables(t, prefix);
    if ((t->unk = pieces_find(&t->word, unk, strlen(unk))) < 0) return err_set(e, "%s: the unknown token \"%.40s\" is not in the vocabulary", name, unk);
    return 0;
}

static int add_merge(struct tokenizer *t, const char *name, int32_t rank, const char *a, size_t na, const char *b, size_t nb, struct buf *tmp, struct err *e) {
    buf_clear(tmp);
    buf_add(tmp, a, na);
    buf_add(tmp, b, nb);
    int32_t left = pieces_find(&t->word, a, na), right = pieces_find(&t->word, b, nb), id = pieces_find(&t->word, tmp->data, tmp->len);
    if (left < 0 || right < 0 || id < 0)
        return err_set(e, "%s: merge %d joins \"%.*s\" and \"%.*s\", which the vocabulary does not have with their sum", name, (int)rank + 1,
            (int)(na < 60 ? na : 60), a, (int)(nb < 60 ? nb : 60), b);
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, h = pair * 0x9e3779b97f4a7c15u;
    size_t i = (h >> 32) & t->merge_mask;
    while (t->merge[i].rank >= 0 && t->merge[i].pair != pair) i = (i + 1) & t->merge_mask;
    t->merge[i] = (struct merge){pair, rank, id};
    return 0;
}

static int read_bpe(struct tokenizer *t, const char *name, const struct val *m, struct err *e) {
    const struct val *l = val_get(m, "merges"), *unk = val_get(m, "unk_token");
    struct buf tmp = BUF_INIT;
    if (val_get_num(m, "dropout", 0) > 0)
        return err_set(e, "%s: BPE dropout is %g; only tokenizers without it give the same ids twice", name, val_get_num(m, "dropout", 0));
    if (*val_get_str(m, "continuing_subword_prefix", "") || *val_get_str(m, "end_of_word_suffix", "") || val_get_bool(m, "byte_fallback", false))
        return err_set(e, "%s: BPE with a prefix, a suffix or byte_fallback is not byte-level BPE", name);
    size_t words = 0, slots = 16;
    for (int64_t i = 0; i < t->n_id; i++) words += t->token[i] != NULL;
    pieces_init(&t->word, words + 1);
    for (int64_t i = 0; i < t->n_id; i++)
        if (t->token[i] && *t->token[i]) pieces_add(&t->word, t->token[i], strlen(t->token[i]), (int32_t)i);
    while (slots < 2 * val_len(l) + 1) slots *= 2;
    t->merge = X_NEW(struct merge, slots);
    t->merge_mask = slots - 1;
    for (size_t i = 0; i < slots; i++) t->merge[i].rank = -1;
    int r = val_len(l) > TOKENIZER_MAX_IDS ? err_set(e, "%s has %zu merges; at most %d", name, val_len(l), TOKENIZER_MAX_IDS) : 0;
    for (size_t i = 0; i < val_len(l) && !r; i++) {
        const struct val *v = val_at(l, i), *a = val_at(v, 0), *b = val_at(v, 1);
        const char *blank = v->type == VAL_STR ? strchr(v->u.s.p, ' ') : NULL;
        if (blank) r = add_merge(t, name, (int32_t)i, v->u.s.p, (size_t)(blank - v->u.s.p), blank + 1, strlen(blank + 1), &tmp, e);
        else if (a && b && a->type == VAL_STR && b->type == VAL_STR) r = add_merge(t, name, (int32_t)i, a->u.s.p, a->u.s.len, b->u.s.p, b->u.s.len, &tmp, e);
        else r = err_set(e, "%s: merge %zu is not a pair of tokens", name, i + 1);
    }
    buf_release(&tmp);
    if (r) return -1;
    for (int b = 0; b < 256; b++) {
        char u[4];
        t->byte_id[b] = pieces_find(&t->word, u, utf8_put(u, bpe_byte_char((unsigned char)b)));
    }
    t->ignore_merges = val_get_bool(m, "ignore_merges", false);
    t->fuse_unk = val_get_bool(m, "fuse_unk", false);
    if (!none(unk) && (unk->type != VAL_STR || (t->unk = pieces_find(&t->word, unk->u.s.p, unk->u.s.len)) < 0))
        return err_set(e, "%s: the unknown token is not in the vocabulary", name);
    return 0;
}

int tokenizer_read_json(struct tokenizer *t, const char *name, struct err *e) {
    struct val *v = json_parse(t->text, t->text_n, name, e);
    if (!v) return -1;
    const struct val *m = val_get(v, "model"), *vocab = val_get(m, "vocab"), *added = val_get(v, "added_tokens");
    const char *type = val_get_str(m, "type", val_get(m, "merges") ? "BPE" : "");
    static const char *const pads[] = {"[PAD]", "<pad>", "<|endoftext|>"};
    int r = -1;
    t->bpe = !strcmp(type, "BPE");
    if (!m) err_set(e, "%s has no \"model\"; it is not a tokenizer.json", name);
    else if (!t->bpe && strcmp(type, "WordPiece") != 0) err_set(e, "%s: the model is \"%.40s\"; WordPiece and byte-level BPE are read", name, type);
    else if (!read_ids(t, name, vocab, added, e) && !read_normalizer(t, name, val_get(v, "normalizer"), 0, e) &&
             !read_pre(t, name, val_get(v, "pre_tokenizer"), e))
        r = (t->bpe ? read_bpe(t, name, m, e) : read_wordpiece(t, name, m, e)) || read_added(t, name, added, e) ||
                    read_post(t, name, val_get(v, "post_processor"), 0, e)
                ? -1
                : 0;
    if (!r) {
        int64_t len = val_get_int(val_get(v, "truncation"), "max_length", 0), pad = val_get_int(val_get(v, "padding"), "pad_id", -1);
        if (len > 0) t->file_len = len;
        for (size_t i = 0; i < LEN(pads) && pad < 0; i++) pad = tokenizer_id(t, pads[i]);
        t->pad = pad >= 0 && pad < t->n_id ? (int32_t)pad : 0;
        finish_added(t);
    }
    val_free(v);
    return r;
}
