/* Sums over the devices of several processes by NCCL, which is opened at run time (HONE_NCCL of the environment names another file than libnccl.so.2). Its
 * header may be missing, so the few entry points used are declared here as nccl.h of NCCL 2 gives them. A process that never comes would hold up the start for
 * ever: that runs on a thread of its own, which is left alone when it is hopeless. Sums run on a stream of their own, beside what is queued behind them, and
 * are never part of a kept run: each rank keeps runs of its own extents, and captured or not must be the same in all ranks (NCCL user guide, "Using NCCL with
 * CUDA Graphs"). */
#include "engine/cuda/cuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NCCL_IN_PROGRESS = 7, NCCL_SUM = 0, NCCL_FLOAT = 7, START_S = 60, STEP_US = 2000 };
struct unique_id { /* ncclUniqueId */
    char bytes[COMM_ID];
};
struct nccl {
    void *lib, *comm;
    cudaStream_t stream; /* of the sums */
    cudaEvent_t ready, summed; /* what is to be summed is there; the sums are */
    int (*id)(unique_id *out);
    int (*init)(void **comm, int size, unique_id id, int rank);
    int (*sum)(const void *from, void *to, size_t n, int type, int op, void *comm, cudaStream_t s);
    int (*begin)(void);
    int (*end)(void);
    int (*state)(void *comm, int *rc);
    int (*destroy)(void *comm);
    int (*abort)(void *comm);
    const char *(*words)(int rc);
    const char *(*last)(void *comm); /* NULL: an old one */
};
static const struct {
    const char *symbol;
    size_t offset;
    bool must;
} entries[] = {{"ncclGetUniqueId", offsetof(struct nccl, id), true}, {"ncclCommInitRank", offsetof(struct nccl, init), true},
    {"ncclAllReduce", offsetof(struct nccl, sum), true}, {"ncclGroupStart", offsetof(struct nccl, begin), true},
    {"ncclGroupEnd", offsetof(struct nccl, end), true}, {"ncclCommGetAsyncError", offsetof(struct nccl, state), true},
    {"ncclCommDestroy", offsetof(struct nccl, destroy), true}, {"ncclCommAbort", offsetof(struct nccl, abort), true},
    {"ncclGetErrorString", offsetof(struct nccl, words), true}, {"ncclGetLastError", offsetof(struct nccl, last), false}};

static struct nccl *library(struct cuda *c, struct err *e) {
    const char *env = getenv("HONE_NCCL"), *file = env && *env ? env : "libnccl.so.2";
    if (c->nccl) return c->nccl;
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        c->host->fail(e, "several GPUs need NCCL: %s cannot be opened; install it, or leave ranks at 1", file);
        return NULL;
    }
    struct nccl *n = (struct nccl *)calloc(1, sizeof *n);
    for (size_t i = 0; n && i < sizeof entries / sizeof *entries; i++) {
        void *f = dlsym(lib, entries[i].symbol);
        memcpy((char *)n + entries[i].offset, &f, sizeof f);
        if (f || !entries[i].must) continue;
        c->host->fail(e, "several GPUs need NCCL: %s has no %s", file, entries[i].symbol);
        free(n);
        n = NULL;
    }
    if (n) n->lib = lib;
    else dlclose(lib);
    return c->nccl = n;
}
static int nccl_fail(struct cuda *c, int rc, const char *what, struct err *e) {
    const char *more = c->nccl->last ? c->nccl->last(c->nccl->comm) : "";
    return c->host->fail(e, "%s: NCCL says %s%s%s", what, c->nccl->words(rc), more && *more ? ": " : "", more ? more : "");
}

int comm_id(struct cuda *c, char *out, struct err *e) {
    unique_id id;
    struct nccl *n = library(c, e);
    if (!n) return -1;
    int rc = n->id(&id);
    if (rc != 0) return nccl_fail(c, rc, "the GPUs cannot be joined", e);
    memcpy(out, id.bytes, sizeof id.bytes);
    return 0;
}

static void parted(struct nccl *n) {
    if (n->stream) cudaStreamDestroy(n->stream);
    if (n->ready) cudaEventDestroy(n->ready);
    if (n->summed) cudaEventDestroy(n->summed);
    n->stream = NULL, n->ready = n->summed = NULL;
}
void comm_close(struct cuda *c, bool broken) {
    struct nccl *n = c->nccl;
    if (n && n->comm && !c->lost) (broken ? n->abort : n->destroy)(n->comm);
    if (n && !c->lost) parted(n);
    if (n) n->comm = NULL;
}

/* ---- start */
static int stream_of_sums(struct cuda *c, struct err *e) {
    struct nccl *n = c->nccl;
    int least = 0, greatest = 0; /* of priorities: sums go first, as others wait for them */
    if (cuda_fail(c, cudaDeviceGetStreamPriorityRange(&least, &greatest), "no stream", e) < 0 ||
        cuda_fail(c, cudaStreamCreateWithPriority(&n->stream, cudaStreamNonBlocking, greatest), "no stream", e) < 0 ||
        cuda_fail(c, cudaEventCreateWithFlags(&n->ready, cudaEventDisableTiming), "no event", e) < 0)
        return -1;
    return cuda_fail(c, cudaEventCreateWithFlags(&n->summed, cudaEventDisableTiming), "no event", e);
}
struct joining {
    struct nccl *n;
    int device, rank, size, rc;
    unique_id id;
    void *comm;
    pthread_mutex_t lock; /* protects done and left */
    bool done, left; /* left: nobody waits any more */
};
static void *join(void *arg) {
    struct joining *j = (struct joining *)arg;
    int rc = cudaSetDevice(j->device) == cudaSuccess ? j->n->init(&j->comm, j->size, j->id, j->rank) : 1;
    pthread_mutex_lock(&j->lock);
    j->rc = rc, j->done = true;
    bool left = j->left;
    pthread_mutex_unlock(&j->lock);
    if (left) free(j);
    return NULL;
}
int comm_open(struct cuda *c, const char *id, int rank, int size, struct err *e) {
    struct nccl *n = library(c, e);
    struct joining *j = n ? (struct joining *)calloc(1, sizeof *j) : NULL;
    pthread_t t;
    if (!j) return -1;
    j->n = n, j->device = c->info.index, j->rank = rank, j->size = size;
    memcpy(j->id.bytes, id, sizeof j->id.bytes);
    pthread_mutex_init(&j->lock, NULL);
    if (pthread_create(&t, NULL, join, j) != 0) {
        free(j);
        return c->host->fail(e, "no thread to join the GPUs with");
    }
    pthread_detach(t);
    for (int64_t us = 0;; us += STEP_US) {
        pthread_mutex_lock(&j->lock);
        bool done = j->done, late = us > (int64_t)START_S * 1000000 || (!done && c->host->parted());
        j->left = !done && late;
        pthread_mutex_unlock(&j->lock);
        if (done) break;
        if (late) return c->host->fail(e, "the GPUs cannot be joined: not all ranks came"); /* j is the thread's */
        usleep(STEP_US);
    }
    int rc = j->rc;
    n->comm = j->comm;
    free(j);
    if (rc == 0 && stream_of_sums(c, e) == 0) return 0;
    if (rc != 0) nccl_fail(c, rc, "the GPUs cannot be joined", e), n->comm = NULL;
    comm_close(c, true);
    return -1;
}
/* ---- sums */
int comm_sum(struct cuda *c, float *const *p, const int64_t *len, int count, struct err *e) {
    struct nccl *n = c->nccl;
    static const char what[] = "gradients cannot be summed over the GPUs";
    if (!n || !n->comm) return c->host->fail(e, "the GPUs are not joined");
    if (cuda_fail(c, cudaEventRecord(n->ready, c->stream), what, e) < 0 || cuda_fail(c, cudaStreamWaitEvent(n->stream, n->ready, 0), what, e) < 0) return -1;
    int rc = n->begin();
    for (int i = 0; i < count && rc == 0; i++) rc = n->sum(p[i], p[i], (size_t)len[i], NCCL_FLOAT, NCCL_SUM, n->comm, n->stream);
    int end = n->end();
    return rc == 0 && end == 0 ? 0 : nccl_fail(c, rc ? rc : end, what, e);
}
int comm_join(struct cuda *c, struct err *e) {
    struct nccl *n = c->nccl;
    static const char what[] = "sums over the GPUs cannot be waited for";
    if (!n || !n->comm) return c->host->fail(e, "the GPUs are not joined");
    return cuda_fail(c, cudaEventRecord(n->summed, n->stream), what, e) < 0 ? -1 : cuda_fail(c, cudaStreamWaitEvent(c->stream, n->summed, 0), what, e);
}
/* While the stream is waited for: -1 if what is waited for will not come. */
int comm_look(struct cuda *c, struct err *e) {
    struct nccl *n = c->nccl;
    int rc = 0;
    if (!n || !n->comm) return 0;
    bool parted = c->host->parted();
    if (!parted && n->state(n->comm, &rc) == 0 && (rc == 0 || rc == NCCL_IN_PROGRESS)) return 0;
    if (parted) c->host->fail(e, "a sum over the GPUs was given up: another rank has ended or does not answer");
    else nccl_fail(c, rc, "a sum over the GPUs failed", e);
    comm_close(c, true);
    return -1;
}
