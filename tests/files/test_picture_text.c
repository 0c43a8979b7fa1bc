/* SPDX-License-Identifier: MIT */
/* Tests the texts in pictures: those that Pillow and ti have written (golden/picture_text.py), what Pillow
   reads from them, damaged and hostile ones, and the text "parameters" against A1111's rules. */
#define _POSIX_C_SOURCE 200809L
#include "exchange/parameters.h"
#include "io/file.h"
#include "io/json.h"
#include "io/picture_text.h"
#include "io/png_chunks.h"
#include "io/sha256.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static File load(const char *name) {
    File file;
    Messages errors = { 0 };
    char *path = mem_format("golden/picture_text/%s", name);
    CHECK(file_read(path, &file, &errors));
    free(path);
    return file;
}

/* Returns the texts of a file, and the number of warnings. */
static PictureText texts_of(const void *bytes, size_t size, int *warnings) {
    PictureText text;
    Messages m = { 0 };
    picture_text_read("x", bytes, size, &text, &m);
    *warnings = m.count;
    messages_free(&m);
    return text;
}

static bool same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

/* Every file has the texts that Pillow reads from it. */
static void test_reading(const json_t *pictures) {
    const char *name;
    json_t *want;
    json_object_foreach ((json_t *)pictures, name, want) {
        int warnings;
        File file = load(name);
        PictureText text = texts_of(file.data, file.size, &warnings);
        bool ok = same(text.parameters, json_string_value(json_object_get(want, "parameters"))) &&
                  same(text.ti, json_string_value(json_object_get(want, "ti"))) && warnings == 0;
        test_true(name, ok, "%zu bytes", text.parameters ? strlen(text.parameters) : 0);
        picture_text_free(&text);
        file_close(&file);
    }
}

/* The texts change nothing else in a file, and are written as in the files that Pillow has read. */
static void test_writing(const char *bare_name, const char *name) {
    int warnings;
    File bare = load(bare_name), file = load(name);
    PictureText text = texts_of(file.data, file.size, &warnings);
    Text with = picture_with_text(bare.data, bare.size, &text);
    test_true(name, with.length == file.size && memcmp(with.at, file.data, file.size) == 0,
              "%zu bytes of text", with.length - bare.size);
    PictureText again = texts_of(with.at, with.length, &warnings);
    test_true("the texts are read again", same(again.parameters, text.parameters) && same(again.ti, text.ti),
              "%s", name);
    picture_text_free(&again);
    picture_text_free(&text);
    free(with.at);
    with = picture_with_text(bare.data, bare.size, &(PictureText) { 0 });
    test_true("without texts", with.length == bare.size && memcmp(with.at, bare.data, bare.size) == 0, "%s",
              name);
    free(with.at);
    file_close(&bare);
    file_close(&file);
}

/* Returns the chunk after the header. */
static PngChunk second_chunk(const void *bytes, size_t size) {
    size_t at = PNG_FIRST;
    PngChunk c;
    CHECK(png_next_chunk(bytes, size, &at, &c) && png_next_chunk(bytes, size, &at, &c));
    return c;
}

/* Pillow makes the same chunk of a text. */
static void test_chunks(void) {
    static const char *const names[] = { "plain.png", "latin1.png", "unicode.png" };
    File bare = load("bare.png");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int warnings;
        File file = load(names[i]);
        PictureText text = texts_of(file.data, file.size, &warnings);
        Text with = picture_with_text(bare.data, bare.size, &text);
        PngChunk ours = second_chunk(with.at, with.length), pillow = second_chunk(file.data, file.size);
        bool same_chunk = ours.size == pillow.size && memcmp(ours.type, pillow.type, pillow.size + 8) == 0;
        test_true("Pillow's chunk", same_chunk, "%.4s, %zu bytes", (const char *)ours.type, ours.size);
        picture_text_free(&text);
        free(with.at);
        file_close(&file);
    }
    file_close(&bare);
    static const char *const edges[][2] = { { "\xc3\xbf", "tEXt" }, { "\xc4\x80", "iTXt" } };
    for (int i = 0; i < 2; i++) {
        Text chunk = { 0 };
        png_add_text(&chunk, "k", edges[i][0]);
        test_true("the last character of Latin-1", memcmp(chunk.at + 4, edges[i][1], 4) == 0, "%s",
                  edges[i][1]);
        free(chunk.at);
    }
}

/* A JPEG has no room for more than 65,533 bytes. */
static void test_long(void) {
    File bare = load("bare.jpg");
    static char letters[65533];
    memset(letters, 'a', sizeof letters - 1);
    for (int more = 0; more < 2; more++) {
        size_t parameters = (size_t)(65533 - 6 - 44 - 8 + 1) / 2 + (size_t)more,
               ti = (size_t)(65533 - 3 + more);
        char *a = mem_format("%.*s", (int)parameters - 1, letters),
             *b = mem_format("%.*s%s", (int)ti - 1, letters, "b");
        PictureText texts[] = { { .parameters = a }, { .ti = b } };
        for (int i = 0; i < 2; i++) {
            int warnings;
            Text with = picture_with_text(bare.data, bare.size, &texts[i]);
            PictureText text = texts_of(with.at, with.length, &warnings);
            bool has = i == 0 ? same(text.parameters, a) : same(text.ti, b);
            test_true(more ? "a text too long for a JPEG" : "the longest text of a JPEG",
                      has == !more && picture_text_fits_jpeg(&texts[i]) == !more && warnings == 0,
                      "%zu bytes", with.length);
            picture_text_free(&text);
            free(with.at);
        }
        free(a);
        free(b);
    }
    file_close(&bare);
}

static void expect_ignored(const char *label, const void *bytes, size_t size, int want) {
    int warnings;
    PictureText text = texts_of(bytes, size, &warnings);
    test_true(label, !text.parameters && !text.ti && warnings == want, "%d warnings", warnings);
    picture_text_free(&text);
}

/* Returns a PNG with one more chunk. The caller frees its `at`. */
static Text png_with(const char *type, const char *data, size_t size) {
    File bare = load("bare.png");
    Text png = { 0 };
    size_t at = PNG_FIRST;
    PngChunk c;
    CHECK(png_next_chunk(bare.data, bare.size, &at, &c));
    text_add_part(&png, (const char *)bare.data, at);
    png_add_chunk(&png, type, data, size);
    text_add_part(&png, (const char *)bare.data + at, bare.size - at);
    file_close(&bare);
    return png;
}

/* Chunks that are malformed are none; a text that is damaged is ignored with a warning. */
static void test_damaged(void) {
    static const struct {
        const char *label, *type, *data;
        size_t size;
        int warnings;
    } CASES[] = {
        { "a key without its end", "tEXt", "parameters", 10, 0 },
        { "an empty chunk", "tEXt", "", 0, 0 },
        { "zTXt without a method", "zTXt", "parameters\0", 11, 0 },
        { "zTXt with an unknown method", "zTXt", "parameters\0\1x", 13, 0 },
        { "zTXt that is not compressed", "zTXt", "parameters\0\0abcdef", 18, 1 },
        { "iTXt without flags", "iTXt", "parameters\0\0", 12, 0 },
        { "iTXt without a translated key", "iTXt", "parameters\0\0\0en\0", 16, 0 },
        { "iTXt with an unknown flag", "iTXt", "parameters\0\2\0\0\0a", 16, 0 },
        { "iTXt with an unknown method", "iTXt", "parameters\0\0\1\0\0a", 16, 0 },
        { "iTXt that is not UTF-8", "iTXt", "parameters\0\0\0\0\0\xff", 16, 1 },
        { "a character 0", "tEXt", "parameters\0a\0b", 14, 1 },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Text png = png_with(CASES[i].type, CASES[i].data, CASES[i].size);
        expect_ignored(CASES[i].label, png.at, png.length, CASES[i].warnings);
        free(png.at);
    }
    int warnings;
    for (int more = 0; more < 2; more++) {
        size_t size = sizeof "parameters" + PNG_TEXT_MAX + (size_t)more;
        char *data = mem_alloc(size);
        memset(data, ' ', size);
        memcpy(data, "parameters", sizeof "parameters");
        Text png = png_with("tEXt", data, size);
        PictureText text = texts_of(png.at, png.length, &warnings);
        test_true("a text of 1 MB", (text.parameters == NULL) == more && warnings == more,
                  more ? "and a byte" : "is read");
        picture_text_free(&text);
        free(png.at);
        free(data);
    }
    File bomb = load("bomb.png"), plain = load("plain.png");
    expect_ignored("a text of 4 MB in 4 kB", bomb.data, bomb.size, 1);
    unsigned char *bytes = mem_alloc(plain.size);
    memcpy(bytes, plain.data, plain.size);
    bytes[60] ^= 1;
    expect_ignored("a wrong checksum", bytes, plain.size, 1);
    for (size_t size = 0; size < plain.size; size++) {
        memcpy(bytes, plain.data, size);
        PictureText text = texts_of(bytes, size, &warnings);
        picture_text_free(&text);
        CHECK(warnings == 0);
    }
    free(bytes);
    file_close(&bomb);
    file_close(&plain);
    File comfy = load("comfy.png");
    PictureText text = texts_of(comfy.data, comfy.size, &warnings);
    test_true("other texts", same(text.others, "prompt, workflow"), "%s", text.others ? text.others : "none");
    picture_text_free(&text);
    file_close(&comfy);
}

/* Cuts a JPEG, and changes each of its first bytes, in a block of memory of its own. */
static void test_damaged_jpeg(void) {
    File file = load("unicode.jpg");
    int warnings, read = 0;
    for (size_t i = 0; i < 700; i++)
        for (int k = 0; k < 3; k++) {
            size_t size = k ? file.size : i;
            unsigned char *bytes = mem_alloc(size + !size);
            memcpy(bytes, file.data, size);
            if (k) bytes[i] = k == 1 ? 0xff : (unsigned char)(bytes[i] ^ 1);
            PictureText text = texts_of(bytes, size, &warnings);
            CHECK(warnings <= 1);
            read += text.parameters != NULL;
            picture_text_free(&text);
            free(bytes);
        }
    test_true("damaged JPEGs", 300 < read && read < 2000, "%d still have a text", read);
    file_close(&file);
}

/* Two halves of a character beyond 16 bits belong together: a text with one of them alone is damaged. */
static void test_halves(void) {
    static const char first[] = "\xd8\x3d", second[] = "\xde\x00";
    File bare = load("bare.jpg");
    Text with = picture_with_text(bare.data, bare.size, &(PictureText) { .parameters = "\xf0\x9f\x98\x80" });
    for (size_t i = 0; i + 4 <= with.length; i++) {
        if (memcmp(with.at + i, first, 2) != 0 || memcmp(with.at + i + 2, second, 2) != 0) continue;
        memcpy(with.at + i + 2, "\0a", 2);
        expect_ignored("a first half alone", with.at, with.length, 1);
        memcpy(with.at + i, "\0a", 2);
        memcpy(with.at + i + 2, second, 2);
        expect_ignored("a second half alone", with.at, with.length, 1);
    }
    free(with.at);
    file_close(&bare);
}

/* Texts may lie anywhere before the pixels, also behind the picture's size. */
static void test_late_texts(void) {
    int warnings;
    File bare = load("bare.jpg");
    Text with = picture_with_text(bare.data, bare.size, &(PictureText) { .parameters = "p", .ti = "t" }),
         late = { 0 };
    const unsigned char *bytes = bare.data;
    size_t more = with.length - bare.size, from = 0, at = 2;
    while (bytes[from] == (unsigned char)with.at[from]) from++;
    from--; /* all segments begin with ff */
    while (bytes[at + 1] != 0xc0) at += 2 + (size_t)(256 * bytes[at + 2] + bytes[at + 3]);
    at += 2 + (size_t)(256 * bytes[at + 2] + bytes[at + 3]);
    text_add_part(&late, (const char *)bytes, at);
    text_add_part(&late, with.at + from, more);
    text_add_part(&late, (const char *)bytes + at, bare.size - at);
    PictureText text = texts_of(late.at, late.length, &warnings);
    test_true("texts behind the size", same(text.parameters, "p") && same(text.ti, "t") && warnings == 0,
              "at %zu of %zu bytes", at, late.length);
    picture_text_free(&text);
    free(late.at);
    free(with.at);
    file_close(&bare);
}

static void test_signature(void) {
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    test_true("a PNG's signature", is_png(signature, 8) && !is_png(signature, 7), "has 8 bytes");
}

static void test_parameters(const json_t *settings) {
    size_t i;
    json_t *s;
    json_array_foreach (settings, i, s) {
#define TEXT(key)   json_string_value(json_object_get(s, key))
#define NUMBER(key) json_number_value(json_object_get(s, key))
        char *text = parameters_text(&(Parameters) { .prompt = TEXT("prompt"),
                                                     .negative = TEXT("negative"),
                                                     .steps = (int64_t)NUMBER("steps"),
                                                     .sampler = TEXT("sampler"),
                                                     .schedule = (ScheduleType)NUMBER("schedule"),
                                                     .guidance = NUMBER("guidance"),
                                                     .seed = (int64_t)NUMBER("seed"),
                                                     .width = (int64_t)NUMBER("width"),
                                                     .height = (int64_t)NUMBER("height"),
                                                     .model = TEXT("model"),
                                                     .model_hash = TEXT("model_hash"),
                                                     .strength = NUMBER("strength"),
                                                     .clip_skip = (int64_t)NUMBER("clip_skip"),
                                                     .eta = NUMBER("eta"),
                                                     .rescale = NUMBER("rescale"),
                                                     .gpu_noise = NUMBER("gpu_noise") > 0,
                                                     .batch = (int64_t)NUMBER("batch"),
                                                     .number = (int64_t)NUMBER("number"),
                                                     .words = TEXT("words"),
                                                     .version = "1.2" });
        test_true("parameters", same(text, TEXT("text")), "%s", strrchr(text, '\n') + 1);
        free(text);
    }
}

static void test_printable(void) {
    char *text = picture_text_printable("a\x1b[2J\nb\t\xc2\x9b\xc3\xa9\x7f");
    test_true("control characters are escaped", same(text, "a\\u001b[2J\nb\\u0009\\u009b\xc3\xa9\\u007f"),
              "%zu bytes", strlen(text));
    free(text);
}

/* A file's hash is that of its bytes, also when it has more or less than the part that is read at once. */
static void test_hash(void) {
    static const size_t sizes[] = { 0, 1, 64, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 63 };
    Messages errors = { 0 };
    char path[] = "/tmp/test_picture_text_XXXXXX", whole[SHA256_TEXT], parts[SHA256_TEXT];
    int descriptor = mkstemp(path);
    CHECK(descriptor >= 0 && close(descriptor) == 0);
    unsigned char *bytes = mem_alloc(3 << 20);
    for (size_t i = 0; i < 3 << 20; i++) bytes[i] = (unsigned char)(i * i >> 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(file_write(path, bytes, sizes[i], &errors) && sha256_file(path, parts, &errors));
        sha256_text(bytes, sizes[i], whole);
        test_true("the hash of a file", strcmp(whole, parts) == 0, "%zu bytes", sizes[i]);
    }
    CHECK(unlink(path) == 0);
    test_true("the hash of no file", !sha256_file(path, parts, &errors) && errors.count == 1, "is refused");
    messages_free(&errors);
    free(bytes);
}

int main(void) {
    Messages errors = { 0 };
    File file = load("texts.json");
    json_t *texts = json_parse("texts.json", file.data, file.size, false, &errors);
    CHECK(texts);
    test_reading(json_object_get(texts, "pictures"));
    test_writing("bare.png", "ti.png");
    test_writing("bare.jpg", "ti.jpg");
    test_chunks();
    test_long();
    test_damaged();
    test_damaged_jpeg();
    test_halves();
    test_late_texts();
    test_signature();
    test_parameters(json_object_get(texts, "settings"));
    test_printable();
    test_hash();
    json_decref(texts);
    file_close(&file);
    return test_finish();
}
