/* `ti sheet`: pictures with captions on one sheet. */
#include "cli/sheet_command.h"

#include "cli/common.h"
#include "cli/sheet.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    Given given;
    char *out, *title;
    bool force;
    StringList arguments;
} SheetOptions;

#define AT(field) offsetof(SheetOptions, field)
static const Option OPTIONS[] = {
    { "out", OPTION_STRING, AT(out), "FILE.png", .required = true, .help = "the sheet" },
    { "title", OPTION_STRING, AT(title), "TEXT", .help = "a line at its top" },
    { "force", OPTION_FLAG, AT(force), .help = "replace a sheet that exists" },
    { "arguments", OPTION_LIST, AT(arguments), "CAPTION|PICTURE", .required = true, .positional = true,
      .help = "pictures (.png, .jpg, .jpeg, .bmp), and before them the caption of their row: whatever is not "
              "the name of a "
              "picture" },
};

const Command SHEET_COMMAND = {
    .name = "sheet",
    .summary = "Lays pictures out on one sheet, with captions.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples = "  ti sheet --out sheet.png 'learned from' pictures/*.png 'drawn' grum-*.png\n",
};

static bool is_picture(const char *argument) {
    const char *dot = strrchr(argument, '.');
    static const char *const endings[] = { ".png", ".jpg", ".jpeg", ".bmp" };
    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

static bool make_sheet(const SheetOptions *o, Messages *errors) {
    if (!may_write(o->out, o->force, errors)) return false;
    size_t n = (size_t)o->arguments.count;
    SheetRow *rows = mem_alloc((n + 1) * sizeof *rows);
    Image *images = mem_alloc(n * sizeof *images);
    int64_t count = 0, loaded = 0;
    for (size_t i = 0; i < n; i++) {
        const char *argument = o->arguments.items[i];
        bool picture = is_picture(argument);
        if (!picture || count == 0)
            rows[count++] = (SheetRow) { .caption = picture ? "" : argument, .pictures = images + loaded };
        if (!picture) continue;
        if (image_load(argument, &images[loaded], errors)) {
            loaded++;
            rows[count - 1].count++;
        }
    }
    bool ok = errors->count == 0 && sheet_write(o->out, o->title, rows, count, errors);
    for (int64_t i = 0; i < loaded; i++) image_free(&images[i]);
    free(images);
    free(rows);
    return ok;
}

int sheet_command(int argc, char *const argv[]) {
    Messages errors = { 0 };
    SheetOptions o;
    int status;
    if (usage_ok(&SHEET_COMMAND, options_parse(&SHEET_COMMAND, argc, argv, &o, &errors), &errors, &status)) {
        status = make_sheet(&o, &errors) ? 0 : 1;
        report(&errors, NULL);
    }
    options_free(&SHEET_COMMAND, &o);
    messages_free(&errors);
    return status;
}
