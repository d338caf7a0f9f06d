/* Which instruction set runs: the widest this processor and system support, or the one named. Chosen once, before any graph;
 * const afterwards.. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "src/base/err.h"

extern const struct isa isa_base;
#ifdef HONE_AVX2
extern const struct isa isa_avx2;
#endif
#ifdef HONE_AVX512
extern const struct isa isa_avx512;
#endif
#ifdef HONE_AVX512BF16
extern const struct isa isa_avx512bf16;
#endif

static const struct isa *now; /* written by ops_select before other threads exist */

#if defined(HONE_AVX512) || defined(HONE_AVX512BF16)
static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd");
}
#endif

const struct isa *isa_all(int i) {
    const struct isa *can[4] = {&isa_base};
    int n = 1;
#ifdef HONE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) can[n++] = &isa_avx2;
#endif
#ifdef HONE_AVX512
    if (has_avx512()) can[n++] = &isa_avx512;
#endif
#ifdef HONE_AVX512BF16 /* dot products of bytes and of bf16 pairs */
    if (has_avx512() && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16")) can[n++] = &isa_avx512bf16;
#endif
    return i >= 0 && i < n ? can[i] : NULL;
}

static const struct isa *best(void) {
    const struct isa *b = NULL;
    for (int i = 0; isa_all(i); i++) b = isa_all(i);
    return b;
}

int ops_select(const char *isa, struct err *e) {
    if (!isa || strcmp(isa, "auto") == 0) {
        now = best();
        return 0;
    }
    for (int i = 0; isa_all(i); i++)
        if (strcmp(isa_all(i)->name, isa) == 0) {
            now = isa_all(i);
            return 0;
        }
    return err_code(e, ERR_USAGE, "this processor or build cannot run the instruction set \"%s\"; the best here is \"%s\"", isa, best()->name);
}

const struct isa *isa_now(void) {
    if (!now) { /* a test or tool that selected nothing */
        const char *want = getenv("HONE_ISA");
        if (!want || ops_select(want, NULL) < 0) now = best();
    }
    return now;
}

const char *ops_isa(void) { return isa_now()->name; }
const struct op *const *op_all(void) { return isa_now()->op; }

static const struct op *find(const struct isa *s, const char *name) {
    for (const struct op *const *r = s->op; *r; r++)
        if (strcmp((*r)->kind.name, name) == 0) return *r;
    return NULL;
}
const struct op *op_find(const char *name) { return find(isa_now(), name); }

const struct op *op_find_isa(const char *isa, const char *name) {
    for (int i = 0; isa_all(i); i++)
        if (strcmp(isa_all(i)->name, isa) == 0) return find(isa_all(i), name);
    return NULL;
}
