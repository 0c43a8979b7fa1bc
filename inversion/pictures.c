#define _POSIX_C_SOURCE 200809L
#include "inversion/pictures.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_path(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The paths of the folder's pictures, sorted. */
static bool list_pictures(const char *folder, Pictures *out, Messages *errors, Messages *warnings) {
    DIR *directory = opendir(folder);
    if (!directory)
        return messages_add(errors, "%s: %s%s", folder,
                            errno == ENOTDIR ? "is not a folder: give the one that holds the pictures"
                                             : "cannot be opened: ",
                            errno == ENOTDIR ? "" : strerror(errno));
    int others = 0;
    char *other = NULL;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        if (image_is_named(entry->d_name)) {
            out->paths = mem_grow(out->paths, (size_t)(out->count + 1) * sizeof *out->paths);
            out->paths[out->count++] = mem_format("%s/%s", folder, entry->d_name);
        } else if (others++ == 0 || strcmp(entry->d_name, other) < 0) {
            free(other);
            other = mem_string(entry->d_name);
        }
    }
    int error = errno;
    closedir(directory);
    if (others > 0)
        messages_add(warnings,
                     "%s: %d other entries are not used (%s%s): pictures are .png, .jpg, .jpeg, .bmp", folder,
                     others, other, others > 1 ? ", ..." : "");
    free(other);
    if (error) return messages_add(errors, "%s: cannot be read: %s", folder, strerror(error));
    if (out->count == 0)
        return messages_add(errors, "%s: holds no pictures (.png, .jpg, .jpeg, .bmp)", folder);
    qsort(out->paths, (size_t)out->count, sizeof *out->paths, by_path);
    return true;
}

bool picture_load(const char *path, int resolution, bool center_crop, Image *out, PictureSize *size,
                  Messages *errors) {
    Image full;
    if (!image_load(path, &full, errors)) return false;
    *size = (PictureSize) { full.width, full.height };
    bool ok = (!center_crop || image_crop_square(&full, errors)) &&
              image_resize(&full, resolution, resolution, out, errors);
    image_free(&full);
    return ok;
}

bool pictures_load(const char *folder, int resolution, bool center_crop, Pictures *out, Messages *errors,
                   Messages *warnings) {
    *out = (Pictures) { 0 };
    bool ok = list_pictures(folder, out, errors, warnings);
    out->images = mem_alloc((size_t)out->count * sizeof *out->images);
    out->sizes = mem_alloc((size_t)out->count * sizeof *out->sizes);
    for (int64_t i = 0; ok && i < out->count; i++)
        picture_load(out->paths[i], resolution, center_crop, &out->images[i], &out->sizes[i], errors);
    for (int64_t i = 0; i < out->count; i++) ok = ok && out->images[i].rgb;
    return ok;
}

void pictures_free(Pictures *pictures) {
    for (int64_t i = 0; i < pictures->count; i++) {
        free(pictures->paths[i]);
        image_free(&pictures->images[i]);
    }
    free(pictures->paths);
    free(pictures->images);
    free(pictures->sizes);
    *pictures = (Pictures) { 0 };
}
