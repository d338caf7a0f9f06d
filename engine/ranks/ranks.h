/* Ranks: processes of one machine that train one model together, this one being rank 0 and the others copies of this program that it starts and watches. They meet in
 * shared memory. Sums are made in the order of the ranks, so the bits depend on how many there are and never on which was first. Engine thread of each process.
 *
 * Every function below is collective: each rank calls it, in the same order, with sizes that agree. It returns 0, or -1 with *e when a rank has ended or does not
 * answer; after that nothing but ranks_again and ranks_stop may be called by rank 0, and the others end by themselves. */
#ifndef HONE_ENGINE_RANKS_RANKS_H
#define HONE_ENGINE_RANKS_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

#define RANKS_MAX 64
struct ranks;
struct piece {
    float *p;
    int64_t n;
    const float *onto; /* the sum is added to these, the same on each rank; NULL: to nothing */
}; /* one of several vectors that are summed as one */

/* Rank 0: starts size - 1 more processes of this program with `--rank K`, descriptor 3 being the shared memory. */
struct ranks *ranks_start(int size, struct err *e);
/* One of those. */
struct ranks *ranks_join(int rank, int fd, struct err *e);
void ranks_stop(struct ranks *r); /* rank 0: ends the others; any rank: frees */
/* Rank 0, after a failure: ends what is left of the others and starts all of them anew. */
int ranks_again(struct ranks *r, struct err *e);
bool ranks_broken(const struct ranks *r); /* a rank has ended or does not answer */
bool ranks_look(struct ranks *r); /* while something else is waited for: true if a rank has ended or does not answer */
int ranks_rank(const struct ranks *r);
int ranks_size(const struct ranks *r);

/* n bytes of rank `from` come to all. */
int ranks_share(struct ranks *r, int from, void *p, size_t n, struct err *e);
/* Each element becomes ((onto + rank 0's) + rank 1's) + .. of the ranks whose bit is set in `has`; what the others hold does not count, they get the sum
 * too. */
int ranks_sum(struct ranks *r, const struct piece *v, int n, uint64_t has, struct err *e);
/* rc of each rank: 0 if all are 0, else -1 with the sentence of the first that failed (*e of that rank). */
int ranks_agree(struct ranks *r, int rc, struct err *e);

#endif
