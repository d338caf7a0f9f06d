/* One row of a shelf: made from run.json, about.json and the pyramid of a run folder, packed into one block of bytes which is also its form in the
 * index file. A row that comes from the index has passed the checks here; its strings and numbers lie in the block. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/args.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/stored/about.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"

enum { META_MAX = 16 << 20, STAMPS = 8, TEXTS = 4, ROW_MAX = 4 << 20, VALUES_MAX = 4096, TAGS_MAX = 256 };

struct fixed { /* begins the block; the metrics follow, then the values' numbers, then all texts, each with its NUL */
    int64_t stamp[STAMPS];
    double created, seconds, epoch;
    int64_t step, steps, seed, params, bytes;
    int32_t state, exit_code;
    uint32_t n_metric, n_value, n_tag, text_bytes;
};
struct shelf_row {
    struct shelf_run run; /* first: row_of */
    atomic_int refs;
    int64_t stamp[STAMPS];
    size_t size;
    struct shelf_value *value;
    const char **tag;
    char *block; /* malloc'ed, aligned for the metrics */
};

const struct shelf_run *row_run(const struct shelf_row *r) { return &r->run; }
struct shelf_row *row_of(const struct shelf_run *r) {
    return (struct shelf_row *)(uintptr_t)r;
}
struct shelf_row *row_ref(const struct shelf_row *r) {
    struct shelf_row *own = (struct shelf_row *)(uintptr_t)r;
    atomic_fetch_add(&own->refs, 1);
    return own;
}
void row_unref(struct shelf_row *r) {
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1) return;
    free(r->value);
    free(r->tag);
    free(r->block);
    free(r);
}
void row_pack(const struct shelf_row *r, struct buf *out) { buf_add(out, r->block, r->size); }

/* ---- stamps ---- */

static void stamp_of(const char *dir, int64_t out[STAMPS]) {
    static const char *const names[STAMPS / 2] = {"run.json", "metrics.bin", "about.json", "ckpt"};
    for (int i = 0; i < STAMPS / 2; i++) {
        struct stat st;
        char *path = io_join(dir, names[i]);
        bool there = stat(path, &st) == 0;
        out[2 * i] = there ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : -1;
        out[2 * i + 1] = there ? (int64_t)st.st_size : -1;
        free(path);
    }
}

bool row_fresh(const struct shelf_row *r, const char *dir) {
    int64_t now[STAMPS];
    if (!run_state_ended(r->run.state)) return false;
    stamp_of(dir, now);
    return memcmp(now, r->stamp, sizeof now) == 0;
}

/* ---- making ---- */

static void flatten(const struct val *v, char *name, size_t len, void (*fn)(void *ctx, const char *name, const char *text, double num), void *ctx, int depth) {
    enum { NAME_MAX_LEN = 240, DEPTH = 16 };
    if (v && v->type == VAL_TABLE && depth < DEPTH && (v->u.t.n_field || v->u.t.n_item)) {
        for (size_t i = 0; i < v->u.t.n_field + v->u.t.n_item; i++) {
            bool item = i >= v->u.t.n_field;
            size_t k = i - v->u.t.n_field;
            int add = item ? snprintf(name + len, NAME_MAX_LEN - len, "%s%zu", len ? "." : "", k + 1)
                           : snprintf(name + len, NAME_MAX_LEN - len, "%s%s", len ? "." : "", v->u.t.field[i].name);
            if (add > 0 && len + (size_t)add < NAME_MAX_LEN) flatten(item ? v->u.t.item[k] : v->u.t.field[i].v, name, len + (size_t)add, fn, ctx, depth + 1);
            name[len] = 0;
        }
        return;
    }
    struct buf b = BUF_INIT;
    double num = NAN;
    if (v && v->type == VAL_STR) buf_add(&b, v->u.s.p, v->u.s.len);
    else if (v) json_write(&b, v);
    if (v && v->type != VAL_BOOL) val_as_num(v, &num);
    if (len) fn(ctx, name, b.data ? b.data : "", num);
    buf_release(&b);
}

void config_flatten(const struct val *start, void (*fn)(void *ctx, const char *name, const char *text, double num), void *ctx) {
    static const char *const apart[] = {"config", "identity", "params", "memory", "products", "version", "train_rows", "val_rows", "resumed_at", "parent"};
    char name[256] = "";
    const struct val *asked = val_get(val_get(start, "identity"), "asked");
    flatten(val_get(start, "config"), name, 0, fn, ctx, 0);
    for (size_t i = 0; start && start->type == VAL_TABLE && i < start->u.t.n_field; i++) {
        const struct val_field *f = &start->u.t.field[i];
        bool own = true, named = strcmp(f->name, "data") == 0 && asked;
        for (size_t k = 0; k < LEN(apart); k++) own = own && strcmp(f->name, apart[k]) != 0;
        int len = own && !named ? snprintf(name, sizeof name, "%.60s", f->name) : 0;
        if (len > 0) flatten(f->v, name, (size_t)len, fn, ctx, 0);
    }
    snprintf(name, sizeof name, "data");
    if (asked) flatten(asked, name, strlen(name), fn, ctx, 0);
}

struct making {
    struct fixed f;
    struct buf metrics, nums, text, search;
};

static void text_add(struct making *m, const char *s) { buf_add(&m->text, s, strlen(s) + 1); }

static void search_add(struct making *m, const char *a, const char *b) {
    for (const char *s = a; *s; s++) buf_addc(&m->search, (char)tolower((unsigned char)*s));
    if (b) buf_addc(&m->search, '=');
    for (const char *s = b; s && *s; s++) buf_addc(&m->search, (char)tolower((unsigned char)*s));
    buf_addc(&m->search, '\n');
}

static void value_add(void *ctx, const char *name, const char *text, double num) {
    struct making *m = ctx;
    if (m->f.n_value == VALUES_MAX || strlen(text) > 1000) return;
    m->f.n_value++;
    text_add(m, name);
    text_add(m, text);
    buf_add(&m->nums, &num, sizeof num);
    search_add(m, name, text);
}

/* The layers of the model, one value each: model.PATH is its kind and shape. */
static void layers_add(struct making *m, const struct val *layers) {
    for (size_t i = 0; i < val_len(layers); i++) {
        const struct val *l = val_at(layers, i);
        char name[256], text[256];
        snprintf(name, sizeof name, "model.%.200s", val_get_str(l, "path", "?"));
        snprintf(text, sizeof text, "%.60s %.100s", val_get_str(l, "kind", "?"), val_get_str(l, "shape", ""));
        value_add(m, name, text, NAN);
    }
}

int64_t tree_bytes(const char *path, int depth) {
    struct stat st;
    if (lstat(path, &st) != 0) return 0;
    if (!S_ISDIR(st.st_mode)) return st.st_size;
    int64_t n = 0;
    DIR *d = depth ? opendir(path) : NULL;
    for (struct dirent *de; d && (de = readdir(d));) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0) continue;
        char *sub = io_join(path, de->d_name);
        n += tree_bytes(sub, depth - 1);
        free(sub);
    }
    if (d) closedir(d);
    return n;
}

static void metrics_add(struct making *m, const char *dir) {
    struct metric_ends *ends = X_NEW(struct metric_ends, RUN_MAX_METRICS);
    int n = pyramid_ends(dir, ends, RUN_MAX_METRICS, NULL);
    for (int i = 0; i < n; i++) search_add(m, ends[i].name, NULL);
    if (n > 0) buf_add(&m->metrics, ends, (size_t)n * sizeof *ends);
    m->f.n_metric = n > 0 ? (uint32_t)n : 0;
    free(ends);
}

/* Where a run of a session has not been described yet, its lock tells whether it is going to be. */
static void describe(struct making *m, const char *dir, const char *name) {
    struct val *v = store_describe(dir, NULL), *about = about_read(dir);
    const struct val *start = val_get(v, "start"), *tags = val_get(about, "tags");
    m->f.state = v ? run_state_named(val_get_str(v, "state", NULL), RUN_CRASHED) : store_alive(dir) ? RUN_QUEUED : RUN_CRASHED;
    m->f.exit_code = (int32_t)val_get_int(v, "exit", -1);
    m->f.created = val_get_num(v, "created", 0);
    m->f.seconds = val_get_num(v, "seconds", 0);
    m->f.epoch = val_get_num(v, "epoch", 0);
    m->f.step = val_get_int(v, "step", -1);
    m->f.steps = val_get_int(v, "steps", -1);
    m->f.seed = val_get_int(start, "seed", -1);
    m->f.params = val_get_int(start, "params", -1);
    m->f.bytes = tree_bytes(dir, 3);
    const char *four[TEXTS] = {name, val_get_str(start, "model", ""), val_get_str(start, "data", ""), val_get_str(start, "parent", "")};
    for (int i = 0; i < TEXTS; i++) {
        text_add(m, four[i]);
        search_add(m, four[i], NULL);
    }
    search_add(m, run_state_names[m->f.state], NULL);
    for (size_t i = 0; i < val_len(tags) && m->f.n_tag < TAGS_MAX; i++) {
        if (val_at(tags, i)->type != VAL_STR) continue;
        m->f.n_tag++;
        text_add(m, val_at(tags, i)->u.s.p);
        search_add(m, val_at(tags, i)->u.s.p, NULL);
    }
    config_flatten(start, value_add, m);
    layers_add(m, val_get(val_get(val_get(v, "reports"), "model"), "layers"));
    metrics_add(m, dir);
    val_free(v);
    val_free(about);
}

struct shelf_row *row_read(const char *dir, const char *name) {
    struct making m = {0};
    struct buf all = BUF_INIT;
    int64_t before[STAMPS];
    stamp_of(dir, before); /* what changes while it is read is read again next time */
    describe(&m, dir, name);
    memcpy(m.f.stamp, before, sizeof before);
    text_add(&m, m.search.data ? m.search.data : "");
    m.f.text_bytes = (uint32_t)m.text.len;
    buf_add(&all, &m.f, sizeof m.f);
    if (m.metrics.len) buf_add(&all, m.metrics.data, m.metrics.len);
    if (m.nums.len) buf_add(&all, m.nums.data, m.nums.len);
    buf_add(&all, m.text.data, m.text.len);
    struct shelf_row *r = row_unpack(all.data, all.len);
    if (!r) BUG("the row of run %s does not read back", name);
    buf_release(&all);
    buf_release(&m.metrics);
    buf_release(&m.nums);
    buf_release(&m.text);
    buf_release(&m.search);
    return r;
}

/* ---- reading ---- */

static const char *next_text(const char **p, const char *end) { /* NULL: they end too early */
    const char *s = *p, *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;
    if (!nul) return NULL;
    *p = nul + 1;
    return s;
}

/* The texts in their order: four names, tags, names and texts of values, the search text. */
static bool texts(struct shelf_row *r, const struct fixed *f, const double *nums, const char *p, const char *end) {
    const char *four[TEXTS];
    bool ok = true;
    for (int i = 0; i < TEXTS && ok; i++) ok = (four[i] = next_text(&p, end)) != NULL;
    for (uint32_t i = 0; i < f->n_tag && ok; i++) ok = (r->tag[i] = next_text(&p, end)) != NULL;
    for (uint32_t i = 0; i < f->n_value && ok; i++) {
        r->value[i].name = next_text(&p, end);
        r->value[i].text = r->value[i].name ? next_text(&p, end) : NULL;
        r->value[i].num = nums[i];
        ok = r->value[i].text != NULL;
    }
    r->run.search = ok ? next_text(&p, end) : NULL;
    if (!r->run.search || p != end) return false;
    r->run.name = four[0];
    r->run.model = four[1];
    r->run.data = four[2];
    r->run.parent = four[3];
    return store_name_ok(four[0]);
}

struct shelf_row *row_unpack(const void *p, size_t n) {
    struct fixed f;
    if (n < sizeof f || n > ROW_MAX) return NULL;
    memcpy(&f, p, sizeof f);
    if (f.n_metric > RUN_MAX_METRICS || f.n_value > VALUES_MAX || f.n_tag > TAGS_MAX || f.state < 0 || f.state >= RUN_STATES) return NULL;
    size_t metrics = f.n_metric * sizeof(struct metric_ends), nums = f.n_value * sizeof(double);
    if (f.text_bytes > n || n != sizeof f + metrics + nums + f.text_bytes) return NULL;
    struct shelf_row *r = X_NEW(struct shelf_row, 1);
    r->refs = 1;
    r->size = n;
    r->block = X_NEW(char, n);
    memcpy(r->block, p, n);
    memcpy(r->stamp, f.stamp, sizeof r->stamp);
    r->value = X_NEW(struct shelf_value, f.n_value + 1);
    r->tag = X_NEW(const char *, f.n_tag + 1);
    const struct metric_ends *m = (const void *)(r->block + sizeof f);
    bool ok = true;
    for (uint32_t i = 0; i < f.n_metric && ok; i++) ok = memchr(m[i].name, 0, sizeof m[i].name) != NULL;
    const char *text = r->block + sizeof f + metrics + nums;
    if (!ok || !texts(r, &f, (const void *)(r->block + sizeof f + metrics), text, text + f.text_bytes)) {
        row_unref(r);
        return NULL;
    }
    struct shelf_run *out = &r->run;
    out->state = (enum run_state)f.state;
    out->exit_code = f.exit_code;
    out->created = f.created;
    out->seconds = f.seconds;
    out->epoch = f.epoch;
    out->step = f.step;
    out->steps = f.steps;
    out->seed = f.seed;
    out->params = f.params;
    out->bytes = f.bytes;
    out->tag = r->tag;
    out->n_tag = f.n_tag;
    out->value = r->value;
    out->n_value = f.n_value;
    out->metric = m;
    out->n_metric = f.n_metric;
    return r;
}
_Static_assert(sizeof(struct fixed) % 8 == 0 && sizeof(struct metric_ends) % 8 == 0, "numbers of a row are aligned");
