/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* flock */
#include "cli/run_folder.h"

#include "cli/console.h"
#include "exchange/word_file.h"
#include "inversion/ranks.h"
#include "io/plot.h"
#include "io/file.h"
#include "text/prompt.h"
#include "weights/embedding.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

static bool is_empty(const char *path) {
    DIR *folder = opendir(path);
    /* A path that is not a folder is reported when the folder is made. A folder that
       cannot be read may hold a run. */
    if (!folder) return errno == ENOENT || errno == ENOTDIR;
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

/* Returns the name of the word's own file, without its extension. It is not the
   name of any other file of the run. */
static char *word_file_name(const char *word) {
    static const char *const taken[] = { "latents", "losses", "loss", "options", "run" };
    char *name = token_file_name(word);
    bool clash = strncasecmp(name, "learned_embeds", strlen("learned_embeds")) == 0;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        clash = clash || strcasecmp(name, taken[i]) == 0;
    if (!clash) return name;
    char *other = mem_format("%s-word", name);
    free(name);
    return other;
}

static RunFolder named(const char *path, const char *word) {
    return (
        RunFolder) { .path = mem_string(path), .word = mem_string(word), .file_name = word_file_name(word) };
}

/* Opens the folder and locks it, so that only one run at a time writes there. The lock ends with the process,
   even when the process is killed. On a file system without locks the run continues without one. */
static bool open_and_lock(RunFolder *r, const char *path, const char *word, Messages *errors) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return messages_add(errors, "%s: cannot be opened: %s", path, strerror(errno));
    if (flock(folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(folder);
        return messages_add(errors, "%s: another ti is training in this folder", path);
    }
    *r = named(path, word);
    r->folder = folder;
    r->open = true;
    return true;
}

/* Removes the state of an earlier run in this folder. This happens before the losses are overwritten, so that
   a state never refers to losses that no longer exist. */
static bool remove_state(const RunFolder *r, Messages *errors) {
    char *path = run_folder_file(r, RUN_STATE);
    bool ok = unlink(path) == 0 || errno == ENOENT;
    if (!ok) messages_add(errors, "%s: cannot be removed: %s", path, strerror(errno));
    free(path);
    return ok;
}

/* Returns whether a name is like run.state.tmp-123, that of a file that a process
   was writing when it was killed. */
static bool is_leftover(const char *name) {
    static const char *const endings[] = { ".csv", ".json", ".png", ".safetensors", ".state" };
    const char *mark = strstr(name, ".tmp-");
    if (!mark || !mark[5] || mark[5 + strspn(mark + 5, "0123456789")]) return false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t length = strlen(endings[i]);
        if ((size_t)(mark - name) > length && strncmp(mark - length, endings[i], length) == 0) return true;
    }
    return false;
}

static void remove_leftovers(const RunFolder *r) {
    DIR *folder = opendir(r->path);
    for (const struct dirent *e; folder && (e = readdir(folder));)
        if (is_leftover(e->d_name)) unlinkat(r->folder, e->d_name, 0);
    if (folder) closedir(folder);
}

bool run_folder_open(RunFolder *r, const char *path, const char *word, bool force, Messages *errors) {
    *r = (RunFolder) { 0 };
    bool ok = folder_make(path, errors) && open_and_lock(r, path, word, errors);
    if (ok && !force && !is_empty(path))
        ok = messages_add(errors,
                          "%s: holds a run or other files already (--resume continues a run, --force "
                          "overwrites its files)",
                          path);
    if (ok)
        remove_leftovers(r);
    else
        run_folder_close(r);
    return ok;
}

bool run_folder_reopen(RunFolder *r, const char *path, const char *word, Messages *errors) {
    if (ranks_own() > 0) {
        *r = named(path, word);
        return true;
    }
    *r = (RunFolder) { 0 };
    if (!open_and_lock(r, path, word, errors)) return false;
    remove_leftovers(r);
    return true;
}

bool run_folder_open_losses(RunFolder *r, const RunState *state, Messages *errors) {
    char *path = run_folder_file(r, "losses.csv");
    bool ok = !state || state->records == 0
                  ? remove_state(r, errors) && losses_begin(&r->losses, path, errors)
                  : losses_resume(&r->losses, path, state->records, state->losses_bytes,
                                  state->newer ? &state->losses_hash : NULL, errors);
    free(path);
    return ok;
}

void run_folder_close(RunFolder *r) {
    losses_close(&r->losses);
    if (r->open) close(r->folder);
    free(r->path);
    free(r->word);
    free(r->file_name);
    free(r->grid);
    *r = (RunFolder) { 0 };
}

void run_folder_add_grid_loss(RunFolder *r, int64_t step, double loss) {
    r->grid = mem_grow(r->grid, (size_t)(r->points + 1) * 2 * sizeof *r->grid);
    r->grid[2 * r->points] = (double)step;
    r->grid[2 * r->points++ + 1] = loss;
}

/* Draws loss.png. plot_losses takes the grid losses as two columns: the steps, then the losses. */
static bool draw_losses(const RunFolder *r, Messages *errors) {
    double *columns = mem_alloc((size_t)r->points * 2 * sizeof *columns);
    for (int64_t i = 0; i < r->points; i++)
        for (int64_t k = 0; k < 2; k++) columns[k * r->points + i] = r->grid[2 * i + k];
    char *path = run_folder_file(r, "loss.png");
    PlotPoints grid = { columns, columns + r->points, r->points };
    bool ok =
        plot_losses(path, r->losses.loss, r->losses.smoothed, r->losses.count, r->losses.step, grid, errors);
    free(columns);
    free(path);
    return ok;
}

/* Writes the word to a file, and frees the path. */
static bool save_as(const RunFolder *r, char *path, const float *learned, int64_t vectors, int64_t width,
                    Messages *errors) {
    bool ok = embedding_write(path, r->word, learned, vectors, width, errors);
    free(path);
    return ok;
}

char *run_checkpoint_path(const char *folder, int64_t step) {
    return mem_format("%s/learned_embeds-steps-%lld.safetensors", folder, (long long)step);
}

static int by_step(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t run_checkpoints(const char *path, int64_t **steps, Messages *errors) {
    int64_t count = 0;
    *steps = NULL;
    DIR *folder = opendir(path);
    for (const struct dirent *e; folder && (e = readdir(folder));) {
        long long step;
        int end = 0;
        if (sscanf(e->d_name, "learned_embeds-steps-%18lld.safetensors%n", &step, &end) != 1) continue;
        if (end == 0 || e->d_name[end] || step < 0) continue;
        *steps = mem_grow(*steps, (size_t)(count + 1) * sizeof **steps);
        (*steps)[count++] = step;
    }
    if (folder) closedir(folder);
    if (count == 0)
        messages_add(errors, "%s: is not the folder of a run with checkpoints (ti train --checkpoint-every)",
                     path);
    else
        qsort(*steps, (size_t)count, sizeof **steps, by_step);
    return count;
}

bool run_folder_save(RunFolder *r, int64_t step, const float *learned, int64_t vectors, int64_t width,
                     Messages *errors) {
    bool ok;
    if (step >= 0) {
        ok = save_as(r, run_checkpoint_path(r->path, step), learned, vectors, width, errors);
    } else {
        ok = save_as(r, run_folder_file(r, "learned_embeds.safetensors"), learned, vectors, width, errors) &&
             save_as(r, run_folder_file(r, "%s.safetensors", r->file_name), learned, vectors, width, errors);
    }
    return ok && (r->losses.count == 0 || draw_losses(r, errors));
}

/* Returns whether the file contains exactly this word with these vectors. */
static bool holds_word(const RunFolder *r, const char *path, const float *learned, int64_t vectors,
                       int64_t width) {
    Messages unreadable = { 0 };
    Embeddings file = { 0 };
    bool same = word_file_read(path, &file, &unreadable) && file.count == 1;
    const Embedding *e = file.words;
    same = same && !strcmp(e->token, r->word) && e->vectors == vectors && e->width == width &&
           memcmp(e->learned, learned, (size_t)(vectors * width) * sizeof *learned) == 0;
    embeddings_free(&file);
    messages_free(&unreadable);
    return same;
}

bool run_folder_restore(const RunFolder *r, const float *learned, int64_t vectors, int64_t width,
                        Messages *errors) {
    char *paths[2] = { run_folder_file(r, "learned_embeds.safetensors"),
                       run_folder_file(r, "%s.safetensors", r->file_name) };
    bool ok = true;
    for (int i = 0; i < 2; i++) {
        if (ok && !holds_word(r, paths[i], learned, vectors, width)) {
            ok = embedding_write(paths[i], r->word, learned, vectors, width, errors);
            if (ok) console_line(stderr, "ti: %s: was damaged or missing and has been rewritten", paths[i]);
        }
        free(paths[i]);
    }
    return ok;
}
