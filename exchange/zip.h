/* SPDX-License-Identifier: MIT */
/* Reads and writes zip files in memory, with minizip. */
#ifndef TI_ZIP_H
#define TI_ZIP_H

#include "io/text.h"

typedef struct {
    char *name;
    const unsigned char *data; /* [size], inside the zip file; NULL when the member is compressed */
    size_t size;               /* of the member's content */
    uint64_t position, number; /* of its entry in the zip file's directory */
} ZipMember;

typedef struct {
    char *path;
    ZipMember *members; /* [count], in the order of their names */
    int64_t count;
    void *source, *reader;    /* minizip's */
    unsigned char **inflated; /* [inflated_count], what zip_read has unpacked */
    int64_t inflated_count;
    size_t inflated_size;
} Zip;

/* How many bytes of a zip file's compressed members can be unpacked. */
enum { ZIP_INFLATED_MAX = 64 << 20 };

/* Reads the directory of a zip file, also of one in the format Zip64. The bytes must outlive z, which the
   caller closes. path is for messages. Returns false and adds a message when the file is damaged, is
   encrypted or has a name twice. */
bool zip_open(const char *path, const void *bytes, size_t size, Zip *z, Messages *errors);
void zip_close(Zip *z);

/* Returns the member of that name, or NULL. */
const ZipMember *zip_find(const Zip *z, const char *name);
/* Returns the content of a member [member->size]: its place in the file or, for a compressed one, a copy that
   belongs to z. Returns NULL and adds a message when it is damaged or larger than ZIP_INFLATED_MAX. */
const unsigned char *zip_read(Zip *z, const ZipMember *member, Messages *errors);

/* A member to be written. */
typedef struct {
    const char *name;
    const void *data;
    size_t size;
} ZipPart;

/* Makes the bytes of a zip file with these members, stored without compression. Their content begins at
   multiples of 64, as torch.save writes it. Returns false and adds a message when there is no memory. The
   caller frees the text's `at` in every case. path is for messages. */
bool zip_bytes(const char *path, const ZipPart *parts, int count, Text *out, Messages *errors);

#endif
