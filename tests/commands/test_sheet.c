/* SPDX-License-Identifier: MIT */
/* Tests reading a folder of training pictures, contact sheets, the sizes that pictures may have, and the
   loss curve. */
#define _POSIX_C_SOURCE 200809L
#include "io/font.h"
#include "cli/common.h"
#include "io/plot.h"
#include "io/image_write.h"
#include "io/sheet.h"
#include "io/file.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/test_sheet_XXXXXX";

/* Writes a file with this content into the test's folder or, when the content is NULL, a picture of this
   size. */
static void put(const char *name, const char *content, int width, int height) {
    Messages errors = { 0 };
    char *path = mem_format("%s/%s", folder, name);
    if (content) {
        CHECK(file_write(path, content, strlen(content), &errors));
    } else {
        Image image;
        CHECK(canvas_new(width, height, &image, &errors));
        canvas_rectangle(&image, 0, 0, (width + 1) / 2, height, (Color) { 200, 100, 50 });
        CHECK(image_write_png(path, &image, &errors));
        image_free(&image);
    }
    free(path);
}

static void remove_file(const char *name) {
    char *path = mem_format("%s/%s", folder, name);
    unlink(path);
    free(path);
}

static void says(const char *name, const Messages *m, int count, const char *part) {
    bool ok = m->count == count && (count == 0 || strstr(m->text, part) != NULL);
    test_true(name, ok, "%d lines%s", m->count, ok || !m->text ? "" : m->text);
}

static void test_folder(void) {
    Messages errors = { 0 }, warnings = { 0 };
    Pictures p;
    test_true("an empty folder", !load_pictures(folder, (PictureFit) { 8, 8, false }, &p, &errors, &warnings),
              "is refused");
    pictures_free(&p);
    says("an empty folder's error", &errors, 1, "holds no pictures");
    messages_free(&errors);

    put("b.png", NULL, 8, 8);
    put("B.PNG", NULL, 8, 8);
    put("a10.png", NULL, 8, 16);
    put("a9.png", NULL, 4, 4);
    put(".hidden.png", "no picture", 0, 0);
    put("notes.md", "text", 0, 0);
    bool ok = load_pictures(folder, (PictureFit) { 8, 8, false }, &p, &errors, &warnings);
    test_true("four pictures", ok && p.count == 4, "%d", (int)p.count);
    says("no errors", &errors, 0, "");
    says("warnings: a text, a squashed and a small picture", &warnings, 3, "notes.md");
    const char *const order[] = { "B.PNG", "a10.png", "a9.png", "b.png" }; /* by the bytes of the names */
    for (int i = 0; ok && i < 4; i++)
        test_true("order",
                  strcmp(strrchr(p.paths[i], '/') + 1, order[i]) == 0 && p.images[i].width == 8 &&
                      p.images[i].height == 8,
                  "%s", order[i]);
    pictures_free(&p);
    messages_free(&warnings);
    ok = load_pictures(folder, (PictureFit) { 4, 4, true }, &p, &errors, &warnings);
    says("cropped and large enough: one warning", &warnings, ok ? 1 : -1, "notes.md");
    pictures_free(&p);
    messages_free(&warnings);

    put("c.jpg", "no picture", 0, 0);
    put("d.png", "", 0, 0);
    ok = load_pictures(folder, (PictureFit) { 8, 8, false }, &p, &errors, &warnings);
    test_true("two files that are no pictures", !ok, "are refused");
    pictures_free(&p);
    says("a message for each", &errors, 2, "d.png: is empty");
    messages_free(&errors);
    messages_free(&warnings);
    char *file = mem_format("%s/b.png", folder);
    load_pictures(file, (PictureFit) { 8, 8, false }, &p, &errors, &warnings);
    says("a file for a folder", &errors, 1, "is not a folder");
    pictures_free(&p);
    free(file);
    messages_free(&errors);
    messages_free(&warnings);
    const char *const all[] = { "b.png",       "B.PNG",    "a10.png", "a9.png",
                                ".hidden.png", "notes.md", "c.jpg",   "d.png" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) remove_file(all[i]);
}

static bool pixel_is(const Image *image, int x, int y, int r, int g, int b) {
    const unsigned char *p = image->rgb + ((int64_t)y * image->width + x) * 3;
    return p[0] == r && p[1] == g && p[2] == b;
}

static void test_canvas(void) {
    Messages errors = { 0 };
    Image canvas, picture;
    CHECK(canvas_new(20, 10, &canvas, &errors) && canvas_new(4, 4, &picture, &errors));
    canvas_rectangle(&picture, 0, 0, 4, 4, (Color) { 1, 2, 3 });
    canvas_picture(&canvas, &picture, -2, -2);
    canvas_picture(&canvas, &picture, 18, 8);
    canvas_picture(&canvas, &picture, 100, 100);
    test_true("pictures are cut off at the edges",
              pixel_is(&canvas, 1, 1, 1, 2, 3) && pixel_is(&canvas, 2, 2, 255, 255, 255) &&
                  pixel_is(&canvas, 19, 9, 1, 2, 3) && pixel_is(&canvas, 17, 9, 255, 255, 255),
              "at the corners");
    Point far[] = { { -1e300, -1e300 }, { 1e300, 5 }, { NAN, 0 }, { 3, INFINITY }, { 5, 5 } };
    canvas_dots(&canvas, far, 5, 2, (Color) { 0, 0, 0 }, 1);
    bool ok = canvas_polyline(&canvas, far + 2, 3, 1, (Color) { 0, 0, 0 }, 1, &errors);
    test_true("points that are not on the canvas",
              ok && pixel_is(&canvas, 4, 4, 0, 0, 0) && pixel_is(&canvas, 10, 5, 255, 255, 255),
              "are left out, and the others are drawn");
    Font *font = font_new(&errors);
    CHECK(font);
    Color black = { 0, 0, 0 };
    font_draw(font, 14, &canvas, "\xc3\xa9\n\x7f\xff long enough to leave the canvas", 0, 0, black);
    font_draw(font, 14, &canvas, "left of it", -8, -3, black);
    test_true("text that leaves the canvas", canvas.width == 20 && canvas.height == 10, "is clipped");
    test_true("a character that the font lacks",
              font_width(font, 14, "\xe7\x8c\xab") == font_width(font, 14, "?"), "is a question mark");
    test_true("a higher text", font_width(font, 28, "wide") > font_width(font, 14, "wide"), "is wider");
    test_true("a longer text", font_width(font, 14, "wide words") > font_width(font, 14, "wide"), "is wider");
    font_free(font);
    image_free(&canvas);
    image_free(&picture);
}

static void test_sheets(void) {
    Messages errors = { 0 };
    Image pictures[5], sheet, again;
    for (int i = 0; i < 5; i++) {
        CHECK(canvas_new(64, 64, &pictures[i], &errors));
        canvas_rectangle(&pictures[i], 0, 0, 64, 64, (Color) { 10, (unsigned char)(40 * i), 30 });
    }
    SheetRow rows[] = { { "five", pictures, 5 }, { "none", pictures, 0 }, { "two", pictures, 2 } };
    SheetContents contents = { .title = "a title", .rows = rows, .count = 3 };
    bool ok =
        sheet_draw("x.png", &contents, &sheet, &errors) && sheet_draw("x.png", &contents, &again, &errors);
    test_true("a sheet", ok && sheet.width == 5 * 64 * 3 + 4 * 8 + 2 * 24, "%d x %d", sheet.width,
              sheet.height);
    test_same("the same sheet again", sheet.rgb, again.rgb, (size_t)sheet.width * (size_t)sheet.height * 3);
    test_true("its last picture", pixel_is(&sheet, 24 + 192 + 8 + 5, sheet.height - 24 - 5, 10, 40, 30),
              "by its colour");
    image_free(&sheet);
    image_free(&again);
    contents.width = 448;
    ok = sheet_draw("x.png", &contents, &sheet, &errors);
    test_true("a sheet of a given width", ok && sheet.width == 448, "%d x %d", sheet.width, sheet.height);
    test_true("its last picture", pixel_is(&sheet, 24 + 73 + 8 + 5, sheet.height - 24 - 5, 10, 40, 30),
              "by its colour");
    image_free(&sheet);

    char *path = mem_format("%s/grid.png", folder), *caption = mem_alloc(60001);
    memset(caption, 'w', 60000); /* A word of 60,000 letters does not fit on a line. */
    SheetContents grid = { .rows = &(SheetRow) { caption, pictures, 5 }, .count = 1, .grid = true };
    ok = sheet_write(path, &grid, NULL, &errors) && image_load(path, &sheet, &errors);
    test_true("a grid of 3 x 2", ok && sheet.width == 3 * 64 * 5 + 2 * 8 + 2 * 24, "%d x %d", sheet.width,
              sheet.height);
    image_free(&sheet);
    unlink(path);
    free(path);
    free(caption);
    for (int i = 0; i < 5; i++) image_free(&pictures[i]);
    says("no errors", &errors, 0, "");
}

/* A picture with the largest allowed number of pixels can be written, and one with one pixel more cannot. */
static void test_sizes(void) {
    static const struct {
        const char *path;
        int64_t width, height;
        bool fits;
    } cases[] = {
        { "x.png", 1, IMAGE_MAX_PIXELS, true },
        { "x.png", IMAGE_MAX_PIXELS, 1, true },
        { "x.png", 1, IMAGE_MAX_PIXELS + 1, false },
        { "x.png", 10000, IMAGE_MAX_PIXELS / 10000, true },
        { "x.png", 10000, IMAGE_MAX_PIXELS / 10000 + 1, false },
        { "x.png", 46341, 46341, false }, /* The number of pixels overflows an int. */
        { "x.png", 65536, 65536, false }, /* In 32 bits the number would be 0. */
        { "x.png", (int64_t)1 << 32, (int64_t)1 << 32, false },
        { "x.png", INT64_MAX, INT64_MAX, false },
        { "x.jpg", 65535, 1, true },
        { "x.jpg", 65536, 1, false },
        { "x.jpg", 1, 65536, false },
        { "x.jpg", 65535, 65535, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Messages errors = { 0 };
        bool fits = image_fits(cases[i].path, cases[i].width, cases[i].height, &errors);
        test_true("a size that fits, or does not", fits == cases[i].fits && errors.count == !fits,
                  "%s %lld x %lld", cases[i].path, (long long)cases[i].width, (long long)cases[i].height);
        messages_free(&errors);
    }
    Messages errors = { 0 };
    Image large = { .width = 20000, .height = 20000 };
    test_true("the pixels of a picture that does not fit are not read",
              !image_write_png("/tmp/no/x.png", &large, &errors) &&
                  !image_write("/tmp/no/x.jpg", &large, NULL, &errors),
              "refused");
    says("what it says", &errors, 2,
         "/tmp/no/x.png: 20000 x 20000 is more than a picture can have (178 million pixels)");
    messages_free(&errors);
}

static bool grid_fits(const Image *pictures, int64_t count, Messages *errors) {
    SheetRow row = { "c", pictures, count };
    return sheet_fits("x.png", &(SheetContents) { .rows = &row, .count = 1, .grid = true }, errors);
}

/* In each row of this test the caption takes 26 pixels of height, the picture 14, and the space below it 12.
   The margins of the sheet take 28. */
static void test_long_sheets(void) {
    enum { FITS = 6256, N = 77000 };
    Image picture = { .width = 1, .height = 1 };
    SheetRow *rows = mem_alloc(N * sizeof *rows);
    for (int i = 0; i < N; i++) rows[i] = (SheetRow) { "c", &picture, 1 };
    Messages errors = { 0 };
    test_true("the longest sheet",
              sheet_fits("x.png", &(SheetContents) { .rows = rows, .count = FITS }, &errors), "%d rows",
              FITS);
    says("no errors", &errors, 0, "");
    test_true("one row more",
              !sheet_fits("x.png", &(SheetContents) { .rows = rows, .count = FITS + 1 }, &errors), "refused");
    says("says the size", &errors, 1, "x.png: 550 x 325392 is more");
    messages_free(&errors);
    test_true("77,000 rows", !sheet_fits("x.png", &(SheetContents) { .rows = rows, .count = N }, &errors),
              "refused");
    says("says the size", &errors, 1, "x.png: 550 x 4004028 is more");
    messages_free(&errors);
    test_true("a JPEG", !sheet_fits("x.jpg", &(SheetContents) { .rows = rows, .count = 1300 }, &errors),
              "refused");
    says("says what to do", &errors, 1, "write a PNG");
    messages_free(&errors);
    free(rows);
    enum { SIDE = 8192 };
    Image *wide = mem_alloc(1000 * sizeof *wide);
    for (int i = 0; i < 1000; i++) wide[i] = (Image) { .width = SIDE, .height = SIDE };
    test_true("a grid of two of the largest pictures", grid_fits(wide, 2, &errors), "fits");
    test_true("a grid of a thousand", !grid_fits(wide, 1000, &errors), "refused");
    says("says the size", &errors, 1, "x.png: 262");
    messages_free(&errors);
    free(wide);
}

static int64_t pixels_of(const Image *image, int r, int g, int b) {
    int64_t count = 0;
    for (int64_t i = 0; i < (int64_t)image->width * image->height; i++)
        count += image->rgb[3 * i] == r && image->rgb[3 * i + 1] == g && image->rgb[3 * i + 2] == b;
    return count;
}

static void test_plot(void) {
    enum { N = 3000 };
    Messages errors = { 0 };
    static double loss[N], smoothed[N];
    for (int i = 0; i < N; i++) smoothed[i] = loss[i] = 0.2 + 0.1 * sin(i);
    loss[3] = NAN, loss[4] = INFINITY, loss[5] = -1e308, smoothed[9] = NAN, smoothed[2000] = -INFINITY;
    double step[] = { 0, 100, 200 }, values[] = { 0.25, NAN, 0.15 };
    Image a, b;
    bool ok = plot_draw(loss, smoothed, N, 200, (PlotPoints) { step, values, 3 }, &a, &errors) &&
              plot_draw(loss, smoothed, N, 200, (PlotPoints) { step, values, 3 }, &b, &errors);
    CHECK(ok);
    test_same("the same curve again", a.rgb, b.rgb, (size_t)a.width * (size_t)a.height * 3);
    int64_t orange = pixels_of(&a, 214, 84, 16);
    test_true("the fixed-grid losses are there", orange > 200, "%d pixels", (int)orange);
    image_free(&a);
    image_free(&b);
    const int64_t counts[] = { 0, 1, 2 };
    for (int i = 0; i < 3; i++) {
        ok = plot_draw(loss + 3, smoothed, counts[i], counts[i], (PlotPoints) { step, values + 1, i }, &a,
                       &errors);
        test_true("a curve of few points", ok, "%d", (int)counts[i]);
        image_free(&a);
    }
    says("no errors", &errors, 0, "");
}

/* Two points at the same place, one that is not finite and one without errors. */
static void test_points(void) {
    Messages errors = { 0 };
    const NamedPoint points[] = { { 0.7, 0.5, 0.02, 0.01, "<grum>", false, false },
                                  { 0.7, 0.5, 0.02, 0.01, "<zog>", false, true },
                                  { NAN, 0.5, 0.1, 0.1, "nowhere", true, false },
                                  { 0.1, 0.4, NAN, NAN, "critter", true, false } };
    Image all, words, none;
    CHECK(plot_points(points, 4, "x", "y", &all, &errors) &&
          plot_points(points, 2, "x", "y", &words, &errors) &&
          plot_points(points, 0, "x", "y", &none, &errors));
    test_true("the words are blue",
              pixels_of(&all, 24, 72, 160) > 100 && pixels_of(&words, 24, 72, 160) > 100, "%d pixels",
              (int)pixels_of(&all, 24, 72, 160));
    test_true("the reference is orange",
              pixels_of(&all, 214, 84, 16) > 60 && pixels_of(&words, 214, 84, 16) == 0, "%d pixels",
              (int)pixels_of(&all, 214, 84, 16));
    test_true("no points", pixels_of(&none, 24, 72, 160) == 0 && pixels_of(&none, 40, 40, 48) > 500,
              "only axes");
    image_free(&all);
    image_free(&words);
    image_free(&none);
    says("no errors", &errors, 0, "");
}

int main(void) {
    CHECK(mkdtemp(folder) != NULL);
    test_folder();
    test_canvas();
    test_sheets();
    test_sizes();
    test_long_sheets();
    test_plot();
    test_points();
    rmdir(folder);
    return test_finish();
}
