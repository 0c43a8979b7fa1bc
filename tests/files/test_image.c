/* SPDX-License-Identifier: MIT */
/* Tests of pictures. Resizing must give Pillow's bytes, every kind of file must decode to the recorded
   picture, and damaged files must be refused. golden/images.py makes the recorded tensors and
   golden/pictures/. */
#define _XOPEN_SOURCE 700
#include "io/file.h"
#include "io/image.h"
#include "io/image_kind.h"
#include "io/image_write.h"
#include "tensor/rng.h"
#include "tests/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Returns a recorded tensor of 8-bit values (stored in F16) as bytes. The caller frees it. */
static unsigned char *golden_bytes(const Golden *golden, const char *name, Shape *shape) {
    *shape = golden_shape(golden, "%s", name);
    float *values = golden_floats(golden, "%s", name);
    int64_t n = shape_count(*shape);
    unsigned char *bytes = mem_alloc((size_t)n);
    for (int64_t i = 0; i < n; i++) bytes[i] = (unsigned char)values[i];
    free(values);
    return bytes;
}

static void no_messages(Messages *m) {
    if (m->count) printf("%s", m->text);
    CHECK_EQ(m->count, 0);
}

/* Returns the first message, or "" when there is none. */
static const char *first_line(Messages *m) {
    if (!m->count) return "";
    m->text[strcspn(m->text, "\n")] = 0;
    return m->text;
}

/* `kernel` is what the golden data call the kernel. */
static void test_resize(const Golden *golden, const char *kernel, Resampling resampling) {
    Messages errors = { 0 };
    for (int i = 0; golden_has(golden, "%s.%d", kernel, i); i++) {
        char name[80];
        snprintf(name, sizeof name, "%s.%d", kernel, i);
        Shape shape;
        unsigned char *want = golden_bytes(golden, name, &shape);
        int32_t *from = golden_ints(golden, NULL, "%s.%d.from", kernel, i);
        Image in, out;
        CHECK(image_new(from[1], from[0], &in, &errors));
        Generator g;
        generator_seed(&g, (uint64_t)i);
        for (int j = 0; j < from[0] * from[1] * 3; j++)
            in.rgb[j] = (unsigned char)generator_randint(&g, 0, 256);
        CHECK(image_resize(&in, (int)shape.dim[1], (int)shape.dim[0], resampling, &out, &errors));
        snprintf(name, sizeof name, "%s %d x %d to %d x %d", kernel, in.width, in.height, out.width,
                 out.height);
        test_same(name, out.rgb, want, (size_t)shape_count(shape));
        free(want);
        free(from);
        image_free(&in);
        image_free(&out);
    }
    no_messages(&errors);
}

/* PNG and BMP files must decode exactly. JPEG decoders differ in the last bits of the cosine transform and of
   chroma upsampling. */
static void test_kinds(const Golden *golden) {
    char *names = mem_string(golden_meta(golden, "pictures"));
    for (char *rest, *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char path[200], key[200];
        snprintf(path, sizeof path, "golden/pictures/%s", name);
        snprintf(key, sizeof key, "picture.%s", name);
        Shape shape;
        unsigned char *want = golden_bytes(golden, key, &shape);
        Image image;
        Messages errors = { 0 };
        bool ok =
            image_load(path, &image, &errors) && image.width == shape.dim[1] && image.height == shape.dim[0];
        int worst = 255;
        if (ok) {
            worst = 0;
            for (int64_t i = 0; i < shape_count(shape); i++) {
                int error = abs(image.rgb[i] - want[i]);
                worst = error > worst ? error : worst;
            }
        }
        bool jpeg = strstr(name, ".jpg") != NULL;
        int tolerance = !jpeg ? 0 : strstr(name, "subsampled") ? 24 : 4;
        test_true(name, worst <= tolerance, "%d x %d, error %d%s%s", image.width, image.height, worst,
                  errors.count ? " " : "", first_line(&errors));
        free(want);
        image_free(&image);
        messages_free(&errors);
    }
    free(names);
}

static void test_floats(const Golden *golden) {
    Shape shape;
    Messages errors = { 0 };
    unsigned char *want = golden_bytes(golden, "from_floats", &shape);
    float *in = golden_floats(golden, "from_floats.in");
    Image image;
    CHECK(image_new((int)shape.dim[1], (int)shape.dim[0], &image, &errors));
    image_from_floats(in, &image);
    test_same("from_floats", image.rgb, want, (size_t)shape_count(shape));
    in[0] = 0.0f / (float)(shape.rank - 3); /* NaN */
    in[1] = 1e30f;
    image_from_floats(in, &image);
    test_true("from_floats of NaN and 1e30", image.rgb[0] == 0 && image.rgb[3] == 255, "%d %d", image.rgb[0],
              image.rgb[3]);
    image_free(&image);
    free(want);
    free(in);

    float *to = golden_floats(golden, "to_floats"), got[3 * 256], expected[3 * 256];
    CHECK(image_new(256, 1, &image, &errors));
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < 3; c++) {
            image.rgb[3 * i + c] = (unsigned char)(c == 1 ? 255 - i : i);
            expected[c * 256 + i] = to[c == 1 ? 255 - i : i];
        }
    image_to_floats(&image, got);
    test_same("to_floats", got, expected, sizeof got);
    image_free(&image);
    free(to);
    no_messages(&errors);
}

static void test_geometry(void) {
    Messages errors = { 0 };
    Image image;
    CHECK(image_new(5, 2, &image, &errors));
    for (int i = 0; i < 30; i++) image.rgb[i] = (unsigned char)i;
    image_flip(&image);
    const unsigned char flipped[6] = { 12, 13, 14, 9, 10, 11 };
    test_same("flip", image.rgb, flipped, 6);
    image_flip(&image);
    CHECK(image_crop(&image, 64, 64, &errors)); /* columns (5 - 2) / 2 = 1 and 2 */
    const unsigned char cropped[12] = { 3, 4, 5, 6, 7, 8, 18, 19, 20, 21, 22, 23 };
    test_true("crop", image.width == 2 && image.height == 2, "%d x %d", image.width, image.height);
    test_same("crop", image.rgb, cropped, 12);
    image_flip(&image); /* an even width */
    const unsigned char mirrored[6] = { 6, 7, 8, 3, 4, 5 };
    test_same("flip of the crop", image.rgb, mirrored, 6);
    image_free(&image);
    CHECK(image_new(4, 7, &image, &errors));
    for (int i = 0; i < 84; i++) image.rgb[i] = (unsigned char)i;
    CHECK(image_crop(&image, 96, 64, &errors)); /* 4 x 8/3, rows (7 - 2) / 2 = 2 and 3 */
    test_true("crop to a wide one", image.width == 4 && image.height == 2 && image.rgb[0] == 24, "%d x %d",
              image.width, image.height);
    CHECK(image_crop(&image, 1, 100, &errors));
    test_true("crop to one column", image.width == 1 && image.height == 2 && image.rgb[0] == 27, "%d x %d",
              image.width, image.height);
    image_free(&image);
    no_messages(&errors);
}

/* Returns the mean of the squared differences. */
static double squared_error(const unsigned char *a, const unsigned char *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)((a[i] - b[i]) * (a[i] - b[i]));
    return sum / (double)count;
}

/* Checks that a JPEG that image_write wrote is as close to the picture as Pillow's JPEG of the same quality.
   The error may be 1 % larger, since both use the standard's tables but round in different places. */
static void test_jpeg(const Golden *golden, const char *path) {
    Messages errors = { 0 };
    Shape shape;
    unsigned char *in = golden_bytes(golden, "jpeg95.in", &shape),
                  *pillow = golden_bytes(golden, "jpeg95", &shape);
    int64_t count = shape_count(shape);
    Image image = { (int)shape.dim[1], (int)shape.dim[0], in }, again;
    bool ok = image_write(path, &image, NULL, &errors) && image_load(path, &again, &errors);
    no_messages(&errors);
    CHECK(ok && again.width == image.width && again.height == image.height);
    test_true("a JPEG", image_kind_of_file(path) == IMAGE_READ, "%s", path);
    test_below("a JPEG's error, of Pillow's",
               squared_error(in, again.rgb, count) / squared_error(in, pillow, count), 1.01);
    image_free(&again);
    free(in);
    free(pillow);
    CHECK(image_new(65536, 1, &image, &errors));
    test_true("a JPEG that is too wide", !image_write(path, &image, NULL, &errors) && errors.count == 1, "%s",
              first_line(&errors));
    image_free(&image);
    messages_free(&errors);
}

static void test_write(const Golden *golden) {
    Messages errors = { 0 };
    Image image, again;
    CHECK(image_load("golden/pictures/rgb.png", &image, &errors));
    char folder[] = "/tmp/test_image_XXXXXX";
    CHECK(mkdtemp(folder));
    char *path = mem_format("%s/a.PNG", folder), *jpeg = mem_format("%s/a.JPG", folder);
    bool ok = image_write(path, &image, NULL, &errors) && image_load(path, &again, &errors);
    no_messages(&errors);
    CHECK(ok);
    test_same("written and read again", again.rgb, image.rgb, (size_t)(image.width * image.height * 3));
    image_free(&again);
    test_jpeg(golden, jpeg);
    unlink(path);
    unlink(jpeg);
    rmdir(folder);
    free(path);
    free(jpeg);
    ok = image_write("/tmp/no/such/folder.jpg", &image, NULL, &errors);
    test_true("no such folder", !ok && errors.count == 1, "%s", first_line(&errors));
    messages_free(&errors);
    image_free(&image);
}

static void test_names(void) {
    static const struct {
        const char *path;
        ImageFormat format;
        const char *one, *second;
    } CASES[] = {
        { "a.png", WRITE_PNG, "a.png", "a-2.png" },
        { "a.PNG", WRITE_PNG, "a.PNG", "a-2.PNG" },
        { "a.jpg", WRITE_JPEG, "a.jpg", "a-2.jpg" },
        { "a.JPEG", WRITE_JPEG, "a.JPEG", "a-2.JPEG" },
        { "a", WRITE_PNG, "a.png", "a-2.png" },
        { "a.b/c", WRITE_PNG, "a.b/c.png", "a.b/c-2.png" },
        { "a.b.jpg", WRITE_JPEG, "a.b.jpg", "a.b-2.jpg" },
        { ".a", WRITE_PNG, ".a.png", ".a-2.png" },
        { "a.webp", WRITE_NONE, NULL, NULL },
        { "a.v2", WRITE_NONE, NULL, NULL },
        { "a.", WRITE_NONE, NULL, NULL },
        { "a.bmp", WRITE_NONE, NULL, NULL },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *one = image_path(CASES[i].path, NULL), *second = image_path(CASES[i].path, "2");
        bool same = !CASES[i].one || (strcmp(one, CASES[i].one) == 0 && strcmp(second, CASES[i].second) == 0);
        test_true(CASES[i].path, same && image_format(CASES[i].path) == CASES[i].format, "%s %s", one,
                  second);
        free(one);
        free(second);
    }
}

/* Memory */

/* Prints how much the peak of this process's memory rises while it reads the file, for measured_bytes. */
static int print_bytes(const char *path) {
    struct rusage before, after;
    Messages errors = { 0 };
    Image image;
    getrusage(RUSAGE_SELF, &before);
    bool ok = image_load(path, &image, &errors);
    getrusage(RUSAGE_SELF, &after);
    image_free(&image);
    printf("%ld\n", ok ? 1024 * (after.ru_maxrss - before.ru_maxrss) : -1);
    return 0;
}

/* Returns what print_bytes measures in a new process. program is the path of this test. */
static double measured_bytes(const char *program, const char *path) {
    char *command = mem_format("%s --bytes %s", program, path);
    FILE *from = popen(command, "r");
    double bytes = -1;
    CHECK(from && fscanf(from, "%lf", &bytes) == 1);
    pclose(from);
    free(command);
    return bytes;
}

/* Checks that the memory that image_decoding_bytes predicts is not less than what decoding needs (apart from
   tables, and code that runs for the first time), and not much more. */
static void test_memory(const Golden *golden, const char *program) {
#ifdef __SANITIZE_ADDRESS__
    const double below = 1e9, above = 1e9; /* the sanitizer has memory of its own */
#else
    const double below = 2.5e6, above = 4e6; /* how much the prediction may be too small or too large */
#endif
    char *names = mem_string(golden_meta(golden, "large"));
    for (char *rest, *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char *path = mem_format("golden/large/%s", name);
        ImageHeader header;
        Messages errors = { 0 };
        int64_t file;
        CHECK(image_load_header(path, &header, &file, &errors));
        double predicted = (double)(image_decoding_bytes(&header) + file),
               taken = measured_bytes(program, path);
        test_true(path, taken > 0 && taken <= predicted + below && predicted <= taken + above,
                  "%.1f MB predicted, %.1f MB taken", predicted / 1e6, taken / 1e6);
        free(path);
    }
    free(names);
}

/* Damaged files */

/* Returns whether the bytes decode. A failure must add one message and success none. */
static bool decodes(const void *data, size_t size) {
    Messages errors = { 0 };
    Image image;
    bool ok = image_decode(data, size, "picture", &image, &errors);
    CHECK_EQ(errors.count, ok ? 0 : 1);
    CHECK((image.rgb != NULL) == ok);
    image_free(&image);
    messages_free(&errors);
    return ok;
}

/* Checks that every truncated file is refused. Files with wrong bytes may decode or not, but must do no harm,
   which the sanitizers check. */
static void test_damage(const char *path) {
    File file;
    Messages errors = { 0 };
    CHECK(file_map(path, &file, &errors));
    /* The copies have exactly their size, so that the sanitizer notices a read beyond it. */
    unsigned char *copy = malloc(file.size);
    CHECK(copy != NULL);
    int cut_accepted = 0;
    for (size_t size = 0; size < file.size; size++) {
        unsigned char *cut = malloc(size ? size : 1);
        CHECK(cut != NULL);
        memcpy(cut, file.data, size);
        cut_accepted += decodes(cut, size);
        free(cut);
    }
    Generator g;
    generator_seed(&g, file.size);
    int accepted = 0;
    for (int i = 0; i < 500; i++) {
        memcpy(copy, file.data, file.size);
        for (int64_t n = generator_randint(&g, 1, 5); n > 0; n--)
            copy[generator_randint(&g, 0, (int64_t)file.size)] = (unsigned char)generator_randint(&g, 0, 256);
        accepted += decodes(copy, file.size);
    }
    test_true(path, cut_accepted == 0, "%d cut files accepted; %d of 500 damaged ones decode", cut_accepted,
              accepted);
    free(copy);
    file_close(&file);
}

static void refused(const char *name, const void *data, size_t size, const char *message) {
    Messages errors = { 0 };
    Image image;
    bool ok = image_decode(data, size, "picture", &image, &errors);
    test_true(name, !ok && errors.count == 1 && strstr(errors.text, message), "%s", first_line(&errors));
    messages_free(&errors);
}

static void refused_file(const char *path, const char *message) {
    Messages errors = { 0 };
    Image image;
    bool ok = image_load(path, &image, &errors);
    test_true(path, !ok && errors.count == 1 && strstr(errors.text, message), "%s", first_line(&errors));
    messages_free(&errors);
}

/* Tests damage that must be found before decoding, since the decoder does not notice it or would write out of
   bounds. */
static void test_checked_before(void) {
    File file;
    Messages errors = { 0 };
    CHECK(file_map("golden/pictures/rgb.png", &file, &errors));
    unsigned char *copy = mem_alloc(file.size);
    memcpy(copy, file.data, file.size);
    copy[file.size - 20] ^= 1; /* one of the last bytes of IDAT, which hold zlib's checksum */
    refused("PNG with a wrong bit", copy, file.size, "checksum of \"IDAT\"");
    unsigned char *type = copy + 8 + 25 + 4; /* after the signature and IHDR */
    CHECK(memcmp(type, "IDAT", 4) == 0);
    type[1] = '1'; /* the first letter is still a capital, so that the chunk counts */
    refused("PNG with a wrong letter", copy, file.size, "checksum of \"I1AT\"");
    free(copy);
    file_close(&file);
    unsigned char jpeg[400] = { 0xff, 0xd8, 0xff, 0xc4, 0x01, 0x3f }; /* 255 codes of 8 bits, 45 of 9 bits */
    jpeg[6 + 8] = 255;
    jpeg[6 + 9] = 45;
    refused("JPEG with 300 Huffman codes", jpeg, sizeof jpeg, "damaged at byte 4");
}

static void test_refused(void) {
    refused_file("golden/pictures/claims_60000.png", "too large");
    refused_file("golden/pictures/claims_long.png", "too large");
    refused_file("golden/pictures/claims_more.png", "damaged");
    refused_file("golden/pictures", "is a folder");
    refused_file("golden/pictures/none.png", "cannot be opened");
    refused("empty", "", 0, "empty");
    refused("text", "hello", 5, "not a picture");
    refused("GIF", "GIF89a............", 18, "is a GIF, which is not read; put a PNG in its place");
    refused("WebP", "RIFF....WEBPVP8 ", 16,
            "is a WebP, which is not read; put a PNG in its place (with Debian's package imagemagick): "
            "convert 'picture[0]' -auto-orient picture.png");
    refused("RIFF of another kind", "RIFF....WAVEfmt ", 16, "not a picture");
    refused("TIFF", "II*\0............", 16, "is a TIFF");
    refused("TIFF, the other way round", "MM\0*............", 16, "is a TIFF");
    refused("JPEG XL", "\xff\x0a............", 14, "djxl picture picture.png");
    refused("JPEG XL in a box", "\0\0\0\x0cJXL \x0d\x0a\x87\x0a", 12, "djxl picture picture.png");
    refused("JPEG 2000", "\0\0\0\x0cjP  \x0d\x0a\x87\x0a", 12, "is a JPEG 2000");
    refused("AVIF",
            "\0\0\0\x18"
            "ftypavif....",
            16, "package libheif-examples): heif-convert picture picture.png");
    refused("a film",
            "\0\0\0\x18"
            "ftypisom....",
            16, "not a picture");
    refused("HEIC",
            "\0\0\0\x18"
            "ftypheic....",
            16, "HEIC");
    unsigned char bmp[54] = "BM";
    bmp[10] = 54, bmp[14] = 40, bmp[26] = 1, bmp[28] = 24;
    memset(bmp + 18, 0xff, 8);
    refused("BMP of 2^32 columns", bmp, sizeof bmp, "4294967295 x 1 is too large");
    memset(bmp + 18, 0, 8);
    bmp[18] = 1, bmp[25] = 0x80; /* height -2^31 */
    refused("BMP of -2^31 rows", bmp, sizeof bmp, "too large");
    bmp[25] = 0, bmp[22] = 1, bmp[28] = 8;
    refused("BMP with a palette", bmp, sizeof bmp, "convert 'picture[0]' -auto-orient picture.png");
}

int main(int argc, char *argv[]) {
    if (argc == 3 && strcmp(argv[1], "--bytes") == 0) return print_bytes(argv[2]);
    Golden *golden = golden_open("golden/images.safetensors");
    test_resize(golden, "resize", RESAMPLING_BICUBIC);
    Golden *lanczos = golden_open("golden/init_image.safetensors");
    test_resize(lanczos, "lanczos", RESAMPLING_LANCZOS);
    golden_free(lanczos);
    test_kinds(golden);
    test_floats(golden);
    test_geometry();
    test_write(golden);
    test_names();
    test_memory(golden, argv[0]);
    test_refused();
    test_checked_before();
    const char *const damaged[] = { "palette_alpha.png", "rgb16.png",         "turned.png",
                                    "turned6.jpg",       "progressive.jpg",   "subsampled.jpg",
                                    "rgb.bmp",           "turned_raw.png",    "turned_app1.png",
                                    "turned_xmp.png",    "turned_several.jpg" };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        char path[100];
        snprintf(path, sizeof path, "golden/pictures/%s", damaged[i]);
        test_damage(path);
    }
    golden_free(golden);
    return test_finish();
}
