/* `ti sheet`: pictures with captions on one sheet. */
#include "cli/commands.h"
#include "cli/common.h"
#include "io/image_kind.h"
#include "io/image_write.h"
#include "io/sheet.h"

#include <stdlib.h>

typedef struct {
    Given given;
    char *out, *title;
    bool force;
    StringList arguments;
} SheetOptions;

#define AT(field) offsetof(SheetOptions, field)
static const Option OPTIONS[] = {
    { "out", OPTION_STRING, AT(out), "FILE", .required = true,
      .help = "the sheet, a PNG or, where it ends in .jpg or .jpeg, a JPEG" },
    { "title", OPTION_STRING, AT(title), "TEXT", .help = "a line at its top" },
    { "force", OPTION_FLAG, AT(force), .help = "replace a sheet that exists" },
    { "arguments", OPTION_LIST, AT(arguments), "CAPTION|PICTURE", .required = true, .positional = true,
      .help = "pictures (PNG, JPEG or BMP files), and before them the caption of their row: whatever is not "
              "the name of a picture" },
};

static int make_sheet(void *options, Messages *errors, Messages *warnings) {
    const SheetOptions *o = options;
    (void)warnings;
    char *out = image_path(o->out, NULL);
    if (!may_write(out, o->force, errors)) {
        free(out);
        return 1;
    }
    size_t n = (size_t)o->arguments.count;
    SheetRow *rows = mem_alloc((n + 1) * sizeof *rows);
    Image *images = mem_alloc(n * sizeof *images);
    int64_t count = 0, loaded = 0;
    for (size_t i = 0; i < n; i++) {
        const char *argument = o->arguments.items[i];
        bool picture = image_is_named(argument) || image_kind_of_file(argument) != IMAGE_NONE;
        if (!picture || count == 0)
            rows[count++] = (SheetRow) { .caption = picture ? "" : argument, .pictures = images + loaded };
        if (!picture) continue;
        if (image_load(argument, &images[loaded], errors)) {
            loaded++;
            rows[count - 1].count++;
        }
    }
    if (errors->count == 0) sheet_write(out, o->title, rows, count, errors);
    for (int64_t i = 0; i < loaded; i++) image_free(&images[i]);
    free(images);
    free(rows);
    free(out);
    return 0;
}

static void check(void *options, Messages *errors) {
    const SheetOptions *o = options;
    if (errors->count == 0) check_picture_name("--out", o->out, errors);
}

const Command SHEET_COMMAND = {
    .name = "sheet",
    .brief = "lay pictures out on one sheet",
    .summary = "Lays pictures out on one sheet, with captions.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(SheetOptions),
    .examples = "  ti sheet --out sheet.png 'learned from' pictures/*.png 'drawn' grum-*.png\n",
    .check = check,
    .run = make_sheet,
};
