#include "cli/console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void console_json(cJSON *document) {
    char *text = cJSON_Print(document);
    CHECK(text);
    printf("%s\n", text);
    cJSON_free(text);
    cJSON_Delete(document);
}

bool console_finish(Messages *errors) {
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed) return true;
    return messages_add(errors, "standard output: cannot be written%s%s", errno ? ": " : "",
                        errno ? strerror(errno) : "");
}

char *console_text(const char *text) {
    char *safe = mem_string(text);
    text_plain(safe);
    return safe;
}

const char *size_text(int64_t bytes, char text[SIZE_TEXT]) {
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    double value = (double)bytes;
    int unit = 0;
    while (value >= 999.95 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(text, SIZE_TEXT, "%.*f %s", unit == 0 ? 0 : unit >= 3 ? 2 : 1, value, units[unit]);
    return text;
}

const char *count_text(int64_t count, char text[COUNT_TEXT]) {
    char digits[COUNT_TEXT];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)count), out = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = 0;
    return text;
}

cJSON *json_shape(Shape shape) {
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < shape.rank; i++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)shape.dim[i]));
    return list;
}

cJSON *json_messages(const Messages *messages) {
    cJSON *list = cJSON_CreateArray();
    for (const char *line = messages->text; line && *line;) {
        const char *end = strchr(line, '\n');
        char *copy = mem_format("%.*s", (int)(end - line), line);
        cJSON_AddItemToArray(list, cJSON_CreateString(copy));
        free(copy);
        line = end + 1;
    }
    return list;
}

int64_t model_side(const Model *m) { return m->unet.config.sample_size * vae_factor(&m->vae.config); }

bool check_side(const Model *m, const char *option, int64_t least, int64_t *side, Messages *errors) {
    int64_t multiple = max_i64(8, vae_factor(&m->vae.config)), given = *side;
    if (given == 0) *side = model_side(m);
    if (given == 0 || given == model_side(m) || (given % multiple == 0 && given >= least)) return true;
    return messages_add(errors, "%s %lld: must be a multiple of %lld, %lld at least", option,
                        (long long)given, (long long)multiple, (long long)max_i64(least, multiple));
}

bool check_resolution(const Model *m, int64_t *resolution, Messages *errors) {
    return check_side(m, "--resolution", 64, resolution, errors);
}

void resolution_word(const Model *m, const char *option, int64_t side, Messages *warnings) {
    if (side != model_side(m))
        messages_add(warnings, "%s %lld: the model was made for %lld", option, (long long)side,
                     (long long)model_side(m));
}
