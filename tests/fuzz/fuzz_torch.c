/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: pickles, the files of torch.save around them, and learned words in pictures. */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/family.h"
#include "exchange/png_word.h"
#include "exchange/torch_file.h"
#include "exchange/word_file.h"
#include "io/file.h"

/* ---- words that were read ---- */

static bool use_words(const char *path, const unsigned char *bytes, size_t size) {
    Embeddings all;
    Messages errors = { 0 };
    if (!verdict(word_file_parse(path, bytes, size, &all, &errors), &errors, NULL)) return false;
    CHECK(all.count >= 1);
    for (int64_t i = 0; i < all.count; i++) {
        const Embedding *e = &all.words[i];
        CHECK(e->token[0] && e->vectors >= 1 && e->width >= 1);
        for (int64_t j = 0; j < e->vectors * e->width; j++) CHECK(isfinite(e->learned[j]));
    }
    embeddings_free(&all);
    return true;
}

/* ---- pickles ---- */

/* Opcodes, and whole instructions. None contains a 0, which would end it. */
static const char *const PICKLE_WORDS[] = { "\x80\2",
                                            "}",
                                            "]",
                                            ")",
                                            "(",
                                            "t",
                                            "\x85",
                                            "\x86",
                                            "\x87",
                                            "\x88",
                                            "N",
                                            "K\1",
                                            "M\1\1",
                                            "J\xff\xff\xff\xff",
                                            "\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f",
                                            "\x8c\1x",
                                            "\x8c\7storage",
                                            "\x8c\xfstring_to_param",
                                            "\x8c\nstate_dict",
                                            "\x8c\1*",
                                            "q\1",
                                            "h\1",
                                            "\x94",
                                            "a",
                                            "e",
                                            "s",
                                            "u",
                                            "R",
                                            "b",
                                            "Q",
                                            "\x81",
                                            "\x92",
                                            "\x93",
                                            ".",
                                            "ctorch._utils\n_rebuild_tensor_v2\n",
                                            "ctorch._utils\n_rebuild_parameter\n",
                                            "ctorch._tensor\n_rebuild_from_type_v2\n",
                                            "ctorch\nFloatStorage\n",
                                            "ctorch\nHalfStorage\n",
                                            "ctorch\nQInt8Storage\n",
                                            "ccollections\nOrderedDict\n",
                                            "ctorch.nn.modules.container\nParameterDict\n",
                                            "c__builtin__\nset\n",
                                            "cposix\nsystem\n",
                                            NULL };

/* Adds the pickle of a file in the zip format as a seed. */
static void seed_pickle(Seeds *s, const char *path) {
    File file;
    Messages errors = { 0 };
    Zip zip;
    CHECK(file_read(path, &file, &errors) && zip_open(path, file.data, file.size, &zip, &errors));
    for (int64_t i = 0; i < zip.count; i++)
        if (text_ends_with(zip.members[i].name, "/data.pkl"))
            seeds_add(s, zip_read(&zip, &zip.members[i], &errors), zip.members[i].size);
    zip_close(&zip);
    file_close(&file);
}

static void pickle_seeds(Seeds *s) {
    static const char *const files[] = { "a1111.pt",      "a1111_step.pt", "paper.pt",   "protocol4.pt",
                                         "parameter.bin", "columns.pt",    "program.pt", "module.pt" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = mem_format("golden/words/%s", files[i]);
        seed_pickle(s, path);
        free(path);
    }
    seeds_text(s, "\x80\2}.");
    seeds_text(s, "\x80\2]q\1h\1a.");
}

/* Gives the storages numbers, as the reader of a file does, and makes the list of tensors. */
static void use_pickle(Pickle *p) {
    enum { NUMBERS = 4096 };
    unsigned char *numbers = mem_alloc(NUMBERS);
    TorchFile t = { .pickle = *p };
    Messages errors = { 0 };
    for (size_t i = 0; i < p->storage_count; i++) {
        PickleStorage *s = &p->storages[i]->as.storage;
        CHECK(s->count >= 0);
        if (s->element && s->count <= NUMBERS / s->element) /* The sanitizer notices what lies beyond. */
            s->data = numbers + NUMBERS - s->count * s->element;
    }
    for (int gather = 0; gather < 2; gather++) {
        Safetensors list;
        if (!verdict(torch_tensors(&t, "x", gather, &list, &errors), &errors, NULL)) continue;
        for (int64_t i = 0; i < list.count; i++) {
            const SafeTensor *tensor = &list.tensors[i];
            CHECK(safetensors_find(&list, tensor->weight.name) == tensor && tensor->dtype);
            touch(tensor->weight.data, tensor->size);
        }
        weights_family(&list);
        weights_unwrap(&list);
        safetensors_close(&list);
    }
    free(numbers);
}

static bool try_pickle(const unsigned char *bytes, size_t size) {
    bool accepted = false;
    for (int strict = 0; strict < 2; strict++) {
        Pickle p;
        Messages errors = { 0 };
        accepted = verdict(pickle_parse("x", bytes, size, strict, &p, &errors), &errors, NULL);
        if (!accepted) continue;
        CHECK(p.root && p.size <= size);
        use_pickle(&p);
        pickle_free(&p);
    }
    return accepted; /* what a strict reader accepts, the other one has accepted, too */
}

/* ---- files of torch.save ---- */

static const char *const TORCH_WORDS[] = { "PK\1\2",           "PK\3\4",     "PK\5\6",           "PK\6\6",
                                           "PK\6\7",           "x/data.pkl", "/data/",           "little",
                                           "byteorder",        "\x80\2",     "\xff\xff\xff\xff", "\xff\xff",
                                           "cposix\nsystem\n", NULL };

static void torch_seeds(Seeds *s) {
    static const char *const files[] = { "a1111.pt",      "a1111_old.pt",   "half_old.pt",
                                         "paper_old.pt",  "paper.pt",       "columns_old.pt",
                                         "shared.bin",    "shared_old.bin", "deflated.pt",
                                         "diffusers.bin", "program_old.pt", "sdxl.pt",
                                         "parameter.bin", "double_old.pt" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = mem_format("golden/words/%s", files[i]);
        seeds_file(s, path);
        free(path);
    }
}

static bool try_torch(const unsigned char *bytes, size_t size) {
    TorchFile t;
    Safetensors list;
    Messages errors = { 0 };
    if (verdict(torch_parse("x.ckpt", bytes, size, false, &t, &errors), &errors, NULL)) {
        if (verdict(torch_tensors(&t, "x.ckpt", false, &list, &errors), &errors, NULL)) {
            for (int64_t i = 0; i < list.count; i++) {
                const SafeTensor *tensor = &list.tensors[i];
                const unsigned char *data = tensor->weight.data;
                CHECK(!tensor->size || t.zip.inflated_size ||
                      (data >= bytes && data + tensor->size <= bytes + size));
                touch(data, tensor->size);
            }
            safetensors_close(&list);
        }
        torch_close(&t);
    }
    return is_pickle(bytes, size) && use_words("dir/x.pt", bytes, size);
}

/* The members of a zip file, which is then whole: the pickle, and what is in its storages 0 and 1. */
static void members_seeds(Seeds *s) {
    Seeds pickles = { 0 };
    pickle_seeds(&pickles);
    for (int i = 0; i < pickles.count; i++) {
        enum { NUMBERS = 2 * 192 };
        unsigned char *all = mem_alloc(pickles.at[i].size + 1 + NUMBERS);
        memcpy(all, pickles.at[i].at, pickles.at[i].size);
        all[pickles.at[i].size] = PART_END;
        seeds_add(s, all, pickles.at[i].size + 1 + NUMBERS);
        free(all);
        free(pickles.at[i].at);
    }
    free(pickles.at);
}

static bool try_members(const unsigned char *bytes, size_t size) {
    const unsigned char *end = bytes; /* after the last PART_END that follows a STOP */
    for (size_t i = 1; i < size; i++)
        if (bytes[i] == PART_END && bytes[i - 1] == '.') end = bytes + i;
    size_t program = (size_t)(end - bytes), rest = end > bytes ? size - program - 1 : 0, half = rest / 2;
    const ZipPart parts[] = { { "x/data.pkl", bytes, program },
                              { "x/data/0", end + 1, half },
                              { "x/data/1", end + 1 + half, rest - half } };
    Text zip;
    Messages errors = { 0 };
    CHECK(zip_bytes("x", parts, rest ? 3 : 1, &zip, &errors));
    bool accepted = use_words("dir/x.pt", (const unsigned char *)zip.at, zip.length);
    free(zip.at);
    return accepted;
}

/* ---- words in pictures ---- */

static const char *const PICTURE_WORDS[] = {
    "tEXt",      "IEND",        "sd-ti-embedding", "TORCHTENSOR", "\"*\"", "\"name\"", "[[1,2]]",
    "[[1],[2]]", "[[1],[2,3]]", "1e999",           "null",        "=",     NULL
};

/* Takes the input either as a whole picture or as the JSON that is put into one. */
static bool try_picture_word(const unsigned char *bytes, size_t size) {
    static const char empty[] = "\x89PNG\r\n\x1a\n\0\0\0\0IEND\xae\x42\x60\x82";
    png_has_word(bytes, size);
    bool accepted = is_png(bytes, size) && use_words("dir/x.png", bytes, size);
    if (size && bytes[0] == '{') {
        char *json = mem_format("%.*s", (int)size, (const char *)bytes);
        Text png = png_with_word(empty, sizeof empty - 1, json);
        accepted = use_words("dir/x.png", (const unsigned char *)png.at, png.length);
        free(png.at);
        free(json);
    }
    return accepted;
}

static void picture_seeds(Seeds *s) {
    seeds_file(s, "golden/words/a1111.png");
    seeds_text(s,
               "{\"string_to_token\":{\"*\":265},\"string_to_param\":{\"*\":{\"TORCHTENSOR\":[[0.5,1,-2e-3],"
               "[1,2,3]]}},\"name\":\"grum\",\"step\":500,\"sd_checkpoint\":null}");
    seeds_text(s, "{\"string_to_param\":{\"*\":{\"TORCHTENSOR\":[[1]]}}}");
}

const Target TORCH_TARGETS[] = {
    { "pickle", 14, PICKLE_WORDS, pickle_seeds, NULL, try_pickle },
    { "torch", 8, TORCH_WORDS, torch_seeds, NULL, try_torch },
    { "members", 10, PICKLE_WORDS, members_seeds, NULL, try_members },
    { "picture_word", 4, PICTURE_WORDS, picture_seeds, NULL, try_picture_word },
    { .name = NULL },
};
