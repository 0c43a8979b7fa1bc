/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "inversion/losses.h"

#include "io/file.h"
#include "io/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HEADER[] = "step,loss,lr\n";

static bool cannot_write(const Losses *l, int error, Messages *errors) {
    return messages_add(errors, "%s: cannot be written: %s", l->path, strerror(error));
}

/* O_NOFOLLOW makes sure that the file is the run's own, and not one that a link points to. */
static bool open_at(Losses *l, const char *path, const char *mode, Messages *errors) {
    int descriptor = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | (*mode == 'a' ? O_APPEND : 0));
    *l = (Losses) { .path = mem_string(path), .file = descriptor < 0 ? NULL : fdopen(descriptor, mode) };
    if (!l->file && descriptor >= 0) close(descriptor);
    return l->file || messages_add(errors, "%s: cannot be opened: %s", path, strerror(errno));
}

bool losses_begin(Losses *l, const char *path, Messages *errors) {
    /* file_write writes a temporary file and renames it, so that an existing file survives a full disk. */
    if (!file_write(path, HEADER, strlen(HEADER), errors) || !open_at(l, path, "a", errors)) return false;
    l->bytes = (int64_t)strlen(HEADER);
    l->hash = hash_bytes(HASH_START, HEADER, strlen(HEADER));
    return true;
}

static void append(Losses *l, int64_t step, double loss) {
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 1024;
        l->loss = mem_grow(l->loss, (size_t)l->capacity * sizeof *l->loss);
        l->smoothed = mem_grow(l->smoothed, (size_t)l->capacity * sizeof *l->smoothed);
    }
    /* This is an exponential mean over about 50 losses. For the first 50 losses it is their plain mean. */
    double weight = l->count < 50 ? 1.0 / (double)(l->count + 1) : 0.02;
    l->average += weight * (loss - l->average);
    l->step = step;
    l->loss[l->count] = loss;
    l->smoothed[l->count++] = l->average;
}

/* Reads the header and the records, and checks that they are the bytes that were written. A float that was
   written with nine digits becomes the same float when it is read. */
static bool read_back(Losses *l, int64_t records, int64_t bytes, const uint64_t *hash) {
    char line[100];
    if (!fgets(line, sizeof line, l->file) || strcmp(line, HEADER) != 0) return false;
    l->hash = hash_bytes(HASH_START, HEADER, strlen(HEADER));
    while (l->count < records) {
        long long step;
        float loss;
        double rate;
        if (!fgets(line, sizeof line, l->file) || sscanf(line, "%lld,%f,%lf\n", &step, &loss, &rate) != 3 ||
            !isfinite(loss))
            return false;
        l->hash = hash_bytes(l->hash, line, strlen(line));
        append(l, step, (double)loss);
    }
    return ftell(l->file) == bytes && (!hash || l->hash == *hash);
}

bool losses_resume(Losses *l, const char *path, int64_t records, int64_t bytes, const uint64_t *hash,
                   Messages *errors) {
    if (!open_at(l, path, "r+", errors)) return false;
    if (!read_back(l, records, bytes, hash))
        return messages_add(
            errors,
            "%s: was changed: it does not begin with the %lld losses that the run had when it stopped", path,
            (long long)records);
    l->bytes = bytes;
    fseek(l->file, bytes, SEEK_SET); /* C requires this between reading and writing */
    return ftruncate(fileno(l->file), bytes) == 0 || cannot_write(l, errno, errors);
}

void losses_close(Losses *l) {
    if (l->file) fclose(l->file);
    free(l->path);
    free(l->loss);
    free(l->smoothed);
    *l = (Losses) { 0 };
}

bool losses_add(Losses *l, LoopRecord record, Messages *errors) {
    append(l, record.step, (double)record.loss);
    char line[100];
    int size = snprintf(line, sizeof line, "%lld,%.9g,%.9g\n", (long long)record.step, (double)record.loss,
                        record.lr);
    fputs(line, l->file);
    l->bytes += size;
    l->hash = hash_bytes(l->hash, line, (size_t)size);
    errno = 0;
    if (fflush(l->file) == 0 && !ferror(l->file)) return true;
    return cannot_write(l, errno ? errno : EIO, errors);
}

bool losses_sync(Losses *l, Messages *errors) {
    return fdatasync(fileno(l->file)) == 0 || cannot_write(l, errno, errors);
}
