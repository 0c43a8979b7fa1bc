/* SPDX-License-Identifier: MIT */
/* Draws the plot of tools/study.sh from lines of "NAME|X|Y|X ERROR|Y ERROR|KIND" on standard input, where
   KIND is "reference", "joined" (a line leads from the point before to this one) or empty:

       plot_points X-TITLE Y-TITLE FILE.png */
#include "io/image_write.h"
#include "io/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = 200, LINE = 300 };

/* Splits a line at its bars into six parts, and returns whether there are so many. */
static bool split(char *line, char *parts[6]) {
    line[strcspn(line, "\n")] = 0;
    for (int i = 0; i < 6; i++) {
        parts[i] = line;
        if (!line) return false;
        line = strchr(line, '|');
        if (line) *line++ = 0;
    }
    return !line;
}

int main(int argc, char **argv) {
    static char lines[POINTS_MAX][LINE];
    NamedPoint points[POINTS_MAX];
    int64_t count = 0;
    Messages errors = { 0 };
    Image image;
    if (argc != 4) messages_add(&errors, "usage: plot_points X-TITLE Y-TITLE FILE.png <LINES");
    for (; errors.count == 0 && count < POINTS_MAX && fgets(lines[count], LINE, stdin); count++) {
        char *part[6];
        if (!split(lines[count], part))
            messages_add(&errors, "line %d: has not six parts", (int)count + 1);
        else
            points[count] = (NamedPoint) { .name = part[0],
                                           .x = atof(part[1]),
                                           .y = atof(part[2]),
                                           .x_error = atof(part[3]),
                                           .y_error = atof(part[4]),
                                           .reference = strcmp(part[5], "reference") == 0,
                                           .joined = strcmp(part[5], "joined") == 0 };
    }
    if (errors.count == 0 && plot_points(points, count, argv[1], argv[2], &image, &errors)) {
        image_write(argv[3], &image, NULL, &errors);
        image_free(&image);
    }
    if (errors.count) fputs(errors.text, stderr);
    messages_free(&errors);
    return errors.count > 0;
}
