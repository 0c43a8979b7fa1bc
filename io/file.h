/* Files: mapped for reading, written aside and renamed. */
#ifndef TI_FILE_H
#define TI_FILE_H

#include "io/base.h"

/* A whole file: in memory of its own, or mapped (an empty file has data "" and size 0). */
typedef struct {
    const unsigned char *data;
    size_t size;
    enum { FILE_NONE, FILE_MAPPED, FILE_READ } kind; /* of the memory; NONE: nothing to give back */
    int descriptor;                                  /* of a mapped file, which stays open */
    int64_t seconds, nanoseconds;                    /* when that was last written to, as it was opened */
} File;

/* What stands at the path, links followed: a folder, or anything else. Both false where there is nothing. */
bool path_is_folder(const char *path);
bool path_is_file(const char *path);

/* Whether two paths lead to the same place, a path to a folder or to something in it, and a folder's path to
   the folder in which a file lies. Links are followed; what is not there yet is where it would be. */
bool path_same(const char *a, const char *b);
bool path_inside(const char *path, const char *folder);
bool path_holds(const char *folder, const char *file);

/* Reads a regular file. Errors: missing, not readable, a folder or device, no memory for it: one line,
   false. */
bool file_read(const char *path, File *file, Messages *errors);
/* The same for weights, which are mapped and not copied: they come from the disk as they are used. Another
   program that writes to the file changes them at any time (file_unchanged), one that cuts it off ends this
   program where it reads on (file_guard). */
bool file_map(const char *path, File *file, Messages *errors);
void file_close(File *file);
/* Whether nobody has written to a mapped file since it was opened. Another file that has taken its name
   does no harm: the one that was opened is still there. */
bool file_unchanged(const File *file);
/* At the start of main: a mapped file that is cut off while it is read, or on a disk that fails, is named on
   stderr, and the program ends with status 1. What is written aside is lost by that, and nothing else. */
void file_guard(void);
/* The pages of a mapped file that are in this process's memory leave it; those that are touched again come
   back. */
void file_forget(const File *file);
/* Up to so many of a regular file's first bytes; how many, 0 where it cannot be read. */
size_t file_begin(const char *path, void *bytes, size_t size);

/* Whether a file can be written at path, asked before the work: its folder is there and may be written, and
   path is no folder or device. False: one line. */
bool output_possible(const char *path, Messages *errors);

/* A file being written: without a name until output_commit flushes it to the disk (fsync), calls it
   PATH.tmp-PID and renames that over PATH; where the file system knows no such files, PATH.tmp-PID from the
   start. Whatever stands at that name already stays, and the file's has more digits. After a failed write
   nothing else happens until commit, which then reports it, removes the temporary file and returns false;
   what stood at PATH is as it was. Nothing is allocated between open and commit. */
typedef struct {
    char *path, *folder, *temporary;
    int descriptor; /* -1: could not be opened */
    bool named;     /* the temporary file is there */
    int error;      /* errno of the first failure */
} Output;

void output_open(Output *out, const char *path);
void output_write(Output *out, const void *data, size_t size);
bool output_commit(Output *out, Messages *errors);
void output_discard(Output *out);

/* All of it in one call. */
bool file_write(const char *path, const void *data, size_t size, Messages *errors);

/* The path of what came with the program: weights/NAME beside it or a folder up, or NAME in ../share/ti,
   where `make install` puts it. free() it; NULL if it is at none of these places. */
char *file_of_program(const char *name);

/* Makes a folder and the ones above it; one that is there is fine. */
bool folder_make(const char *path, Messages *errors);

/* Makes an empty folder PATH.tmp-PID, as files get their names while they are written, and the ones above it.
   Its path, free() it; NULL and a line if it cannot be made. */
char *folder_make_beside(const char *path, Messages *errors);

#endif
