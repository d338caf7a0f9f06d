/* A small fake of NCCL: the processes of one group meet in a file of shared memory that the id names, and add up in the order of their ranks.
 * HONE_FAKE_NCCL of the environment: "init" (a group cannot be made), "reduce=N" (the N-th sum of rank 0 fails: of two that failed at once it would be
 * chance which ended first), "hang=N" (the N-th sum never ends), "late=N" (that of rank 0 fails while it is under way, which shows when it is asked for).
 * A group whose size is not that of the first one that came is refused, as are ranks that do not sum the same. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda_runtime.h"

enum { SUCCESS = 0, SYSTEM_ERROR = 2, INTERNAL_ERROR = 3, INVALID_ARGUMENT = 4, RANKS = 16, CHUNK = 1 << 16 };
struct unique_id {
    char bytes[128];
};
struct hall {
    std::atomic<int> size, arrived, phase;
    size_t length[RANKS]; /* of the sum under way */
    float slot[RANKS][CHUNK];
};
struct comm {
    hall *h;
    int rank, size;
    std::atomic<bool> dead, failed;
    std::thread worker; /* of the last group of sums */
};
struct job {
    float *y;
    size_t n;
    comm *c;
    cudaStream_t stream;
    bool hangs, fails;
};
static std::vector<job> group;
static std::set<const comm *> alive; /* what is queued may come when its group is gone */
static long sums;
static const char *setting(const char *name) {
    const char *v = getenv("HONE_FAKE_NCCL");
    return v && strncmp(v, name, strlen(name)) == 0 ? v + strlen(name) : nullptr;
}
static void meet(comm *c) {
    int phase = c->h->phase;
    if (++c->h->arrived == c->size) {
        c->h->arrived = 0;
        c->h->phase++;
    }
    while (c->h->phase == phase && !c->dead) usleep(200);
}
static void add_up(const job &j) {
    comm *c = j.c;
    c->h->length[c->rank] = j.n;
    meet(c);
    for (int r = 0; r < c->size && !c->dead; r++)
        if (c->h->length[r] != j.n) fprintf(stderr, "rank %d sums %zu numbers, rank %d %zu\n", c->rank, j.n, r, c->h->length[r]), abort();
    c->failed = c->failed || j.fails;
    for (size_t at = 0; at < j.n && !c->dead; at += CHUNK) {
        size_t k = j.n - at < (size_t)CHUNK ? j.n - at : (size_t)CHUNK;
        memcpy(c->h->slot[c->rank], j.y + at, k * sizeof(float));
        meet(c);
        for (size_t i = 0; i < k && !c->dead; i++) {
            float s = c->h->slot[0][i];
            for (int r = 1; r < c->size; r++) s += c->h->slot[r][i];
            j.y[at + i] = s;
        }
        meet(c);
    }
    while ((j.hangs || j.fails) && !c->dead) usleep(1000);
}
extern "C" {
int ncclGetUniqueId(unique_id *id) {
    memset(id, 0, sizeof *id);
    snprintf(id->bytes, sizeof id->bytes, "/tmp/hone-fake-nccl-XXXXXX");
    int fd = mkstemp(id->bytes);
    if (fd < 0 || ftruncate(fd, sizeof(hall)) != 0) return SYSTEM_ERROR;
    return close(fd), SUCCESS;
}
int ncclCommInitRank(comm **out, int size, unique_id id, int rank) {
    int fd = setting("init") ? -1 : open(id.bytes, O_RDWR);
    if (setting("init")) unlink(id.bytes);
    if (fd < 0 || size < 1 || size > RANKS || rank < 0 || rank >= size) return SYSTEM_ERROR;
    void *p = mmap(nullptr, sizeof(hall), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED) return SYSTEM_ERROR;
    comm *c = new comm{(hall *)p, rank, size, {false}, {false}, {}};
    int none = 0;
    if (!c->h->size.compare_exchange_strong(none, size) && none != size) return delete c, INVALID_ARGUMENT;
    meet(c);
    if (rank == 0) unlink(id.bytes);
    alive.insert(c);
    return *out = c, SUCCESS;
}
int ncclAllReduce(const void *from, void *to, size_t n, int type, int op, comm *c, cudaStream_t stream) {
    if (type != 7 || op != 0 || from != to) return INVALID_ARGUMENT;
    ++sums;
    if (c->rank == 0 && setting("reduce=") && sums == atol(setting("reduce="))) return INTERNAL_ERROR;
    bool fails = c->rank == 0 && setting("late=") && sums == atol(setting("late="));
    group.push_back({(float *)to, n, c, stream, setting("hang=") && sums >= atol(setting("hang=")), fails});
    return SUCCESS;
}
int ncclGroupStart(void) { return group.clear(), SUCCESS; }
/* What was asked for runs on a thread, as it would on a device, when its turn comes in the stream. */
int ncclGroupEnd(void) {
    if (group.empty()) return SUCCESS;
    comm *c = group[0].c;
    cudaStream_t stream = group[0].stream;
    auto over = std::make_shared<std::atomic<bool>>(false);
    stream->give(stream, [jobs = group, c, over](bool first) {
        if (!first) return over->load();
        if (!alive.count(c)) return true;
        if (c->worker.joinable()) c->worker.join();
        c->worker = std::thread([jobs, over] {
            for (const job &j : jobs) add_up(j);
            *over = true;
        });
        return false;
    });
    return SUCCESS;
}
int ncclCommGetAsyncError(comm *c, int *rc) { return *rc = c->failed ? INTERNAL_ERROR : SUCCESS, SUCCESS; }
int ncclCommDestroy(comm *c) {
    if (c->worker.joinable()) c->worker.join();
    munmap(c->h, sizeof(hall));
    alive.erase(c);
    return delete c, SUCCESS;
}
int ncclCommAbort(comm *c) { return c->dead = true, ncclCommDestroy(c); }
const char *ncclGetErrorString(int rc) {
    return rc == SYSTEM_ERROR ? "unhandled system error" : rc == INTERNAL_ERROR ? "internal error" : rc == INVALID_ARGUMENT ? "invalid argument" : "no error";
}
const char *ncclGetLastError(comm *) { return "made up by the fake"; }
}
