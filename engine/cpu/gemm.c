/* The one file that owns the BLAS: choosing the core type, opening the library, trusting it only after a probe, and the product.
 * gemm_open runs before other threads exist; gemm_f32 may be called from any thread afterwards. Prototypes are our own: the
 * library is never linked and no header of it is needed. */
#include "config.h"

#include "engine/cpu/gemm.h"

#include <dlfcn.h>
#include <glob.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/graph/op.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* CBLAS */
typedef void (*sgemm_fn)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);

static sgemm_fn sgemm; /* NULL: the plain kernel */
static struct gemm_info chosen;
static bool ours; /* OPENBLAS_CORETYPE in the environment is our wish, not the user's */

/* The newest core type with kernels for this processor that every OpenBLAS of the last eight years knows. */
static const char *core_wanted(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return __builtin_cpu_is("amd") ? "Zen" : "Haswell";
#endif
    return NULL;
}

void gemm_f32(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
    int64_t ldc) {
    if (m <= 0 || n <= 0) return;
    bool fits = m <= INT32_MAX && n <= INT32_MAX && k <= INT32_MAX && lda <= INT32_MAX && ldb <= INT32_MAX && ldc <= INT32_MAX;
    if (sgemm && fits && k > 0)
        sgemm(ROW_MAJOR, ta ? TRANS : NO_TRANS, tb ? TRANS : NO_TRANS, (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
    else isa_now()->gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/* ---- the probe: two products at once against a plain loop ---- */
enum { PM = 96, PN = 72, PK = 80 };
struct probe {
    sgemm_fn fn;
    float a[PM * PK], b[PK * PN], c[PM * PN], want[PM * PN];
    bool trans_a, ok;
};

static void probe_fill(struct probe *p, sgemm_fn fn, uint32_t seed) {
    p->fn = fn;
    for (int i = 0; i < PM * PK; i++) seed = seed * 1664525u + 1013904223u, p->a[i] = (float)(seed >> 8) / 8388608.0f - 1;
    for (int i = 0; i < PK * PN; i++) seed = seed * 1664525u + 1013904223u, p->b[i] = (float)(seed >> 8) / 8388608.0f - 1;
    for (int i = 0; i < PM; i++)
        for (int j = 0; j < PN; j++) {
            double s = 0;
            for (int q = 0; q < PK; q++) s += (double)(p->trans_a ? p->a[q * PM + i] : p->a[i * PK + q]) * (double)p->b[q * PN + j];
            p->want[i * PN + j] = (float)s;
        }
}

static void *probe_run(void *arg) {
    struct probe *p = arg;
    p->ok = true;
    for (int r = 0; r < 4 && p->ok; r++) {
        memset(p->c, 0xff, sizeof p->c); /* NaN: beta 0 must not read */
        p->fn(ROW_MAJOR, p->trans_a ? TRANS : NO_TRANS, NO_TRANS, PM, PN, PK, 1, p->a, p->trans_a ? PM : PK, p->b, PN, 0, p->c, PN);
        for (int i = 0; i < PM * PN; i++)
            if (!(fabsf(p->c[i] - p->want[i]) <= 1e-4f)) p->ok = false;
    }
    return NULL;
}

static bool probe(sgemm_fn fn) {
    struct probe *p = X_NEW(struct probe, 2);
    pthread_t t;
    p[1].trans_a = true;
    probe_fill(&p[0], fn, 1);
    probe_fill(&p[1], fn, 2);
    bool two = thread_start(&t, "hone-probe", probe_run, &p[1], NULL) == 0;
    probe_run(&p[0]);
    if (two) pthread_join(t, NULL);
    else probe_run(&p[1]);
    bool ok = p[0].ok && p[1].ok;
    free(p);
    return ok;
}

/* ---- opening ---- */
static void *symbol(void *h, const char *name) { return dlsym(h, name); }

static int read_back(void *h, const char *name) { /* an int (*)(void) of the library; -1: it has none */
    int (*fn)(void);
    *(void **)&fn = symbol(h, name);
    return fn ? fn() : -1;
}

static void call_int(void *h, const char *name, int v) {
    void (*fn)(int);
    *(void **)&fn = symbol(h, name);
    if (fn) fn(v);
}

/* What a char *(*)(void) of the library says; "": it has none. */
static void text_of(void *h, const char *name, char out[64]) {
    char *(*fn)(void);
    *(void **)&fn = symbol(h, name);
    snprintf(out, 64, "%s", fn ? fn() : "");
}

/* Adopts an opened library, or says in info->why what is wrong with it. */
static bool adopt(void *h, const char *name, struct gemm_info *info) {
    sgemm_fn fn;
    *(void **)&fn = symbol(h, "cblas_sgemm");
    if (!fn) {
        snprintf(info->why, sizeof info->why, "%s has no cblas_sgemm", name);
        return false;
    }
    call_int(h, "openblas_set_num_threads", 1);
    int threads = read_back(h, "openblas_get_num_threads");
    if (threads > 1) {
        snprintf(info->why, sizeof info->why, "%s insists on %d threads of its own", name, threads);
        return false;
    }
    if (!probe(fn)) {
        snprintf(info->why, sizeof info->why, "%s gave wrong numbers when two threads multiplied at once", name);
        return false;
    }
    text_of(h, "openblas_get_corename", info->core);
    text_of(h, "openblas_get_config", info->version);
    sgemm = fn;
    snprintf(info->library, sizeof info->library, "%s", name);
    return true;
}

static bool try_open(const char *name, struct gemm_info *info) {
    void *h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!h) return false;
    if (adopt(h, name, info)) return true;
    dlclose(h);
    return false;
}

static bool try_glob(const char *pattern, struct gemm_info *info) {
    glob_t g;
    bool ok = false;
    if (glob(pattern, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc && !ok; i++) ok = try_open(g.gl_pathv[i], info);
    globfree(&g);
    return ok;
}

static const char *const usual[] = {
    "/usr/lib/*/openblas-pthread/libopenblas.so.0", "/usr/lib/*/openblas-serial/libopenblas.so.0", "libopenblas.so.0", "libblis.so.4"};

static void say_core(struct gemm_info *info, const char *wanted, bool users) {
    if (!info->core[0]) snprintf(info->why, sizeof info->why, "the library does not tell its core type");
    else if (users) snprintf(info->why, sizeof info->why, "core type %s by OPENBLAS_CORETYPE of the environment", info->core);
    else if (!wanted) snprintf(info->why, sizeof info->why, "core type left to the library");
    else if (strcasecmp(info->core, wanted) == 0) snprintf(info->why, sizeof info->why, "core type set to %s for this processor before loading", wanted);
    else snprintf(info->why, sizeof info->why, "asked for core type %s, the library took %s", wanted, info->core);
}

void gemm_open(const char *lib, struct gemm_info *info) {
    double t = clock_now();
    const char *env = getenv("HONE_BLAS"), *wanted = core_wanted();
    bool users = getenv("OPENBLAS_CORETYPE") != NULL && !ours;
    memset(info, 0, sizeof *info);
    sgemm = NULL;
    if (wanted && !users) ours = setenv("OPENBLAS_CORETYPE", wanted, 1) == 0;
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("BLIS_NUM_THREADS", "1", 1);
    if (!lib) lib = env;
    bool ok = false, none = lib && (strcmp(lib, "none") == 0 || !*lib);
    if (lib && !none && !(ok = try_open(lib, info)) && !info->why[0]) snprintf(info->why, sizeof info->why, "%.200s cannot be opened", lib);
    for (size_t i = 0; !lib && !ok && i < LEN(usual); i++) ok = strchr(usual[i], '*') ? try_glob(usual[i], info) : try_open(usual[i], info);
    if (ok) say_core(info, wanted, users);
    else if (none) snprintf(info->why, sizeof info->why, "plain kernel: a library was refused by HONE_BLAS=none");
    else if (!info->why[0]) snprintf(info->why, sizeof info->why, "plain kernel: no BLAS found (install libopenblas0-pthread)");
    info->probe_ms = (clock_now() - t) * 1e3;
    chosen = *info;
}

const struct gemm_info *gemm_info(void) { return &chosen; }

int gemm_own_guess(char core[64]) {
    core[0] = 0;
#ifdef LM_ID_NEWLM
    if (!chosen.library[0] || !sgemm) return -1;
    /* A second copy in a namespace of its own starts up again; only meanwhile is the wish taken out of the environment. */
    const char *set = getenv("OPENBLAS_CORETYPE");
    char *wish = ours ? mem_str(set) : NULL;
    if (wish) unsetenv("OPENBLAS_CORETYPE");
    void *h = dlmopen(LM_ID_NEWLM, chosen.library, RTLD_NOW | RTLD_LOCAL);
    if (wish) setenv("OPENBLAS_CORETYPE", wish, 1);
    free(wish);
    if (!h) return -1;
    text_of(h, "openblas_get_corename", core);
    dlclose(h);
#endif
    return core[0] ? 0 : -1;
}

struct gemm_cut gemm_cut(int64_t m, int64_t n, int64_t k) {
    struct gemm_cut c = {.rows = m, .cols = n, .nr = m > 0, .nc = n > 0};
    if (m <= 0 || n <= 0) return c;
    double work = (double)m * (double)n * (double)(k > 0 ? k : 1);
    int64_t want = (int64_t)(work / 12e6); /* about 0.2 ms of one core a tile: smaller ones lose 10 % to packing the operands again */
    if (want > 16) want = 16;
    while (c.nr * c.nc < want) { /* halve the longer side, in steps that fill registers */
        int64_t *side = c.rows >= c.cols ? &c.rows : &c.cols;
        if (*side <= 192) break;
        *side = ((*side + 1) / 2 + 31) / 32 * 32;
        c.nr = (m + c.rows - 1) / c.rows, c.nc = (n + c.cols - 1) / c.cols;
    }
    return c;
}
