/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/common.h"

#include "cli/console.h"
#include "cli/signals.h"
#include "exchange/single.h"
#include "exchange/word_file.h"
#include "inversion/ranks.h"
#include "io/file.h"
#include "io/image_write.h"
#include "tensor/gemm_bf16.h"
#include "tensor/gemm.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Running a command */

static void print_lines(const char *prefix, const Messages *m) {
    for (const char *line = m->text; line && *line;) {
        const char *end = strchr(line, '\n');
        console_line(stderr, "ti: %s%.*s", prefix, (int)(end - line), line);
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
    bool joined = !c->ranks || ranks_start(signals_caught, &errors);
    if (ranks_own() > 0) console_silence();
    OptionsResult parsed = joined ? options_parse(c, argc, argv, options, &errors) : OPTIONS_WRONG;
    int status = 0;
    if (ranks_own() > 0 && parsed != OPTIONS_OK)
        status = 2; /* rank 0 says why */
    else if (parsed == OPTIONS_HELP || parsed == OPTIONS_HELP_ALL)
        options_help(c, parsed == OPTIONS_HELP_ALL, stdout);
    else if (errors.count == 0)
        status = c->run(options, &errors, &warnings);
    else
        status = 2;
    console_finish(&errors);
    if (!report(&errors, &warnings) && status != 2) status = 1;
    if (status == 2) console_line(stderr, "ti: see ti %s --help", c->name);
    status = ranks_end(status, &errors);
    options_free(c, options);
    free(options);
    messages_free(&errors);
    return status;
}

/* The model */

const char *const PRECISIONS[] = { "f32", "bf16", NULL };

void check_precision(Precision precision, Messages *warnings) {
    if (precision == PRECISION_BF16 && bf16_kernel() == BF16_PORTABLE)
        messages_add(
            warnings,
            "--precision bf16: this processor has no instructions for bfloat16 (AVX512-BF16), so f32 is "
            "faster here");
}

const char *const PREDICTIONS[] = { "auto", [1 + PREDICT_EPSILON] = "epsilon",
                                    [1 + PREDICT_V] = "v_prediction", NULL };

/* Returns the path of the model to use, which the caller frees: a copy of path, or the embedded model's path
   when path is NULL. Returns NULL and adds a message when the embedded model is not found. */
static char *find_model(const char *path, Messages *errors) {
    if (path) {
        console_line(stderr, "ti: model %s", path);
        return mem_string(path);
    }
    char *embedded = file_of_program(EMBEDDED_MODEL);
    if (embedded)
        console_line(stderr, "ti: the embedded model, %s (--model PATH opens another)", embedded);
    else
        messages_add(
            errors, "the embedded model is neither beside the program nor in ../share/ti: give --model PATH");
    return embedded;
}

bool open_model(const char *path, const char *vae, int prediction, Model *m, Messages *errors,
                Messages *warnings) {
    char *found = find_model(path, errors);
    ModelFolder folder;
    *m = (Model) { 0 };
    bool ok = found && exchange_open_model(found, vae, &folder, errors, warnings) &&
              model_open(folder, m, errors, warnings);
    if (ok && prediction > 0)
        model_set_prediction(m, (Prediction)(prediction - 1));
    else if (ok && prediction != PREDICTION_UNUSED && m->folder.prediction_guessed)
        messages_add(
            warnings,
            "%s: does not say what its UNet predicts, so it is taken for Stable Diffusion 2.x of 768 pixels, "
            "which predicts v (for a model of 512 pixels give --prediction epsilon)",
            found);
    free(found);
    return ok;
}

static bool any_has_text(const char *const prompts[], const char *token) {
    for (int i = 0; prompts[i]; i++)
        if (prompt_has_text(prompts[i], token)) return true;
    return false;
}

/* Adds a warning when no prompt uses a loaded word. The warning names a similarly spelt word, taken from the
   first prompt that has one. */
static void check_used(const Tokenizer *t, const Embedding *e, const char *const prompts[],
                       Messages *warnings) {
    for (int i = 0; prompts[i]; i++)
        if (prompt_uses(t, prompts[i], e->token)) return;
    char *near = NULL;
    for (int i = 0; prompts[i] && !near; i++) near = prompt_nearest(t, prompts[i], e->token);
    messages_add(warnings, "%s: no prompt uses the word \"%s\"%s%s%s", e->path, e->token,
                 near ? "; the most similar word in the prompts is \"" : "", near ? near : "",
                 near ? "\"" : "");
    free(near);
}

static bool load_word(Words *w, Tokenizer *t, const Embedding *e, Messages *errors) {
    char *path = text_for_shell(e->path);
    char *rename = mem_format("--embedding NAME=%s gives it another name for this run", path);
    bool ok = words_add(w, t, e->token, e->learned, e->vectors, e->width, e->path, rename, errors);
    char *token = console_text(e->token), *called = console_text(e->name_in_file ? e->name_in_file : "");
    if (ok)
        console_line(stderr, "ti: word \"%s\" (%lld vector%s) from %s%s%s%s", token, (long long)e->vectors,
                     e->vectors == 1 ? "" : "s", e->path, e->name_in_file ? ", where it is called \"" : "",
                     called, e->name_in_file ? "\"" : "");
    free(rename);
    free(path);
    free(token);
    free(called);
    return ok;
}

bool words_load(Words *w, Tokenizer *t, const char *source, const char *const prompts[], Messages *errors,
                Messages *warnings) {
    Embeddings words;
    bool ok = words_read(source, &words, errors, warnings);
    for (int64_t i = 0; i < words.count && ok; i++) {
        const Embedding *e = &words.words[i];
        if (e->optional) { /* For one of a folder's words, errors are only warnings. */
            if (!prompts || any_has_text(prompts, e->token)) load_word(w, t, e, warnings);
            continue;
        }
        ok = load_word(w, t, e, errors);
        if (ok && prompts) check_used(t, e, prompts, warnings);
    }
    embeddings_free(&words);
    return ok;
}

/* Pictures */

/* Whether the proportions differ by more than a tenth from those of the size to which a picture is resized,
   so that it looks squashed. */
static bool is_squashed(PictureSize s, PictureFit fit) {
    int64_t across = (int64_t)s.width * fit.height, down = (int64_t)s.height * fit.width;
    return 10 * min_i64(across, down) < 9 * max_i64(across, down);
}

static bool is_enlarged(PictureSize s, PictureFit fit) {
    return s.width > 0 && (s.width < fit.width || s.height < fit.height);
}

/* The beginning of a message about the pictures for which `holds` is true: "PATH: W x H is" for one picture,
   "N pictures, the first of them PATH (W x H), are" for several. Returns NULL when it is true for none. The
   caller frees the text. */
static char *which_pictures(const Pictures *p, bool (*holds)(PictureSize, PictureFit), PictureFit fit) {
    int64_t count = 0, first = 0;
    for (int64_t i = 0; p->sizes && i < p->count; i++) {
        if (!holds(p->sizes[i], fit)) continue;
        if (count++ == 0) first = i;
    }
    if (count == 0) return NULL;
    PictureSize s = p->sizes[first];
    if (count == 1) return mem_format("%s: %d x %d is", p->paths[first], s.width, s.height);
    return mem_format("%lld pictures, the first of them %s (%d x %d), are", (long long)count, p->paths[first],
                      s.width, s.height);
}

static void warn_of_squashed(const Pictures *p, PictureFit fit, Messages *warnings) {
    char *which = fit.center_crop ? NULL : which_pictures(p, is_squashed, fit);
    char *size =
        fit.width == fit.height ? mem_string("a square") : mem_format("%d x %d", fit.width, fit.height);
    if (which)
        messages_add(warnings, "%s squashed to %s (--center-crop takes the middle instead)", which, size);
    free(size);
    free(which);
}

static void warn_of_enlarged(const Pictures *p, PictureFit fit, Messages *warnings) {
    char *which = which_pictures(p, is_enlarged, fit);
    if (which)
        messages_add(warnings, "%s smaller than the resolution and enlarged to %d x %d", which, fit.width,
                     fit.height);
    free(which);
}

bool list_pictures(const char *folder, PictureFit fit, Pictures *out, Messages *errors, Messages *warnings) {
    bool ok = pictures_list(folder, fit, out, errors, warnings);
    warn_of_squashed(out, fit, warnings);
    warn_of_enlarged(out, fit, warnings);
    return ok;
}

bool load_pictures(const char *folder, PictureFit fit, Pictures *out, Messages *errors, Messages *warnings) {
    return list_pictures(folder, fit, out, errors, warnings) && pictures_read(out, fit, errors);
}

bool load_picture(const char *path, PictureFit fit, Image *out, Messages *errors, Messages *warnings) {
    char *name = mem_string(path);
    PictureSize size = { 0 };
    bool ok = picture_load(path, fit, out, &size, errors);
    warn_of_squashed(&(Pictures) { 1, &name, &size, NULL }, fit, warnings);
    free(name);
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
        return messages_add(errors, "%s %lld: must be a multiple of %lld and at least %lld", option,
                            (long long)*side, (long long)multiple, (long long)max_i64(least, multiple));
    if (warnings)
        messages_add(warnings, "%s %lld: the model was made for %lld", option, (long long)*side,
                     (long long)own);
    return true;
}

/* Checks a side that may differ from the resolution. */
static bool check_other(const Model *m, const char *option, const Sides *s, int64_t *side, Messages *errors,
                        Messages *warnings) {
    if (*side == 0) *side = s->resolution;
    return *side == s->resolution || check_side(m, option, 64, side, errors, warnings);
}

bool check_sides(const Model *m, Sides *s, Messages *errors, Messages *warnings) {
    bool ok = check_side(m, "--resolution", 64, &s->resolution, errors, warnings);
    ok = check_other(m, "--width", s, &s->width, errors, warnings) && ok;
    return check_other(m, "--height", s, &s->height, errors, warnings) && ok;
}

PictureFit fit_of(const Sides *s, bool center_crop) {
    return (PictureFit) { (int)s->width, (int)s->height, center_crop };
}

bool check_trainable(const Model *m, Messages *errors) {
    return m->noise_schedule.config.prediction != PREDICT_SAMPLE ||
           messages_add(errors,
                        "%s: its scheduler's prediction_type is sample (the UNet predicts the picture): such "
                        "a model can generate pictures, but a word can be learned only with epsilon or "
                        "v_prediction",
                        m->folder.path);
}

bool set_clip_skip(Model *m, int64_t n, Messages *errors) {
    if (n > m->clip.config.layers)
        return messages_add(errors, "--clip-skip %lld: the text encoder has only %d layers", (long long)n,
                            m->clip.config.layers);
    clip_skip(&m->clip, (int)n);
    return true;
}

bool check_loss(double loss, TrainingStep *ran, const char *prefix, const char *hint, Messages *errors) {
    if (isfinite(loss)) return true;
    bool too_large;
    char *where = training_step_not_finite(ran, &too_large);
    messages_add(errors, "%sthe loss is not finite: %s%s", prefix, where, too_large ? hint : "");
    free(where);
    return false;
}

bool get_arena(Arena *arena, int64_t bytes, const char *smaller, Messages *errors) {
    if (!arena_allocate(arena, bytes))
        return messages_add(errors, "out of memory: the plan needs %.0f MB (try %s)", (double)bytes / 1e6,
                            smaller);
    return blas_reserve(omp_get_max_threads()) ||
           messages_add(errors,
                        "out of memory: OpenBLAS needs %d MB of address space for each thread (try fewer "
                        "--threads, or a higher ulimit -v)",
                        BLAS_BUFFER / 1000000);
}

bool check_picture_name(const char *option, const char *path, Messages *errors) {
    if (image_format(path) != WRITE_NONE) return true;
    return messages_add(
        errors,
        "%s %s: a picture cannot be written as '%s': its name must end in .png, .jpg or .jpeg, or have "
        "no ending, which gives a .png",
        option, path, strrchr(path, '.'));
}

bool may_make(const char *path, bool force, Messages *errors) {
    struct stat status;
    if (force || lstat(path, &status) != 0) return true;
    return messages_add(errors, "%s: exists already (--force replaces it)", path);
}

bool may_write(const char *path, bool force, Messages *errors) {
    return output_possible(path, errors) && may_make(path, force, errors);
}
