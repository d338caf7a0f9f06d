/* Writing and reading checkpoints. */
#include "config.h"

#include "engine/graph/backend.h"
#include "engine/train/ckpt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model/build.h"
#include "engine/model/safetensors.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

enum { COPY_PIECE = 1 << 20 };
#define STAGES 2 /* saves that may be under way or waiting, so that the loop need not wait for the disk .. */
#define SECOND_MAX ((size_t)128 << 20) /* .. where a copy is no larger than this */
static const char *const parts[] = {"model.json", "model.safetensors", "state.safetensors"};

struct stage { /* copies of one moment */
    struct model *model;
    char *state, *raw; /* raw: the weights that training goes on from, where the model's are averaged; n_raw bytes */
    size_t bytes, n_raw;
    struct st_tensor *tensor; /* of the state, pointing into `state`; names owned */
    size_t n;
    struct val *meta;
    int64_t step;
    bool best;
};
struct ckpt_writer {
    char *dir; /* immutable: RUN/ckpt */
    pthread_t thread;
    bool started;
    struct stage stage[STAGES]; /* [first, first + queued) round the ring are the writer's, the others the engine thread's */
    int64_t kept_best; /* writer thread */
    char *best_name;
    pthread_mutex_t lock; /* protects everything below */
    pthread_cond_t changed;
    bool quit;
    int first, queued, n_done;
    struct ckpt_done done[STAGES + 2]; /* not yet reported: those of the ring, and one put since the last report */
};

/* ---- writing ---- */

static void free_tensors(struct stage *s) {
    for (size_t i = 0; i < s->n; i++) free((char *)(uintptr_t)s->tensor[i].name);
    free(s->tensor);
    s->tensor = NULL;
    s->n = 0;
}

/* The slot's tensors, named OWNER/STATE. */
static void name_slot(struct stage *s, const char *owner, const struct optim_slot *slot) {
    for (int k = 0; k < slot->n; k++) {
        struct buf b = BUF_INIT;
        buf_addf(&b, "%s/%s", owner, slot->state[k].name);
        s->tensor = X_GROW(s->tensor, struct st_tensor, s->n + 1);
        struct st_tensor *t = &s->tensor[s->n++];
        *t = (struct st_tensor){
            .name = buf_take(&b), .dtype = slot->state[k].dtype, .ndim = slot->state[k].ndim, .data = s->state + slot->at[k], .bytes = slot->bytes[k]};
        memcpy(t->dim, slot->state[k].dim, sizeof t->dim);
    }
}

/* raw: where the weights lie that training goes on from, or NULL. */
static void name_states(struct stage *s, const struct model *m, const struct optimiser *o, const char *raw) {
    free_tensors(s);
    for (int i = 0; raw && i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        struct buf b = BUF_INIT;
        buf_addf(&b, "%s/raw", p->name);
        s->tensor = X_GROW(s->tensor, struct st_tensor, s->n + 1);
        struct st_tensor *t = &s->tensor[s->n++];
        *t = (struct st_tensor){.name = buf_take(&b), .dtype = p->dtype, .ndim = p->ndim, .data = raw + p->offset, .bytes = dtype_bytes(p->dtype, p->len)};
        memcpy(t->dim, p->dim, sizeof t->dim);
    }
    for (int i = 0; i < m->n_param && i < o->l.n_slot; i++) name_slot(s, m->param[i].name, &o->l.slot[i]);
    name_slot(s, "optim", &o->l.shared);
}

static int commit_text(const char *tmp, struct buf *b, int64_t step, int64_t *total, struct err *e) {
    struct val *v = val_table(), *list = val_table();
    int rc = 0;
    *total = 0;
    for (size_t i = 0; i < LEN(parts) && rc == 0; i++) {
        char *path = io_join(tmp, parts[i]), hex[65];
        int64_t n = 0;
        rc = io_sha256_file(path, hex, &n, e);
        struct val *p = val_table();
        val_set_int(p, "bytes", n);
        val_set_str(p, "sha256", rc == 0 ? hex : "");
        val_set(list, parts[i], p);
        *total += n;
        free(path);
    }
    val_set_str(v, "format", "hone-checkpoint");
    val_set_int(v, "version", 1);
    val_set_int(v, "step", step);
    val_set(v, "parts", list);
    json_write(b, v);
    buf_addc(b, '\n');
    val_free(v);
    return rc;
}

static int write_parts(const struct stage *s, const char *tmp, int64_t *bytes, struct err *e) {
    char *state = io_join(tmp, "state.safetensors"), *commit = io_join(tmp, "commit");
    struct buf text = BUF_INIT;
    struct val *meta = val_table();
    json_write(&text, s->meta);
    val_set(meta, "train", val_strn(text.data, text.len));
    buf_clear(&text);
    int rc = io_exists(tmp) ? io_remove_tree(tmp, e) : 0;
    if (rc == 0) rc = model_save(s->model, tmp, e);
    if (rc == 0 && io_fault("ckpt.state") < 0) rc = err_sys(e, "write", state);
    if (rc == 0) rc = st_write(state, s->tensor, s->n, meta, e);
    if (rc == 0) rc = commit_text(tmp, &text, s->step, bytes, e);
    if (rc == 0 && io_fault("ckpt.commit") < 0) rc = err_sys(e, "write", commit);
    if (rc == 0) rc = io_write_file(commit, text.data, text.len, e);
    if (rc == 0) rc = io_sync_dir(tmp, e);
    val_free(meta);
    buf_release(&text);
    free(state);
    free(commit);
    return rc;
}

/* STEP, or STEP.2 ... where that is taken (a second save of one step, after an edit). */
static char *free_name(const char *dir, int64_t step) {
    for (int i = 1;; i++) {
        struct buf b = BUF_INIT;
        buf_addf(&b, i == 1 ? "%s/%" PRId64 : "%s/%" PRId64 ".%d", dir, step, i);
        if (!io_exists(b.data)) return buf_take(&b);
        buf_release(&b);
    }
}

static void remove_others(struct ckpt_writer *w, const char *keep) {
    DIR *d = opendir(w->dir);
    struct dirent *f;
    const char *base = strrchr(keep, '/') + 1;
    while (d && (f = readdir(d))) {
        if (f->d_name[0] == '.' || strcmp(f->d_name, base) == 0 || (w->best_name && strcmp(f->d_name, w->best_name) == 0)) continue;
        char *path = io_join(w->dir, f->d_name);
        struct err e = {0};
        if (io_fault("ckpt.remove") == 0 && io_remove_tree(path, &e) < 0) log_write(LOG_WARN, "%s", e.text);
        free(path);
    }
    if (d) closedir(d);
}

static void save(struct ckpt_writer *w, const struct stage *s, struct ckpt_done *out) {
    struct err e = {0};
    double t = clock_now();
    char *tmp = io_join(w->dir, ".tmp"), *path = NULL;
    int64_t bytes = 0;
    int rc = io_mkdirs(w->dir, 0777, &e);
    if (rc == 0) rc = write_parts(s, tmp, &bytes, &e);
    path = free_name(w->dir, s->step);
    if (rc == 0 && (io_fault("ckpt.rename") < 0 || rename(tmp, path) < 0)) rc = err_sys(&e, "rename", tmp);
    if (rc == 0) rc = io_sync_dir(w->dir, &e);
    if (rc == 0 && s->best) {
        free(w->best_name);
        w->best_name = mem_str(strrchr(path, '/') + 1);
    }
    if (rc == 0) remove_others(w, path);
    else if (io_exists(tmp)) io_remove_tree(tmp, NULL);
    *out = (struct ckpt_done){s->step, bytes, s->best, rc == 0, clock_now() - t, ""};
    snprintf(out->text, sizeof out->text, "%s", rc == 0 ? path : e.text);
    free(tmp);
    free(path);
}

static void *loop(void *arg) {
    struct ckpt_writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->queued && !w->quit) pthread_cond_wait(&w->changed, &w->lock);
        if (!w->queued) break;
        const struct stage *s = &w->stage[w->first];
        pthread_mutex_unlock(&w->lock);
        struct ckpt_done done;
        save(w, s, &done);
        pthread_mutex_lock(&w->lock);
        if (w->n_done == (int)LEN(w->done)) memmove(w->done, w->done + 1, (size_t)--w->n_done * sizeof *w->done); /* nobody asks: the newest are kept */
        w->done[w->n_done++] = done;
        w->first = (w->first + 1) % STAGES;
        w->queued--;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct ckpt_writer *ckpt_writer_new(const char *dir, struct err *e) {
    struct ckpt_writer *w = X_NEW(struct ckpt_writer, 1);
    w->dir = io_join(dir, "ckpt");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (thread_start(&w->thread, "writer", loop, w, e) < 0) {
        ckpt_writer_free(w);
        return NULL;
    }
    w->started = true;
    return w;
}

static int stage(struct stage *s, const struct model *m, const struct optimiser *o, const float *average, struct err *e) {
    if (!s->model && !(s->model = model_clone(m))) return err_set(e, "there is not enough memory to stage a checkpoint of %zu MiB", m->bytes >> 20);
    if (!s->state || s->bytes != o->l.bytes) {
        free(s->state);
        s->bytes = o->l.bytes;
        if (!(s->state = mem_try(o->l.bytes ? o->l.bytes : 1, 1, "the staged optimiser state", e))) return -1;
    }
    if (average && s->n_raw != m->bytes) {
        free(s->raw);
        s->n_raw = 0;
        if (!(s->raw = mem_try(m->bytes ? m->bytes : 1, 1, "the staged weights", e))) return -1;
        s->n_raw = m->bytes;
    }
    mirror_read(m->data);
    mirror_read(o->l.state);
    if (average) memcpy(s->raw, m->data, m->bytes);
    memcpy(s->model->data, average ? average : m->data, m->bytes);
    if (o->l.bytes) memcpy(s->state, o->l.state, o->l.bytes);
    if (!val_equal(s->model->desc, m->desc)) {
        val_free(s->model->desc);
        s->model->desc = val_copy(m->desc);
    }
    name_states(s, m, o, average ? s->raw : NULL);
    return 0;
}

int ckpt_writer_put(struct ckpt_writer *w, const struct model *m, const struct optimiser *o, const float *average, struct val *meta_take, int64_t step,
    bool best, struct err *e) {
    int most = m->bytes + o->l.bytes <= SECOND_MAX ? STAGES : 1;
    pthread_mutex_lock(&w->lock);
    while (w->queued >= most) pthread_cond_wait(&w->changed, &w->lock);
    struct stage *s = &w->stage[(w->first + w->queued) % STAGES];
    pthread_mutex_unlock(&w->lock);
    if (stage(s, m, o, average, e) < 0) {
        val_free(meta_take);
        return -1;
    }
    val_free(s->meta);
    s->meta = meta_take;
    s->step = step;
    s->best = best;
    pthread_mutex_lock(&w->lock);
    w->queued++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

/* A second name for a file, which is never written again, or a copy of it. */
static int link_file(const char *from, const char *to, struct err *e) {
    int64_t size = 0;
    if (link(from, to) == 0) return 0;
    if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != ENOTSUP) return err_sys(e, "link", from);
    int in = io_open_file(from, &size, e), out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int rc = in < 0 ? -1 : out < 0 ? err_sys(e, "create", to) : 0;
    char *piece = mem_new(1, COPY_PIECE);
    for (ssize_t n; rc == 0 && (n = read(in, piece, COPY_PIECE)) != 0;) rc = n < 0 ? err_sys(e, "read", from) : io_write_all(out, piece, (size_t)n, to, e);
    if (rc == 0 && fsync(out) < 0) rc = err_sys(e, "sync", to);
    if (in >= 0) close(in);
    if (out >= 0 && close(out) < 0 && rc == 0) rc = err_sys(e, "close", to);
    free(piece);
    return rc;
}

int ckpt_writer_adopt(struct ckpt_writer *w, const char *folder, struct err *e) {
    const char *name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
    char *tmp = io_join(w->dir, ".tmp"), *to = io_join(w->dir, name);
    int rc = io_exists(tmp) ? io_remove_tree(tmp, e) : 0;
    if (rc == 0) rc = io_mkdirs(tmp, 0777, e);
    for (size_t i = 0; i <= LEN(parts) && rc == 0; i++) {
        const char *part = i < LEN(parts) ? parts[i] : "commit";
        char *a = io_join(folder, part), *b = io_join(tmp, part);
        rc = link_file(a, b, e);
        free(a);
        free(b);
    }
    if (rc == 0) rc = io_sync_dir(tmp, e);
    if (rc == 0 && rename(tmp, to) < 0) rc = err_sys(e, "rename", tmp);
    if (rc == 0) rc = io_sync_dir(w->dir, e);
    if (rc == 0) w->best_name = mem_str(name); /* the writer has nothing to do yet */
    else io_remove_tree(tmp, NULL);
    free(tmp);
    free(to);
    return rc;
}

bool ckpt_writer_done(struct ckpt_writer *w, struct ckpt_done *out) {
    pthread_mutex_lock(&w->lock);
    bool news = w->n_done > 0;
    if (news) {
        *out = w->done[0];
        memmove(w->done, w->done + 1, (size_t)--w->n_done * sizeof *w->done);
    }
    pthread_mutex_unlock(&w->lock);
    return news;
}

void ckpt_writer_wait(struct ckpt_writer *w) {
    pthread_mutex_lock(&w->lock);
    while (w->queued) pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

size_t ckpt_writer_bytes(const struct ckpt_writer *w) {
    size_t n = 0;
    for (int i = 0; i < STAGES; i++) n += w->stage[i].model ? w->stage[i].model->bytes + w->stage[i].bytes + w->stage[i].n_raw : 0;
    return n;
}

void ckpt_writer_free(struct ckpt_writer *w) {
    if (!w) return;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->quit = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
    }
    for (int i = 0; i < STAGES; i++) {
        free_tensors(&w->stage[i]);
        model_free(w->stage[i].model);
        free(w->stage[i].state);
        free(w->stage[i].raw);
        val_free(w->stage[i].meta);
    }
    free(w->best_name);
    free(w->dir);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- reading ---- */

static int check_part(const char *folder, const char *name, const struct val *want, struct err *e) {
    char *path = io_join(folder, name), hex[65];
    int64_t n = 0;
    int rc = io_sha256_file(path, hex, &n, e);
    if (rc == 0 && n != val_get_int(want, "bytes", -1))
        rc = err_set(e, "%s has %" PRId64 " bytes, its commit record says %" PRId64, path, n, val_get_int(want, "bytes", -1));
    else if (rc == 0 && strcmp(hex, val_get_str(want, "sha256", "")) != 0)
        rc = err_set(e, "%s does not have the SHA-256 of its commit record: it is damaged", path);
    free(path);
    return rc;
}

static struct val *meta_of(const char *folder, struct err *e) {
    char *path = io_join(folder, "state.safetensors");
    struct st_file f;
    struct val *meta = NULL;
    if (st_read(path, &f, e) == 0) {
        const char *text = val_get_str(f.meta, "train", NULL);
        if (text) meta = json_parse(text, strlen(text), path, e);
        else err_set(e, "%s holds no training state", path);
        st_release(&f);
    }
    free(path);
    return meta;
}

/* 0: good. */
static int check_folder(const char *folder, struct val **meta, struct err *e) {
    char *path = io_join(folder, "commit");
    struct val *c = json_read_file(path, 1 << 20, e);
    int rc = c ? 0 : -1;
    if (rc == 0 && strcmp(val_get_str(c, "format", ""), "hone-checkpoint") != 0) rc = err_set(e, "%s is no commit record of hone", path);
    for (size_t i = 0; i < LEN(parts) && rc == 0; i++) rc = check_part(folder, parts[i], val_get(val_get(c, "parts"), parts[i]), e);
    if (rc == 0 && !(*meta = meta_of(folder, e))) rc = -1;
    val_free(c);
    free(path);
    return rc;
}

struct entry {
    int64_t step;
    int turn;
    char name[64];
};
static int newest_first(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->step != y->step) return (x->step < y->step) - (x->step > y->step);
    return (x->turn < y->turn) - (x->turn > y->turn);
}

static size_t list_folders(const char *dir, struct entry **out) {
    DIR *d = opendir(dir);
    struct dirent *f;
    size_t n = 0;
    *out = NULL;
    while (d && (f = readdir(d))) {
        struct entry x = {0, 1, ""};
        char *end;
        errno = 0;
        x.step = strtoll(f->d_name, &end, 10);
        if (end == f->d_name || errno || strlen(f->d_name) >= sizeof x.name) continue;
        if (*end == '.') x.turn = (int)strtol(end + 1, &end, 10);
        if (*end) continue;
        memcpy(x.name, f->d_name, strlen(f->d_name) + 1);
        *out = X_GROW(*out, struct entry, n + 1);
        (*out)[n++] = x;
    }
    if (d) closedir(d);
    if (n) qsort(*out, n, sizeof **out, newest_first);
    return n;
}

char *ckpt_find(const char *path, struct val **meta, struct err *e) {
    char *commit = io_join(path, "commit"), *dir = io_join(path, "ckpt"), *found = NULL;
    struct entry *list = NULL;
    if (io_exists(commit)) {
        if (check_folder(path, meta, e) == 0) found = mem_str(path);
        goto out;
    }
    if (!io_is_dir(dir)) {
        free(dir);
        dir = mem_str(path);
    }
    size_t n = list_folders(dir, &list);
    for (size_t i = 0; i < n && !found; i++) {
        struct err why = {0};
        char *folder = io_join(dir, list[i].name);
        if (check_folder(folder, meta, &why) == 0) found = folder;
        else {
            log_write(LOG_WARN, "checkpoint %s is left out: %s", folder, why.text);
            free(folder);
        }
    }
    if (!found) err_set(e, n ? "none of the %zu checkpoints in %s is whole; see the notices" : "there are %zu checkpoints in %s: nothing to resume", n, dir);
out:
    free(list);
    free(commit);
    free(dir);
    return found;
}

static int take(
    const struct st_file *f, const char *name, enum dtype d, int ndim, const int64_t *dim, size_t bytes, void *to, const char *path, struct err *e) {
    const struct st_tensor *t = st_find(f, name);
    bool same = t && t->dtype == d && t->ndim == ndim && t->bytes == bytes;
    for (int i = 0; same && i < ndim; i++) same = t->dim[i] == dim[i];
    if (!same) return err_set(e, "%s %s \"%s\": the checkpoint belongs to another model or optimiser", path, t ? "holds another shape of" : "lacks", name);
    memcpy(to, t->data, t->bytes);
    return 0;
}

int ckpt_weights(const char *folder, const struct model *m, void *data, struct err *e) {
    char *path = io_join(folder, "model.safetensors");
    struct st_file w;
    int rc = st_read(path, &w, e);
    if (rc == 0) {
        rc = model_read_weights(m, data, &w, path, e);
        st_release(&w);
    }
    free(path);
    return rc;
}

char *ckpt_at(const char *folder, int64_t step) {
    char *dir = io_join(folder, ".."), *found = NULL;
    struct entry *list = NULL;
    size_t n = list_folders(dir, &list);
    for (size_t i = 0; i < n && !found; i++) {
        struct err e = {0};
        struct val *meta = NULL;
        char *path = list[i].step == step ? io_join(dir, list[i].name) : NULL;
        if (path && check_folder(path, &meta, &e) == 0) found = mem_str(path);
        val_free(meta);
        free(path);
    }
    free(list);
    free(dir);
    return found;
}

int ckpt_load(const char *folder, struct model *m, struct optimiser *o, float *average, struct err *e) {
    char *spath = io_join(folder, "state.safetensors");
    struct stage s = {.state = o->l.state};
    struct st_file f;
    int rc = ckpt_weights(folder, m, average ? average : m->data, e);
    if (rc == 0) rc = st_read(spath, &f, e);
    else goto out;
    if (rc < 0) goto out;
    name_states(&s, m, o, average ? (const char *)m->data : NULL);
    for (size_t i = 0; i < s.n && rc == 0; i++)
        rc = take(&f, s.tensor[i].name, s.tensor[i].dtype, s.tensor[i].ndim, s.tensor[i].dim, s.tensor[i].bytes, (void *)(uintptr_t)s.tensor[i].data, spath, e);
    free_tensors(&s);
    st_release(&f);
    mirror_wrote(m->data);
    mirror_wrote(o->l.state);
    m->version++;
out:
    free(spath);
    return rc;
}
