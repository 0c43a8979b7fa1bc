/* SPDX-License-Identifier: MIT */
/* The only rank of a build without MPI. */
#define _POSIX_C_SOURCE 200809L /* access */
#include "inversion/ranks.h"

#include <unistd.h>

bool ranks_start(int (*stop)(void), Messages *errors) {
    (void)stop;
    (void)errors;
    return true;
}

int ranks_count(void) { return 1; }
int ranks_own(void) { return 0; }

bool ranks_agree(const RankFact *facts, int count, Messages *errors) {
    (void)facts;
    (void)count;
    (void)errors;
    return true;
}

void ranks_read_ahead(const char *const *paths, int count) {
    (void)paths;
    (void)count;
}

bool ranks_file_read(const char *path, File *file, Messages *errors) { return file_read(path, file, errors); }
bool ranks_file_exists(const char *path) { return access(path, F_OK) == 0; }

bool ranks_copy(void *data, size_t size) {
    (void)data;
    (void)size;
    return true;
}

RankShare ranks_share(int64_t examples) { return (RankShare) { 0, examples }; }

int ranks_on_cores(void) { return 1; }

bool ranks_gather(void *rows, int64_t examples, size_t size) {
    (void)rows;
    (void)examples;
    (void)size;
    return true;
}

bool ranks_next(RankTask *task) {
    (void)task;
    return true;
}

bool ranks_go_on(void) { return true; }
bool ranks_report(Messages *errors) {
    (void)errors;
    return true;
}

int ranks_end(int status, const Messages *errors) {
    (void)errors;
    return status;
}
