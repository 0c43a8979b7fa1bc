/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: PNG, JPEG and BMP files, and their headers alone, with the orientation in EXIF, profiles
   and XMP; and the texts in PNG and JPEG files, with the record of `ti generate --like`. */
#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/generate.h"
#include "io/file.h"
#include "io/image.h"
#include "io/image_write.h"
#include "io/json.h"
#include "io/picture_text.h"
#include "io/utf8.h"
#include "tests/fuzz/fuzz_options.h"

/* Pictures with more pixels are not decoded, since that would take a hundred times as long. */
enum { DECODED_MAX = 1 << 16 };

static uint32_t big32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Returns PNG's checksum, computed bit by bit. */
static uint32_t crc32_of(const unsigned char *data, size_t size) {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        c ^= data[i];
        for (int bit = 0; bit < 8; bit++) c = (c >> 1) ^ (0xedb88320u & (0u - (c & 1u)));
    }
    return ~c;
}

/* Corrects the chunks' checksums. In half of the files, the length of a chunk that ends beyond the end of the
   file is reduced to the bytes that are left. */
static void repair_png(Input *in, Random *r) {
    bool lengths = draw(r, 2);
    for (size_t at = 8; in->size > at && in->size - at >= 12;) {
        unsigned char *p = in->bytes + at;
        size_t left = in->size - at - 12, length = big32(p);
        if (length > left && !lengths) return;
        if (length > left) {
            length = left;
            for (int i = 0; i < 4; i++) p[i] = (unsigned char)(length >> (24 - 8 * i));
        }
        uint32_t crc = crc32_of(p + 4, length + 4);
        for (int i = 0; i < 4; i++) p[8 + length + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

static void check_header(const ImageHeader *h) {
    CHECK(h->format && 1 <= h->width && h->width <= IMAGE_MAX_SIDE && 1 <= h->height &&
          h->height <= IMAGE_MAX_SIDE && (int64_t)h->width * h->height <= IMAGE_MAX_PIXELS);
    CHECK(1 <= h->orientation && h->orientation <= 8);
}

static bool try_header(const unsigned char *bytes, size_t size) {
    ImageHeader h;
    Messages errors = { 0 };
    bool ok = verdict(image_header(bytes, size, "x", &h, &errors), &errors, NULL);
    if (ok) check_header(&h);
    return ok;
}

static void write_and_read(const Image *image) {
    Image again;
    Messages errors = { 0 };
    CHECK(image_write_png(scratch_path(), image, &errors) && image_load(scratch_path(), &again, &errors));
    CHECK(again.width == image->width && again.height == image->height);
    CHECK(memcmp(again.rgb, image->rgb, (size_t)image->width * (size_t)image->height * 3) == 0);
    image_free(&again);
    char *jpeg = mem_format("%s.jpg", scratch_path());
    CHECK(image_write(jpeg, image, NULL, &errors) && image_load(jpeg, &again, &errors));
    CHECK(again.width == image->width && again.height == image->height);
    image_free(&again);
    unlink(jpeg);
    free(jpeg);
}

static bool try_picture(const unsigned char *bytes, size_t size) {
    ImageHeader h;
    Image image, small;
    Messages errors = { 0 };
    if (!verdict(image_header(bytes, size, "x", &h, &errors), &errors, NULL)) return false;
    if ((int64_t)h.width * h.height > DECODED_MAX) return false;
    if (!verdict(image_decode(bytes, size, "x", &image, &errors), &errors, NULL)) {
        CHECK(!image.rgb);
        return false;
    }
    bool turned = h.orientation >= 5;
    CHECK(image.width == (turned ? h.height : h.width) && image.height == (turned ? h.width : h.height));
    touch(image.rgb, (size_t)image.width * (size_t)image.height * 3);
    if (one_in(bytes, size, 50)) {
        write_and_read(&image);
        CHECK(image_crop(&image, (int)(size % 9) + 1, 3, &errors) &&
              image_resize(&image, 8, 8, RESAMPLING_BICUBIC, &small, &errors));
        image_free(&small);
    }
    image_free(&image);
    return true;
}

/* Sets the options of a record, as --like does. */
static void try_record(const char *ti) {
    char *const words[] = { "--prompt", "a" };
    GenerateOptions o;
    Messages errors = { 0 };
    json_t *record = json_parse("x", ti, strlen(ti), false, &errors);
    CHECK(!verdict(record != NULL, &errors, NULL) == !record);
    CHECK(options_parse(&GENERATE_COMMAND, 2, words, &o, &errors) == OPTIONS_OK);
    json_t *options = json_object_get(record, "generate");
    if (json_is_object(options))
        verdict(options_from_object(&GENERATE_COMMAND, "x", options, &o, &errors), &errors, NULL);
    options_check(&GENERATE_COMMAND, &o);
    options_free(&GENERATE_COMMAND, &o);
    json_decref(record);
}

/* Puts the texts that were read into a picture, from which the same must be read. */
static void write_texts(const PictureText *text) {
    PictureText again;
    Messages errors = { 0 }, warnings = { 0 };
    Image image;
    CHECK(image_new(1, 1, &image, &errors));
    memset(image.rgb, 0, 3);
    for (int jpeg = 0; jpeg < 1 + picture_text_fits_jpeg(text); jpeg++) {
        char *path = mem_format("%s%s", scratch_path(), jpeg ? ".jpg" : ".png");
        File file;
        CHECK(image_write(path, &image, text, &errors) && file_read(path, &file, &errors));
        picture_text_read("x", file.data, file.size, &again, &warnings);
        CHECK(!text->ti == !again.ti && (!text->ti || strcmp(text->ti, again.ti) == 0));
        /* In a JPEG the byte order is found by the text's ASCII characters, which a hostile one lacks. */
        CHECK(jpeg || (!text->parameters == !again.parameters &&
                       (!text->parameters || strcmp(text->parameters, again.parameters) == 0)));
        picture_text_free(&again);
        file_close(&file);
        unlink(path);
        free(path);
    }
    image_free(&image);
    messages_free(&warnings);
}

static bool try_texts(const unsigned char *bytes, size_t size) {
    PictureText text;
    Messages errors = { 0 }, warnings = { 0 };
    picture_text_read("x", bytes, size, &text, &warnings);
    CHECK(warnings.count <= 2);
    verdict(true, &errors, &warnings);
    const char *const texts[] = { text.parameters, text.ti, text.others };
    for (int i = 0; i < 3; i++) {
        if (!texts[i]) continue;
        CHECK(utf8_valid(texts[i], strlen(texts[i])));
        char *printable = picture_text_printable(texts[i]);
        for (const char *c = printable; *c; c++) CHECK((unsigned char)*c >= ' ' || *c == '\n');
        free(printable);
    }
    if (text.ti) try_record(text.ti);
    if ((text.parameters || text.ti) && one_in(bytes, size, 20)) write_texts(&text);
    bool has = text.parameters || text.ti;
    picture_text_free(&text);
    return has;
}

static void seeds_pictures(Seeds *s, const char *const *names) {
    for (int i = 0; names[i]; i++) {
        char *path = mem_format("golden/pictures/%s", names[i]);
        seeds_file(s, path);
        free(path);
    }
}

static const char *const PNG_WORDS[] = { "IHDR",
                                         "IDAT",
                                         "IEND",
                                         "PLTE",
                                         "tRNS",
                                         "eXIf",
                                         "zTXt",
                                         "tEXt",
                                         "iTXt",
                                         "Raw profile type exif",
                                         "Raw profile type APP1",
                                         "XML:com.adobe.xmp",
                                         "tiff:Orientation=\"6",
                                         "Exif",
                                         "12010400",
                                         "\n",
                                         "CgBI",
                                         "gAMA",
                                         "II*",
                                         "MM",
                                         "\x12\x01\x03",
                                         "\x12\x01\x04",
                                         "\x01\x12",
                                         "\x89PNG\r\n\x1a\n",
                                         "\x78\x9c",
                                         "\x10",
                                         "\x08\x06",
                                         "\x08\x03",
                                         "\x01\x01",
                                         "\xff",
                                         NULL };

static void png_seeds(Seeds *s) {
    static const char *const names[] = { "grey.png",
                                         "grey16.png",
                                         "grey_alpha.png",
                                         "one.png",
                                         "one_bit.png",
                                         "palette.png",
                                         "palette_alpha.png",
                                         "rgb.png",
                                         "rgb16.png",
                                         "rgba.png",
                                         "rgba16.png",
                                         "turned.png",
                                         "turned_long.png",
                                         "turned_raw.png",
                                         "turned_raw_plain.png",
                                         "turned_app1.png",
                                         "turned_xmp.png",
                                         "claims_more.png",
                                         "claims_60000.png",
                                         "seed_interlaced.png",
                                         "seed_interlaced_bits.png",
                                         "seed_interlaced_deep.png",
                                         "seed_keyed.png",
                                         "seed_keyed_deep.png",
                                         "seed_stored.png",
                                         NULL };
    seeds_pictures(s, names);
    seeds_file(s, "golden/loop_pictures/3.png"); /* large enough to have dynamic Huffman codes */
}

static const char *const JPEG_WORDS[] = { "\xff\xd8",
                                          "\xff\xd9",
                                          "\xff\xda",
                                          "\xff\xc0",
                                          "\xff\xc2",
                                          "\xff\xc4",
                                          "\xff\xdb",
                                          "\xff\xdd",
                                          "\xff\xe1",
                                          "\xff\xee",
                                          "\xff\xd0",
                                          "\xff\xfe",
                                          "\xff\xc8",
                                          "\xff\x01",
                                          "Exif",
                                          "Adobe",
                                          "JFIF",
                                          "II*",
                                          "MM",
                                          "\x12\x01\x03",
                                          "\x12\x01\x04",
                                          "http://ns.adobe.com/xap/1.0/",
                                          "tiff:Orientation=\"6",
                                          "\x01\x12",
                                          "\x08",
                                          "\x11",
                                          "\x12",
                                          "\x13",
                                          "\x31",
                                          "\x41",
                                          "\x22",
                                          "\xff\xff",
                                          "\xff",
                                          NULL };

static void jpeg_seeds(Seeds *s) {
    static const char *const names[] = { "grey.jpg",        "progressive.jpg",    "subsampled.jpg",
                                         "turned6.jpg",     "turned3.jpg",        "seed_cmyk.jpg",
                                         "seed_rgb.jpg",    "seed_restarts.jpg",  "seed_halved.jpg",
                                         "turned_long.jpg", "turned_several.jpg", NULL };
    seeds_pictures(s, names);
}

static const char *const BMP_WORDS[] = { "BM",
                                         "\x18",
                                         "\x20",
                                         "\x28",
                                         "\x03",
                                         "\x36",
                                         "\xff\xff\xff\xff",
                                         "\x7c",
                                         "\x6c",
                                         "\x38",
                                         "\x10",
                                         "\xe0\xff\xff\xff",
                                         NULL };

/* Adds a 24-bit file, and one with 32 bits per pixel, bit masks and the top row first. */
static void bmp_seeds(Seeds *s) {
    static const char *const names[] = { "rgb.bmp", NULL };
    seeds_pictures(s, names);
    unsigned char masks[54 + 12 + 16] = { 'B', 'M', sizeof masks };
    const unsigned char header[] = { 66, 0,    0,    0,    40,   0, 0, 0,  2, 0, 0,
                                     0,  0xfe, 0xff, 0xff, 0xff, 1, 0, 32, 0, 3 };
    memcpy(masks + 10, header, sizeof header);
    masks[54 + 2] = masks[54 + 5] = masks[54 + 8] = 0xff;
    for (size_t i = 66; i < sizeof masks; i++) masks[i] = (unsigned char)(i * 7);
    seeds_add(s, masks, sizeof masks);
}

static const char *const TEXT_WORDS[] = { "parameters",
                                          "ti",
                                          "tEXt",
                                          "zTXt",
                                          "iTXt",
                                          "UNICODE",
                                          "ASCII",
                                          "Exif",
                                          "MM",
                                          "II*",
                                          "\x87\x69",
                                          "\x92\x86",
                                          "\xff\xfe",
                                          "\xff\xe1",
                                          "ti {",
                                          "\"generate\":{",
                                          "\"embedding\":[",
                                          "\"count\":",
                                          "\"karras\":true",
                                          "\x78\xda",
                                          "\xc2\x9b",
                                          "\xd8\x3d",
                                          "\xdc\x31",
                                          "\xfe\xff",
                                          "\n",
                                          "\x1b[",
                                          NULL };

static void png_text_seeds(Seeds *s) {
    static const char *const names[] = { "../picture_text/ti.png",      "../picture_text/plain.png",
                                         "../picture_text/unicode.png", "../picture_text/latin1.png",
                                         "../picture_text/ztxt.png",    "../picture_text/itxt.png",
                                         "../picture_text/twice.png",   "../picture_text/bomb.png",
                                         "../picture_text/comfy.png",   NULL };
    seeds_pictures(s, names);
}

static void jpeg_text_seeds(Seeds *s) {
    static const char *const names[] = { "../picture_text/ti.jpg",      "../picture_text/ascii.jpg",
                                         "../picture_text/unicode.jpg", "../picture_text/intel.jpg",
                                         "../picture_text/little.jpg",  NULL };
    seeds_pictures(s, names);
}

static void header_seeds(Seeds *s) {
    static const char *const names[] = { "turned_raw.png",
                                         "turned_raw_plain.png",
                                         "turned_app1_xmp.png",
                                         "turned_xmp.png",
                                         "turned_xmp_element.png",
                                         "turned_long_big.jpg",
                                         "turned_several.jpg",
                                         "turned_exif_and_xmp.jpg",
                                         "turned.png",
                                         "turned5.jpg",
                                         "turned8.jpg",
                                         "progressive.jpg",
                                         "rgb.bmp",
                                         "claims_long.png",
                                         NULL };
    seeds_pictures(s, names);
    seeds_add(s, "RIFF\0\0\0\0WEBPVP8 ", 16);
    seeds_text(s, "GIF89a");
    seeds_add(s,
              "\0\0\0\x18"
              "ftypheic\0\0\0\0",
              16);
}

const Target PICTURE_TARGETS[] = {
    { "picture_header", 12, JPEG_WORDS, header_seeds, repair_png, try_header },
    { "png", 8, PNG_WORDS, png_seeds, repair_png, try_picture },
    { "jpeg", 8, JPEG_WORDS, jpeg_seeds, NULL, try_picture },
    { "bmp", 5, BMP_WORDS, bmp_seeds, NULL, try_picture },
    { "png_text", 4, TEXT_WORDS, png_text_seeds, repair_png, try_texts },
    { "jpeg_text", 4, TEXT_WORDS, jpeg_text_seeds, NULL, try_texts },
    { .name = NULL },
};
