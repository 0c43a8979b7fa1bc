/* SPDX-License-Identifier: MIT */
/* `ti sheet`: lays pictures out in rows with captions on one sheet. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/picture_record.h"
#include "io/image_kind.h"
#include "io/image_write.h"
#include "io/sheet.h"

#include <stdlib.h>

typedef struct {
    Given given;
    char *out, *title;
    bool force, no_metadata;
    int64_t width; /* 0 when --width is not given */
    StringList arguments;
} SheetOptions;

#define AT(field) offsetof(SheetOptions, field)
static const Option OPTIONS[] = {
    { "out", OPTION_STRING, AT(out), "FILE", .required = true, .once = true,
      .help = "the sheet to write: a PNG, or a JPEG if the name ends in .jpg or .jpeg" },
    { "title", OPTION_STRING, AT(title), "TEXT", .help = "a title at the top of the sheet" },
    { "width", OPTION_INT, AT(width), "PIXELS", .low = 0, .high = 16384,
      .shown =
          "what the pictures need: each is enlarged up to 6 times while the sheet has at most 1100 pixels",
      .help = "the width of the sheet, into which the pictures are fitted" },
    { "no-metadata", OPTION_FLAG, AT(no_metadata), .once = true,
      .help = "leave out of the file how the sheet was made" },
    { "force", OPTION_FLAG, AT(force), .once = true, .help = "overwrite a sheet that exists" },
    { "arguments", OPTION_LIST, AT(arguments), "CAPTION|PICTURE", .required = true, .positional = true,
      .help =
          "the rows: a caption, and after it the pictures of its row (PNG, JPEG or BMP files); an argument "
          "that names no picture is a caption" },
};

typedef struct {
    SheetRow *rows;
    int64_t row_count, count; /* numbers of rows and of pictures */
    Image *images;            /* [count], with their upright sizes; the pixels are loaded later */
    const char **paths;       /* [count] */
} Contents;

/* Sorts the arguments into captions and pictures, and reads the sizes of the pictures from their headers. */
static void read_contents(Contents *c, const StringList *arguments, Messages *errors) {
    size_t n = (size_t)arguments->count;
    c->rows = mem_alloc((n + 1) * sizeof *c->rows);
    c->images = mem_alloc(n * sizeof *c->images);
    c->paths = mem_alloc(n * sizeof *c->paths);
    for (size_t i = 0; i < n; i++) {
        const char *argument = arguments->items[i];
        bool picture = image_has_known_extension(argument) || image_kind_of_file(argument) != IMAGE_NONE;
        if (!picture || c->row_count == 0)
            c->rows[c->row_count++] =
                (SheetRow) { .caption = picture ? "" : argument, .pictures = c->images + c->count };
        ImageHeader h;
        int64_t bytes;
        if (!picture || !image_load_header(argument, &h, &bytes, errors)) continue;
        bool turned = h.orientation >= 5; /* EXIF orientations 5 to 8 turn the picture by 90 degrees. */
        c->images[c->count] =
            (Image) { .width = turned ? h.height : h.width, .height = turned ? h.width : h.height };
        c->paths[c->count++] = argument;
        c->rows[c->row_count - 1].count++;
    }
}

static int make_sheet(void *options, Messages *errors, Messages *warnings) {
    const SheetOptions *o = options;
    (void)warnings;
    char *out = image_path(o->out, NULL);
    if (!may_write(out, o->force, errors)) {
        free(out);
        return 1;
    }
    Contents c = { 0 };
    read_contents(&c, &o->arguments, errors);
    SheetContents sheet = { o->title, c.rows, c.row_count, o->width, false };
    if (errors->count == 0) sheet_fits(out, &sheet, errors);
    for (int64_t i = 0; errors->count == 0 && i < c.count; i++) image_load(c.paths[i], &c.images[i], errors);
    PictureText text = sheet_record(options_to_object(&SHEET_COMMAND, o));
    if (errors->count == 0) sheet_write(out, &sheet, o->no_metadata ? NULL : &text, errors);
    picture_text_free(&text);
    for (int64_t i = 0; i < c.count; i++) image_free(&c.images[i]);
    free(c.rows);
    free(c.images);
    free(c.paths);
    free(out);
    return 0;
}

static void check(void *options, Messages *errors) {
    const SheetOptions *o = options;
    if (o->width > 0 && o->width < SHEET_WIDTH_MIN)
        messages_add(errors, "--width %lld: must be at least %d", (long long)o->width, SHEET_WIDTH_MIN);
    if (errors->count == 0) check_picture_name("--out", o->out, errors);
}

const Command SHEET_COMMAND = {
    .name = "sheet",
    .brief = "lay pictures out on one sheet",
    .summary = "Lays pictures out in rows with captions on one sheet.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(SheetOptions),
    .examples = "  ti sheet --out sheet.png 'learned from' pictures/*.png 'generated' grum-*.png\n",
    .check = check,
    .run = make_sheet,
};
