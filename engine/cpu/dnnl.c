/* oneDNN: opening, limiting its threads, the probe, the product. Its OpenMP build asks each thread that calls it how many threads a call may use, so each one
 * says 1 before its first product; a build with threads that cannot be limited so is refused. */
#include "config.h"

#include "engine/cpu/dnnl.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

enum { RUNTIME_SEQ = 1, RUNTIME_OMP = 2 }; /* dnnl_cpu_runtime_t */
struct version { /* dnnl_version_t */
    int major, minor, patch;
    const char *hash;
    unsigned cpu_runtime, gpu_runtime;
};
typedef int (*sgemm_fn)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float, float *, int64_t);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct dnnl_info chosen; /* const after once */
static sgemm_fn sgemm; /* NULL: none */
static void (*omp_set)(int); /* NULL: a sequential build */
static int (*omp_max)(void);
static _Thread_local bool limited; /* this thread has said 1 */

static int product(sgemm_fn fn, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
    float beta, float *c, int64_t ldc) {
    if (omp_set && !limited) omp_set(1), limited = true;
    return fn(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/* ---- the probe ---- */
enum { PM = 96, PN = 72, PK = 80 };
struct probe {
    sgemm_fn fn;
    bool ta, tb, ok;
    float a[PM * PK], b[PK * PN], c[PM * PN], want[PM * PN];
};
static void probe_fill(struct probe *p, sgemm_fn fn, bool ta, bool tb, uint32_t seed) {
    p->fn = fn, p->ta = ta, p->tb = tb;
    for (int i = 0; i < PM * PK; i++) seed = seed * 1664525u + 1013904223u, p->a[i] = (float)(seed >> 8) / 8388608.0f - 1;
    for (int i = 0; i < PK * PN; i++) seed = seed * 1664525u + 1013904223u, p->b[i] = (float)(seed >> 8) / 8388608.0f - 1;
    for (int i = 0; i < PM; i++)
        for (int j = 0; j < PN; j++) {
            double s = 0;
            for (int q = 0; q < PK; q++) s += (double)p->a[ta ? q * PM + i : i * PK + q] * (double)p->b[tb ? j * PK + q : q * PN + j];
            p->want[i * PN + j] = (float)s;
        }
}
static void *probe_run(void *arg) {
    struct probe *p = arg;
    p->ok = true;
    for (int r = 0; r < 4 && p->ok; r++) {
        memset(p->c, 0xff, sizeof p->c); /* NaN: beta 0 must not read */
        p->ok = product(p->fn, p->ta, p->tb, PM, PN, PK, 1, p->a, p->ta ? PM : PK, p->b, p->tb ? PK : PN, 0, p->c, PN) == 0;
        for (int i = 0; i < PM * PN; i++)
            if (!(fabsf(p->c[i] - p->want[i]) <= 1e-4f)) p->ok = false;
    }
    if (omp_max && omp_max() != 1) p->ok = false;
    return NULL;
}
static bool probe(sgemm_fn fn) {
    struct probe *p = X_NEW(struct probe, 2);
    pthread_t t;
    probe_fill(&p[0], fn, false, true, 1);
    probe_fill(&p[1], fn, true, false, 2);
    bool two = thread_start(&t, "hone-probe", probe_run, &p[1], NULL) == 0;
    probe_run(&p[0]);
    if (two) pthread_join(t, NULL);
    else probe_run(&p[1]);
    bool ok = p[0].ok && p[1].ok;
    free(p);
    return ok;
}

/* ---- opening ---- */
static bool adopt(void *h, const char *name, struct dnnl_info *info) {
    const struct version *(*version)(void);
    sgemm_fn fn;
    *(void **)&version = dlsym(h, "dnnl_version");
    *(void **)&fn = dlsym(h, "dnnl_sgemm");
    const struct version *v = version ? version() : NULL;
    if (!v || !fn) {
        snprintf(info->why, sizeof info->why, "%.200s has no dnnl_sgemm", name);
        return false;
    }
    snprintf(info->version, sizeof info->version, "%d.%d.%d", v->major, v->minor, v->patch);
    if (v->cpu_runtime == RUNTIME_OMP) {
        *(void **)&omp_set = dlsym(h, "omp_set_num_threads");
        *(void **)&omp_max = dlsym(h, "omp_get_max_threads");
    }
    if (v->cpu_runtime != RUNTIME_SEQ && (!omp_set || !omp_max)) {
        snprintf(info->why, sizeof info->why, "the threads of %.200s cannot be limited", name);
        return false;
    }
    if (!probe(fn)) {
        snprintf(info->why, sizeof info->why, "%.180s gave wrong numbers when two threads multiplied at once", name);
        return false;
    }
    snprintf(info->library, sizeof info->library, "%s", name);
    snprintf(info->why, sizeof info->why, "%s, single-threaded on tiles", v->cpu_runtime == RUNTIME_OMP ? "OpenMP build" : "sequential build");
    sgemm = fn;
    return true;
}
static bool try_open(const char *name, struct dnnl_info *info) {
    void *h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!h) return false;
    if (adopt(h, name, info)) return true;
    omp_set = NULL, omp_max = NULL; /* the library stays open: the threads of the probe have used its OpenMP */
    return false;
}

static const char *const usual[] = {"libdnnl.so.2", "libdnnl.so.3"};

static void open_once(void) {
    const char *lib = getenv("HONE_ONEDNN");
    bool none = lib && (!*lib || strcmp(lib, "none") == 0), ok = false;
    if (lib && !none && !(ok = try_open(lib, &chosen)) && !chosen.why[0]) snprintf(chosen.why, sizeof chosen.why, "%.200s cannot be opened", lib);
    for (size_t i = 0; !lib && !ok && i < LEN(usual); i++) ok = try_open(usual[i], &chosen);
    if (none) snprintf(chosen.why, sizeof chosen.why, "refused by HONE_ONEDNN=none");
    else if (!ok && !chosen.why[0]) snprintf(chosen.why, sizeof chosen.why, "not found (install libdnnl2)");
}

const struct dnnl_info *dnnl_info(void) {
    pthread_once(&once, open_once);
    return &chosen;
}

void dnnl_f32(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
    int64_t ldc) {
    if (m <= 0 || n <= 0) return;
    pthread_once(&once, open_once);
    if (!sgemm || k <= 0 || product(sgemm, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) != 0)
        gemm_f32(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
