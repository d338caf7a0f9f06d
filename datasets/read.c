/* Reading files on a few threads: each takes the next file, parses it and sums it; the caller puts the tables together in the order
 * of the files, so nothing depends on who was first. Called on the helper thread. */
#include "datasets/read.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

#define THREADS 8
#define POLL 0.02 /* seconds between two looks at the user's wish to stop */

struct file {
    const struct source_file *f;
    struct table t;
    char hex[65];
    int64_t bytes;
    int result;
    struct err err;
};
struct reading {
    struct file *file; /* file i belongs to the thread that took it */
    int n; /* immutable from here */
    struct read_opts opts;
    _Atomic int next, done;
    _Atomic bool stop;
};

static int stop_asked(void *ctx, const char *phase, double fraction) {
    (void)phase, (void)fraction;
    return atomic_load(&((struct reading *)ctx)->stop);
}

/* Of a folder the sum is that of its texts one after the other. */
static int sum(struct file *x) {
    if (!io_is_dir(x->f->path)) return io_sha256_file(x->f->path, x->hex, &x->bytes, &x->err);
    if (!x->t.n_col || !x->t.origin) return 0;
    const struct column *c = &x->t.col[0];
    x->bytes = c->type == COL_TEXT ? c->offset[x->t.n] : x->t.n * c->width;
    io_sha256(c->data, (size_t)x->bytes, x->hex);
    return 0;
}

static void *work(void *arg) {
    struct reading *r = arg;
    for (int i; (i = atomic_fetch_add(&r->next, 1)) < r->n;) {
        struct file *x = &r->file[i];
        struct read_opts o = r->opts;
        o.pick = x->f->pick;
        o.optional = x->f->optional;
        x->result = atomic_load(&r->stop) ? err_code(&x->err, ERR_STOPPED, "loading was stopped") : format_read(x->f->path, &o, &x->t, &x->err);
        if (!x->result) x->result = sum(x);
        atomic_fetch_add(&r->done, 1);
    }
    return NULL;
}

static void read_all(struct reading *r, const struct read_opts *o, int threads) {
    pthread_t thread[THREADS];
    int n = 0, want = threads > 0 ? threads : thread_cores();
    if (r->n > 1) {
        r->opts.progress = stop_asked;
        r->opts.ctx = r;
    }
    for (; r->n > 1 && n < want && n < THREADS && n < r->n; n++)
        if (thread_start(&thread[n], "hone-read", work, r, NULL)) break;
    if (!n) work(r);
    while (n && atomic_load(&r->done) < r->n) {
        clock_sleep(POLL / 20);
        for (double until = clock_now() + POLL; clock_now() < until && atomic_load(&r->done) < r->n;) clock_sleep(POLL / 20);
        if (o->progress && o->progress(o->ctx, "reading", (double)atomic_load(&r->done) / r->n)) atomic_store(&r->stop, true);
    }
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
}

/* More rows of the same columns: data_batch_1.bin, data_batch_2.bin .. */
static int append(struct table *into, const struct table *t, struct err *e) {
    bool same = t->n_col == into->n_col && !t->line && !into->line && !t->origin && !into->origin;
    for (int i = 0; same && i < t->n_col; i++)
        same = t->col[i].type == into->col[i].type && t->col[i].type != COL_TEXT && t->col[i].width == into->col[i].width &&
               !strcmp(t->col[i].name, into->col[i].name);
    if (!same) return err_set(e, "%s does not hold the same columns as %s, so its rows cannot follow them", t->file, into->file);
    for (int i = 0; i < t->n_col; i++) {
        struct column *c = &into->col[i];
        size_t row = (size_t)c->width * (c->type == COL_U8 ? 1 : 4), have = (size_t)into->n * row, more = (size_t)t->n * row;
        char *p = mem_try(have + more + 1, 1, "the data set", e);
        if (!p) return -1;
        memcpy(p, c->data, have);
        memcpy(p + have, t->col[i].data, more);
        free(c->data);
        c->data = p;
    }
    into->n += t->n;
    return 0;
}

/* One more file of a part: its columns beside those that are there, or its rows below them. */
static int join(struct table *into, struct table *t, int role, struct err *e) {
    if (role == ROLE_Y && t->n_col == 1) {
        free(t->col[0].name);
        t->col[0].name = mem_str("y");
    }
    if (!into->n_col) {
        *into = *t;
        memset(t, 0, sizeof *t);
        return 0;
    }
    if (role == ROLE_ALL && !into->rows && table_find(into, t->col[0].name) == 0) return append(into, t, e);
    if (into->n != t->n)
        return err_set(e, "%s has %lld examples, but %s has %lld; they must be of the same part of the same set", into->file, (long long)into->n, t->file,
            (long long)t->n);
    for (int i = 0; i < t->n_col; i++) {
        struct column *c = table_add(into, t->col[i].name, t->col[i].type);
        free(c->name);
        *c = t->col[i];
        memset(&t->col[i], 0, sizeof t->col[i]);
    }
    return 0;
}

/* x_train, y_test ..: the arrays of one file go to their parts. */
static int split_arrays(struct table tab[PART_N], struct err *e) {
    struct table all = tab[PART_TRAIN];
    static const struct {
        const char *end;
        int part;
    } ends[] = {{"_train", PART_TRAIN}, {"_val", PART_VAL}, {"_valid", PART_VAL}, {"_test", PART_TEST}};
    if (!all.rows) return 0;
    memset(&tab[PART_TRAIN], 0, sizeof all);
    int r = 0;
    for (int i = 0; i < all.n_col && !r; i++) {
        struct column c = all.col[i];
        struct table one = {.file = mem_str(all.file), .n = all.rows[i], .n_col = 1, .col = X_NEW(struct column, 1), .named = true, .format = all.format};
        memset(&all.col[i], 0, sizeof c);
        int part = PART_TRAIN;
        for (size_t k = 0; k < LEN(ends); k++) {
            size_t n = strlen(c.name), m = strlen(ends[k].end);
            if (n > m && !strcmp(c.name + n - m, ends[k].end)) {
                part = ends[k].part;
                c.name[n - m] = 0;
            }
        }
        one.col[0] = c;
        r = join(&tab[part], &one, ROLE_ALL, e);
        table_free(&one);
    }
    if (!r && !tab[PART_TRAIN].n_col) r = err_set(e, "%s has no arrays of a training part: x and y, or x_train and y_train", all.file);
    table_free(&all);
    return r;
}

static void identify(const struct file *x, struct val *files) {
    struct val *f = val_table();
    val_set_str(f, "path", x->f->path);
    val_set_str(f, "part", part_names[x->f->part]);
    if (*x->hex) {
        val_set_int(f, "bytes", x->bytes);
        val_set_str(f, "sha256", x->hex);
    }
    val_push(files, f);
}

int read_files(
    const struct source *src, const struct read_opts *o, const bool want[PART_N], int threads, struct table tab[PART_N], struct val *files, struct err *e) {
    struct reading r = {.file = X_NEW(struct file, (size_t)src->n + 1), .opts = *o};
    for (int i = 0; i < src->n; i++)
        if (want[src->file[i].part]) r.file[r.n++].f = &src->file[i];
    int rc = o->progress && o->progress(o->ctx, "reading", 0) ? err_code(e, ERR_STOPPED, "loading was stopped") : 0;
    if (rc == 0) read_all(&r, o, threads);
    for (int i = 0; i < r.n && rc == 0; i++) {
        struct file *x = &r.file[i];
        identify(x, files);
        if (x->result) {
            if (e) *e = x->err;
            rc = -1;
        } else if (x->t.n) rc = join(&tab[x->f->part], &x->t, x->f->role, e);
    }
    for (int i = 0; i < r.n; i++) table_free(&r.file[i].t);
    free(r.file);
    return rc ? -1 : split_arrays(tab, e);
}
