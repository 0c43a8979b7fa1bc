/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* O_TMPFILE, madvise */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/utf8.h"

/* TRIES is how many names are tried for a temporary file. TEMPORARY_MAX is the most bytes that are appended
   to its path: ".tmp-", the process's number and the number of the try. */
enum { TRIES = 1000, TEMPORARY_MAX = 24 };

bool path_is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool path_is_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && !S_ISDIR(status.st_mode);
}

static char *folder_of(const char *path) {
    char *copy = mem_string(path), *folder = mem_string(dirname(copy));
    free(copy);
    return folder;
}

/* Returns the absolute path, with "." and ".." resolved, and links followed in the part that exists. The
   caller frees it. */
static char *path_resolve(const char *path) {
    char *real = realpath(path, NULL);
    if (real) return real;
    char *copy = mem_string(path), *above = folder_of(path), *folder = path_resolve(above);
    const char *name = basename(copy);
    if (strcmp(name, ".") == 0)
        real = mem_string(folder);
    else if (strcmp(name, "..") == 0)
        real = folder_of(folder);
    else
        real = mem_format("%s/%s", strcmp(folder, "/") ? folder : "", name);
    free(copy);
    free(above);
    free(folder);
    return real;
}

bool path_inside(const char *path, const char *folder) {
    char *a = path_resolve(path), *b = path_resolve(folder);
    size_t n = strcmp(b, "/") ? strlen(b) : 0;
    bool inside = strncmp(a, b, n) == 0 && (a[n] == '/' || !a[n]);
    free(a);
    free(b);
    return inside;
}

bool path_same(const char *a, const char *b) { return path_inside(a, b) && path_inside(b, a); }

bool path_holds(const char *folder, const char *file) {
    char *real = path_resolve(file), *above = folder_of(real);
    bool holds = path_same(folder, above);
    free(real);
    free(above);
    return holds;
}

char *path_absolute(const char *path) {
    char *real = path ? realpath(path, NULL) : NULL;
    if (real && utf8_valid(real, strlen(real))) return real;
    free(real);
    return path ? mem_string(path) : NULL;
}

static const char *file_kind(mode_t mode) { return S_ISDIR(mode) ? "a folder" : "a device or a pipe"; }

/* Opens a regular file for reading and fills in its status. Returns -1 and adds a message on failure. */
static int open_regular(const char *path, struct stat *status, Messages *errors) {
    /* O_NONBLOCK keeps open from waiting for the writer of a named pipe. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        messages_add(errors, "%s: cannot be opened: %s", path, strerror(errno));
        return -1;
    }
    bool ok = fstat(descriptor, status) == 0;
    if (!ok) messages_add(errors, "%s: cannot be read: %s", path, strerror(errno));
    if (ok && !S_ISREG(status->st_mode))
        ok = messages_add(errors, "%s: is %s, not a file", path, file_kind(status->st_mode));
    if (ok) return descriptor;
    close(descriptor);
    return -1;
}

/* Allocates one byte more than size, so that the memory of an empty file is not NULL. */
static bool read_whole(int descriptor, const char *path, size_t size, File *file, Messages *errors) {
    unsigned char *data = malloc(size + 1);
    if (!data) return messages_add(errors, "%s: there is no memory for its %zu bytes", path, size);
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(descriptor, data + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            free(data);
            return messages_add(errors, "%s: cannot be read: %s", path, strerror(errno));
        }
        if (n == 0) break; /* the file became shorter after fstat */
        got += (size_t)n;
    }
    *file = (File) { .data = data, .size = got, .kind = FILE_READ };
    return true;
}

bool file_read(const char *path, File *file, Messages *errors) {
    *file = (File) { 0 };
    struct stat status;
    int descriptor = open_regular(path, &status, errors);
    if (descriptor < 0) return false;
    bool ok = read_whole(descriptor, path, (size_t)status.st_size, file, errors);
    close(descriptor);
    return ok;
}

/* The mapped files, among which the handler of SIGBUS looks up the path of the file at an address. The table
   is global, since a signal handler gets no other data. An entry is free when its path is NULL; data and size
   are written before path, so that the handler never sees half an entry. */
enum { MAPPED_MAX = 256 };
typedef struct {
    const unsigned char *data;
    size_t size;
    _Atomic(char *) path;
} Mapping;
static Mapping mappings[MAPPED_MAX];

/* When the table is full, the file is left out: a fault in it ends the program without naming it. */
static void mapping_add(const char *path, const File *file) {
    for (int i = 0; i < MAPPED_MAX; i++) {
        if (mappings[i].path) continue;
        mappings[i].data = file->data;
        mappings[i].size = file->size;
        char *shown = mem_string(path);
        text_sanitize(shown);
        mappings[i].path = shown;
        return;
    }
}

static void mapping_remove(const File *file) {
    for (int i = 0; i < MAPPED_MAX; i++)
        if (mappings[i].path && mappings[i].data == file->data)
            free(atomic_exchange(&mappings[i].path, NULL));
}

/* Writes without stdio, which a signal handler must not use. */
static void write_stderr(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return; /* nothing can be done about it */
}

static void on_bus_error(int signal_number, siginfo_t *fault, void *context) {
    (void)context;
    const unsigned char *at = fault->si_addr;
    for (int i = 0; i < MAPPED_MAX; i++) {
        const char *path = mappings[i].path;
        if (!path || at < mappings[i].data || (size_t)(at - mappings[i].data) >= mappings[i].size) continue;
        write_stderr("\nti: ");
        write_stderr(path);
        write_stderr(": was cut off, or cannot be read any more, while it was in use; what was saved before "
                     "is still there\n");
        _exit(1);
    }
    signal(signal_number, SIG_DFL); /* the access is repeated and now ends the program */
}

void file_guard(void) {
    struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

bool file_map(const char *path, File *file, Messages *errors) {
    *file = (File) { .data = (const unsigned char *)"" };
    struct stat status;
    int descriptor = open_regular(path, &status, errors);
    if (descriptor < 0) return false;
    size_t size = (size_t)status.st_size;
    void *data = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0) : NULL;
    if (data == MAP_FAILED)
        messages_add(errors, "%s: cannot be mapped into memory: %s", path, strerror(errno));
    if (!data || data == MAP_FAILED) {
        close(descriptor);
        return !data;
    }
    *file = (File) { data, size, FILE_MAPPED, descriptor, status.st_mtim.tv_sec, status.st_mtim.tv_nsec };
    mapping_add(path, file);
    return true;
}

bool file_unchanged(const File *file) {
    struct stat now;
    if (file->kind != FILE_MAPPED || fstat(file->descriptor, &now) != 0) return true;
    return (size_t)now.st_size == file->size && now.st_mtim.tv_sec == file->seconds &&
           now.st_mtim.tv_nsec == file->nanoseconds;
}

void file_release_pages(const File *file) {
    if (file->kind == FILE_MAPPED) madvise((void *)(uintptr_t)file->data, file->size, MADV_DONTNEED);
}

void file_close(File *file) {
    void *data = (void *)(uintptr_t)file->data;
    if (file->kind == FILE_MAPPED) {
        mapping_remove(file);
        munmap(data, file->size);
        close(file->descriptor);
    } else if (file->kind == FILE_READ) {
        free(data);
    }
    *file = (File) { 0 };
}

size_t file_read_beginning(const char *path, void *bytes, size_t size) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return 0;
    struct stat status;
    ssize_t got = 0;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) got = read(descriptor, bytes, size);
    close(descriptor);
    return got > 0 ? (size_t)got : 0;
}

bool output_possible(const char *path, Messages *errors) {
    struct stat status;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return messages_add(errors, "%s: is %s, which a file cannot replace", path,
                            file_kind(status.st_mode));
    if (strlen(name) > NAME_MAX - TEMPORARY_MAX)
        return messages_add(errors, "%.*s...: the file's name is too long", text_cut(name, 60), name);
    char *folder = folder_of(path);
    bool ok = access(folder, W_OK | X_OK) == 0;
    if (!ok && errno == ENOENT)
        messages_add(errors, "%s: there is no folder %s to write it to", path, folder);
    else if (!ok)
        messages_add(errors, "%s: the folder %s cannot be written to: %s", path, folder, strerror(errno));
    free(folder);
    return ok;
}

/* Opens a file without a name, so that nothing is left of it however the program ends (only on Linux).
   Returns -1 when the file system has no such files. */
static int open_nameless(const char *folder) {
#ifdef O_TMPFILE
    if (access("/proc/self/fd", X_OK) == 0) return open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
#endif
    (void)folder;
    return -1;
}

/* Gives a nameless file a name, unless something already has that name. */
static bool link_descriptor(int descriptor, const char *name) {
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", descriptor);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

static char *temporary_new(const char *path) { return mem_format("%s.tmp-%*s", path, TEMPORARY_MAX, ""); }

/* Sets temporary to PATH.tmp-PID for the first try, PATH.tmp-PID001 and so on for the next ones. Returns
   false after TRIES tries, or when the last try failed for another reason than EEXIST. A file that already
   has such a name is neither written to nor removed: a process that was killed has left it there, or another
   user of the folder has put a file or a link there as a trap. */
static bool next_name(char *temporary, int try) {
    if (try > 0 && errno != EEXIST) return false;
    char *number = strrchr(temporary, '-') + 1;
    if (try == 0)
        snprintf(number, TEMPORARY_MAX, "%ld", (long)getpid());
    else
        snprintf(number, TEMPORARY_MAX, "%ld%03d", (long)getpid(), try);
    return try < TRIES;
}

static bool name_file(Output *out) {
    for (int try = 0; !out->named && next_name(out->temporary, try); try++)
        out->named = link_descriptor(out->descriptor, out->temporary);
    return out->named;
}

/* O_EXCL makes open fail if anything, even a link, has that name. */
static void open_named(Output *out) {
    for (int try = 0; !out->named && next_name(out->temporary, try); try++) {
        out->descriptor = open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        out->named = out->descriptor >= 0;
    }
    if (!out->named) out->error = errno;
}

char *folder_make_beside(const char *path, Messages *errors) {
    char *temporary = temporary_new(path), *parent = folder_of(path);
    bool ok = folder_make(parent, errors), made = false;
    for (int try = 0; ok && !made && next_name(temporary, try); try++) made = mkdir(temporary, 0777) == 0;
    if (ok && !made) messages_add(errors, "%s: the folder cannot be made: %s", temporary, strerror(errno));
    free(parent);
    if (made) return temporary;
    free(temporary);
    return NULL;
}

/* Allocates everything that output_commit needs before a file is made, so that no temporary file is left when
   there is no memory. */
void output_open(Output *out, const char *path) {
    *out = (Output) { .path = mem_string(path), .folder = folder_of(path), .descriptor = -1 };
    out->temporary = temporary_new(path);
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        out->error = S_ISDIR(status.st_mode) ? EISDIR : ENOTSUP; /* rename would replace a device */
        return;
    }
    out->descriptor = open_nameless(out->folder);
    if (out->descriptor < 0) open_named(out);
}

void output_write(Output *out, const void *data, size_t size) {
    const char *from = data;
    while (size > 0 && !out->error) {
        ssize_t n = write(out->descriptor, from, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) { /* n is 0 only when the device is full */
            out->error = n < 0 ? errno : ENOSPC;
            return;
        }
        from += n;
        size -= (size_t)n;
    }
}

/* Writes the folder to the disk; only then does a rename in it survive a power cut. */
static void sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
}

static void output_free(Output *out) {
    free(out->path);
    free(out->folder);
    free(out->temporary);
    *out = (Output) { .descriptor = -1 };
}

bool output_commit(Output *out, Messages *errors) {
    if (!out->error && fsync(out->descriptor) != 0) out->error = errno;
    if (!out->error && !out->named && !name_file(out)) out->error = errno;
    if (out->descriptor >= 0 && close(out->descriptor) != 0 && !out->error) out->error = errno;
    if (!out->error && rename(out->temporary, out->path) != 0) out->error = errno;
    bool ok = !out->error;
    if (ok) sync_folder(out->folder);
    if (!ok && out->named) unlink(out->temporary);
    if (!ok) messages_add(errors, "%s: cannot be written: %s", out->path, strerror(out->error));
    output_free(out);
    return ok;
}

void output_discard(Output *out) {
    if (out->descriptor >= 0) close(out->descriptor);
    if (out->named) unlink(out->temporary);
    output_free(out);
}

bool file_write(const char *path, const void *data, size_t size, Messages *errors) {
    Output out;
    output_open(&out, path);
    output_write(&out, data, size);
    return output_commit(&out, errors);
}

bool folder_make(const char *path, Messages *errors) {
    char *copy = mem_string(path);
    bool ok = true;
    for (char *c = copy + 1; ok; c++) {
        if (*c != '/' && *c) continue;
        char kept = *c;
        *c = 0;
        struct stat status;
        int error = mkdir(copy, 0777) == 0 ? 0 : errno;
        if (error && !(stat(copy, &status) == 0 && S_ISDIR(status.st_mode)))
            ok = messages_add(errors, "%s: the folder cannot be made: %s", copy, strerror(error));
        *c = kept;
        if (!kept) break;
    }
    free(copy);
    return ok;
}

char *file_of_program(const char *name) {
    static const char *const places[] = { "weights", "../weights", "../share/ti" };
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    const char *folder = length > 0 ? dirname(program) : ".";
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *candidate = mem_format("%s/%s/%s", folder, places[i], name);
        struct stat status;
        if (stat(candidate, &status) == 0) return candidate;
        free(candidate);
    }
    return NULL;
}
