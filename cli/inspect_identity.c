/* SPDX-License-Identifier: MIT */
/* Recognises published model files by their size and SHA-256. */
#include "cli/inspect_parts.h"

#include <stdio.h>
#include <string.h>

/* The files with the sizes and hashes that their publishers give. */
static const struct {
    const char *name;
    int64_t bytes;
    const char *sha256;
} KNOWN[] = {
    { "v1-5-pruned-emaonly.safetensors (Stable Diffusion 1.5)", 4265146304,
      "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa" },
};

FileIdentity identify(const File *file, bool hash) {
    FileIdentity id = { .bytes = (int64_t)file->size };
    const char *published = "";
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (KNOWN[i].bytes == id.bytes) {
            id.known = KNOWN[i].name;
            published = KNOWN[i].sha256;
        }
    if (!id.known && !hash) return id;
    char size[SIZE_TEXT];
    if (id.bytes > 100000000) fprintf(stderr, "ti: hashing %s\n", size_text(id.bytes, size));
    sha256_text(file->data, file->size, id.sha256);
    id.same = strcmp(id.sha256, published) == 0;
    return id;
}

void print_identity(const FileIdentity *id) {
    char count[COUNT_TEXT];
    if (!id->sha256[0]) return;
    printf("size          %s bytes%s%s\n", count_text(id->bytes, count), id->known ? ", that of " : "",
           id->known ? id->known : "");
    const char *verdict =
        id->same ? ", as published" : ": NOT as published, so this is another file, or a damaged one";
    printf("sha256        %s%s\n", id->sha256, id->known ? verdict : "");
}

void add_identity(json_t *document, const FileIdentity *id) {
    json_t *more = json_pack("{s:I, s:s*, s:s*, s:o*}", "file_bytes", id->bytes, "sha256",
                             id->sha256[0] ? id->sha256 : NULL, "known", id->known, "known_hash",
                             id->known ? json_boolean(id->same) : NULL);
    json_object_update(document, more);
    json_decref(more);
}
