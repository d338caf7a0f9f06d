/* The fake device: memory is the host's, a stream runs everything as soon as it can or, while it is captured, keeps it to be run again. HONE_FAKE_ORDER of
 * the environment says how streams run beside each other: "early" and "late" do nothing until somebody waits, and then whatever they may of all streams but
 * the first (early), or of the first one (late), before the others, so that a missing event shows. Calls that are not allowed while a stream is captured end
 * the process. Errors stay for cudaGetLastError as CUDA keeps them, also that a stream is not ready. HONE_FAKE_CUDA makes it fail: "none" (no device), "driver" (too old), "memory=N" (N MiB in all), "lost=N", "ecc=N", "bus=N" (the N-th launch and all after it
 * fail: a bad address, damaged memory, a device off the bus; HONE_FAKE_XID_LOG names a file that is made then), "hang=N" (from the N-th launch on it does not
 * answer), "count=N" devices, "serves=N" (the driver is of CUDA N / 1000), "capability=80" (8.0; else 9.0). Kernels and products have made-up times on a clock
 * that events read, by their size; of the algorithms the library names the first is not the fastest and one does not run. */
#undef _FORTIFY_SOURCE /* it takes a jump to another stack for a mistake */
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "cublasLt.h"
#include "cudnn.h"
#include "cuda_fp16.h"
#include "cuda_fp8.h"
#include "cuda_runtime.h"

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

struct fake_graph {
    std::vector<std::function<void()>> work;
};
struct fake_event {
    double at = 0;
    long recorded = 0, reached = 0; /* how often it was asked for, and passed */
};
static struct {
    struct block {
        size_t bytes, mapped;
        int device;
    };
    std::map<void *, block> blocks;
    std::map<void *, size_t> pinned;
    size_t used[16] = {0}; /* by device */
    int device = 0; /* the current one */
    long launches = 0;
    double clock = 0; /* made-up milliseconds */
    long products[8] = {0}; /* that ran, by algorithm */
    long computes[128] = {0}; /* by type of computation */
    long eights = 0; /* products of fp8 */
    long convolutions[4] = {0}; /* by cudnnMathType_t */
    long copied[8] = {0}; /* bytes, by kind */
    cudaError_t sticky = cudaSuccess, last = cudaSuccess;
    bool hangs = false;
    long kept = 0; /* runs that were kept */
    std::vector<cudaStream_t> streams;
    cudaStream_t capturing = nullptr;
} fake;

static const char *setting(const char *name) {
    const char *v = getenv("HONE_FAKE_CUDA");
    return v && strncmp(v, name, strlen(name)) == 0 ? v + strlen(name) : nullptr;
}
static long setting_n(const char *name, long otherwise) {
    const char *v = setting(name);
    return v ? atol(v) : otherwise;
}
static int capability() { return (int)setting_n("capability=", 90); }
static size_t memory_total() { return (size_t)setting_n("memory=", 4096) << 20; }

/* What cudaGetLastError will say. */
static cudaError_t noted(cudaError_t rc) {
    if (rc) fake.last = rc;
    return rc;
}
/* Calls that wait or take memory: cudaErrorStreamCaptureUnsupported on a device. */
static void not_captured(const char *call) {
    if (!fake.capturing) return;
    fprintf(stderr, "%s while a stream is captured\n", call);
    abort();
}

/* ---- streams ---- */
static bool advance(cudaStream_t s) {
    if (s->queue.empty() || fake.hangs || fake.sticky) return false;
    fake_stream::item &front = s->queue.front();
    bool first = !front.begun;
    front.begun = true;
    if (!front.work(first)) return false;
    s->queue.pop_front();
    return true;
}
static char order(void) {
    const char *v = getenv("HONE_FAKE_ORDER");
    return v ? *v : 0; /* 'e', 'l' */
}
/* Everything that can run now, streams before others by their order. */
static void pump(void) {
    for (bool more = true; more;) {
        more = false;
        for (int turn = 0; turn < 2 && !more; turn++)
            for (cudaStream_t s : fake.streams)
                if (s->first == ((turn == 0) == (order() != 'e'))) more = advance(s) || more;
    }
}
static cudaError_t give(cudaStream_t s, fake_work work) {
    if (fake.sticky) return noted(fake.sticky);
    if (s->device != fake.device) return noted(cudaErrorInvalidResourceHandle);
    if (s == fake.capturing && s) not_captured("a sum over devices");
    s->queue.push_back({work, false});
    s->fresh = true;
    if (!order()) pump();
    return noted(fake.sticky);
}
static cudaError_t submit(cudaStream_t s, std::function<void()> work) {
    if (fake.sticky) return noted(fake.sticky);
    if (s->device != fake.device) return noted(cudaErrorInvalidResourceHandle);
    if (s->capturing) return s->capturing->work.push_back(work), cudaSuccess;
    return give(s, [=](bool) { return work(), true; });
}

/* ---- the runtime ---- */
extern "C" {
cudaError_t cudaGetDeviceCount(int *n) {
    *n = 0;
    if (setting("none")) return cudaErrorNoDevice;
    if (setting("driver")) return cudaErrorInsufficientDriver;
    *n = (int)setting_n("count=", 1);
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int i) {
    memset(p, 0, sizeof *p);
    p->pciBusID = 0x3b + i;
    snprintf(p->name, sizeof p->name, "fake device on the CPU");
    p->totalGlobalMem = memory_total();
    p->major = capability() / 10, p->minor = capability() % 10, p->multiProcessorCount = 4;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *v) { return *v = (int)setting_n("serves=", 13000), cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *v) { return *v = 13000, cudaSuccess; }
cudaError_t cudaSetDevice(int i) {
    if (i < 0 || i >= setting_n("count=", 1)) return noted(cudaErrorInvalidDevice);
    return fake.device = i, noted(fake.sticky);
}
cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    *total = memory_total();
    *available = *total > fake.used[fake.device] ? *total - fake.used[fake.device] : 0;
    return fake.sticky;
}
/* Freshly mapped pages whose end is the block's, to a multiple of `align` bytes, so that who leaves his block of memory meets a page of nobody. */
static void *guarded(size_t n, size_t align, size_t *mapped) {
    size_t page = 4096, body = (n + page - 1) / page * page;
    char *m = (char *)mmap(nullptr, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) return nullptr;
    mprotect(m + body, page, PROT_NONE);
    *mapped = body + page;
    return m + body - (n + align - 1) / align * align;
}
static void unmap(void *p, size_t mapped) { munmap((void *)((uintptr_t)p / 4096 * 4096), mapped); }
cudaError_t cudaMalloc(void **p, size_t n) {
    size_t mapped;
    not_captured("cudaMalloc");
    if (fake.sticky) return noted(fake.sticky);
    if (fake.used[fake.device] + n > memory_total() || !(*p = guarded(n, 256, &mapped))) return noted(cudaErrorMemoryAllocation);
    memset(*p, 0xA5, n); /* nobody may count on zeros */
    fake.blocks[*p] = {n, mapped, fake.device};
    fake.used[fake.device] += n;
    return cudaSuccess;
}
cudaError_t cudaFree(void *p) {
    if (!p) return cudaSuccess;
    not_captured("cudaFree");
    for (; fake.hangs; pause()) continue;
    pump();
    auto it = fake.blocks.find(p);
    if (it == fake.blocks.end()) return noted(cudaErrorInvalidValue);
    unmap(p, it->second.mapped);
    fake.used[it->second.device] -= it->second.bytes;
    fake.blocks.erase(it);
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **p, size_t n, unsigned) {
    size_t mapped;
    not_captured("cudaHostAlloc");
    if (!(*p = guarded(n ? n : 1, 64, &mapped))) return noted(cudaErrorMemoryAllocation);
    fake.pinned[*p] = mapped;
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *p) {
    not_captured("cudaFreeHost");
    pump();
    auto it = fake.pinned.find(p);
    if (it == fake.pinned.end()) return noted(cudaErrorInvalidValue);
    unmap(p, it->second);
    fake.pinned.erase(it);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind, cudaStream_t s) {
    fake.copied[kind & 7] += (long)n;
    return submit(s, [=] { memmove(to, from, n); });
}
cudaError_t cudaMemsetAsync(void *p, int byte, size_t n, cudaStream_t s) {
    return submit(s, [=] { memset(p, byte, n); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    *s = new fake_stream;
    (*s)->first = fake.streams.empty(), (*s)->give = give, (*s)->device = fake.device;
    fake.streams.push_back(*s);
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned flags, int) { return cudaStreamCreateWithFlags(s, flags); }
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { return *least = 0, *greatest = -5, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    pump();
    if (fake.capturing == s) fake.capturing = nullptr;
    for (size_t i = 0; i < fake.streams.size(); i++)
        if (fake.streams[i] == s) fake.streams.erase(fake.streams.begin() + (long)i);
    return delete s, cudaSuccess;
}
/* A device that does not answer any more: whoever waits for it waits for ever. */
static void answer(void) {
    for (; fake.hangs; pause()) continue;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    not_captured("cudaStreamSynchronize");
    for (pump(); !s->queue.empty() && !fake.sticky; pump()) answer(), usleep(100);
    return answer(), noted(fake.sticky);
}
cudaError_t cudaStreamQuery(cudaStream_t s) {
    not_captured("cudaStreamQuery");
    bool fresh = s->fresh; /* what was just queued is not done yet: for the first who asks */
    s->fresh = false;
    pump();
    return noted(fake.sticky ? fake.sticky : fake.hangs || fresh || !s->queue.empty() ? cudaErrorNotReady : cudaSuccess);
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode) {
    not_captured("cudaStreamBeginCapture");
    fake.capturing = s;
    return s->capturing = new fake_graph, cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g) {
    *g = s->capturing;
    s->capturing = nullptr, fake.capturing = nullptr;
    return *g ? cudaSuccess : noted(cudaErrorInvalidValue);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long) {
    if (setting("instance")) return noted(cudaErrorMemoryAllocation);
    fake.kept++;
    return *x = new fake_graph(*g), cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s) {
    for (auto &w : x->work)
        if (submit(s, w)) break;
    return noted(fake.sticky);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x) { return delete x, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t g) { return delete g, cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t *v) { return *v = new fake_event, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *v, unsigned) { return cudaEventCreate(v); }
cudaError_t cudaEventDestroy(cudaEvent_t v) { return delete v, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t v, cudaStream_t s) {
    if (s->capturing) not_captured("cudaEventRecord"); /* it may be, but nobody does */
    long n = ++v->recorded;
    return give(s, [=](bool) { return v->at = fake.clock, v->reached = n, true; });
}
/* For what was recorded last when it is called. */
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t v, unsigned) {
    if (s->capturing) not_captured("cudaStreamWaitEvent");
    long n = v->recorded;
    return give(s, [=](bool) { return v->reached >= n; });
}
cudaError_t cudaEventSynchronize(cudaEvent_t v) {
    not_captured("cudaEventSynchronize");
    for (pump(); v->reached < v->recorded && !fake.sticky; pump()) answer(), usleep(100);
    return answer(), noted(fake.sticky);
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) { return *ms = (float)(to->at - from->at), noted(fake.sticky); }
cudaError_t cudaGetLastError(void) {
    cudaError_t rc = fake.sticky ? fake.sticky : fake.last;
    return fake.last = cudaSuccess, rc;
}
cudaError_t cudaPeekAtLastError(void) { return fake.sticky ? fake.sticky : fake.last; }
const char *cudaGetErrorName(cudaError_t e) {
    switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorECCUncorrectable: return "cudaErrorECCUncorrectable";
    case cudaErrorDevicesUnavailable: return "cudaErrorDevicesUnavailable";
    default: return "cudaErrorUnknown";
    }
}
const char *cudaGetErrorString(cudaError_t e) { return e == cudaErrorIllegalAddress ? "an illegal memory access was encountered" : cudaGetErrorName(e); }
}

/* ---- kernels ---- */
namespace {
enum { STACK = 64 << 10, THREADS = 1024 };
/* A thread of a block. Fibres live on from block to block; after their first start they are changed by jumps, which cost no system call. */
struct fibre {
    ucontext_t first;
    jmp_buf at;
    dim3 thread;
    bool begun, done;
    uint64_t word; /* given to a shuffle */
    int wait[2]; /* barriers passed: of the warp, of the block */
};
struct block_state {
    std::vector<fibre> f = std::vector<fibre>(THREADS);
    jmp_buf home;
    size_t n = 0, now = 0;
    const std::function<void()> *kernel = nullptr;
    char *stacks = nullptr;
} blk;

void give_way() {
    size_t me = blk.now;
    if (_setjmp(blk.f[me].at) == 0) _longjmp(blk.home, 1);
}
void fibre_main() {
    for (;;) {
        (*blk.kernel)();
        blk.f[blk.now].done = true;
        give_way();
    }
}
void resume(size_t i) {
    blk.now = i;
    threadIdx = blk.f[i].thread;
    if (_setjmp(blk.home) != 0) return;
    if (blk.f[i].begun) _longjmp(blk.f[i].at, 1);
    blk.f[i].begun = true;
    getcontext(&blk.f[i].first);
    blk.f[i].first.uc_stack.ss_sp = blk.stacks + i * STACK;
    blk.f[i].first.uc_stack.ss_size = STACK;
    blk.f[i].first.uc_link = nullptr;
    makecontext(&blk.f[i].first, fibre_main, 0);
    setcontext(&blk.f[i].first);
}
/* Gives way until everybody in [lo, hi) who is not done stands at the same barrier. */
void barrier(size_t lo, size_t hi, int kind) {
    size_t me = blk.now;
    int mine = ++blk.f[me].wait[kind];
    for (;;) {
        bool all = true;
        for (size_t i = lo; i < hi && all; i++) all = blk.f[i].done || blk.f[i].wait[kind] >= mine;
        if (all) return;
        give_way();
    }
}
size_t warp_end(size_t lo) { return lo + 32 < blk.n ? lo + 32 : blk.n; }
} // namespace

void fake_sync(void) { barrier(0, blk.n, 1); }

uint64_t fake_shuffle(uint64_t bits, int from) {
    size_t me = blk.now, lo = me / 32 * 32, hi = warp_end(lo);
    blk.f[me].word = bits;
    barrier(lo, hi, 0);
    size_t other = lo + (size_t)(from & 31);
    uint64_t got = other < hi && !blk.f[other].done ? blk.f[other].word : bits;
    barrier(lo, hi, 0);
    return got;
}
unsigned fake_ballot(bool p) {
    size_t me = blk.now, lo = me / 32 * 32, hi = warp_end(lo);
    blk.f[me].word = p;
    barrier(lo, hi, 0);
    unsigned bits = 0;
    for (size_t i = lo; i < hi; i++)
        if (!blk.f[i].done && blk.f[i].word) bits |= 1u << (i - lo);
    barrier(lo, hi, 0);
    return bits;
}

float *fake_warp_area(void) {
    static float area[THREADS / 32][512];
    return area[blk.now / 32];
}

static void run_block(const std::function<void()> &kernel) {
    blk.n = (size_t)blockDim.x * blockDim.y * blockDim.z;
    blk.kernel = &kernel;
    if (!blk.stacks) blk.stacks = (char *)mmap(nullptr, (size_t)THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; i < blk.n; i++) {
        fibre &f = blk.f[i];
        f.thread = dim3((unsigned)(i % blockDim.x), (unsigned)(i / blockDim.x % blockDim.y), (unsigned)(i / blockDim.x / blockDim.y));
        f.done = false, f.word = 0, f.wait[0] = f.wait[1] = 0;
    }
    for (bool left = true; left;) {
        left = false;
        for (size_t i = 0; i < blk.n; i++) {
            if (blk.f[i].done) continue;
            resume(i);
            left = left || !blk.f[i].done;
        }
    }
}

static const struct {
    const char *name;
    cudaError_t rc;
} failures[] = {{"lost=", cudaErrorIllegalAddress}, {"ecc=", cudaErrorECCUncorrectable}, {"bus=", cudaErrorDevicesUnavailable}};

/* The driver's log, for the fake NVML. */
static void driver_notes(void) {
    const char *file = getenv("HONE_FAKE_XID_LOG");
    FILE *f = file ? fopen(file, "w") : nullptr;
    if (f) fclose(f);
}

void fake_launch(dim3 grid, dim3 block, cudaStream_t s, std::function<void()> kernel) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x * block.y * block.z == 0 || block.x * block.y * block.z > 1024 || grid.y > 65535 ||
        grid.z > 65535 || grid.x > 0x7fffffff || block.z > 64) {
        noted(cudaErrorInvalidConfiguration);
        return;
    }
    submit(s, [=] {
        fake.launches++;
        fake.clock += 1e-3 + 1e-6 * (double)grid.x * grid.y * grid.z * block.x * block.y * block.z;
        for (const auto &f : failures)
            if (setting(f.name) && fake.launches >= setting_n(f.name, 0)) fake.sticky = f.rc;
        fake.hangs = fake.hangs || (setting("hang=") && fake.launches >= setting_n("hang=", 0));
        if (fake.sticky || fake.hangs) return driver_notes();
        gridDim = grid, blockDim = block;
        for (unsigned z = 0; z < grid.z; z++)
            for (unsigned y = 0; y < grid.y; y++)
                for (unsigned x = 0; x < grid.x; x++) {
                    blockIdx = dim3(x, y, z);
                    run_block(kernel);
                }
    });
}

/* ---- products ---- */
struct fake_lt {
    int unused;
};
struct fake_desc {
    cublasComputeType_t compute;
    int ta = 0, tb = 0, epilogue = CUBLASLT_EPILOGUE_DEFAULT, bias_type = CUDA_R_32F;
    const void *bias = nullptr, *scale_a = nullptr, *scale_b = nullptr;
    int8_t fast = 0;
};
struct fake_layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld, stride = 0;
    int batch = 1;
};
struct fake_pref {
    uint64_t bytes = 0;
    uint32_t align = 256;
};
/* The library's algorithms, in the order it believes in. */
static const struct {
    double time; /* times the work */
    bool runs, there; /* there: named with status success */
    size_t workspace;
} algorithms[] = {
    {1, true, true, 0}, {0.1, false, true, 1 << 20}, {0.6, true, true, 0}, {0.05, true, false, 0}, {0.4, true, true, 1 << 20}, {0.7, true, true, 4 << 20}};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };
static float get(const void *p, int type, int64_t i) {
    if (type == CUDA_R_8I) return ((const int8_t *)p)[i];
    if (type == CUDA_R_8F_E4M3) return fake_from_e4m3(((const uint8_t *)p)[i]);
    if (type == CUDA_R_32F) return ((const float *)p)[i];
    uint16_t v = ((const uint16_t *)p)[i];
    if (type == CUDA_R_16F) return __half2float(__ushort_as_half(v));
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static void put(void *p, int type, int64_t i, float f) {
    if (type == CUDA_R_32F) {
        ((float *)p)[i] = f;
        return;
    }
    if (type == CUDA_R_16F) {
        ((uint16_t *)p)[i] = __half_as_ushort(__float2half_rn(f));
        return;
    }
    uint32_t bits;
    memcpy(&bits, &f, 4);
    ((uint16_t *)p)[i] = f != f ? 0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
extern "C" {
cublasStatus_t cublasLtCreate(cublasLtHandle_t *h) { return *h = new fake_lt, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h) { return delete h, CUBLAS_STATUS_SUCCESS; }
size_t cublasLtGetVersion(void) { return 130000; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType_t) {
    *d = new fake_desc;
    (*d)->compute = compute;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return delete d, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a, const void *v, size_t n) {
    void *at = a == CUBLASLT_MATMUL_DESC_TRANSA            ? (void *)&d->ta
               : a == CUBLASLT_MATMUL_DESC_TRANSB          ? (void *)&d->tb
               : a == CUBLASLT_MATMUL_DESC_EPILOGUE        ? (void *)&d->epilogue
               : a == CUBLASLT_MATMUL_DESC_BIAS_POINTER    ? (void *)&d->bias
               : a == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER ? (void *)&d->scale_a
               : a == CUBLASLT_MATMUL_DESC_B_SCALE_POINTER ? (void *)&d->scale_b
               : a == CUBLASLT_MATMUL_DESC_FAST_ACCUM      ? (void *)&d->fast
                                                           : (void *)&d->bias_type;
    bool pointer = a == CUBLASLT_MATMUL_DESC_BIAS_POINTER || a == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER || a == CUBLASLT_MATMUL_DESC_B_SCALE_POINTER;
    if (n != (pointer ? sizeof(void *) : a == CUBLASLT_MATMUL_DESC_FAST_ACCUM ? 1 : 4)) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(at, v, n);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld) {
    if (ld < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    *l = new fake_layout;
    (*l)->type = type, (*l)->rows = rows, (*l)->cols = cols, (*l)->ld = ld;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return delete l, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t a, const void *v, size_t) {
    if (a == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) memcpy(&l->batch, v, 4);
    else memcpy(&l->stride, v, 8);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p) { return *p = new fake_pref, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { return delete p, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t a, const void *v, size_t n) {
    if (n != (a == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8 : 4)) return CUBLAS_STATUS_INVALID_VALUE;
    if (a == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) memcpy(&p->bytes, v, n);
    else memcpy(&p->align, v, n);
    return CUBLAS_STATUS_SUCCESS;
}
/* Which products there are: what the documentation of cublasLtMatmul lists for these types, as far as it is used. */
static bool known(const fake_desc &d, const fake_layout &a, const fake_layout &b, const fake_layout &y) {
    if (a.type != b.type) return false;
    if (a.type == CUDA_R_8I) /* IMMA on plain layouts: TN, m and k multiples of 4 */
        return d.compute == CUBLAS_COMPUTE_32I && y.type == CUDA_R_32I && d.ta && !d.tb && y.rows % 4 == 0 && a.rows % 4 == 0 && a.ld % 4 == 0 &&
               b.ld % 4 == 0 && d.epilogue == CUBLASLT_EPILOGUE_DEFAULT;
    if (d.compute == CUBLAS_COMPUTE_32I || y.type == CUDA_R_32I) return false;
    if (a.type ==
        CUDA_R_8F_E4M3) /* TN, extents that are contiguous multiples of 16 bytes, a bias of bf16 alone; none for 7 rows, so that the way around is run */
        return capability() >= 89 && y.cols != 7 && d.compute == CUBLAS_COMPUTE_32F && d.ta && !d.tb && a.rows % 16 == 0 && y.rows % 16 == 0 &&
               (y.type == CUDA_R_16BF || y.type == CUDA_R_32F) && (d.epilogue == CUBLASLT_EPILOGUE_DEFAULT || d.bias_type == CUDA_R_16BF);
    if (y.type != CUDA_R_32F && y.type != a.type) return false;
    return d.epilogue == CUBLASLT_EPILOGUE_DEFAULT ||
           d.bias_type == (int)y.type; /* a bias of float on 16 bits is refused here, so that the way around it is run */
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t, cublasLtMatrixLayout_t y, cublasLtMatmulPreference_t p, int want, cublasLtMatmulHeuristicResult_t *out, int *n) {
    *n = 0;
    if (!known(*d, *a, *b, *y)) return CUBLAS_STATUS_NOT_SUPPORTED;
    for (int i = 0; i < ALGORITHMS && *n < want; i++) {
        if (algorithms[i].workspace > p->bytes) continue;
        memset(&out[*n], 0, sizeof out[*n]);
        out[*n].algo.data[0] = (uint64_t)i, out[*n].algo.data[1] = p->align;
        out[*n].workspaceSize = algorithms[i].workspace;
        out[(*n)++].state = algorithms[i].there ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    }
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
    cublasLtMatrixLayout_t y, const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result) {
    if (!known(*d, *a, *b, *y) || algo->data[0] >= ALGORITHMS || algo->data[2]) return CUBLAS_STATUS_NOT_SUPPORTED;
    result->workspaceSize = algorithms[algo->data[0]].workspace;
    return CUBLAS_STATUS_SUCCESS;
}
long fake_computes(int type) { return fake.computes[type & 127]; }
/* The device whose memory holds p; -1: none. */
int fake_device_of(const void *p) {
    for (const auto &b : fake.blocks)
        if ((const char *)p >= (const char *)b.first && (const char *)p < (const char *)b.first + b.second.bytes) return b.second.device;
    return -1;
}
long fake_kept(void) { return fake.kept; }
long fake_launches(void) { return fake.launches; }
long fake_eights(void) { return fake.eights; }
long fake_copied(int kind) { return fake.copied[kind & 7]; }
long fake_products(int algorithm) { return fake.products[algorithm]; }
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, const void *alpha, const void *a, cublasLtMatrixLayout_t la, const void *b,
    cublasLtMatrixLayout_t lb, const void *beta, const void *c, cublasLtMatrixLayout_t lc, void *y, cublasLtMatrixLayout_t ly, const cublasLtMatmulAlgo_t *algo,
    void *workspace, size_t space, cudaStream_t s) {
    fake_desc de = *d;
    fake_layout A = *la, B = *lb, C = *lc, Y = *ly;
    bool whole = de.compute == CUBLAS_COMPUTE_32I;
    double al = whole ? *(const int32_t *)alpha : *(const float *)alpha, be = whole ? *(const int32_t *)beta : *(const float *)beta;
    uint64_t m = Y.rows, n = Y.cols, k = de.ta ? A.rows : A.cols, id = algo->data[0], align = algo->data[1];
    if ((de.ta ? A.cols : A.rows) != m || (de.tb ? B.rows : B.cols) != n || (de.tb ? B.cols : B.rows) != k || A.type != B.type)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (id < ALGORITHMS && !algorithms[id].runs) return noted(cudaErrorInvalidValue), CUBLAS_STATUS_NOT_SUPPORTED; /* of a launch inside the library */
    if (!known(de, A, B, Y) || id >= ALGORITHMS || space < algorithms[id].workspace || (uintptr_t)workspace % 256) return CUBLAS_STATUS_NOT_SUPPORTED;
    if ((uintptr_t)a % align || (uintptr_t)b % align || (uintptr_t)y % align) return CUBLAS_STATUS_INVALID_VALUE; /* chosen for better aligned operands */
    cudaError_t rc = submit(s, [=] {
        fake.clock += algorithms[id].time * ((double)m * (double)n * (double)k * 1e-8 + 1e-3) * (A.type == CUDA_R_8I || A.type == CUDA_R_8F_E4M3 ? 0.5 : 1);
        fake.products[id]++;
        fake.computes[de.compute & 127]++;
        fake.eights += A.type == CUDA_R_8F_E4M3;
        for (int q = 0; q < Y.batch; q++)
            for (uint64_t j = 0; j < n; j++)
                for (uint64_t i = 0; i < m; i++) {
                    double sum = 0;
                    for (uint64_t p = 0; p < k; p++) {
                        int64_t ia = (int64_t)(de.ta ? p : i) + (int64_t)(de.ta ? i : p) * A.ld + q * A.stride;
                        int64_t ib = (int64_t)(de.tb ? j : p) + (int64_t)(de.tb ? p : j) * B.ld + q * B.stride;
                        sum += (double)get(a, A.type, ia) * get(b, B.type, ib);
                    }
                    int64_t at = (int64_t)i + (int64_t)j * Y.ld + q * Y.stride;
                    if (whole) {
                        ((int32_t *)y)[at] = (int32_t)(al * sum + (be != 0 ? be * ((const int32_t *)c)[at] : 0));
                        continue;
                    }
                    float v = (float)al * (float)sum;
                    if (de.scale_a) v *= *(const float *)de.scale_a;
                    if (de.scale_b) v *= *(const float *)de.scale_b;
                    if (be != 0) v += (float)be * get(c, C.type, (int64_t)i + (int64_t)j * C.ld + q * C.stride);
                    if (de.epilogue == CUBLASLT_EPILOGUE_BIAS) v += get(de.bias, de.bias_type, (int64_t)i);
                    put(y, Y.type, at, v);
                }
    });
    return rc ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}
}

/* ---- convolutions */
struct fake_dnn {
    cudaStream_t stream;
};
struct fake_tensor {
    int type, n, c, h, w;
};
struct fake_filter {
    int type, k, c, h, w;
};
struct fake_conv {
    int p[2], s[2], d[2], groups, math;
};
static int cuda_type(int dnn) { return dnn == CUDNN_DATA_HALF ? CUDA_R_16F : dnn == CUDNN_DATA_BFLOAT16 ? CUDA_R_16BF : CUDA_R_32F; }
/* Every product of the convolution: which 0 y, 1 dx, 2 dw. */
static cudnnStatus_t conv_all(
    cudnnHandle_t h, int which, fake_tensor X, const void *x, fake_filter W, const void *w, fake_tensor Y, const void *y, fake_conv c) {
    int oh = (X.h + 2 * c.p[0] - c.d[0] * (W.h - 1) - 1) / c.s[0] + 1, ow = (X.w + 2 * c.p[1] - c.d[1] * (W.w - 1) - 1) / c.s[1] + 1;
    if (Y.h != oh || Y.w != ow || Y.n != X.n || Y.c != W.k || W.c * c.groups != X.c || X.type != W.type || X.type != Y.type) return CUDNN_STATUS_BAD_PARAM;
    submit(h->stream, [=] {
        fake.convolutions[c.math & 3]++;
        int type = cuda_type(X.type), og = W.k / c.groups;
        size_t n = which == 0 ? (size_t)Y.n * Y.c * oh * ow : which == 1 ? (size_t)X.n * X.c * X.h * X.w : (size_t)W.k * W.c * W.h * W.w;
        std::vector<double> sum(n, 0.0);
        for (int b = 0; b < X.n; b++)
            for (int o = 0; o < W.k; o++)
                for (int r = 0; r < oh; r++)
                    for (int q = 0; q < ow; q++)
                        for (int i = 0; i < W.c; i++)
                            for (int kh = 0; kh < W.h; kh++)
                                for (int kw = 0; kw < W.w; kw++) {
                                    int ih = r * c.s[0] - c.p[0] + kh * c.d[0], iw = q * c.s[1] - c.p[1] + kw * c.d[1];
                                    if (ih < 0 || ih >= X.h || iw < 0 || iw >= X.w) continue;
                                    int64_t ix = (((int64_t)b * X.c + o / og * W.c + i) * X.h + ih) * X.w + iw;
                                    int64_t iy = (((int64_t)b * W.k + o) * oh + r) * ow + q, ik = (((int64_t)o * W.c + i) * W.h + kh) * W.w + kw;
                                    if (which == 0) sum[(size_t)iy] += (double)get(x, type, ix) * get(w, type, ik);
                                    else if (which == 1) sum[(size_t)ix] += (double)get(y, type, iy) * get(w, type, ik);
                                    else sum[(size_t)ik] += (double)get(y, type, iy) * get(x, type, ix);
                                }
        void *out = const_cast<void *>(which == 0 ? y : which == 1 ? x : w);
        for (size_t i = 0; i < n; i++) put(out, type, (int64_t)i, (float)sum[i]);
    });
    return CUDNN_STATUS_SUCCESS;
}
/* The first is not deterministic, the second is not for the kind of mathematics that is set, the third takes more than its row says. */
template <class P> static cudnnStatus_t fake_choice(int want, int *n, P *out) {
    *n = want < 4 ? want : 4;
    memset(out, 0, sizeof *out * (size_t)*n);
    for (int i = 0; i < *n; i++) out[i].algo = i, out[i].determinism = i ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
    return CUDNN_STATUS_SUCCESS;
}
static cudnnStatus_t fake_space(int algo, size_t *bytes) {
    *bytes = algo == 2 ? (size_t)1 << 20 : 0;
    return algo == 1 ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
}
static bool fake_runs(int algo, const void *space, size_t bytes) {
    size_t least;
    return algo && fake_space(algo, &least) == CUDNN_STATUS_SUCCESS && bytes >= least && (!least || space);
}
extern "C" {
cudnnStatus_t cudnnCreate(cudnnHandle_t *h) { return *h = new fake_dnn(), CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroy(cudnnHandle_t h) { return delete h, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s) { return h->stream = s, CUDNN_STATUS_SUCCESS; }
const char *cudnnGetErrorString(cudnnStatus_t s) {
    return s == CUDNN_STATUS_SUCCESS ? "no error" : s == CUDNN_STATUS_BAD_PARAM ? "a bad parameter" : "not supported";
}
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *t) { return *t = new fake_tensor(), CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) { return delete t, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t f, cudnnDataType_t d, int n, int c, int h, int w) {
    *t = fake_tensor{d, n, c, h, w};
    return f == CUDNN_TENSOR_NCHW && n > 0 && c > 0 && h > 0 && w > 0 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *f) { return *f = new fake_filter(), CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t f) { return delete f, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t f, cudnnDataType_t d, cudnnTensorFormat_t, int k, int c, int h, int w) {
    return *f = fake_filter{d, k, c, h, w}, CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *c) { return *c = new fake_conv(), CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c) { return delete c, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetConvolution2dDescriptor(
    cudnnConvolutionDescriptor_t c, int ph, int pw, int sh, int sw, int dh, int dw, cudnnConvolutionMode_t m, cudnnDataType_t compute) {
    *c = fake_conv{{ph, pw}, {sh, sw}, {dh, dw}, 1, CUDNN_DEFAULT_MATH};
    return m == CUDNN_CROSS_CORRELATION && compute == CUDNN_DATA_FLOAT ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t c, int groups) { return c->groups = groups, CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math) { return c->math = math, CUDNN_STATUS_SUCCESS; }
long fake_convolutions(int math) { return fake.convolutions[math & 3]; }
cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t, cudnnFilterDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, int want, int *n, cudnnConvolutionFwdAlgoPerf_t *out) {
    return fake_choice(want, n, out);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, cudnnFilterDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, int want, int *n, cudnnConvolutionBwdDataAlgoPerf_t *out) {
    return fake_choice(want, n, out);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnFilterDescriptor_t, int want, int *n, cudnnConvolutionBwdFilterAlgoPerf_t *out) {
    return fake_choice(want, n, out);
}
cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t, cudnnFilterDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, cudnnConvolutionFwdAlgo_t algo, size_t *bytes) {
    return fake_space(algo, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, cudnnFilterDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnTensorDescriptor_t, cudnnConvolutionBwdDataAlgo_t algo, size_t *bytes) {
    return fake_space(algo, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t,
    cudnnFilterDescriptor_t, cudnnConvolutionBwdFilterAlgo_t algo, size_t *bytes) {
    return fake_space(algo, bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t h, const void *, cudnnTensorDescriptor_t xd, const void *x, cudnnFilterDescriptor_t wd, const void *w,
    cudnnConvolutionDescriptor_t c, cudnnConvolutionFwdAlgo_t algo, void *space, size_t bytes, const void *, cudnnTensorDescriptor_t yd, void *y) {
    if (!fake_runs(algo, space, bytes)) return CUDNN_STATUS_BAD_PARAM;
    return conv_all(h, 0, *xd, x, *wd, w, *yd, y, *c);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t h, const void *, cudnnFilterDescriptor_t wd, const void *w, cudnnTensorDescriptor_t dyd,
    const void *dy, cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdDataAlgo_t algo, void *space, size_t bytes, const void *, cudnnTensorDescriptor_t dxd,
    void *dx) {
    if (!fake_runs(algo, space, bytes)) return CUDNN_STATUS_BAD_PARAM;
    return conv_all(h, 1, *dxd, dx, *wd, w, *dyd, dy, *c);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t h, const void *, cudnnTensorDescriptor_t xd, const void *x, cudnnTensorDescriptor_t dyd,
    const void *dy, cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdFilterAlgo_t algo, void *space, size_t bytes, const void *, cudnnFilterDescriptor_t dwd,
    void *dw) {
    if (!fake_runs(algo, space, bytes)) return CUDNN_STATUS_BAD_PARAM;
    return conv_all(h, 2, *xd, x, *dwd, dw, *dyd, dy, *c);
}
}
