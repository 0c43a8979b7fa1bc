#define _POSIX_C_SOURCE 200809L
#include "tests/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

char *folder_new(void) {
    char *folder = mem_string("/tmp/ti-test-XXXXXX");
    CHECK(mkdtemp(folder));
    return folder;
}

void folder_remove(const char *folder) {
    CHECK(strncmp(folder, "/tmp/ti-test-", 13) == 0);
    char *command = mem_format("rm -rf '%s'", folder);
    CHECK(system(command) == 0);
    free(command);
}

char *with_folder(const char *text, const char *folder) {
    char *with = mem_string("");
    for (const char *c = text; *c; c++) {
        char *longer = *c == '@' ? mem_format("%s%s", with, folder) : mem_format("%s%c", with, *c);
        free(with);
        with = longer;
    }
    return with;
}

int run_ti(const char *command, const char *options, const char *more, const char *folder) {
    CHECK(getenv("TI"));
    char *escaped = mem_alloc(2 * strlen(options) + 1), *to = escaped;
    bool quoted = false;
    for (const char *c = options; *c; c++) {
        if (*c == '\'') quoted = !quoted;
        if ((*c == '<' || *c == '>') && !quoted) *to++ = '\\';
        *to++ = *c;
    }
    char *line = mem_format(
        "'%s' %s %s %s >/dev/null 2>'%s/stderr' || { status=$?; tail -n 5 '%s/stderr'; exit $status; }",
        getenv("TI"), command, escaped, more, folder, folder);
    int status = system(line);
    free(line);
    free(escaped);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *output_of_ti(const char *arguments, int *status) {
    CHECK(getenv("TI"));
    char *command = mem_format("'%s' %s 2>/dev/null", getenv("TI"), arguments), *text = mem_alloc(1);
    FILE *pipe = popen(command, "r");
    CHECK(pipe);
    size_t size = 0, got;
    char piece[4096];
    while ((got = fread(piece, 1, sizeof piece, pipe)) > 0) {
        text = mem_grow(text, size + got + 1);
        memcpy(text + size, piece, got);
        text[size += got] = 0;
    }
    int ended = pclose(pipe);
    *status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    free(command);
    return text;
}
