/* SPDX-License-Identifier: MIT */
/* Measures how long ranks take to exchange the gradients of a batch, without computing any:

       make MPI=1 BUILD=build-mpi build-mpi/bench_ranks
       mpirun -n 3 build-mpi/bench_ranks [EXAMPLES [FLOATS [hang]]]

   A batch has so many examples, 8 by default, whose gradients have so many floats, 768 by default, which is
   one vector of Stable Diffusion 1.x. Rank 0 prints the median and the longest of 1000 exchanges. With
   `hang`, rank 1 does nothing for a minute first, as if its disk did not answer; tests/ranks.sh looks
   whether that is noticed. */
#define _POSIX_C_SOURCE 200809L
#include "inversion/ranks.h"
#include "io/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int never(void) { return 0; }

int main(int argc, char *argv[]) {
    enum { ROUNDS = 1000 };
    int64_t examples = argc > 1 ? atoll(argv[1]) : 8, size = 1 + (argc > 2 ? atoll(argv[2]) : 768);
    Messages errors = { 0 };
    if (examples < 1 || size < 1 || !ranks_start(never, &errors)) return 1;
    float *rows = mem_alloc((size_t)(examples * size) * sizeof *rows);
    float *sum = mem_alloc((size_t)size * sizeof *sum);
    double *seconds = mem_alloc(ROUNDS * sizeof *seconds);
    if (argc > 3 && ranks_own() == 1) sleep(60);
    int rounds = 0;
    for (; rounds < ROUNDS; rounds++) {
        double start = system_seconds();
        if (!ranks_next(&(RankTask) { TASK_MICRO_BATCH }) ||
            !ranks_gather(rows, examples, (size_t)size * sizeof *rows) ||
            !ranks_copy(sum, (size_t)size * sizeof *sum))
            break;
        seconds[rounds] = system_seconds() - start;
    }
    qsort(seconds, ROUNDS, sizeof *seconds, compare_doubles);
    bool ended = ranks_report(&errors) && rounds == ROUNDS;
    if (ranks_own() == 0 && ended)
        printf("%d ranks, %lld examples, %lld floats: median %.0f us, longest %.0f us\n", ranks_count(),
               (long long)examples, (long long)size - 1, 1e6 * seconds[ROUNDS / 2],
               1e6 * seconds[ROUNDS - 1]);
    free(rows);
    free(sum);
    free(seconds);
    return ranks_end(!ended, &errors);
}
