/* SPDX-License-Identifier: MIT */
/* Reads files (into memory, or mapped) and writes them so that a file under its name is always whole. */
#ifndef TI_FILE_H
#define TI_FILE_H

#include "io/base.h"

/* A whole file, in allocated memory or mapped. An empty file has data "" and size 0. */
typedef struct {
    const unsigned char *data;
    size_t size;
    enum { FILE_NONE, FILE_MAPPED, FILE_READ } kind; /* FILE_NONE when there is no memory to release */
    int descriptor;                                  /* of a mapped file, which is kept open */
    int64_t seconds, nanoseconds; /* a mapped file's time of modification when it was opened */
} File;

/* Return whether there is a folder at the path, or anything else than a folder. Links are followed. Both
   return false when nothing is there. */
bool path_is_folder(const char *path);
bool path_is_file(const char *path);

/* path_same returns whether two paths lead to the same place, path_inside whether a path leads to the folder
   or to something in it, path_holds whether the file lies directly in the folder. All three follow links. The
   last parts of a path need not exist yet. */
bool path_same(const char *a, const char *b);
bool path_inside(const char *path, const char *folder);
bool path_holds(const char *folder, const char *file);

/* Returns the absolute path, by which a file is found from another folder too, or a copy of the path when
   there is no such file or its path is not UTF-8. Returns NULL for NULL. The caller frees it. */
char *path_absolute(const char *path);

/* Reads a regular file into memory. Returns false and adds a message when the file is missing or unreadable,
   is a folder or a device, or does not fit into memory. The caller closes it with file_close. */
bool file_read(const char *path, File *file, Messages *errors);
/* Does the same for weights, which are mapped instead of copied, so that they are read from the disk when
   they are used. If another program writes to the file, the data changes (file_unchanged); if it truncates
   the file, the next read beyond the new end raises SIGBUS (file_guard). */
bool file_map(const char *path, File *file, Messages *errors);
/* Frees or unmaps the data, and sets *file to {0}. */
void file_close(File *file);
/* Returns whether a mapped file still has the size and the time of modification that it had when it was
   opened. If another file has been renamed over it, that does no harm, since the old one is still open. */
bool file_unchanged(const File *file);
/* Installs a handler for SIGBUS. To be called at the start of main. When a mapped file is truncated while it
   is read, or its disk fails, the handler names the file on stderr and ends the program with status 1. Files
   that are being written at that time are lost, but what was saved before is kept. */
void file_guard(void);
/* Releases the physical memory of a mapped file's pages. They are read from the disk when they are used
   again. */
void file_release_pages(const File *file);
/* Reads at most size bytes from the beginning of a regular file. Returns how many it has read, or 0 when the
   file cannot be read. */
size_t file_read_beginning(const char *path, void *bytes, size_t size);

/* Checks before long work that a file can be written at path: its folder exists and is writable, path is not
   a folder or a device, and the name is not too long. Returns false and adds a message otherwise. */
bool output_possible(const char *path, Messages *errors);

/* A file being written. It has no name until output_commit flushes it to the disk (fsync), links it as
   PATH.tmp-PID and renames that to PATH. On a file system that has no nameless files, it is named
   PATH.tmp-PID from the start. If something exists under that name, it is kept, and digits are added to the
   new name. After a failed write all further writes do nothing; output_commit then reports the failure,
   removes the temporary file and returns false, and what was at PATH is unchanged. Nothing is allocated
   between output_open and output_commit. */
typedef struct {
    char *path, *folder, *temporary;
    int descriptor; /* -1 when it could not be opened */
    bool named;     /* whether the temporary file exists under its name */
    int error;      /* errno of the first failure, else 0 */
} Output;

/* output_open is followed by any number of output_write, then by output_commit or output_discard, which free
   what *out holds. output_commit returns false and adds a message when anything failed. */
void output_open(Output *out, const char *path);
void output_write(Output *out, const void *data, size_t size);
bool output_commit(Output *out, Messages *errors);
void output_discard(Output *out);

/* Writes a whole file as an Output. Returns false and adds a message when it cannot be written. */
bool file_write(const char *path, const void *data, size_t size, Messages *errors);

/* Returns the path of a file that comes with the program: weights/NAME beside the program or one folder up,
   or ../share/ti/NAME, where `make install` puts it. Returns NULL when it is in none of these places. The
   caller frees the path. */
char *file_of_program(const char *name);
/* The NAME of the embedded model's folder. */
static const char EMBEDDED_MODEL[] = "critters";

/* Makes a folder and the folders above it; existing ones are kept. Returns false and adds a message when it
   cannot be made. */
bool folder_make(const char *path, Messages *errors);

/* Makes an empty folder PATH.tmp-PID (named as an Output's temporary file is) and the folders above it.
   Returns its path, which the caller frees. Returns NULL and adds a message when it cannot be made. */
char *folder_make_beside(const char *path, Messages *errors);

#endif
