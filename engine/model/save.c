/* Models on disk: a folder PATH with model.json (the description) and model.safetensors (the weights), or one file PATH.hone: safetensors with the
 * description in __metadata__. A folder is written beside its place and exchanged in one rename. Loading trusts nothing: the description passes
 * model_describe, and no memory is taken before every tensor's shape was found in the file. Engine or helper thread. */
#include "config.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/graph/backend.h"
#include "engine/model/build.h"
#include "engine/model/hf.h"
#include "engine/model/safetensors.h"
#include "engine/graph/op.h"
#include "engine/ops/i8.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#define JSON_MAX ((size_t)256 << 20) /* vocabularies are inside */

static bool one_file(const char *path) {
    size_t n = strlen(path);
    return (n > 5 && strcmp(path + n - 5, ".hone") == 0) || (n > 12 && strcmp(path + n - 12, ".safetensors") == 0);
}

static struct val *head_of(const struct model *m) {
    struct val *v = val_table();
    val_set_str(v, "format", "hone-model");
    val_set_int(v, "version", 1);
    val_set_int(v, "seed", (int64_t)m->seed);
    val_set_int(v, "params", model_params(m));
    val_set(v, "model", val_copy(m->desc));
    if (m->report) val_set(v, "report", val_copy(m->report));
    return v;
}

/* Tensors as files hold them; what does not lie so in memory is converted into *own (heap, one block). */
static struct st_tensor *tensors_of(const struct model *m, char **own, struct err *e) {
    struct st_tensor *t = X_NEW(struct st_tensor, (size_t)m->n_param + 1);
    size_t bytes = 1;
    for (int i = 0; i < m->n_param; i++)
        if (m->param[i].packed || m->param[i].store != m->param[i].dtype) bytes += dtype_bytes(m->param[i].store, m->param[i].len);
    char *to = *own = mem_try(bytes, 1, "the weights to be saved", e);
    if (!to) {
        free(t);
        return NULL;
    }
    mirror_read(m->data);
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        const void *at = (const char *)m->data + p->offset;
        t[i] = (struct st_tensor){.name = p->name, .dtype = p->store, .ndim = p->ndim, .data = at, .bytes = dtype_bytes(p->store, p->len)};
        memcpy(t[i].dim, p->dim, sizeof t[i].dim);
        if (!p->packed && p->store == p->dtype) continue;
        struct view v = {.data = to, .dtype = p->store};
        if (p->packed) i8_unpack(at, p->dim[0], p->dim[1], (int8_t *)to);
        else
            for (int64_t k = 0; k < p->len; k++) view_put(&v, k, (double)((const float *)at)[k]);
        t[i].data = to;
        to += t[i].bytes;
    }
    return t;
}

/* A folder that is there and not empty is replaced only where it is one of a model. */
static int check_old(const char *path, struct err *e) {
    char *json = io_join(path, "model.json");
    bool ok = io_is_dir(path) && io_exists(json);
    free(json);
    return ok ? 0 : err_set(e, "cannot save to %s: it is there and holds no model: choose another name", path);
}

/* PATH gets the folder `made`; what was there before goes away. Both names always hold a whole folder. */
static int swap_in(const char *made, const char *path, struct err *e) {
    char *old = NULL;
    int rc = 0;
    if (io_fault("model.rename") < 0) rc = err_sys(e, "rename", path);
    else if (!io_exists(path) || rmdir(path) == 0) rc = rename(made, path) < 0 ? err_sys(e, "rename", made) : 0;
    else if (check_old(path, e) < 0) rc = -1;
#ifdef RENAME_EXCHANGE
    else if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_EXCHANGE) == 0) rc = io_remove_tree(made, e);
#endif
    else {
        struct buf b = BUF_INIT;
        buf_addf(&b, "%s.old-%ld", path, (long)getpid());
        old = buf_take(&b);
        if (rename(path, old) < 0 || rename(made, path) < 0) rc = err_sys(e, "rename", path);
        else rc = io_remove_tree(old, e);
    }
    free(old);
    return rc;
}

static int save_folder(const struct model *m, const struct st_tensor *t, const struct val *head, const char *path, struct err *e) {
    struct buf made = BUF_INIT, text = BUF_INIT;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    char *to = mem_strn(path, n), *parent = io_parent(to);
    buf_addf(&made, "%s.tmp-%ld", to, (long)getpid());
    char *json = io_join(made.data, "model.json"), *st = io_join(made.data, "model.safetensors");
    json_write_pretty(&text, head);
    buf_addc(&text, '\n');
    int rc = io_mkdirs(made.data, 0777, e);
    if (rc == 0) rc = io_write_file(json, text.data, text.len, e);
    if (rc == 0) rc = st_write(st, t, (size_t)m->n_param, NULL, e);
    if (rc == 0) rc = io_sync_dir(made.data, e);
    if (rc == 0) rc = swap_in(made.data, to, e);
    if (rc == 0) rc = io_sync_dir(parent, e);
    if (rc < 0 && io_exists(made.data)) io_remove_tree(made.data, NULL);
    buf_release(&made);
    buf_release(&text);
    free(json), free(st), free(parent), free(to);
    return rc;
}

int model_may_save(const char *path, struct err *e) {
    char *dir = io_parent(path);
    int rc = 0;
    if (!one_file(path) && io_exists(path) && !io_is_empty_dir(path)) rc = check_old(path, e);
    else if (one_file(path) && io_is_dir(path)) rc = err_set(e, "cannot save to %s: it is a folder: choose another name", path);
    if (rc == 0 && one_file(path) && access(dir, W_OK) < 0) rc = err_sys(e, "write", path);
    free(dir);
    return rc;
}

int model_save(const struct model *m, const char *path, struct err *e) {
    struct val *head = head_of(m);
    char *own = NULL;
    struct st_tensor *t = tensors_of(m, &own, e);
    int rc;
    if (!t) rc = -1;
    else if (!path || !*path) rc = err_code(e, ERR_USAGE, "give the path to save the model to");
    else if (one_file(path)) {
        struct val *meta = val_table();
        struct buf text = BUF_INIT;
        json_write(&text, head);
        val_set(meta, "hone", val_strn(text.data, text.len));
        rc = st_write(path, t, (size_t)m->n_param, meta, e);
        buf_release(&text);
        val_free(meta);
    } else rc = save_folder(m, t, head, path, e);
    free(t);
    free(own);
    val_free(head);
    return rc;
}

int model_disk_bytes(const struct model *m, int64_t *bytes, struct err *e) {
    struct val *head = head_of(m);
    struct buf text = BUF_INIT, st = BUF_INIT;
    char *own = NULL;
    struct st_tensor *t = tensors_of(m, &own, e);
    if (t) {
        json_write_pretty(&text, head);
        st_bytes(t, (size_t)m->n_param, NULL, &st);
        *bytes = (int64_t)(text.len + 1 + st.len);
    }
    buf_release(&text);
    buf_release(&st);
    free(t);
    free(own);
    val_free(head);
    return t ? 0 : -1;
}

static void shape_text(struct buf *b, const int64_t *dim, int ndim) {
    buf_addc(b, '(');
    for (int i = 0; i < ndim; i++) buf_addf(b, "%s%lld", i ? ", " : "", (long long)dim[i]);
    buf_addc(b, ')');
}
static int check_tensor(const struct param *p, const struct st_file *f, const char *path, struct err *e) {
    const struct st_tensor *t = st_find(f, p->name);
    struct buf want = BUF_INIT, have = BUF_INIT;
    int rc = 0;
    shape_text(&want, p->dim, p->ndim);
    if (t) shape_text(&have, t->dim, t->ndim);
    if (!t) rc = err_set(e, "%s: the tensor %s %s is missing, which the description asks for", path, p->name, want.data);
    else if (t->ndim != p->ndim || memcmp(t->dim, p->dim, (size_t)p->ndim * sizeof *p->dim) != 0)
        rc = err_set(e, "%s: the tensor %s is %s, the description asks for %s", path, p->name, have.data, want.data);
    else if (p->dtype == DT_I8 && t->dtype != DT_I8)
        rc = err_set(e, "%s: the tensor %s holds %s, the description asks for i8", path, p->name, dtypes[t->dtype].name);
    else if (p->dtype != DT_I8 && !dtypes[t->dtype].is_float)
        rc = err_set(e, "%s: the tensor %s holds %s, weights are floats", path, p->name, dtypes[t->dtype].name);
    buf_release(&want);
    buf_release(&have);
    return rc;
}

static int check_weights(const struct model *m, const struct st_file *f, const char *path, struct err *e) {
    for (int i = 0; i < m->n_param; i++)
        if (check_tensor(&m->param[i], f, path, e) < 0) return -1;
    if (f->n > (size_t)m->n_param) log_write(LOG_WARN, "%s holds %zu tensors that the description does not use", path, f->n - (size_t)m->n_param);
    return 0;
}
static void fill_weights(const struct model *m, void *data, const struct st_file *f, const char *path) {
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        const struct st_tensor *t = st_find(f, p->name);
        void *at = (char *)data + p->offset;
        int64_t bad = 0;
        if (p->packed) i8_pack(t->data, p->dim[0], p->dim[1], at);
        else if (p->dtype == DT_I8) memcpy(at, t->data, t->bytes);
        else st_floats(t, at);
        for (int64_t k = 0; k < p->len && p->dtype == DT_F32; k++) bad += !isfinite(((float *)at)[k]);
        if (bad)
            log_write(LOG_WARN, "%s: %lld of the %lld values of %s are not finite: the model will give NaN", path, (long long)bad, (long long)p->len, p->name);
    }
}
static int take_weights(struct model *m, const struct st_file *f, const char *path, struct err *e) {
    if (check_weights(m, f, path, e) < 0) return -1;
    if (m->bytes && !(m->data = mem_try(m->bytes, 1, "the weights", e))) return -1;
    fill_weights(m, m->data, f, path);
    return 0;
}
int model_read_weights(const struct model *m, void *data, const struct st_file *f, const char *path, struct err *e) {
    if (check_weights(m, f, path, e) < 0) return -1;
    fill_weights(m, data, f, path);
    return 0;
}

/* head as written by head_of, checked; takes nothing. */
static struct model *model_of(const struct val *head, const struct st_file *f, const char *path, struct err *e) {
    const struct val *desc = val_get(head, "model");
    if (strcmp(val_get_str(head, "format", ""), "hone-model") != 0 || !desc) {
        err_set(e, "%s: this is not the description of a model", path);
        return NULL;
    }
    if (val_get_int(head, "version", 0) != 1) {
        err_set(e, "%s: its format version is %lld, this hone reads version 1", path, (long long)val_get_int(head, "version", 0));
        return NULL;
    }
    struct val *d = model_describe(desc, NULL, e);
    struct model *m = d ? model_blank(d, (uint64_t)val_get_int(head, "seed", 1), e) : NULL;
    if (!m) err_wrap(e, "%s", path);
    else if (take_weights(m, f, path, e) < 0) {
        model_free(m);
        m = NULL;
    } else if (val_get(head, "report") && val_get(head, "report")->type == VAL_TABLE) m->report = val_copy(val_get(head, "report"));
    return m;
}

struct model *model_load(const char *path, struct err *e) {
    struct st_file f = {0};
    struct val *head = NULL;
    struct model *m = NULL;
    if (hf_is(path)) return hf_load(path, &(struct hf_options){.seed = 1, .dropout = -1}, e);
    if (io_is_dir(path)) {
        char *json = io_join(path, "model.json"), *st = io_join(path, "model.safetensors");
        head = json_read_file(json, JSON_MAX, e);
        if (head && st_read(st, &f, e) == 0) m = model_of(head, &f, path, e);
        free(json);
        free(st);
    } else if (st_read(path, &f, e) == 0) {
        const struct val *text = val_get(f.meta, "hone");
        if (!text) err_set(e, "%s holds tensors but no description of a model: save it with hone, or load it into a model of the same shapes", path);
        else head = json_parse(text->u.s.p, text->u.s.len, path, e);
        if (head) m = model_of(head, &f, path, e);
    }
    st_release(&f);
    val_free(head);
    return m;
}
