/* SPDX-License-Identifier: MIT */
#include "exchange/zip.h"

#include <minizip/unzip.h>
#include <minizip/zip.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "io/bytes.h"

enum { MEMBERS_MAX = 200000, NAME_MAX_BYTES = 1000, ALIGNMENT = 64 };

/* ---- a file in memory, as minizip's functions see it ---- */

typedef struct {
    const unsigned char *bytes; /* for reading */
    Text *text;                 /* for writing */
    size_t size, at;
    bool ended; /* whether more was to be read than there is, which minizip takes for zeros */
} Memory;

static void *memory_open(void *opaque, const void *name, int mode) {
    (void)name;
    (void)mode;
    return opaque;
}

static uLong memory_read(void *opaque, void *stream, void *buffer, uLong size) {
    Memory *m = stream;
    (void)opaque;
    if (size > m->size - m->at) {
        size = (uLong)(m->size - m->at);
        m->ended = true;
    }
    memcpy(buffer, m->bytes + m->at, size);
    m->at += size;
    return size;
}

/* Writes at the current place: over what is there, and beyond its end. */
static uLong memory_write(void *opaque, void *stream, const void *buffer, uLong size) {
    Memory *m = stream;
    (void)opaque;
    size_t over = m->size - m->at < size ? m->size - m->at : size;
    if (over) memcpy(m->text->at + m->at, buffer, over);
    if (size > over) text_add_part(m->text, (const char *)buffer + over, size - over);
    m->size = m->text->length;
    m->at += size;
    return size;
}

static ZPOS64_T memory_tell(void *opaque, void *stream) {
    (void)opaque;
    return ((Memory *)stream)->at;
}

static long memory_seek(void *opaque, void *stream, ZPOS64_T offset, int origin) {
    Memory *m = stream;
    (void)opaque;
    size_t from = origin == ZLIB_FILEFUNC_SEEK_CUR ? m->at : origin == ZLIB_FILEFUNC_SEEK_END ? m->size : 0;
    if (offset > m->size - from) return -1;
    m->at = from + (size_t)offset;
    return 0;
}

static int memory_status(void *opaque, void *stream) {
    (void)opaque;
    (void)stream;
    return 0;
}

static zlib_filefunc64_def functions(Memory *m) {
    return (zlib_filefunc64_def) { .zopen64_file = memory_open,
                                   .zread_file = memory_read,
                                   .zwrite_file = memory_write,
                                   .ztell64_file = memory_tell,
                                   .zseek64_file = memory_seek,
                                   .zclose_file = memory_status,
                                   .zerror_file = memory_status,
                                   .opaque = m };
}

/* ---- reading ---- */

static bool damaged(const Zip *z, Messages *errors) {
    return messages_add(errors, "%s: its zip file is damaged or truncated", z->path);
}

static uint64_t little64(const unsigned char *p) { return little32(p) | (uint64_t)little32(p + 4) << 32; }

/* Sizes and place of a member, which are in its entry in the directory. */
typedef struct {
    uint64_t size, compressed, place;
} Extent;

/* Reads the entry itself, since the minizip of Debian 12 does not read the extra field of Zip64 where a long
   has 64 bits: it compares sizes of 2^32 - 1 with -1. The field has, in this order, the 8 bytes of each
   number that is 2^32 - 1 in the entry. Returns false when the entry does not lie in the file. */
static bool read_extent(const Memory *file, uint64_t at, Extent *e) {
    enum { ENTRY = 46 };
    if (at > file->size || file->size - at < ENTRY || memcmp(file->bytes + at, "PK\1\2", 4) != 0)
        return false;
    const unsigned char *p = file->bytes + at;
    size_t name = little16(p + 28), extra = little16(p + 30);
    *e = (Extent) { little32(p + 24), little32(p + 20), little32(p + 42) };
    if (file->size - at - ENTRY < name + extra) return false;
    uint64_t *const numbers[] = { &e->size, &e->compressed, &e->place };
    for (const unsigned char *f = p + ENTRY + name, *end = f + extra; end - f >= 4;
         f += 4 + little16(f + 2)) {
        size_t field = little16(f + 2), used = 0;
        if (field > (size_t)(end - f - 4)) return false;
        for (int i = 0; little16(f) == 1 && i < 3; i++)
            if (*numbers[i] == UINT32_MAX && used + 8 <= field) {
                *numbers[i] = little64(f + 4 + used);
                used += 8;
            }
    }
    return true;
}

/* Returns the content of a stored member, which follows its header, or NULL when it does not lie in the file.
   */
static const unsigned char *stored_data(const Memory *file, const Extent *e) {
    enum { HEADER = 30 };
    if (e->place > file->size || file->size - e->place < HEADER) return NULL;
    const unsigned char *p = file->bytes + e->place;
    uint64_t begin = e->place + HEADER + little16(p + 26) + little16(p + 28);
    bool fits = memcmp(p, "PK\3\4", 4) == 0 && little16(p + 8) == 0 && e->size == e->compressed &&
                begin <= file->size && e->size <= file->size - begin;
    return fits ? file->bytes + begin : NULL;
}

/* Reads the entry at which the reader is. A stored member is found in the file; of a compressed one only the
   place of its entry is kept. */
static bool read_entry(Zip *z, ZipMember *member, Messages *errors) {
    unz_file_info64 info;
    unz64_file_pos place;
    Extent extent;
    char name[NAME_MAX_BYTES];
    if (unzGetCurrentFileInfo64(z->reader, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK ||
        unzGetFilePos64(z->reader, &place) != UNZ_OK || info.size_filename >= sizeof name ||
        !read_extent(z->source, place.pos_in_zip_directory, &extent) || extent.size > SIZE_MAX)
        return damaged(z, errors);
    *member = (ZipMember) { .name = mem_string(name),
                            .size = (size_t)extent.size,
                            .position = place.pos_in_zip_directory,
                            .number = place.num_of_file };
    if (info.flag & 1) return messages_add(errors, "%s: its zip file is encrypted", z->path);
    if (info.compression_method != 0 && info.compression_method != Z_DEFLATED)
        return messages_add(errors, "%s: its zip file is compressed by method %lu; only deflate is read",
                            z->path, info.compression_method);
    if (info.compression_method) return true;
    member->data = stored_data(z->source, &extent);
    return member->data || damaged(z, errors);
}

/* Returns whether the file has the record at the end of its directory, which minizip does not need when there
   is also one of Zip64. A comment of less than 64 KB may follow it. */
static bool has_end(const Memory *file) {
    enum { RECORD = 22, COMMENT = 65535 };
    for (size_t back = RECORD; back <= file->size && back <= RECORD + COMMENT; back++)
        if (memcmp(file->bytes + file->size - back, "PK\5\6", 4) == 0) return true;
    return false;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const ZipMember *)a)->name, ((const ZipMember *)b)->name);
}

static bool read_directory(Zip *z, Messages *errors) {
    int status = unzGoToFirstFile(z->reader);
    size_t capacity = 0;
    for (; status == UNZ_OK; status = unzGoToNextFile(z->reader)) {
        if (z->count == MEMBERS_MAX)
            return messages_add(errors, "%s: its zip file has more than %d members", z->path, MEMBERS_MAX);
        if ((size_t)z->count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            z->members = mem_grow(z->members, capacity * sizeof *z->members);
        }
        z->members[z->count] = (ZipMember) { 0 };
        if (!read_entry(z, &z->members[z->count++], errors)) return false;
    }
    if (status != UNZ_END_OF_LIST_OF_FILE || ((const Memory *)z->source)->ended) return damaged(z, errors);
    if (z->count) qsort(z->members, (size_t)z->count, sizeof *z->members, by_name);
    for (int64_t i = 1; i < z->count; i++)
        if (by_name(&z->members[i - 1], &z->members[i]) == 0)
            return messages_add(errors, "%s: its zip file has \"%s\" twice", z->path, z->members[i].name);
    return true;
}

bool zip_open(const char *path, const void *bytes, size_t size, Zip *z, Messages *errors) {
    Memory *file = mem_alloc(sizeof *file);
    *file = (Memory) { .bytes = bytes, .size = size };
    *z = (Zip) { .path = mem_string(path), .source = file };
    zlib_filefunc64_def io = functions(file);
    z->reader = has_end(file) ? unzOpen2_64(path, &io) : NULL;
    if (z->reader ? read_directory(z, errors) : damaged(z, errors)) return true;
    zip_close(z);
    return false;
}

void zip_close(Zip *z) {
    for (int64_t i = 0; i < z->count; i++) free(z->members[i].name);
    for (int64_t i = 0; i < z->inflated_count; i++) free(z->inflated[i]);
    if (z->reader) unzClose(z->reader);
    free(z->members);
    free(z->inflated);
    free(z->source);
    free(z->path);
    *z = (Zip) { 0 };
}

const ZipMember *zip_find(const Zip *z, const char *name) {
    const ZipMember key = { .name = (char *)(uintptr_t)name };
    return z->count ? bsearch(&key, z->members, (size_t)z->count, sizeof key, by_name) : NULL;
}

const unsigned char *zip_read(Zip *z, const ZipMember *member, Messages *errors) {
    if (member->data) return member->data;
    if (member->size > ZIP_INFLATED_MAX - z->inflated_size) {
        messages_add(errors, "%s: its compressed members have more than %d MB", z->path,
                     ZIP_INFLATED_MAX >> 20);
        return NULL;
    }
    const unz64_file_pos place = { member->position, member->number };
    unsigned char *copy = mem_alloc(member->size + 1), end;
    bool ok = unzGoToFilePos64(z->reader, &place) == UNZ_OK && unzOpenCurrentFile(z->reader) == UNZ_OK;
    if (ok) {
        /* Reading beyond the end checks that there is no more. Closing checks the sum. */
        ok = unzReadCurrentFile(z->reader, copy, (unsigned)member->size) == (int)member->size &&
             unzReadCurrentFile(z->reader, &end, 1) == 0;
        ok = unzCloseCurrentFile(z->reader) == UNZ_OK && ok;
    }
    if (!ok) {
        free(copy);
        damaged(z, errors);
        return NULL;
    }
    z->inflated = mem_grow(z->inflated, (size_t)(z->inflated_count + 1) * sizeof *z->inflated);
    z->inflated_size += member->size;
    z->members[member - z->members].data = copy; /* so that it is unpacked only once */
    return z->inflated[z->inflated_count++] = copy;
}

/* ---- writing ---- */

static bool add_part(zipFile zip, const ZipPart *part, size_t at) {
    enum { HEADER = 30, FIELD = 4 }; /* bytes of a member's header, and of the head of an extra field */
    const zip_fileinfo info = { .tmz_date = { .tm_mday = 1, .tm_year = 1980 } };
    /* An extra field of torch's kind, "FB", fills the header up to the next multiple of 64. */
    unsigned char extra[FIELD + ALIGNMENT] = { 'F', 'B' };
    size_t begin = at + HEADER + strlen(part->name) + FIELD;
    size_t padding = (ALIGNMENT - begin % ALIGNMENT) % ALIGNMENT;
    memset(extra + FIELD, 'Z', padding);
    extra[2] = (unsigned char)padding;
    return zipOpenNewFileInZip(zip, part->name, &info, extra, (uInt)(FIELD + padding), NULL, 0, NULL, 0, 0) ==
               ZIP_OK &&
           zipWriteInFileInZip(zip, part->data, (unsigned)part->size) == ZIP_OK &&
           zipCloseFileInZip(zip) == ZIP_OK;
}

bool zip_bytes(const char *path, const ZipPart *parts, int count, Text *out, Messages *errors) {
    *out = (Text) { 0 };
    Memory file = { .text = out };
    zlib_filefunc64_def io = functions(&file);
    zipFile zip = zipOpen2_64(path, APPEND_STATUS_CREATE, NULL, &io);
    bool ok = zip != NULL;
    for (int i = 0; ok && i < count; i++) ok = add_part(zip, &parts[i], out->length);
    if (zip) ok = zipClose(zip, NULL) == ZIP_OK && ok;
    return ok || messages_add(errors, "%s: there is no memory to make its zip file", path);
}
