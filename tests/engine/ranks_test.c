/* Ranks: what one shares all have, sums in the order of the ranks, agreement; a rank that is killed, stopped or ends is named in time, and new ones go on.
 * This program is the other ranks too: it is started again with --rank K. */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/ranks/ranks.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/thread.h"
#include "tests/tap.h"

enum { BIG = 700000, SMALL = 7, ROUND = 5, ALL = -3 }; /* BIG: over several chunks */
struct task {
    int what, victim;
    uint64_t has;
};
enum { SUM = 1, AGREE, DIE, STOP, LEAVE, PID, SHARE };

static float value(int rank, int64_t i) { return (float)(rng_normal(3, (uint64_t)rank, (uint64_t)i) * (rank == 1 ? 1e4 : 1)); }

static float *numbers(int rank, int64_t n) {
    float *x = X_NEW(float, (size_t)n);
    for (int64_t i = 0; i < n; i++) x[i] = value(rank, i);
    return x;
}

/* What every rank does on an order; the pieces are added to what they stand on in half of the rounds. */
static int take_part(struct ranks *r, const struct task *t, float *big, float *small, const float *onto, struct err *e) {
    int me = ranks_rank(r);
    if (t->victim == me && t->what == DIE) raise(SIGKILL);
    if (t->victim == me && t->what == STOP) raise(SIGSTOP);
    if (t->victim == me && t->what == LEAVE) _exit(7);
    if (t->what == AGREE) {
        struct err why = {0};
        int rc = me == t->victim || t->victim == ALL ? err_set(&why, "no room for %d", me) : 0;
        rc = ranks_agree(r, rc, &why);
        if (e) *e = why;
        return rc;
    }
    if (t->what == SHARE) return ranks_share(r, t->victim, big, BIG * sizeof *big, e);
    struct piece v[] = {{big, BIG, onto}, {small, SMALL, onto}};
    return ranks_sum(r, v, 2, t->has, e);
}

static int other(int rank) {
    struct err e = {0};
    struct ranks *r = ranks_join(rank, 3, &e);
    struct task t;
    if (!r) return 2;
    float *onto = numbers(50, BIG);
    while (ranks_share(r, 0, &t, sizeof t, &e) == 0) {
        float *big = numbers(rank, BIG), *small = numbers(rank + 10, SMALL);
        if (t.what == PID) {
            int32_t pid = (int32_t)getpid();
            ranks_share(r, 1, &pid, sizeof pid, &e);
        } else take_part(r, &t, big, small, t.victim == -2 ? onto : NULL, &e);
        free(big);
        free(small);
    }
    return 0;
}

static int run(struct ranks *r, const struct task *t, float *big, float *small, const float *onto, struct err *e) {
    struct task copy = *t;
    *e = (struct err){0};
    return ranks_share(r, 0, &copy, sizeof copy, e) < 0 ? -1 : take_part(r, t, big, small, onto, e);
}

/* The same sum here, in the same order. */
static int64_t wrong(const float *got, int first, int64_t n, uint64_t has, const float *onto, int size) {
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        float want = onto ? onto[i] : 0;
        bool begun = onto != NULL;
        for (int k = 0; k < size; k++) {
            if (!(has >> k & 1)) continue;
            want = begun ? want + value(first + k, i) : value(first + k, i);
            begun = true;
        }
        bad += memcmp(&want, &got[i], sizeof want) != 0;
    }
    return bad;
}

static void sums(int size) {
    struct err e = {0};
    struct ranks *r = ranks_start(size, &e);
    float *onto = numbers(50, BIG);
    int64_t bad = 0;
    int failed = 0;
    tap_ok(r && ranks_size(r) == size && ranks_rank(r) == 0, "%d ranks start", size);
    for (int k = 0; r && k < ROUND; k++) {
        struct task t = {SUM, k % 2 ? -2 : -1, k < 3 ? ((uint64_t)1 << size) - 1 : k == 3 ? 1 : (uint64_t)1 << (size - 1)};
        float *big = numbers(0, BIG), *small = numbers(10, SMALL);
        failed += run(r, &t, big, small, k % 2 ? onto : NULL, &e) < 0;
        bad += wrong(big, 0, BIG, t.has, k % 2 ? onto : NULL, size) + wrong(small, 10, SMALL, t.has, k % 2 ? onto : NULL, size);
        free(big);
        free(small);
    }
    tap_ok(failed == 0 && bad == 0, "sums of %d ranks are in their order, to the bit (%" PRId64 " wrong, %s)", size, bad, failed ? e.text : "no error");
    struct task t = {AGREE, size - 1, 0};
    int rc = r ? run(r, &t, NULL, NULL, NULL, &e) : 0;
    char want[64];
    snprintf(want, sizeof want, "rank %d of %d: no room for %d", size - 1, size, size - 1);
    tap_ok(rc < 0 && strcmp(e.text, want) == 0 && !ranks_broken(r), "what one rank complains of, rank 0 says: %s", e.text);
    t.victim = -1;
    tap_ok(r && run(r, &t, NULL, NULL, NULL, &e) == 0, "without a complaint all is well");
    t.victim = ALL;
    rc = r ? run(r, &t, NULL, NULL, NULL, &e) : 0;
    tap_ok(rc < 0 && strcmp(e.text, "no room for 0") == 0, "of several complaints rank 0's own is the one it says: %s", e.text);
    t = (struct task){SHARE, 1, 0};
    float *got = numbers(0, BIG);
    rc = r ? run(r, &t, got, NULL, NULL, &e) : -1;
    tap_ok(rc == 0 && wrong(got, 1, BIG, 1, NULL, 1) == 0, "what rank 1 shares, in several chunks, rank 0 has to the bit");
    free(got);
    free(onto);
    ranks_stop(r);
}

static void faults(void) {
    static const struct {
        int what;
        const char *name, *says;
        double most;
    } fault[] = {{DIE, "killed", "was ended by signal 9", 1.0 * TAP_SLOW}, {LEAVE, "gone", "has ended", 1.0 * TAP_SLOW},
        {STOP, "stopped", "has not answered", 5.0 * TAP_SLOW}};
    struct err e = {0};
    struct ranks *r = ranks_start(3, &e);
    float *big = numbers(0, BIG), *small = numbers(10, SMALL);
    for (size_t i = 0; r && i < LEN(fault); i++) {
        struct task t = {fault[i].what, 1 + (int)i % 2, 7};
        double from = clock_now();
        int rc = run(r, &t, big, small, NULL, &e);
        double took = clock_now() - from;
        char name[32];
        snprintf(name, sizeof name, "rank %d of 3", t.victim);
        tap_ok(rc < 0 && ranks_broken(r) && strstr(e.text, fault[i].says) && strstr(e.text, name) && took < fault[i].most,
            "r.F7: a rank that is %s is named after %.2f s: %s", fault[i].name, took, e.text);
        rc = ranks_again(r, &e);
        free(big), free(small);
        big = numbers(0, BIG), small = numbers(10, SMALL);
        t = (struct task){SUM, -1, 7};
        if (rc == 0) rc = run(r, &t, big, small, NULL, &e);
        tap_ok(rc == 0 && wrong(big, 0, BIG, 7, NULL, 3) == 0, "new ranks go on (%s)", rc < 0 ? e.text : "the sums are right");
    }
    struct task t = {PID, -1, 0};
    int32_t pid = 0;
    ranks_share(r, 0, &t, sizeof t, &e);
    ranks_share(r, 1, &pid, sizeof pid, &e);
    ranks_stop(r);
    bool gone = pid > 0 && kill(pid, 0) < 0;
    tap_ok(gone, "stopping leaves no process behind");
    free(big), free(small);
}

int main(int argc, char **argv) {
    struct err e = {0};
    if (argc == 3 && strcmp(argv[1], "--rank") == 0) return other(atoi(argv[2]));
    tap_ok(!ranks_start(1, &e) && strstr(e.text, "ranks are 2 to 64, not 1"), "one rank is none");
    e = (struct err){0};
    tap_ok(!ranks_join(1, open("/dev/null", O_RDONLY), &e) && e.text[0], "a descriptor that is no such memory is refused: %s", e.text);
    sums(2);
    sums(4);
    faults();
    return tap_done();
}
