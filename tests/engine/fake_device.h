/* The fake device that tests/cuda builds, as HONE_CUDA names it, and what it counts. */
#ifndef HONE_TESTS_FAKE_DEVICE_H
#define HONE_TESTS_FAKE_DEVICE_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/cpu/gemm.h"
#include "engine/graph/backend.h"

/* NULL: it is not built. over: also where another plugin is named. */
static inline struct backend_device *fake_device(bool over, struct err *e) {
    const char *build = getenv("top_builddir");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/cuda/hone_cuda.so", build ? build : ".");
    setenv("HONE_CUDA", path, over);
    return backend_open("cuda", e);
}

/* What a test of CPU against device begins with: the plainest instruction set, the product, the device (unless another plugin is named: that). NULL: there
 * is none, as TAP is told. */
static inline struct backend_device *fake_beside_cpu(void) {
    struct err e = {0};
    struct gemm_info info;
    if (ops_select("base", &e) < 0) {
        printf("Bail out! %s\n", e.text);
        exit(1);
    }
    gemm_open(NULL, &info);
    struct backend_device *d = fake_device(false, &e);
    if (!d) printf("1..0 # SKIP %s\n", e.text);
    return d;
}

/* fn: a pointer to a function, NULL if the open device has none of that name. */
static inline void fake_function(void *fn, const char *name) {
    void *h = dlopen(getenv("HONE_CUDA"), RTLD_NOW | RTLD_LOCAL);
    *(void **)fn = h ? dlsym(h, name) : NULL;
}

#endif
