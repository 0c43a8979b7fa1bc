/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "tests/command.h"

#include "io/file.h"
#include "io/image.h"
#include "tests/refusal.h"
#include "weights/safetensors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* The names of a safety checker, whose vision_model is itself a model with a vision_model. */
static char *checker_name(const char *name) {
    return strncmp(name, "vision_model.", 13) == 0 ? mem_format("vision_model.%s", name) : NULL;
}

void make_safety_checker(const char *folder) {
    Messages errors = { 0 };
    char *command =
             with_folder("cd weights/critters/clip && mkdir '@/safety_checker' '@/feature_extractor' && "
                         "cp config.json '@/safety_checker' && "
                         "cp preprocessor_config.json '@/feature_extractor'",
                         folder),
         *path = mem_format("%s/safety_checker/model.safetensors", folder);
    CHECK(system(command) == 0);
    Safetensors file;
    CHECK(safetensors_open("weights/critters/clip/model.safetensors", &file, &errors));
    Safetensors renamed = safetensors_view(&file);
    safetensors_rename(&renamed, checker_name);
    Text bytes = safetensors_bytes(renamed.tensors, renamed.count, NULL, 0);
    CHECK(file_write(path, bytes.at, bytes.length, &errors));
    free(bytes.at);
    safetensors_close(&renamed);
    safetensors_close(&file);
    free(path);
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

static bool exists(const char *run, const char *name) {
    char *path = mem_format("%s/%s", run, name);
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

static bool same_file(const char *a, const char *b, const char *name) {
    bool same = exists(b, name);
    if (same) {
        char *path[2] = { mem_format("%s/%s", a, name), mem_format("%s/%s", b, name) };
        size_t size[2];
        char *text[2] = { read_text(path[0], &size[0]), read_text(path[1], &size[1]) };
        same = size[0] == size[1] && memcmp(text[0], text[1], size[0]) == 0;
        for (int i = 0; i < 2; i++) {
            free(text[i]);
            free(path[i]);
        }
    }
    if (!same) printf("%s differs\n", name);
    return same;
}

void expect_same_run(const char *label, const char *a, const char *b) {
    int files = 0, differ = 0, others = 0;
    for (int side = 0; side < 2; side++) {
        DIR *directory = opendir(side ? b : a);
        CHECK(directory);
        for (const struct dirent *e; (e = readdir(directory));) {
            if (e->d_name[0] == '.' || !strcmp(e->d_name, "options.json")) continue;
            if (side == 0) {
                files++;
                differ += !same_file(a, b, e->d_name);
            } else if (!exists(a, e->d_name) && strncmp(e->d_name, "learned_embeds-steps-", 21) != 0) {
                printf("%s is in the second folder only\n", e->d_name);
                others++;
            }
        }
        closedir(directory);
    }
    test_true(label, files >= 6 && differ == 0 && others == 0, "%d files, %d differ, %d others", files,
              differ, others);
}

bool same_pixels(const char *folder, const char *a, const char *b) {
    char *paths[] = { mem_format("%s/%s", folder, a), mem_format("%s/%s", folder, b) };
    Messages errors = { 0 };
    Image images[2] = { { 0 }, { 0 } };
    bool same = image_load(paths[0], &images[0], &errors) && image_load(paths[1], &images[1], &errors) &&
                images[0].width == images[1].width && images[0].height == images[1].height;
    same = same &&
           memcmp(images[0].rgb, images[1].rgb, 3 * (size_t)images[0].width * (size_t)images[0].height) == 0;
    for (int i = 0; i < 2; i++) {
        image_free(&images[i]);
        free(paths[i]);
    }
    messages_free(&errors);
    return same;
}
