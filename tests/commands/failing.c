/* SPDX-License-Identifier: MIT */
/* Linked into build/ti_failing only. It replaces library calls that can fail by functions with the names that
   `ld --wrap` gives them, and lets the N-th call of one kind fail, once. The program's own calls are counted,
   not those within libraries. Jansson's allocations count, since ti.c makes it use ours.

       TI_FAIL=write:3            the third write fails
       TI_FAIL=short:3            the third write writes only half of its bytes
       TI_FAIL=interrupted:3      a signal interrupts the third write
       TI_FAIL=kill:3             a signal ends the program before the third write
       TI_FAIL=nameless:3         the third open with O_TMPFILE fails, as on file systems without it
       TI_FAILED=FILE             FILE is created when the call has failed */
#define _GNU_SOURCE /* O_TMPFILE */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
int __real_open(const char *path, int flags, ...);
ssize_t __real_read(int descriptor, void *data, size_t size);
ssize_t __real_write(int descriptor, const void *data, size_t size);
int __real_close(int descriptor);
int __real_rename(const char *from, const char *to);
int __real_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __real_mkdir(const char *path, mode_t mode);
FILE *__real_fopen(const char *path, const char *mode);
int __real_fflush(FILE *file);
DIR *__real_opendir(const char *path);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int descriptor, void *data, size_t size);
ssize_t __wrap_write(int descriptor, const void *data, size_t size);
int __wrap_fsync(int descriptor);
int __wrap_close(int descriptor);
int __wrap_rename(const char *from, const char *to);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_mkdir(const char *path, mode_t mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_fflush(FILE *file);
DIR *__wrap_opendir(const char *path);

/* Returns whether this call of the kind is the one that must fail, and then sets errno. */
static bool fails(const char *kind, int error) {
    static atomic_long calls; /* the number of calls so far of the kind that TI_FAIL names */
    const char *wanted = getenv("TI_FAIL");
    size_t n = strlen(kind);
    if (!wanted || strncmp(wanted, kind, n) != 0 || wanted[n] != ':') return false;
    if (atomic_fetch_add(&calls, 1) + 1 != atol(wanted + n + 1)) return false;
    const char *mark = getenv("TI_FAILED");
    if (mark) __real_close(__real_open(mark, O_WRONLY | O_CREAT, 0666));
    errno = error;
    return true;
}

void *__wrap_malloc(size_t size) { return fails("malloc", ENOMEM) ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return fails("calloc", ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails("realloc", ENOMEM) ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails("aligned_alloc", ENOMEM) ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    if (fails("mmap", ENOMEM)) return MAP_FAILED;
    return __real_mmap(at, size, protection, flags, descriptor, offset);
}

int __wrap_open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    bool creates = (flags & O_CREAT) != 0;
#ifdef __O_TMPFILE
    creates = creates || (flags & __O_TMPFILE) != 0;
#endif
    bool nameless = creates && !(flags & O_CREAT);
    mode_t mode = creates ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (nameless && fails("nameless", EOPNOTSUPP)) return -1;
    return fails("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

ssize_t __wrap_read(int descriptor, void *data, size_t size) {
    return fails("read", EIO) ? -1 : __real_read(descriptor, data, size);
}

ssize_t __wrap_write(int descriptor, const void *data, size_t size) {
    if (fails("write", ENOSPC) || fails("interrupted", EINTR)) return -1;
    if (fails("kill", 0)) raise(SIGKILL);
    return __real_write(descriptor, data, fails("short", 0) ? (size + 1) / 2 : size);
}

/* Never waits for the disk, since the test runs thousands of commands. */
int __wrap_fsync(int descriptor) {
    (void)descriptor;
    return fails("fsync", EIO) ? -1 : 0;
}

int __wrap_close(int descriptor) {
    int result = __real_close(descriptor); /* On Linux a close that fails has still closed the descriptor. */
    return fails("close", EIO) ? -1 : result;
}

int __wrap_rename(const char *from, const char *to) {
    return fails("rename", EIO) ? -1 : __real_rename(from, to);
}

int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return fails("linkat", EIO) ? -1 : __real_linkat(from_folder, from, to_folder, to, flags);
}

int __wrap_mkdir(const char *path, mode_t mode) {
    return fails("mkdir", ENOSPC) ? -1 : __real_mkdir(path, mode);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    return fails("fopen", EMFILE) ? NULL : __real_fopen(path, mode);
}

int __wrap_fflush(FILE *file) {
    int result = __real_fflush(file);
    return fails("fflush", ENOSPC) ? EOF : result;
}

DIR *__wrap_opendir(const char *path) { return fails("opendir", EMFILE) ? NULL : __real_opendir(path); }
