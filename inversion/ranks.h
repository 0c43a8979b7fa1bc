/* SPDX-License-Identifier: MIT */
/* Ranks: the processes of one training run, which `mpirun` starts on one machine or on several. Each computes
   some of a batch's examples, and everything else they do alike: all make the same random draws and the same
   updates. Rank 0 alone reads the run's folder, writes and prints.

   ranks_mpi.c has these functions for `make MPI=1`, and ranks.c for any other build, in which there is always
   one rank. Nothing else knows of MPI.

   A run ends within seconds when a rank ends, stops or waits for its disk: each rank says ten times a second
   that it is there, from a thread of its own. From then on ranks_go_on is false, the functions that exchange
   something return false, rank 0 saves the run as it was after the last update, and a line names the rank. */
#ifndef TI_RANKS_H
#define TI_RANKS_H

#include "io/file.h"

/* Joins the ranks if mpirun has started this process as one of several; else there is one. It must be the
   first of these calls and, but for ranks_count and ranks_own, each needs it. `stop` returns whether a signal
   has asked rank 0 to stop. Returns false and adds a message when MPI lacks what this needs. */
bool ranks_start(int (*stop)(void), Messages *errors);
int ranks_count(void);
/* The number of this rank, from 0 on. */
int ranks_own(void);

/* What all ranks must have in common: a hash of it, and what a rank with another hash has, such as "other
   pictures". */
typedef struct {
    uint64_t hash;
    const char *other;
} RankFact;
enum { RANK_FACTS = 8 }; /* the most that can be compared */

/* Waits for all ranks and compares their facts [count]. Returns false when they differ or the ranks end; rank
   0 adds a message for each rank whose facts are not its own. */
bool ranks_agree(const RankFact *facts, int count, Messages *errors);

/* Does as file_read does, but with several ranks all read the file that rank 0 sees: rank 0 reads the files
   paths [count] in ranks_read_ahead, which all ranks call at the beginning, and sends them to the others. */
void ranks_read_ahead(const char *const *paths, int count);
bool ranks_file_read(const char *path, File *file, Messages *errors);
/* Whether ranks_file_read would find the file. */
bool ranks_file_exists(const char *path);

/* What the ranks do together, all of it on one example or point each at a time. */
typedef enum {
    TASK_FIRST_LOSS, /* loop_first_loss */
    TASK_GRID_LOSS,  /* grid_loss */
    TASK_STOP_LOSS,  /* deterministic_loss */
    TASK_RESTORE,    /* state_restore */
    TASK_MICRO_BATCH /* loop_next */
} RankTask;

/* Rank 0 says what comes next, and the others wait until it does. Returns false when the ranks end. */
bool ranks_next(RankTask *task);

/* Gives bytes of rank 0 to all other ranks. Returns false when the ranks end. */
bool ranks_copy(void *data, size_t size);

/* Which of so many examples, or points, this rank computes: those from `first` to `end` - 1. */
typedef struct {
    int64_t first, end;
} RankShare;
RankShare ranks_share(int64_t examples);

/* How many ranks may use the same cores of the same machine as this one, itself included. */
int ranks_on_cores(void);

/* rows are [examples] of `size` bytes each, of which every rank has filled in its share. Afterwards rank 0
   has all of them. Returns false when the ranks end. */
bool ranks_gather(void *rows, int64_t examples, size_t size);

/* Whether this rank should go on. It is false on every rank when one of them is lost, and with several ranks
   when a signal has asked rank 0 to stop, or rank 0 has ended. Cheap enough to ask before every op. */
bool ranks_go_on(void);

/* To be called when the run has ended before its time and is saved. Returns false on rank 0 when another rank
   is lost. One that gives no sign of life was named then; of one that has failed, rank 0 adds the message,
   unless it has an error of its own. After a signal it first waits half a second for a sign of every rank,
   since mpirun sends SIGTERM to all when one has died. */
bool ranks_report(Messages *errors);

/* Ends the ranks. The others wait for rank 0, which says when; if one of them has errors, rank 0 gets the
   first of them (ranks_report). Returns the exit status of this process, which is 0 for all but rank 0. */
int ranks_end(int status, const Messages *errors);

#endif
