#define _POSIX_C_SOURCE 200809L
#include "cli/run_folder.h"

#include "cli/plot.h"
#include "weights/embedding.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "<my cat>" -> "my-cat": without brackets, and with nothing that a file's name must not have. */
static char *file_name_of(const char *word) {
    char *name = mem_string(word);
    char *to = name;
    for (const char *c = word; *c; c++) {
        if (*c == '<' || *c == '>') continue;
        bool fine = isalnum((unsigned char)*c) || strchr("-_+", *c) || (unsigned char)*c >= 0x80 ||
                    (*c == '.' && to > name);
        *to++ = fine ? *c : '-';
    }
    *to = 0;
    if (*name) return name;
    free(name);
    return mem_string("word");
}

static bool is_empty(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return true; /* not there, or no folder: making it tells */
    int entries = 0;
    for (const struct dirent *e; (e = readdir(folder));)
        entries += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(folder);
    return entries == 0;
}

char *run_folder_file(const RunFolder *r, const char *format, ...) {
    char name[300];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return mem_format("%s/%s", r->path, name);
}

bool run_folder_open(RunFolder *r, const char *path, const char *word, bool force, Messages *errors) {
    *r = (RunFolder) { 0 };
    if (!force && !is_empty(path))
        return messages_add(errors, "%s: holds a run or other files already (--force overwrites its files)",
                            path);
    if (!folder_make(path, errors)) return false;
    r->path = mem_string(path);
    r->word = mem_string(word);
    r->file_name = file_name_of(word);
    char *csv = run_folder_file(r, "losses.csv");
    r->losses = fopen(csv, "w");
    bool ok = r->losses && fputs("step,loss,lr\n", r->losses) >= 0 && fflush(r->losses) == 0;
    if (!ok) messages_add(errors, "%s: cannot be written: %s", csv, strerror(errno));
    free(csv);
    if (!ok) run_folder_close(r);
    return ok;
}

void run_folder_close(RunFolder *r) {
    if (r->losses) fclose(r->losses);
    free(r->path);
    free(r->word);
    free(r->file_name);
    free(r->loss);
    free(r->smoothed);
    free(r->grid.step);
    free(r->grid.loss);
    *r = (RunFolder) { 0 };
}

bool run_folder_log(RunFolder *r, LoopRecord record, Messages *errors) {
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 1024;
        r->loss = mem_grow(r->loss, (size_t)r->capacity * sizeof *r->loss);
        r->smoothed = mem_grow(r->smoothed, (size_t)r->capacity * sizeof *r->smoothed);
    }
    /* An exponential mean over about 50 losses, whose beginning is the plain mean. */
    double weight = r->count < 50 ? 1.0 / (double)(r->count + 1) : 0.02;
    r->average += weight * ((double)record.loss - r->average);
    r->step = record.step;
    r->loss[r->count] = (double)record.loss;
    r->smoothed[r->count++] = r->average;
    errno = 0;
    fprintf(r->losses, "%lld,%.9g,%.9g\n", (long long)record.step, (double)record.loss, record.lr);
    if (fflush(r->losses) == 0 && !ferror(r->losses)) return true;
    return messages_add(errors, "%s/losses.csv: cannot be written: %s", r->path,
                        strerror(errno ? errno : EIO));
}

void run_folder_grid(RunFolder *r, int64_t step, double loss) {
    size_t size = (size_t)(r->grid.count + 1) * sizeof(double);
    r->grid.step = mem_grow(r->grid.step, size);
    r->grid.loss = mem_grow(r->grid.loss, size);
    r->grid.step[r->grid.count] = (double)step;
    r->grid.loss[r->grid.count++] = loss;
}

static bool save_as(const RunFolder *r, char *path, const float *rows, int64_t vectors, int64_t width,
                    Messages *errors) {
    bool ok = embedding_write(path, r->word, rows, vectors, width, errors);
    free(path);
    return ok;
}

bool run_folder_save(RunFolder *r, int64_t step, const float *rows, int64_t vectors, int64_t width,
                     Messages *errors) {
    bool ok;
    if (step >= 0) {
        char *path = run_folder_file(r, "learned_embeds-steps-%lld.safetensors", (long long)step);
        ok = save_as(r, path, rows, vectors, width, errors);
    } else {
        ok = save_as(r, run_folder_file(r, "learned_embeds.safetensors"), rows, vectors, width, errors) &&
             save_as(r, run_folder_file(r, "%s.safetensors", r->file_name), rows, vectors, width, errors);
    }
    char *path = run_folder_file(r, "loss.png");
    if (ok && r->count > 0) {
        PlotPoints grid = { r->grid.step, r->grid.loss, r->grid.count };
        ok = plot_losses(path, r->loss, r->smoothed, r->count, r->step, grid, errors);
    }
    free(path);
    return ok;
}
