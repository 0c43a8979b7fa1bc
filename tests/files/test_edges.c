/* SPDX-License-Identifier: MIT */
/* Tests of edge cases that the recorded tensors do not reach: which methods a convolution can use, more
   Winograd tiles than fit into one block, white space and marks in all of Unicode, the kinds and sizes of
   pictures, and unusual PNG, JPEG and EXIF data. */
#include "text/unicode.h"
#include "tensor/conv.h"
#include "io/image.h"
#include "tests/refusal.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A 1x1 convolution is one matrix product only if each output pixel depends on the input pixel at the
   same place. */
static void test_methods(void) {
    int wrong = 0, count = 0, plain = 0;
    for (int kernel = 1; kernel <= 3; kernel += 2)
        for (int stride = 1; stride <= 2; stride++)
            for (int pad = 0; pad < 16; pad++) /* one bit for each side */
                for (int width = 1; width <= 4; width++) {
                    int top = pad & 1, bottom = pad >> 1 & 1, left = pad >> 2 & 1, right = pad >> 3;
                    int rows = 3 + top + bottom - kernel, columns = width + left + right - kernel;
                    if (rows < 0 || columns < 0) continue;
                    Conv c = { .batch = 1, .in_channels = 2, .out_channels = 2, .height = 3, .width = width };
                    c.out_height = rows / stride + 1;
                    c.out_width = columns / stride + 1;
                    c.kernel = kernel;
                    c.stride = stride;
                    c.top = top;
                    c.left = left;
                    bool product = kernel == 1 && stride == 1 && pad == 0;
                    wrong += conv_supports(CONV_1X1, &c) != product;
                    wrong += conv_supports(CONV_WINOGRAD, &c) != (kernel == 3 && stride == 1);
                    wrong += !conv_supports(CONV_IM2COL, &c) || !conv_supports(conv_method(&c), &c);
                    plain += product;
                    count++;
                }
    test_true("which convolution is a plain product", wrong == 0 && plain == 4, "%d of %d, %d wrong", plain,
              count, wrong);
}

typedef struct {
    float *y, *dx;
} Both;

static Both run_conv(ConvMethod m, const Conv *c, const Weight *weight, const float *x, const float *dy) {
    size_t scratch = (size_t)conv_scratch(m, c), workspace = (size_t)conv_workspace(m, c);
    Both both = { mem_alloc((size_t)(c->batch * c->out_channels * c->out_height * c->out_width) * 4),
                  mem_alloc((size_t)(c->batch * c->in_channels * c->height * c->width) * 4) };
    enum { THREADS_MAX = 256 };
    ConvMemory memory = { mem_alloc(scratch * 4 + 4), mem_alloc((workspace * THREADS_MAX + 1) * 4),
                          workspace };
    conv_forward(m, c, weight, NULL, x, both.y, memory);
    conv_backward(m, c, weight, dy, true, both.dx, memory);
    free(memory.scratch);
    free(memory.workspaces);
    return both;
}

/* Compares Winograd with im2col at a size that has 17 x 17 tiles. They make several blocks, and the last
   block is smaller than the others. */
static void test_many_tiles(void) {
    const int64_t side = 66;
    Conv c = { .batch = 1, .in_channels = 3, .height = side, .width = side, .out_channels = 5 };
    c.out_height = c.out_width = side;
    c.kernel = 3;
    c.stride = c.top = c.left = 1;
    float *x = mem_alloc((size_t)(3 * side * side) * 4), *dy = mem_alloc((size_t)(5 * side * side) * 4),
          w[135];
    for (int64_t i = 0; i < 3 * side * side; i++) x[i] = (float)sin(0.37 * (double)i);
    for (int64_t i = 0; i < 5 * side * side; i++) dy[i] = (float)sin(0.91 * (double)i);
    for (int i = 0; i < 135; i++) w[i] = (float)cos(i);
    Weight weight = { .name = "w", .dtype = F32, .shape = shape4(5, 3, 3, 3), .data = w };
    Both want = run_conv(CONV_IM2COL, &c, &weight, x, dy);
    Both got = run_conv(CONV_WINOGRAD, &c, &weight, x, dy);
    test_close("winograd y", got.y, want.y, shape4(1, 5, side, side), 4e-6, -1);
    test_close("winograd dx", got.dx, want.dx, shape4(1, 3, side, side), 4e-6, -1);
    free(got.y);
    free(got.dx);
    free(want.y);
    free(want.dx);
    free(x);
    free(dy);
}

/* Checks that the 25 characters with the property White_Space become a space, and that no others do. */
static void test_white_space(void) {
    static const int32_t others[] = { 0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 };
    int wrong = 0, spaces = 0;
    for (int32_t c = 1; c < 0x110000; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) continue; /* surrogates */
        bool want = (c >= 9 && c <= 13) || (c >= 0x2000 && c <= 0x200A);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) want = want || c == others[i];
        CodePoints out = unicode_normalize(&c, 1);
        bool space = out.count == 1 && out.at[0] == ' ';
        wrong += space != want;
        spaces += space;
        free(out.at);
    }
    test_true("white space", wrong == 0 && spaces == 25, "%d characters, %d wrong", spaces, wrong);
}

/* No character decomposes into more than four code points, and this letter with its three marks fills the
   memory that is reserved for them. Marks must be sorted by their class. */
static void test_marks(void) {
    const int32_t letter = 0x1F82, apart[] = { 0x3B1, 0x345, 0x313, 0x300 },
                  swapped[] = { 'q', 0x323, 0x307, 0x323 };
    CodePoints whole = unicode_normalize(&letter, 1), joined = unicode_normalize(apart, 4);
    test_true("a letter with three marks",
              whole.count == 1 && whole.at[0] == letter && joined.count == 1 && joined.at[0] == letter,
              "%lld and %lld code points", (long long)whole.count, (long long)joined.count);
    CodePoints sorted = unicode_normalize(swapped, 4);
    test_true("marks are put in order",
              sorted.count == 4 && sorted.at[1] == 0x323 && sorted.at[2] == 0x323 && sorted.at[3] == 0x307,
              "below before above");
    free(whole.at);
    free(joined.at);
    free(sorted.at);
}

static void put(unsigned char *at, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> (8 * i));
}

/* Checks which kinds of BMP are read, and that a file without its last byte is refused. */
static void test_bmp(void) {
    static const uint32_t headers[] = { 12, 39, 40, 108 }, depths[] = { 8, 16, 24, 32 };
    enum { WIDTH = 5, HEIGHT = 3, ROOM = 14 + 108 + WIDTH * 4 * HEIGHT };
    int wrong = 0, read = 0;
    for (int i = 0; i < 4 * 4 * 4 * 2; i++) {
        unsigned char data[ROOM] = "BM";
        uint32_t header = headers[i % 4], bits = depths[i / 4 % 4], compression = (uint32_t)(i / 16 % 4);
        bool from_top = i / 64;
        size_t size = 14 + header + (WIDTH * bits + 31) / 32 * 4 * HEIGHT;
        put(data + 10, 14 + header, 4);
        put(data + 14, header, 4);
        put(data + 18, WIDTH, 4);
        put(data + 22, from_top ? 0u - HEIGHT : HEIGHT, 4);
        put(data + 28, bits, 2);
        put(data + 30, compression, 4);
        bool want = header >= 40 && bits >= 24 && (compression == 0 || compression == 3);
        Messages errors = { 0 };
        ImageHeader out;
        bool got = image_header(data, size, "a.bmp", &out, &errors);
        wrong += got != want || (got && (out.width != WIDTH || out.height != HEIGHT));
        wrong += image_header(data, size - 1, "a.bmp", &out, &errors);
        read += got;
        messages_free(&errors);
    }
    test_true("kinds of BMP", wrong == 0 && read == 16, "%d are read, %d wrong", read, wrong);
}

/* Returns whether image_header refuses the bytes with a message that contains this text. */
static bool refuses(const void *data, size_t size, const char *text) {
    Messages errors = { 0 };
    ImageHeader out;
    bool refused = !image_header(data, size, "a", &out, &errors) && strstr(errors.text, text);
    messages_free(&errors);
    return refused;
}

/* Checks how large a picture may be, and how few bytes suffice to recognise other formats. */
static void test_limits(void) {
    static const struct {
        uint32_t width, height;
        bool large;
    } sizes[] = { { IMAGE_MAX_SIDE, 1, false },
                  { 1, IMAGE_MAX_SIDE, false },
                  { IMAGE_MAX_SIDE + 1, 1, true },
                  { 1, IMAGE_MAX_SIDE + 1, true },
                  { 10000, IMAGE_MAX_PIXELS / 10000, false },
                  { 10000, IMAGE_MAX_PIXELS / 10000 + 1, true } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char data[54] = "BM";
        put(data + 10, 54, 4);
        put(data + 14, 40, 4);
        put(data + 18, sizes[i].width, 4);
        put(data + 22, sizes[i].height, 4);
        put(data + 28, 24, 2);
        test_true("the largest pictures",
                  refuses(data, sizeof data, sizes[i].large ? "too large" : "cut off"), "%u x %u",
                  sizes[i].width, sizes[i].height);
    }
    static const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } foreign[] = { { "GIF8", 4, "a GIF" },
                    { "RIFF....WEBP", 12, "a WebP" },
                    { "....ftypheic", 12, "a HEIC" },
                    { "II*\0", 4, "a TIFF" },
                    { "MM\0*", 4, "a TIFF" } };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        test_true("other formats",
                  refuses(foreign[i].bytes, foreign[i].size, foreign[i].name) &&
                      refuses(foreign[i].bytes, foreign[i].size - 1, "is not a picture"),
                  "%s", foreign[i].name);
}

/* A wrong checksum in a PNG is an error only where the chunk's type begins with a capital letter. */
static void test_checksums(void) {
    static const char *const types[] = { "tEXt", "text", "IDAT", "Idat" };
    for (int i = 0; i < 4; i++) {
        size_t size;
        char *text = read_text("golden/pictures/rgb.png", &size);
        text = mem_grow(text, size + 12);
        memmove(text + 45, text + 33, size - 33); /* makes room after the signature and the header */
        memcpy(text + 33, "\0\0\0\0........", 12);
        memcpy(text + 37, types[i], 4);
        Messages errors = { 0 };
        ImageHeader out;
        bool ok = image_header((const unsigned char *)text, size + 12, "a", &out, &errors);
        test_true("checksums of a PNG",
                  ok ? types[i][0] == 't' : types[i][0] == 'I' && strstr(errors.text, "damaged") != NULL,
                  "%s: %s", types[i], text_of(&errors, "accepted"));
        messages_free(&errors);
        free(text);
    }
}

/* Checks that a JPEG whose Huffman tables share one segment decodes to the same picture as with a segment for
   each table. */
static void test_joined_tables(void) {
    size_t size, tables = 0;
    char *text = read_text("golden/pictures/subsampled.jpg", &size);
    unsigned char *data = (unsigned char *)text;
    Messages errors = { 0 };
    Image want, got;
    CHECK(image_decode(data, size, "apart", &want, &errors));
    while (data[tables] != 0xff || data[tables + 1] != 0xc4) tables++;
    size_t length = (size_t)data[tables + 2] << 8 | data[tables + 3], end = tables + 2 + length;
    int joined = 1;
    for (; data[end] == 0xff && data[end + 1] == 0xc4; joined++) {
        size_t next = (size_t)data[end + 2] << 8 | data[end + 3];
        memmove(data + end, data + end + 4, size - end - 4);
        size -= 4;
        length += next - 2;
        end += next - 2;
    }
    data[tables + 2] = (unsigned char)(length >> 8);
    data[tables + 3] = (unsigned char)length;
    CHECK(joined == 4 && image_decode(data, size, "joined", &got, &errors));
    test_same("a JPEG with its tables joined", got.rgb, want.rgb,
              (size_t)want.width * (size_t)want.height * 3);
    data[end - 162 - 16]++; /* the number of codes of one bit in the last table, of 162 values */
    test_true("a table with a value too few", refuses(data, size, "damaged"), "is refused");
    image_free(&want);
    image_free(&got);
    free(text);
}

/* An EXIF directory that begins at the last byte of its segment has no entries. The bytes after the segment
   look like an entry that rotates the picture, which must not be read. */
static void test_exif_end(void) {
    static const unsigned char head[] = {
        0xff, 0xd8, 0xff, 0xe1, 0, 17, 'E', 'x', 'i', 'f', 0,
        0,    'I',  'I',  '*',  0, 8,  0,   0,   0,   1, /* a segment of an unknown kind follows */
        0xff, 0x12, 1,    3,    0, 1,  0,   0,   0,   6,   0
    };
    static const unsigned char tail[] = { 0xff, 0xc0, 0, 11, 8, 0, 4, 0, 4,  1, 1,    0x11,
                                          0,                                                  /* 4 x 4 grey */
                                          0xff, 0xda, 0, 8,  1, 1, 0, 0, 63, 0, 0xff, 0xd9 }; /* scan, end */
    enum { BEFORE = 21 + 2 + 0x103 };
    unsigned char data[BEFORE + sizeof tail];
    memset(data, 0, sizeof data);
    memcpy(data, head, sizeof head);
    memcpy(data + BEFORE, tail, sizeof tail);
    Messages errors = { 0 };
    ImageHeader out;
    bool ok = image_header(data, sizeof data, "exif", &out, &errors);
    test_true("EXIF that ends too early", ok && out.orientation == 1 && out.width == 4, "%s",
              text_of(&errors, "upright"));
    messages_free(&errors);
}

int main(void) {
    test_exif_end();
    test_bmp();
    test_limits();
    test_checksums();
    test_joined_tables();
    test_methods();
    test_many_tiles();
    test_white_space();
    test_marks();
    return test_finish();
}
