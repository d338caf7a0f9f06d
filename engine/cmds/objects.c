/* One table for both kinds under one leaf lock. Slots are never given again, so a generation is that of the process. */
#include "engine/cmds/objects.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

struct object {
    enum handle_kind kind; /* HANDLE_NONE: dropped */
    void *p;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects everything below */
static struct object *object;
static size_t count, cap;
#define GENERATION 1u

static struct handle add(enum handle_kind kind, void *p) {
    pthread_mutex_lock(&lock);
    if (count == cap) object = X_GROW(object, struct object, cap = cap ? 2 * cap : 16);
    object[count++] = (struct object){kind, p};
    struct handle h = {.id = (uint32_t)count, .gen = GENERATION, .kind = kind};
    pthread_mutex_unlock(&lock);
    return h;
}

struct handle objects_add_data(struct dataset *d) {
    return add(HANDLE_DATA, d);
}
struct handle objects_add_model(struct model *m) {
    return add(HANDLE_MODEL, m);
}

/* With the lock held. */
static struct object *find(struct handle h, enum handle_kind kind) {
    bool same = h.kind == kind || (kind == HANDLE_DATA && h.kind == HANDLE_PART);
    if (!same || !h.id || h.id > count || h.gen != GENERATION || object[h.id - 1].kind != kind) return NULL;
    return &object[h.id - 1];
}

static int unknown(struct handle h, enum handle_kind kind, struct err *e) {
    const char *what = kind == HANDLE_DATA ? "data set" : "model";
    if (!h.id) return err_code(e, ERR_USAGE, "no %s is given", what);
    static const char *const names[HANDLE_KINDS] = {"nothing", "a model", "a data set", "a part of a data set", "a run", "a job"};
    if (h.kind != kind && !(kind == HANDLE_DATA && h.kind == HANDLE_PART))
        return err_code(e, ERR_USAGE, "a %s is needed here, not %s", what, names[h.kind < HANDLE_KINDS ? h.kind : 0]);
    return err_code(e, ERR_USAGE, "there is no %s #%u any more", what, h.id);
}

struct dataset *objects_data(struct handle h, struct err *e) {
    pthread_mutex_lock(&lock);
    struct object *o = find(h, HANDLE_DATA);
    struct dataset *d = o ? o->p : NULL;
    if (d) dataset_ref(d);
    pthread_mutex_unlock(&lock);
    if (!d) unknown(h, HANDLE_DATA, e);
    return d;
}

struct model *objects_model(struct handle h, struct err *e) {
    pthread_mutex_lock(&lock);
    struct object *o = find(h, HANDLE_MODEL);
    struct model *m = o ? o->p : NULL;
    pthread_mutex_unlock(&lock);
    if (!m) unknown(h, HANDLE_MODEL, e);
    return m;
}

static void *take(struct handle h, enum handle_kind kind, struct err *e) {
    pthread_mutex_lock(&lock);
    struct object *o = find(h, kind);
    void *p = o ? o->p : NULL;
    if (o) *o = (struct object){HANDLE_NONE, NULL};
    pthread_mutex_unlock(&lock);
    if (!p) unknown(h, kind, e);
    return p;
}

struct model *objects_take_model(struct handle h, struct err *e) {
    return take(h, HANDLE_MODEL, e);
}

int objects_drop_data(struct handle h, struct err *e) {
    struct dataset *d = take(h, HANDLE_DATA, e);
    if (!d) return -1;
    dataset_unref(d);
    return 0;
}

struct handle objects_at(enum handle_kind kind, size_t i) {
    struct handle h = {0};
    pthread_mutex_lock(&lock);
    for (size_t k = 0; k < count; k++)
        if (object[k].kind == kind && !i--) {
            h = (struct handle){.id = (uint32_t)k + 1, .gen = GENERATION, .kind = kind};
            break;
        }
    pthread_mutex_unlock(&lock);
    return h;
}

void objects_release(void (*free_model)(struct model *m)) {
    for (size_t i = 0; i < count; i++) {
        if (object[i].kind == HANDLE_DATA) dataset_unref(object[i].p);
        else if (object[i].kind == HANDLE_MODEL && free_model) free_model(object[i].p);
    }
    free(object);
    object = NULL;
    count = cap = 0;
}
