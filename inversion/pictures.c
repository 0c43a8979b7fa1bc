/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "inversion/pictures.h"

#include "inversion/masks.h"

#include "io/image_kind.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_path(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Lists the paths of the folder's pictures in sorted order. */
static bool list_paths(const char *folder, Pictures *out, Messages *errors, Messages *warnings) {
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
        if (entry->d_name[0] == '.' || is_mask_name(entry->d_name)) continue;
        char *path = mem_format("%s/%s", folder, entry->d_name);
        if (image_has_known_extension(path) || image_kind_of_file(path) != IMAGE_NONE) {
            out->paths = mem_grow(out->paths, (size_t)(out->count + 1) * sizeof *out->paths);
            out->paths[out->count++] = path;
            continue;
        }
        free(path);
        if (text_ends_with(entry->d_name, ".txt")) continue; /* captions (training_prompts.h) */
        if (others++ == 0 || strcmp(entry->d_name, other) < 0) {
            free(other);
            other = mem_string(entry->d_name);
        }
    }
    int error = errno;
    closedir(directory);
    if (others > 0)
        messages_add(warnings,
                     "%s: %d other entries are not used (%s%s): pictures are PNG, JPEG and BMP files", folder,
                     others, other, others > 1 ? ", ..." : "");
    free(other);
    if (error) return messages_add(errors, "%s: cannot be read: %s", folder, strerror(error));
    if (out->count == 0)
        return messages_add(errors, "%s: holds no pictures (PNG, JPEG or BMP files)", folder);
    qsort(out->paths, (size_t)out->count, sizeof *out->paths, by_path);
    return true;
}

/* `bytes` is the largest of three needs: that of the decoder; that of cropping, which is the picture and its
   cropped copy; and that of resizing, which is the picture, a copy of which only one axis has been resized,
   and the weights of the filter. file is the size of the mapped file. */
static PictureSize size_of(const ImageHeader *h, int64_t file, PictureFit fit) {
    bool turned = h->orientation >= 5;
    int64_t w = turned ? h->height : h->width, height = turned ? h->width : h->height;
    int64_t left_w = w, left_h = height, rgb = 3 * w * height, bytes = image_decoding_bytes(h);
    if (fit.center_crop) image_crop_size(fit.width, fit.height, &left_w, &left_h);
    if (left_w != w || left_h != height) {
        bytes = max_i64(bytes, rgb + 3 * left_w * left_h);
        rgb = 3 * left_w * left_h;
    }
    int64_t half_done = max_i64(fit.width * left_h, left_w * fit.height);
    int64_t filters = 2 * 32 * max_i64(max_i64(left_w, left_h), max_i64(fit.width, fit.height));
    bytes = max_i64(bytes, rgb + 3 * (half_done + (int64_t)fit.width * fit.height) + filters);
    return (PictureSize) { (int)w, (int)height, bytes + file };
}

bool picture_size(const char *path, PictureFit fit, PictureSize *out, Messages *errors) {
    ImageHeader header;
    int64_t file;
    if (!image_load_header(path, &header, &file, errors)) return false;
    *out = size_of(&header, file, fit);
    return true;
}

static bool read_picture(const char *path, PictureFit fit, Image *out, Messages *errors) {
    Image full;
    if (!image_load(path, &full, errors)) return false;
    bool ok = (!fit.center_crop || image_crop(&full, fit.width, fit.height, errors)) &&
              image_resize(&full, fit.width, fit.height, RESAMPLING_BICUBIC, out, errors);
    image_free(&full);
    return ok;
}

bool picture_load(const char *path, PictureFit fit, Image *out, PictureSize *size, Messages *errors) {
    return picture_size(path, fit, size, errors) && read_picture(path, fit, out, errors);
}

bool pictures_list(const char *folder, PictureFit fit, Pictures *out, Messages *errors, Messages *warnings) {
    *out = (Pictures) { 0 };
    bool ok = list_paths(folder, out, errors, warnings);
    out->images = mem_alloc((size_t)out->count * sizeof *out->images);
    out->sizes = mem_alloc((size_t)out->count * sizeof *out->sizes);
    for (int64_t i = 0; ok && i < out->count; i++) picture_size(out->paths[i], fit, &out->sizes[i], errors);
    for (int64_t i = 0; i < out->count; i++) ok = ok && out->sizes[i].width;
    return ok;
}

bool pictures_read(Pictures *p, PictureFit fit, Messages *errors) {
    bool ok = true;
    for (int64_t i = 0; i < p->count; i++) ok = read_picture(p->paths[i], fit, &p->images[i], errors) && ok;
    return ok;
}

char *file_beside(const char *picture, const char *ending) {
    const char *name = strrchr(picture, '/'), *dot = strrchr(name ? name : picture, '.');
    return mem_format("%.*s%s", dot ? (int)(dot - picture) : (int)strlen(picture), picture, ending);
}

int64_t pictures_largest(const Pictures *p) {
    int64_t largest = 0;
    for (int64_t i = 1; i < p->count; i++)
        if (p->sizes[i].bytes > p->sizes[largest].bytes) largest = i;
    return largest;
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
