/* The backend for CUDA: devices, memory, one stream, runs kept as CUDA graphs, and the table of kernels. */
#include "engine/cuda/cuda.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct host *host;

/* Errors after which nothing more runs in this process (CUDA runtime API, cudaError_t: "the process must be terminated and relaunched"), and what to do. */
static const char lost[] = "; the device is lost to this process: restart the session and resume from the last checkpoint",
                  damaged[] = "; its memory is damaged: look at nvidia-smi -q -d ECC, and resume from the last checkpoint on another device",
                  gone[] = "; the device does not answer, it may have fallen off the bus or another process holds it alone: the Xid in the kernel's log "
                           "(dmesg | grep -i xid) says why; restart the session and resume from the last checkpoint";
static const struct sticky {
    cudaError_t rc;
    const char *advice;
} sticky[] = {{cudaErrorIllegalAddress, lost}, {cudaErrorLaunchFailure, lost}, {cudaErrorLaunchTimeout, lost}, {cudaErrorAssert, lost},
    {cudaErrorHardwareStackError, lost}, {cudaErrorIllegalInstruction, lost}, {cudaErrorMisalignedAddress, lost}, {cudaErrorInvalidAddressSpace, lost},
    {cudaErrorInvalidPc, lost}, {cudaErrorECCUncorrectable, damaged}, {cudaErrorNvlinkUncorrectable, gone}, {cudaErrorDevicesUnavailable, gone},
    {cudaErrorUnknown, gone}};

int cuda_fail(struct cuda *c, cudaError_t rc, const char *what, struct err *e) {
    const char *more = "";
    if (rc == cudaSuccess) return 0;
    cudaGetLastError(); /* it is told here, not once more behind the next kernel */
    for (const struct sticky &s : sticky)
        if (s.rc == rc) {
            more = s.advice;
            if (c) c->lost = true;
        }
    return host->fail(e, "%s: %s (%s)%s", what, cudaGetErrorString(rc), cudaGetErrorName(rc), more);
}

int cuda_launched(struct cuda *c, struct err *e) { return cuda_fail(c, cudaGetLastError(), "a kernel could not be started", e); }

/* ---- devices ---- */

static void version_text(char *out, size_t n, int v) { snprintf(out, n, "%d.%d", v / 1000, v % 1000 / 10); }

static int probe(struct device *out, int max, struct err *e) {
    int n = 0, driver = 0, runtime = 0;
    cudaError_t rc = cudaGetDeviceCount(&n);
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (rc == cudaErrorInsufficientDriver && driver == 0)
        return host->fail(e, "no NVIDIA driver is loaded on this machine (libcuda.so.1); install it, or use --device cpu");
    if (rc == cudaErrorInsufficientDriver)
        return host->fail(e, "the NVIDIA driver serves CUDA %d.%d and this plugin was built for %d.%d; update the driver, or use --device cpu", driver / 1000,
            driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (rc == cudaErrorNoDevice || (rc == cudaSuccess && n == 0))
        return host->fail(e, "the NVIDIA driver finds no device (see nvidia-smi; CUDA_VISIBLE_DEVICES may hide them); use --device cpu");
    if (rc != cudaSuccess) return cuda_fail(NULL, rc, "the NVIDIA driver does not answer", e);
    for (int i = 0; i < n && i < max; i++) {
        struct cudaDeviceProp p;
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
        out[i] = (struct device){};
        out[i].index = i, out[i].units = p.multiProcessorCount, out[i].memory = p.totalGlobalMem;
        snprintf(out[i].name, sizeof out[i].name, "%.95s", p.name);
        snprintf(out[i].capability, sizeof out[i].capability, "%d.%d", p.major, p.minor);
        snprintf(out[i].bus, sizeof out[i].bus, "%04x:%02x:%02x", (unsigned)p.pciDomainID, (unsigned)p.pciBusID, (unsigned)p.pciDeviceID);
        version_text(out[i].driver, sizeof out[i].driver, driver);
        version_text(out[i].runtime, sizeof out[i].runtime, runtime);
    }
    return n < max ? n : max;
}

/* Several devices may be open in a process: the one that this thread's calls go to. */
static cudaError_t turn_to(int index) {
    static thread_local int current = -1;
    if (current == index) return cudaSuccess;
    cudaError_t rc = cudaSetDevice(index);
    current = rc == cudaSuccess ? index : -1;
    return rc;
}
static struct cuda *on(void *b) {
    struct cuda *c = (struct cuda *)b;
    if (!c->lost) turn_to(c->info.index); /* what fails shows at the call that follows */
    return c;
}

static void close_device(void *b);

static void *open_device(int index, struct err *e) {
    struct cuda *c = (struct cuda *)calloc(1, sizeof *c);
    struct device all[16];
    if (!c) return NULL;
    c->host = host;
    c->info.index = index;
    if (probe(all, 16, e) <= index || cuda_fail(c, turn_to(index), "the device cannot be chosen", e) < 0 ||
        cuda_fail(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "no stream", e) < 0 ||
        cuda_fail(c, cudaMalloc((void **)&c->workspace, WORKSPACE), "no memory for products", e) < 0) {
        close_device(c);
        return NULL;
    }
    c->info = all[index];
    c->sms = c->info.units > 0 ? c->info.units : 1;
    if (cublasLtCreate(&c->lt) != CUBLAS_STATUS_SUCCESS) {
        host->fail(e, "cuBLASLt cannot be opened on %s", c->info.name);
        close_device(c);
        return NULL;
    }
    return c;
}

void products_free(struct cuda *c);
void convs_free(struct cuda *c);

/* How often memory was asked for and the device waited for, into the file that HONE_CUDA_COUNTS of the environment names: what a step costs besides its
 * work. */
static void counts(const struct cuda *c) {
    const char *file = getenv("HONE_CUDA_COUNTS");
    FILE *f = file && *file ? fopen(file, "w") : NULL;
    if (!f) return;
    fprintf(f, "allocations %ld waits %ld ahead %ld\n", c->n_allocations, c->n_waits, c->n_ahead);
    fclose(f);
}

static void close_device(void *b) {
    struct cuda *c = on(b);
    counts(c);
    if (c->lost) return; /* the library may wait for the device for ever; the process ends anyway */
    comm_close(c, false);
    free(c->nccl);
    held_free(c);
    free(c->ways);
    products_free(c);
    convs_free(c);
    if (c->lt) cublasLtDestroy(c->lt);
    if (c->workspace) cudaFree(c->workspace);
    if (c->stream) cudaStreamDestroy(c->stream);
    if (c->uploads) cudaStreamDestroy(c->uploads);
    if (c->arrived) cudaEventDestroy(c->arrived);
    if (c->taken) cudaEventDestroy(c->taken);
    free(c);
}

/* ---- memory ---- */

static size_t available(void *b) {
    size_t n = 0, total = 0;
    on(b);
    return cudaMemGetInfo(&n, &total) == cudaSuccess ? n : 0;
}
static void *device_memory(void *b, size_t n, struct err *e) {
    struct cuda *c = on(b);
    void *p = NULL;
    c->n_allocations++;
    cudaError_t rc = cudaMalloc(&p, n ? n : 1);
    if (rc == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        host->fail(e, "%.0f MiB are needed, %.0f MiB of %.0f are free on %s", (double)n / 1048576, (double)available(c) / 1048576,
            (double)c->info.memory / 1048576, c->info.name);
    } else cuda_fail(c, rc, "memory of the device", e);
    return rc == cudaSuccess ? p : NULL;
}
static void device_memory_free(void *b, void *p) {
    if (!on(b)->lost) cudaFree(p);
}
static void *pinned(void *b, size_t n, struct err *e) {
    void *p = NULL;
    if (cuda_fail(on(b), cudaHostAlloc(&p, n ? n : 1, cudaHostAllocDefault), "pinned memory of the host", e) < 0) return NULL;
    memset(p, 0, n);
    return p;
}
static void pinned_free(void *b, void *p) {
    if (!on(b)->lost) cudaFreeHost(p);
}
static int upload(void *b, void *to, const void *from, size_t n, struct err *e) {
    struct cuda *c = on(b);
    return cuda_fail(c, cudaMemcpyAsync(to, from, n, cudaMemcpyHostToDevice, c->stream), "copying to the device", e);
}
static int ahead(void *b, void *to, const void *from, size_t n, struct err *e) {
    struct cuda *c = on(b);
    static const char what[] = "copying to the device ahead";
    if (!c->uploads && (cuda_fail(c, cudaStreamCreateWithFlags(&c->uploads, cudaStreamNonBlocking), what, e) < 0 ||
                           cuda_fail(c, cudaEventCreateWithFlags(&c->arrived, cudaEventDisableTiming), what, e) < 0 ||
                           cuda_fail(c, cudaEventCreateWithFlags(&c->taken, cudaEventDisableTiming), what, e) < 0))
        return -1;
    if (c->took && cuda_fail(c, cudaStreamWaitEvent(c->uploads, c->taken, 0), what, e) < 0) return -1;
    c->n_ahead++;
    return cuda_fail(c, cudaMemcpyAsync(to, from, n, cudaMemcpyHostToDevice, c->uploads), what, e);
}
static int take(void *b, int n, void *const *to, const void *const *from, const size_t *bytes, struct err *e) {
    struct cuda *c = on(b);
    static const char what[] = "taking what was copied ahead";
    if (cuda_fail(c, cudaEventRecord(c->arrived, c->uploads), what, e) < 0 || cuda_fail(c, cudaStreamWaitEvent(c->stream, c->arrived, 0), what, e) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (cuda_fail(c, cudaMemcpyAsync(to[i], from[i], bytes[i], cudaMemcpyDeviceToDevice, c->stream), what, e) < 0) return -1;
    c->took = true;
    return cuda_fail(c, cudaEventRecord(c->taken, c->stream), what, e);
}
static int download(void *b, void *to, const void *from, size_t n, struct err *e) {
    struct cuda *c = on(b);
    return cuda_fail(c, cudaMemcpyAsync(to, from, n, cudaMemcpyDeviceToHost, c->stream), "copying from the device", e);
}
static int fill(void *b, void *p, int byte, size_t n, struct err *e) {
    struct cuda *c = on(b);
    return cuda_fail(c, cudaMemsetAsync(p, byte, n, c->stream), "clearing memory of the device", e);
}
int mix_weights(struct cuda *c, float *y, const float *x, int64_t n, float share, struct err *e); /* update.cu */
static int mix_device(void *b, float *y, const float *x, int64_t n, float share, struct err *e) { return mix_weights(on(b), y, x, n, share, e); }
/* Asks instead of cudaStreamSynchronize, which would wait for ever for a device that has fallen off the bus. */
static int sync_device(void *b, struct err *e) {
    struct cuda *c = on(b);
    c->n_waits++;
    for (long n = 1; !c->lost; n++) {
        cudaError_t rc = cudaStreamQuery(c->stream);
        if (rc == cudaSuccess && c->uploads) rc = cudaStreamQuery(c->uploads); /* host memory is the caller's again */
        if (rc != cudaErrorNotReady) return cuda_fail(c, rc, "waiting for the device", e);
        cudaGetLastError(); /* CUDA keeps this answer as an error */
        if (n % 1024 == 0 && host->gone(&c->info)) break;
        if (n % 16384 == 0 && comm_look(c, e) < 0) return -1;
        if (n > 4096) sched_yield();
    }
    c->lost = true;
    return host->fail(e, "waiting for the device: it does not answer any more, and what ran on it is lost");
}
static int comm_id_device(void *b, char *id, struct err *e) { return comm_id(on(b), id, e); }
static int comm_open_device(void *b, const char *id, int rank, int size, struct err *e) { return comm_open(on(b), id, rank, size, e); }
static int comm_sum_device(void *b, float *const *p, const int64_t *n, int count, struct err *e) { return comm_sum(on(b), p, n, count, e); }
static int comm_join_device(void *b, struct err *e) { return comm_join(on(b), e); }
static void comm_close_device(void *b, bool broken) { comm_close(on(b), broken); }
static void tf32_device(void *b, bool yes) { ((struct cuda *)b)->tf32 = yes; }
static void weights_device(void *b, const void *p, size_t n) { held_weights(on(b), p, n); }
static bool lost_device(void *b) { return ((struct cuda *)b)->lost; }

/* ---- steps ---- */

static const struct kernel *find(const char *op) {
    for (int l = 0; kernel_lists[l]; l++)
        for (const struct kernel *k = kernel_lists[l]; k->op; k++)
            if (strcmp(k->op, op) == 0) return k;
    return NULL;
}
static bool supports(void *b, const struct node *n, struct takes *t) {
    const struct kernel *k = find(n->op->kind.name);
    if (!k || (k->can && !k->can(on(b), n))) return false;
    t->half_in = k->half_in, t->half_out = k->half_out, t->rounds = k->rounds, t->fp8 = k->fp8;
    return true;
}
static int run(void *b, const struct exec *x, const uint64_t *at, struct err *e) {
    struct cuda *c = on(b);
    const struct kernel *k = find(x->node->op->kind.name);
    if (!k) return host->fail(e, "there is no kernel for %s", x->node->op->kind.name);
    return k->run(c, x, at, e) < 0 ? -1 : cuda_launched(c, e);
}
static int prepare(void *b, const struct exec *x, struct err *e) {
    struct cuda *c = on(b);
    const struct kernel *k = find(x->node->op->kind.name);
    if (!k || !k->prepares || !host->measuring()) return 0;
    c->preparing = true;
    int rc = k->run(c, x, NULL, e);
    c->preparing = false;
    return rc < 0 ? -1 : cuda_launched(c, e);
}

/* ---- kept runs ---- */

struct kept_run {
    cudaGraphExec_t graph;
    bool held; /* it uses weights in another form */
};
static int begin(void *b, struct err *e) {
    struct cuda *c = on(b);
    held_renew(c);
    c->held_used = false;
    if (cuda_fail(c, cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal), "a run cannot be kept", e) < 0) return -1;
    c->keeping = true;
    return 0;
}
static void *end(void *b, struct err *e) {
    struct cuda *c = on(b);
    cudaGraph_t g = NULL;
    struct kept_run *k = (struct kept_run *)calloc(1, sizeof *k);
    c->keeping = false;
    if (cuda_fail(c, cudaStreamEndCapture(c->stream, &g), "a run cannot be kept", e) < 0) {
        free(k);
        return NULL;
    }
    bool ok = e && k && cuda_fail(c, cudaGraphInstantiate(&k->graph, g, 0), "a run cannot be kept", e) == 0; /* e NULL: what was queued is no whole run */
    cudaGraphDestroy(g);
    if (ok) k->held = c->held_used;
    else free(k);
    return ok ? k : NULL;
}
static int replay(void *b, void *kept, struct err *e) {
    struct cuda *c = on(b);
    const struct kept_run *k = (const struct kept_run *)kept;
    if (k->held) held_renew(c);
    return cuda_fail(c, cudaGraphLaunch(k->graph, c->stream), "a kept run cannot be started", e);
}
static void forget(void *b, void *kept) {
    struct kept_run *k = (struct kept_run *)kept;
    on(b);
    cudaGraphExecDestroy(k->graph);
    free(k);
}

#ifdef __CUDA_ARCH_LIST__ /* nvcc's own, from its options */
static const int built_for[] = {__CUDA_ARCH_LIST__, 0};
#else
static const int built_for[] = {0};
#endif
static const struct backend cuda_backend = {.name = "cuda",
    .abi = BACKEND_ABI,
    .built_for = built_for,
    .probe = probe,
    .open = open_device,
    .close = close_device,
    .available = available,
    .alloc = device_memory,
    .free = device_memory_free,
    .pin = pinned,
    .unpin = pinned_free,
    .upload = upload,
    .ahead = ahead,
    .take = take,
    .download = download,
    .fill = fill,
    .mix = mix_device,
    .sync = sync_device,
    .weights = weights_device,
    .comm_id = comm_id_device,
    .comm_open = comm_open_device,
    .comm_sum = comm_sum_device,
    .comm_join = comm_join_device,
    .comm_close = comm_close_device,
    .lost = lost_device,
    .tf32 = tf32_device,
    .supports = supports,
    .run = run,
    .prepare = prepare,
    .begin = begin,
    .end = end,
    .replay = replay,
    .forget = forget};

extern "C" __attribute__((visibility("default"))) const struct backend *hone_backend(const struct host *h) {
    if (h->abi != BACKEND_ABI) return NULL;
    host = h;
    return &cuda_backend;
}
