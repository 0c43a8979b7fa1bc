/* SPDX-License-Identifier: MIT */
/* Reports how a picture was made. */
#include "cli/inspect_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the JSON of a text that may be none, as a string then. */
static json_t *parsed(const char *path, const char *text) {
    Messages malformed = { 0 };
    json_t *value = text ? json_parse(path, text, strlen(text), false, &malformed) : json_null();
    messages_free(&malformed);
    return value ? value : json_string(text);
}

static void print_text(const char *before, const char *text) {
    char *printable = picture_text_printable(text);
    printf("%s%s\n", before, printable);
    free(printable);
}

bool inspect_picture(const char *path, const PictureText *text, bool json, Messages *errors) {
    if (!text->parameters && !text->ti)
        return messages_add(
            errors, "%s: is a picture that neither says how it was made nor holds a learned word%s%s%s", path,
            text->others ? " (it has the texts " : "", text->others ? text->others : "",
            text->others ? ")" : "");
    if (json) {
        console_json(json_pack("{s:s?, s:o}", "parameters", text->parameters, "ti", parsed(path, text->ti)));
        return true;
    }
    if (text->parameters) print_text("", text->parameters);
    if (text->ti)
        print_text("ti: ", text->ti);
    else
        console_line(stderr, "ti: %s: was not drawn by ti, but by another program", path);
    return true;
}
