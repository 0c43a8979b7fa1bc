#define _POSIX_C_SOURCE 200809L
#include "cli/common.h"

#include "cli/console.h"
#include "diffusion/ddim.h"
#include "exchange/single.h"
#include "exchange/word_file.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The way through a command */

static void print_lines(const char *before, const Messages *m) {
    for (const char *line = m->text; line && *line;) {
        const char *end = strchr(line, '\n');
        fprintf(stderr, "ti: %s%.*s\n", before, (int)(end - line), line);
        line = end + 1;
    }
}

void report_warnings(Messages *warnings) {
    print_lines("warning: ", warnings);
    messages_free(warnings);
}

bool report(const Messages *errors, Messages *warnings) {
    report_warnings(warnings);
    print_lines("", errors);
    return errors->count == 0;
}

int command_run(const Command *c, int argc, char *const argv[]) {
    Messages errors = { 0 }, warnings = { 0 };
    void *options = mem_alloc(c->size);
    OptionsResult parsed = options_parse(c, argc, argv, options, &errors);
    int status = 0;
    if (parsed == OPTIONS_HELP)
        options_help(c, stdout);
    else if (errors.count == 0)
        status = c->run(options, &errors, &warnings);
    else
        status = 2;
    console_finish(&errors);
    if (!report(&errors, &warnings) && status != 2) status = 1;
    if (status == 2) fprintf(stderr, "ti: see ti %s --help\n", c->name);
    options_free(c, options);
    free(options);
    messages_free(&errors);
    return status;
}

/* The model */

const char *const PREDICTIONS[] = { "auto", [1 + PREDICT_EPSILON] = "epsilon",
                                    [1 + PREDICT_V] = "v_prediction", NULL };

/* The path of the model that is meant, free() it; NULL and a line where the embedded one is not found. */
static char *find_model(const char *path, Messages *errors) {
    if (path) {
        fprintf(stderr, "ti: model %s\n", path);
        return mem_string(path);
    }
    char *embedded = file_of_program("critters");
    if (embedded)
        fprintf(stderr, "ti: the embedded model, %s (another: --model PATH)\n", embedded);
    else
        messages_add(
            errors, "the embedded model is neither beside the program nor in ../share/ti: give --model PATH");
    return embedded;
}

bool open_model(const char *path, int prediction, Model *m, Messages *errors, Messages *warnings) {
    char *found = find_model(path, errors);
    ModelFolder folder;
    *m = (Model) { 0 };
    bool ok = found && exchange_open_model(found, &folder, errors, warnings) &&
              model_open(folder, m, errors, warnings);
    if (ok && prediction > 0)
        model_set_prediction(m, (Prediction)(prediction - 1));
    else if (ok && prediction != PREDICTION_UNUSED && m->folder.prediction_guessed)
        messages_add(
            warnings,
            "%s: says nothing of what its UNet predicts; taken as Stable Diffusion 2.x of 768 pixels, which "
            "predicts v (one of 512 pixels: --prediction epsilon)",
            found);
    free(found);
    return ok;
}

bool words_load(Words *w, Tokenizer *t, const char *path, Messages *errors) {
    Embeddings file;
    if (!word_file_read(path, &file, errors)) return false;
    bool ok = true;
    for (int64_t i = 0; i < file.count && ok; i++) {
        const Embedding *e = &file.words[i];
        ok = words_add(w, t, e->token, e->rows, e->vectors, e->width, path, errors);
        char *token = console_text(e->token);
        if (ok) fprintf(stderr, "ti: word \"%s\" from %s\n", token, path);
        free(token);
    }
    embeddings_free(&file);
    return ok;
}

/* Pictures */

static void warn_of_size(const char *path, PictureSize size, int64_t resolution, bool center_crop,
                         bool enlarged, Messages *warnings) {
    if (size.width != size.height && !center_crop)
        messages_add(warnings, "%s: %d x %d is squashed to a square (--center-crop takes its middle instead)",
                     path, size.width, size.height);
    if (enlarged && size.width && (size.width < resolution || size.height < resolution))
        messages_add(warnings, "%s: %d x %d is smaller than the resolution and is enlarged to %lld x %lld",
                     path, size.width, size.height, (long long)resolution, (long long)resolution);
}

bool load_pictures(const char *folder, int64_t resolution, bool center_crop, Pictures *out, Messages *errors,
                   Messages *warnings) {
    bool ok = pictures_load(folder, (int)resolution, center_crop, out, errors, warnings);
    for (int64_t i = 0; i < out->count; i++)
        if (out->sizes) warn_of_size(out->paths[i], out->sizes[i], resolution, center_crop, true, warnings);
    return ok;
}

bool load_picture(const char *path, int64_t resolution, bool center_crop, Image *out, Messages *errors,
                  Messages *warnings) {
    PictureSize size = { 0 };
    bool ok = picture_load(path, (int)resolution, center_crop, out, &size, errors);
    warn_of_size(path, size, resolution, center_crop, false, warnings);
    return ok;
}

/* Checks before the work */

int64_t model_side(const Model *m) { return m->unet.config.sample_size * vae_factor(&m->vae.config); }

bool check_side(const Model *m, const char *option, int64_t least, int64_t *side, Messages *errors,
                Messages *warnings) {
    int64_t multiple = max_i64(8, vae_factor(&m->vae.config)), own = model_side(m);
    if (*side == 0) *side = own;
    if (*side == own) return true;
    if (*side % multiple != 0 || *side < least)
        return messages_add(errors, "%s %lld: must be a multiple of %lld, %lld at least", option,
                            (long long)*side, (long long)multiple, (long long)max_i64(least, multiple));
    if (warnings)
        messages_add(warnings, "%s %lld: the model was made for %lld", option, (long long)*side,
                     (long long)own);
    return true;
}

bool check_resolution(const Model *m, int64_t *resolution, Messages *errors, Messages *warnings) {
    return check_side(m, "--resolution", 64, resolution, errors, warnings);
}

bool check_trainable(const Model *m, Messages *errors) {
    return m->noise_schedule.config.prediction != PREDICT_SAMPLE ||
           messages_add(
               errors,
               "%s: its scheduler's prediction_type is sample (the UNet predicts the picture): such a model "
               "draws, and a word can be learned with epsilon and v_prediction alone",
               m->folder.path);
}

bool check_steps(const Model *m, const char *option, int64_t steps, Messages *errors) {
    char *fault = ddim_fault(&m->noise_schedule, steps);
    bool ok = !fault || messages_add(errors, "%s %lld: %s", option, (long long)steps, fault);
    free(fault);
    return ok;
}

bool check_loss(double loss, TrainingStep *ran, const char *before, const char *hint, Messages *errors) {
    if (isfinite(loss)) return true;
    bool too_large;
    char *where = training_step_not_finite(ran, &too_large);
    messages_add(errors, "%sthe loss is not finite: %s%s", before, where, too_large ? hint : "");
    free(where);
    return false;
}

bool get_arena(Arena *arena, int64_t bytes, Messages *errors) {
    return arena_allocate(arena, bytes) ||
           messages_add(errors,
                        "out of memory: the plan needs %.0f MB (try a smaller --resolution or --batch)",
                        (double)bytes / 1e6);
}

bool may_make(const char *path, bool force, Messages *errors) {
    struct stat status;
    if (force || lstat(path, &status) != 0) return true;
    return messages_add(errors, "%s: exists already (--force replaces it)", path);
}

bool may_write(const char *path, bool force, Messages *errors) {
    return output_possible(path, errors) && may_make(path, force, errors);
}
