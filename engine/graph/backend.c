/* Finding, opening and keeping backends; blocks of host memory that live on a device as well. */
#include "config.h"

#include "engine/graph/backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/choose.h"
#include "engine/graph/gpus.h"
#include "engine/graph/tuned.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/call/settings.h"

#define DEVICES_MAX 16
#define GONE_S 4.0 /* after the driver's report of an error that ends what runs; the library's own error comes sooner, as a rule */
#define REPORT_S 1.5 /* the driver's report of an error comes after the library's own */

struct mirror {
    struct mirror *next;
    void *host, *device;
    size_t bytes;
    bool host_newer, device_newer;
};
static struct backend_device *open_devices[DEVICES_MAX]; /* engine thread only */

/* ---- what a backend may ask ---- */

static double host_number(const struct node *n, const char *name) {
    struct val *v = args_get(&n->op->kind, n->attr, name);
    double d = 0;
    int64_t i;
    const struct arg *a = args_find(&n->op->kind, name);
    if (v && v->type == VAL_STR && a && a->names) {
        for (i = 0; a->names[i] && strcmp(a->names[i], v->u.s.p) != 0; i++) continue;
        d = (double)i;
    } else if (v && v->type == VAL_BOOL) d = v->u.b;
    else if (v) val_as_num(v, &d);
    val_free(v);
    return d;
}

static int host_shape(const struct node *n, const char *name, int64_t *out, int max) {
    struct val *v = args_get(&n->op->kind, n->attr, name);
    int count = 0;
    if (v && v->type != VAL_TABLE && max > 0 && val_as_int(v, out)) count = 1; /* a single extent */
    for (size_t i = 0; v && v->type == VAL_TABLE && i < val_len(v) && count < max; i++)
        if (val_as_int(val_at(v, i), &out[count])) count++;
    val_free(v);
    return count;
}

static bool (*on_wait)(void *ctx); /* engine thread only */
static void *on_wait_ctx;
void backend_on_wait(bool (*parted)(void *ctx), void *ctx) { on_wait = parted, on_wait_ctx = ctx; }
static bool host_parted(void) { return on_wait && on_wait(on_wait_ctx); }

static bool host_gone(const struct device *d) { return gpus_gone(d->bus, GONE_S); }

static const struct host host = {BACKEND_ABI, err_set, host_number, host_shape, choose_measures, tuned_recall, tuned_keep, host_parted, host_gone};

/* ---- plugins ---- */

/* hone_NAME.so: where HONE_NAME of the environment says, beside the program (share/hone in a build tree), in the library folder. */
static char *plugin_path(const char *name) {
    char variable[32], file[48];
    snprintf(variable, sizeof variable, "HONE_%s", strcmp(name, "cuda") == 0 ? "CUDA" : name);
    snprintf(file, sizeof file, "hone_%s.so", name);
    const char *said = getenv(variable);
    if (said && *said) return mem_str(said);
    char *exe = io_exe_dir(), *folders[] = {exe ? mem_str(exe) : NULL, exe ? io_join(exe, "../lib/hone") : NULL, mem_str(HONE_LIBDIR)}, *found = NULL;
    for (size_t i = 0; i < LEN(folders); i++) {
        char *path = folders[i] && *folders[i] ? io_join(folders[i], file) : NULL;
        if (path && !found && io_exists(path)) found = path;
        else free(path);
        free(folders[i]);
    }
    free(exe);
    return found;
}

static const struct backend *plugin(const char *name, struct err *e) {
    static const struct backend *known; /* one kind of device today; a plugin is never closed */
    if (known && strcmp(known->name, name) == 0) return known;
    char *path = plugin_path(name);
    if (!path) {
        err_set(e, "this installation has no plugin for %s (hone_%s.so): build it with configure --with-cuda, or use --device cpu", name, name);
        return NULL;
    }
    void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    backend_entry entry = NULL;
    if (h) *(void **)&entry = dlsym(h, "hone_backend");
    const struct backend *b = NULL;
    if (!h) err_set(e, "cannot open %s: %s", path, dlerror());
    else if (!entry) err_set(e, "%s is not a plugin of hone: it has no hone_backend", path);
    else if (!(b = entry(&host)) || b->abi != BACKEND_ABI) err_set(e, "%s belongs to another build of hone; build and install both together", path), b = NULL;
    if (b) known = b;
    else if (h) dlclose(h);
    free(path);
    return b;
}

/* "cuda", "cuda:1" -> kind and index */
static int parse_name(const char *name, char kind[16], int *index, struct err *e) {
    size_t n = strcspn(name, ":");
    char *end = NULL;
    long i = name[n] ? strtol(name + n + 1, &end, 10) : 0;
    if (n >= 16 || i < 0 || i >= DEVICES_MAX || (end && (*end || end == name + n + 1)))
        return err_code(e, ERR_USAGE, "there is no device \"%s\"; devices are cpu, cuda and cuda:N", name);
    snprintf(kind, 16, "%.*s", (int)n, name);
    *index = (int)i;
    return 0;
}

/* The device of that name among those there are; NULL with the reason. */
static const struct backend *look(const char *name, struct device *out, struct err *e) {
    char kind[16];
    struct device there[DEVICES_MAX];
    int index, n;
    if (parse_name(name, kind, &index, e) < 0) return NULL;
    const struct backend *b = plugin(kind, e);
    if (!b || (n = b->probe(there, DEVICES_MAX, e)) < 0) {
        err_wrap(e, "device %s is not there", name);
        return NULL;
    }
    if (index >= n) {
        err_set(e, "device %s is not there: this machine has %d of them (cuda:0 to cuda:%d)", name, n, n - 1);
        return NULL;
    }
    *out = there[index];
    return b;
}

int backend_there(const char *name, struct err *e) {
    struct device d;
    return look(name, &d, e) ? 0 : -1;
}

struct backend_device *backend_open(const char *name, struct err *e) {
    char kind[16];
    struct device info;
    int index;
    if (parse_name(name, kind, &index, e) < 0) return NULL;
    for (int i = 0; i < DEVICES_MAX; i++)
        if (open_devices[i] && open_devices[i]->info.index == index && strcmp(open_devices[i]->b->name, kind) == 0) return open_devices[i];
    const struct backend *b = look(name, &info, e);
    void *self = b ? b->open(index, e) : NULL;
    if (!b) return NULL;
    if (!self) {
        err_wrap(e, "device %s cannot be used", name);
        return NULL;
    }
    struct backend_device *d = X_NEW(struct backend_device, 1);
    *d = (struct backend_device){.b = b, .self = self, .info = info};
    snprintf(d->name, sizeof d->name, "%.15s", name);
    gpus_use(d->info.bus, 1);
    int slot = 0;
    while (open_devices[slot] && slot < DEVICES_MAX - 1) slot++;
    return open_devices[slot] = d;
}

static void mirror_free(struct backend_device *d, struct mirror *m) {
    d->b->weights(d->self, m->device, 0);
    d->b->free(d->self, m->device);
    free(m);
}

void backends_close(void) {
    for (int i = 0; i < DEVICES_MAX; i++) {
        struct backend_device *d = open_devices[i];
        if (!d) continue;
        for (struct mirror *m = d->mirrors, *next; m; m = next) {
            next = m->next;
            mirror_free(d, m);
        }
        gpus_use(d->info.bus, -1);
        d->b->close(d->self);
        free(d);
        open_devices[i] = NULL;
    }
}

void backend_failed(struct backend_device *d, struct err *e) {
    struct buf b = BUF_INIT;
    if (!d->b->lost(d->self) || d->lost) return;
    d->lost = true;
    if (gpus_error(d->info.bus, REPORT_S, &b)) err_set(e, "%s; the driver reports %s", e->text, b.data);
    buf_release(&b);
}

void backend_tf32(struct backend_device *d, bool on) {
    d->tf32 = on;
    d->b->tf32(d->self, on);
}

int backend_of_setting(struct backend_device **out, struct err *e) {
    struct settings s = {0};
    settings_get(&s);
    *out = NULL;
    int rc = 0;
    if (s.device && strcmp(s.device, "cpu") != 0) rc = (*out = backend_open(s.device, e)) ? 0 : -1;
    if (*out) backend_tf32(*out, s.tf32);
    args_release(&settings_kind, &s);
    return rc;
}

bool backend_has_fp8(const struct device *d) {
    int major = 0, minor = 0;
    return sscanf(d->capability, "%d.%d", &major, &minor) == 2 && major * 100 + minor >= 809;
}

static void say_built_for(const struct backend *p, struct buf *b) {
    buf_addf(b, "the plugin for %s was built for ", p->name);
    if (!p->built_for[0]) buf_adds(b, "no GPU: what it finds runs on the CPU");
    else buf_adds(b, "compute capability ");
    for (int i = 0; p->built_for[i]; i++) buf_addf(b, "%s%d.%d", i ? ", " : "", p->built_for[i] / 100, p->built_for[i] / 10 % 10);
    buf_addc(b, '\n');
}

void backend_say(const char *name, struct buf *b) {
    struct device there[DEVICES_MAX];
    struct err e = {0};
    const struct backend *p = plugin(name, &e);
    int n = p ? p->probe(there, DEVICES_MAX, &e) : -1;
    if (p) say_built_for(p, b);
    if (n < 0) buf_addf(b, "%s\n", e.text);
    for (int i = 0; i < n; i++)
        buf_addf(b, "%s:%d %s, compute capability %s, %.1f GiB, driver for CUDA %s, runtime %s, %s\n", name, i, there[i].name, there[i].capability,
            (double)there[i].memory / (1 << 30), there[i].driver, there[i].runtime,
            backend_has_fp8(&there[i]) ? "precision=fp8 works" : "too old for precision=fp8");
}

/* ---- mirrors ---- */

static struct mirror *mirror_find(const struct backend_device *d, const void *host_block) {
    struct mirror *m = d ? d->mirrors : NULL;
    while (m && m->host != host_block) m = m->next;
    return m;
}

void mirror_read(const void *block) {
    for (int i = 0; i < DEVICES_MAX; i++) {
        struct mirror *m = mirror_find(open_devices[i], block);
        struct err e = {0};
        if (!m || !m->device_newer) continue;
        const struct backend_device *d = open_devices[i];
        if (d->lost || d->b->download(d->self, m->host, m->device, m->bytes, &e) < 0 || d->b->sync(d->self, &e) < 0)
            log_write(LOG_ERROR, "what %s computed since the last checkpoint is lost with it%s%s", d->name, e.text[0] ? ": " : "", e.text);
        m->device_newer = false;
    }
}

void mirror_wrote(const void *block) {
    for (int i = 0; i < DEVICES_MAX; i++) {
        struct mirror *m = mirror_find(open_devices[i], block);
        if (m) m->host_newer = true, m->device_newer = false;
    }
}

void mirror_drop(const void *block) {
    for (int i = 0; i < DEVICES_MAX; i++) {
        struct mirror *m = mirror_find(open_devices[i], block);
        if (!m) continue;
        struct backend_device *d = open_devices[i];
        struct mirror **at = &d->mirrors;
        while (*at != m) at = &(*at)->next;
        *at = m->next;
        mirror_free(d, m);
    }
}

void *mirror_device(struct backend_device *d, void *block, size_t n, struct err *e) {
    struct mirror *m = mirror_find(d, block);
    if (m && m->bytes < n) {
        mirror_read(block);
        mirror_drop(block);
        m = NULL;
    }
    if (!m) {
        m = X_NEW(struct mirror, 1);
        *m = (struct mirror){.next = d->mirrors, .host = block, .bytes = n, .host_newer = true};
        if (!(m->device = d->b->alloc(d->self, n, e))) {
            free(m);
            return NULL;
        }
        d->mirrors = m;
    }
    if (!m->host_newer) return m->device;
    if (d->b->upload(d->self, m->device, m->host, m->bytes, e) < 0) return NULL;
    d->b->weights(d->self, m->device, m->bytes);
    m->host_newer = false;
    return m->device;
}

void mirror_device_wrote(struct backend_device *d, const void *block) {
    struct mirror *m = mirror_find(d, block);
    if (!m) return;
    m->device_newer = true;
    d->b->weights(d->self, m->device, m->bytes);
}
