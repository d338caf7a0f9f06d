/* The shared memory: a head with a barrier, then a slot of CHUNK floats for each rank and one for the result. Waiting is by futex; whoever waits looks now
 * and then whether the others still live: each has a thread that counts up a beat, and rank 0 asks for its children. A pause or a long evaluation of rank 0 is
 * no failure, a stopped or killed process is one after DEAD_S. */
#include "config.h"

#include "engine/ranks/ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "src/base/child.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

#define CHUNK ((int64_t)1 << 18) /* floats of a slot */
#define BEAT_S 0.2
#define DEAD_S 4.0 /* without a beat */
#define LOOK_S 0.1 /* between looks at the others */
static const char magic[8] = "HONERNK1";

struct seat {
    _Atomic uint32_t beat;
    _Atomic int32_t failed; /* ranks_agree */
    char text[ERR_TEXT];
};
struct hall {
    char magic[8];
    int32_t size;
    _Atomic uint32_t arrived, phase, broken;
    struct seat seat[RANKS_MAX];
};
struct ranks {
    int rank, size, fd;
    struct hall *hall;
    float *slot; /* (size + 1, CHUNK) */
    size_t bytes;
    pthread_t heart;
    bool beats;
    _Atomic bool end;
    pid_t pid[RANKS_MAX], parent;
    struct {
        uint32_t beat;
        double since;
    } seen[RANKS_MAX];
    double looked;
    struct err why; /* of the first failure */
};

bool ranks_broken(const struct ranks *r) { return atomic_load(&r->hall->broken); }
int ranks_rank(const struct ranks *r) { return r->rank; }
int ranks_size(const struct ranks *r) { return r->size; }

static size_t head_bytes(void) { return (sizeof(struct hall) + 4095) / 4096 * 4096; }
static size_t hall_bytes(int size) { return head_bytes() + (size_t)(size + 1) * (size_t)CHUNK * sizeof(float); }

static void *heart(void *arg) {
    struct ranks *r = arg;
    while (!atomic_load(&r->end)) {
        atomic_fetch_add(&r->hall->seat[r->rank].beat, 1);
        clock_sleep(BEAT_S);
    }
    return NULL;
}

/* ---- waiting ---- */

static void futex_wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0); }

static void futex_wait(_Atomic uint32_t *word, uint32_t was, double seconds) {
    struct timespec ts = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    syscall(SYS_futex, word, FUTEX_WAIT, was, &ts, NULL, 0);
}

static int failed(struct ranks *r, struct err *e) {
    atomic_store(&r->hall->broken, 1);
    futex_wake(&r->hall->phase);
    return err_set(e, "%s", r->why.text);
}

/* Rank 0 asks for its children, the others whether rank 0 is still their parent; all look at the beats. */
static int look(struct ranks *r, struct err *e) {
    double now = clock_now();
    if (now - r->looked < LOOK_S) return 0;
    r->looked = now;
    if (r->rank > 0 && getppid() != r->parent) return err_set(&r->why, "rank 0 has ended"), failed(r, e);
    for (int i = 0; i < r->size; i++) {
        int status;
        if (i == r->rank) continue;
        if (r->rank == 0 && r->pid[i] > 0 && waitpid(r->pid[i], &status, WNOHANG) == r->pid[i]) {
            int pid = (int)r->pid[i];
            r->pid[i] = 0;
            if (WIFSIGNALED(status)) err_set(&r->why, "rank %d of %d (process %d) was ended by signal %d", i, r->size, pid, WTERMSIG(status));
            else err_set(&r->why, "rank %d of %d (process %d) has ended", i, r->size, pid);
            return failed(r, e);
        }
        uint32_t beat = atomic_load(&r->hall->seat[i].beat);
        if (beat != r->seen[i].beat || r->seen[i].since == 0) r->seen[i].beat = beat, r->seen[i].since = now;
        if (now - r->seen[i].since > DEAD_S)
            return err_set(&r->why, "rank %d of %d (process %d) has not answered for %.0f s", i, r->size, (int)r->pid[i], DEAD_S), failed(r, e);
    }
    return 0;
}

bool ranks_look(struct ranks *r) {
    struct err e = {0};
    return ranks_broken(r) || look(r, &e) < 0;
}

/* Another rank saw first that one is missing: rank 0, which says why, looks for itself. */
static int parted(struct ranks *r, struct err *e) {
    for (double end = clock_now() + 1; r->rank == 0 && !r->why.text[0] && clock_now() < end && look(r, e) == 0;) clock_sleep(LOOK_S);
    return err_set(e, "%s", r->why.text[0] ? r->why.text : "the ranks have parted");
}

static int meet(struct ranks *r, struct err *e) {
    struct hall *h = r->hall;
    uint32_t phase = atomic_load(&h->phase);
    if (atomic_load(&h->broken)) return parted(r, e);
    if (atomic_fetch_add(&h->arrived, 1) + 1 == (uint32_t)r->size) {
        atomic_store(&h->arrived, 0);
        atomic_fetch_add(&h->phase, 1);
        futex_wake(&h->phase);
        return 0;
    }
    for (int i = 0; i < r->size; i++) r->seen[i].since = 0; /* a rank that was busy has nothing to explain */
    while (atomic_load(&h->phase) == phase) {
        if (atomic_load(&h->broken)) return parted(r, e);
        futex_wait(&h->phase, phase, LOOK_S);
        if (atomic_load(&h->phase) == phase && look(r, e) < 0) return -1;
    }
    return 0;
}

/* ---- what they do together ---- */

int ranks_share(struct ranks *r, int from, void *p, size_t n, struct err *e) {
    char *at = p;
    size_t most = (size_t)CHUNK * sizeof(float);
    void *slot = r->slot + (int64_t)from * CHUNK;
    for (size_t done = 0; done < n; done += most) {
        size_t k = n - done < most ? n - done : most;
        if (r->rank == from) memcpy(slot, at + done, k);
        if (meet(r, e) < 0) return -1;
        if (r->rank != from) memcpy(at + done, slot, k);
        if (meet(r, e) < 0) return -1; /* nobody writes before all have read */
    }
    return 0;
}

enum where { TO_SLOT, FROM_SLOT, ONTO };

/* Copies n floats from element `begin` of the joined pieces into the slot, or back; ONTO: what they are added to. */
static void move(const struct piece *v, int n_piece, int64_t begin, int64_t n, float *slot, enum where w) {
    for (int i = 0; i < n_piece && n > 0; begin -= v[i].n, i++) {
        if (begin >= v[i].n) continue;
        int64_t k = v[i].n - begin < n ? v[i].n - begin : n;
        size_t bytes = (size_t)k * sizeof *slot;
        if (w == FROM_SLOT) memcpy(v[i].p + begin, slot, bytes);
        else if (w == TO_SLOT) memcpy(slot, v[i].p + begin, bytes);
        else memcpy(slot, v[i].onto + begin, bytes);
        slot += k, n -= k, begin += k;
    }
}

/* Elements lo..hi of the result, in the order of the ranks; begun: it holds what they are added to. */
static void add_up(const struct ranks *r, uint64_t has, int64_t lo, int64_t hi, bool begun) {
    float *restrict out = r->slot + (int64_t)r->size * CHUNK;
    for (int i = 0; i < r->size; i++) {
        const float *restrict in = r->slot + (int64_t)i * CHUNK;
        if (!(has >> i & 1)) continue;
        if (!begun) memcpy(out + lo, in + lo, (size_t)(hi - lo) * sizeof *out);
        else
            for (int64_t k = lo; k < hi; k++) out[k] += in[k];
        begun = true;
    }
    if (!begun) memset(out + lo, 0, (size_t)(hi - lo) * sizeof *out);
}

int ranks_sum(struct ranks *r, const struct piece *v, int n, uint64_t has, struct err *e) {
    float *result = r->slot + (int64_t)r->size * CHUNK;
    int64_t all = 0;
    for (int i = 0; i < n; i++) all += v[i].n;
    for (int64_t done = 0; done < all; done += CHUNK) {
        int64_t k = all - done < CHUNK ? all - done : CHUNK, share = (k + r->size - 1) / r->size, lo = r->rank * share, hi = lo + share;
        if (has >> r->rank & 1) move(v, n, done, k, r->slot + (int64_t)r->rank * CHUNK, TO_SLOT);
        if (meet(r, e) < 0) return -1;
        lo = lo < k ? lo : k, hi = hi < k ? hi : k;
        if (v[0].onto) move(v, n, done + lo, hi - lo, result + lo, ONTO);
        add_up(r, has, lo, hi, v[0].onto != NULL);
        if (meet(r, e) < 0) return -1;
        move(v, n, done, k, result, FROM_SLOT);
    }
    return 0;
}

int ranks_agree(struct ranks *r, int rc, struct err *e) {
    struct seat *mine = &r->hall->seat[r->rank];
    struct err why = {0};
    if (rc < 0) snprintf(mine->text, sizeof mine->text, "%s", e->text);
    atomic_store(&mine->failed, rc < 0);
    if (meet(r, e) < 0) return -1;
    int worst = 0;
    for (int i = 0; i < r->size && worst == 0; i++)
        if (atomic_load(&r->hall->seat[i].failed)) {
            char text[ERR_TEXT];
            memcpy(text, r->hall->seat[i].text, sizeof text);
            text[sizeof text - 1] = 0;
            worst = i == r->rank ? -1 : i == 0 ? err_set(&why, "%s", text) : err_set(&why, "rank %d of %d: %s", i, r->size, text);
        }
    if (meet(r, e) < 0) return -1;
    if (worst < 0 && why.text[0]) *e = why;
    return worst;
}

/* ---- coming and going ---- */

static int spawn(struct ranks *r, int rank, struct err *e) {
    char exe[4096], word[16];
    const char *argv[] = {"hone", "--rank", word, NULL};
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (len <= 0) return err_sys(e, "find", "this program (/proc/self/exe)");
    exe[len] = 0;
    snprintf(word, sizeof word, "%d", rank);
    struct child c = {.argv = argv,
        .program = exe,
        .fd = {CHILD_NULL, STDERR_FILENO, CHILD_KEEP, r->fd}, /* what a rank says is a complaint */
        .place = CHILD_GROUP}; /* an interrupt is rank 0's business */
    int rc = child_start(&c, &r->pid[rank]);
    if (rc == 0) return 0;
    r->pid[rank] = 0;
    return err_set(e, "cannot start %s as rank %d: %s", exe, rank, strerror(rc));
}

static int map(struct ranks *r, struct err *e) {
    r->bytes = hall_bytes(r->size);
    void *p = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (p == MAP_FAILED) return err_sys(e, "map", "the memory that ranks share");
    r->hall = p;
    r->slot = (float *)(void *)((char *)p + head_bytes());
    return 0;
}

static void end_others(struct ranks *r) {
    atomic_store(&r->hall->broken, 1);
    futex_wake(&r->hall->phase);
    for (int i = 1; i < r->size; i++) {
        if (r->pid[i] <= 0) continue;
        kill(r->pid[i], SIGKILL); /* what they hold is worth nothing: all state is rank 0's */
        while (waitpid(r->pid[i], NULL, 0) < 0 && errno == EINTR) continue;
        r->pid[i] = 0;
    }
}

int ranks_again(struct ranks *r, struct err *e) {
    end_others(r);
    atomic_store(&r->hall->arrived, 0);
    atomic_store(&r->hall->broken, 0);
    r->why = (struct err){0};
    for (int i = 0; i < r->size; i++) atomic_store(&r->hall->seat[i].failed, 0);
    for (int i = 1; i < r->size; i++)
        if (spawn(r, i, e) < 0) return -1;
    return 0;
}

struct ranks *ranks_start(int size, struct err *e) {
    if (size < 2 || size > RANKS_MAX) {
        err_code(e, ERR_USAGE, "ranks are 2 to %d, not %d", RANKS_MAX, size);
        return NULL;
    }
    struct ranks *r = X_NEW(struct ranks, 1);
    r->size = size;
    int fd = memfd_create("hone-ranks", MFD_CLOEXEC);
    r->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10); /* clear of those that spawn puts in place */
    if (fd >= 0) close(fd);
    if (r->fd < 0 || ftruncate(r->fd, (off_t)hall_bytes(size)) != 0) err_sys(e, "make", "the memory that ranks share");
    else if (map(r, e) == 0) {
        memcpy(r->hall->magic, magic, sizeof magic);
        r->hall->size = size;
        if (thread_start(&r->heart, "heart", heart, r, e) == 0) {
            r->beats = true;
            if (ranks_again(r, e) == 0) return r;
        }
    }
    ranks_stop(r);
    return NULL;
}

struct ranks *ranks_join(int rank, int fd, struct err *e) {
    struct ranks *r = X_NEW(struct ranks, 1);
    struct stat st;
    struct hall head;
    r->fd = fd;
    r->rank = rank;
    r->parent = getppid();
    bool there = fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof head && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head;
    if (!there || memcmp(head.magic, magic, sizeof magic) != 0 || head.size < 2 || head.size > RANKS_MAX || rank < 1 || rank >= head.size ||
        st.st_size != (off_t)hall_bytes(head.size))
        err_code(e, ERR_USAGE, "--rank is for processes that hone starts itself");
    else {
        r->size = head.size;
        if (map(r, e) == 0 && thread_start(&r->heart, "heart", heart, r, e) == 0) {
            r->beats = true;
            return r;
        }
    }
    ranks_stop(r);
    return NULL;
}

void ranks_stop(struct ranks *r) {
    if (!r) return;
    if (r->rank == 0 && r->hall) end_others(r);
    atomic_store(&r->end, true);
    if (r->beats) pthread_join(r->heart, NULL);
    if (r->hall) munmap(r->hall, r->bytes);
    if (r->fd >= 0) close(r->fd);
    free(r);
}
