/* SPDX-License-Identifier: MIT */
#include "inversion/state.h"

#include "inversion/ranks.h"
#include "io/file.h"
#include "weights/sealed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reading and writing share one list of fields, the function fields(). Each ..._field function writes its
   value when a file is written, and replaces the value when a file is read. */
enum { FIELDS_MAX = 48 };
typedef struct {
    const Safetensors *file;       /* the file that is read, or NULL when one is written */
    const char *names[FIELDS_MAX]; /* the names of all fields so far */
    int64_t count;
    bool wrong; /* when reading: whether a field is missing, or has a value that is never written */
    /* When writing: the tensors and the metadata so far. */
    SafeTensor tensors[FIELDS_MAX];
    const char *metadata[FIELDS_MAX][2];
    int64_t tensor_count, pairs;
} Fields;

/* Writes or reads a number as text. When writing, the text is kept until state_write frees it. When reading,
   returns the file's text, or "" if the file has no such name. */
static const char *text_field(Fields *f, const char *name, char *text) {
    CHECK(f->count < FIELDS_MAX);
    f->names[f->count++] = name;
    if (!f->file) {
        f->metadata[f->pairs][0] = name;
        f->metadata[f->pairs++][1] = text;
        return text;
    }
    const char *found = safetensors_metadata(f->file, name);
    f->wrong = f->wrong || !found;
    return found ? found : "";
}

static void whole_field(Fields *f, const char *name, int64_t *value) {
    char *end;
    const char *text = text_field(f, name, f->file ? NULL : mem_format("%lld", (long long)*value));
    if (!f->file) return;
    *value = strtoll(text, &end, 10);
    f->wrong = f->wrong || end == text || *end;
}

static void hash_field(Fields *f, const char *name, uint64_t *value) {
    char *end;
    const char *text =
        text_field(f, name, f->file ? NULL : mem_format("%016llx", (unsigned long long)*value));
    if (!f->file) return;
    *value = strtoull(text, &end, 16);
    f->wrong = f->wrong || end == text || *end;
}

/* A double that was written with 17 digits becomes the same double when it is read. */
static void real_field(Fields *f, const char *name, double *value) {
    char *end;
    const char *text = text_field(f, name, f->file ? NULL : mem_format("%.17g", *value));
    if (!f->file) return;
    *value = strtod(text, &end);
    f->wrong = f->wrong || end == text || *end;
}

/* Writes or reads a tensor of numbers of `size` bytes: [count], or [count, 2] if pairs is true. When reading,
   returns the file's data, or NULL if the tensor does not fit. *count < 0 accepts any number of elements, and
   becomes the number in the file. */
static const void *tensor_field(Fields *f, const char *name, const char *dtype, int64_t *count, bool pairs,
                                size_t size, const void *data) {
    CHECK(f->count < FIELDS_MAX);
    f->names[f->count++] = name;
    if (!f->file) {
        Shape shape = pairs ? shape2(*count, 2) : shape1(*count);
        f->tensors[f->tensor_count++] =
            (SafeTensor) { .weight = { .name = name, .shape = shape, .data = data },
                           .dtype = dtype,
                           .size = (size_t)shape_count(shape) * size };
        return NULL;
    }
    const SafeTensor *t = safetensors_find(f->file, name);
    bool fits = t && strcmp(t->dtype, dtype) == 0 && t->weight.shape.rank == 1 + pairs &&
                (*count < 0 || t->weight.shape.dim[0] == *count) && (!pairs || t->weight.shape.dim[1] == 2);
    f->wrong = f->wrong || !fits;
    if (!fits) return NULL;
    *count = t->weight.shape.dim[0];
    return t->weight.data;
}

/* Does the same for an array of the state. When reading, returns an allocated copy of the file's data. */
static void *array_field(Fields *f, const char *name, const char *dtype, int64_t *count, bool pairs,
                         size_t size, void *data) {
    const void *found = tensor_field(f, name, dtype, count, pairs, size, data);
    if (!f->file) return data;
    size_t bytes = found ? (size_t)*count * size * (pairs ? 2 : 1) : 0;
    void *own = mem_alloc(bytes);
    if (bytes) memcpy(own, found, bytes);
    return own;
}

static float *floats_field(Fields *f, const char *name, RunState *s, float *data) {
    return array_field(f, name, "F32", &s->count, false, sizeof *data, data);
}

static void twister_fields(Fields *f, const char *word, const char *next, Twister *t) {
    int64_t count = TWISTER_WORDS, at = t->next;
    const void *found = tensor_field(f, word, "U32", &count, false, sizeof *t->word, t->word);
    if (found) memcpy(t->word, found, sizeof t->word);
    whole_field(f, next, &at);
    f->wrong = f->wrong || at < 0 || at > TWISTER_WORDS;
    t->next = (uint32_t)at;
}

static void bool_field(Fields *f, const char *name, bool *value) {
    int64_t number = *value;
    whole_field(f, name, &number);
    f->wrong = f->wrong || number < 0 || number > 1;
    *value = number == 1;
}

/* The fields of early stopping, which are all in the file or none. */
static void early_stop_fields(Fields *f, RunState *s) {
    EarlyStop *stop = &s->stop;
    bool has = f->file ? safetensors_metadata(f->file, "stop.every") != NULL : stop->every > 0;
    if (!has) return;
    if (f->file) stop->count = -1;
    whole_field(f, "stop.every", &stop->every);
    whole_field(f, "stop.window", &stop->window);
    real_field(f, "stop.threshold", &stop->threshold);
    bool_field(f, "stop.last_best", &stop->last_best);
    stop->losses =
        array_field(f, "stop.losses", "F64", &stop->count, false, sizeof *stop->losses, stop->losses);
    stop->best = floats_field(f, "stop.best", s, stop->best);
    stop->elements = s->count;
}

/* The names are those in the file; "rows" are the learned vectors. */
static void fields(Fields *f, RunState *s) {
    RunIdentity *i = &s->identity;
    if (f->file) s->count = s->points = i->picture_count = -1;
    hash_field(f, "options", &i->options);
    hash_field(f, "prompts", &i->prompts);
    hash_field(f, "text_encoder", &i->text_encoder);
    hash_field(f, "unet", &i->unet);
    hash_field(f, "vae", &i->vae);
    i->pictures =
        array_field(f, "pictures", "U64", &i->picture_count, false, sizeof *i->pictures, i->pictures);
    bool_field(f, "finished", &s->finished);
    whole_field(f, "step", &s->step);
    whole_field(f, "steps", &s->steps);
    whole_field(f, "taken", &s->taken);
    bool has_normal = s->torch.has_normal != 0;
    twister_fields(f, "torch", "torch.next", &s->torch.twister);
    bool_field(f, "torch.has_normal", &has_normal);
    s->torch.has_normal = has_normal;
    real_field(f, "torch.normal", &s->torch.normal);
    twister_fields(f, "python", "python.next", &s->python);
    whole_field(f, "gathered", &s->gathered);
    s->learned = floats_field(f, "rows", s, s->learned);
    s->initial = floats_field(f, "initial", s, s->initial);
    s->m = floats_field(f, "adamw.m", s, s->m);
    s->v = floats_field(f, "adamw.v", s, s->v);
    s->accumulated = floats_field(f, "accumulated", s, s->accumulated);
    whole_field(f, "losses", &s->records);
    whole_field(f, "losses.bytes", &s->losses_bytes);
    hash_field(f, "losses.hash", &s->losses_hash);
    s->grid = array_field(f, "grid", "F64", &s->points, true, sizeof *s->grid, s->grid);
    real_field(f, "first_loss", &s->first_loss);
    early_stop_fields(f, s);
}

RunState state_of(const Loop *l) {
    return (RunState) {
        .step = l->step,
        .taken = l->dataset.taken,
        .torch = l->dataset.epoch_torch,
        .python = l->dataset.epoch_python,
        .gathered = l->gathered,
        .count = l->adamw.count,
        .learned = l->data.learned,
        .m = l->adamw.m,
        .v = l->adamw.v,
        .accumulated = l->accumulated,
    };
}

static bool damaged(const char *path, Messages *errors) {
    return messages_add(errors,
                        "%s: is damaged, so the run cannot be resumed from it (without this file it begins "
                        "with its first step)",
                        path);
}

bool state_fits(const RunState *s, const Loop *l, const char *path, Messages *errors) {
    return (s->count == l->adamw.count && s->taken <= dataset_batches(&l->dataset) &&
            s->step <= l->options.steps && s->gathered < l->options.accumulate) ||
           damaged(path, errors);
}

void state_restore(const RunState *s, Loop *l) {
    CHECK_EQ(s->count, l->adamw.count);
    size_t bytes = (size_t)s->count * sizeof(float);
    memcpy(l->data.learned, s->learned, bytes);
    memcpy(l->adamw.m, s->m, bytes);
    memcpy(l->adamw.v, s->v, bytes);
    memcpy(l->accumulated, s->accumulated, bytes);
    l->gathered = s->gathered;
    loop_resume(l, &s->torch, &s->python, s->taken, s->step);
}

bool state_write(const char *path, const RunState *s, Messages *errors) {
    Fields f = { 0 };
    RunState copy = *s;
    fields(&f, &copy);
    bool ok =
        sealed_write(path, f.tensors, f.tensor_count, (const char *const(*)[2])f.metadata, f.pairs, errors);
    for (int64_t i = 0; i < f.pairs; i++) free((char *)(uintptr_t)f.metadata[i][1]);
    return ok;
}

/* Whether there is a loss for each evaluation up to this step. The one of the step itself may be missing,
   when the run was interrupted there. */
static bool plausible_stop(const EarlyStop *stop, int64_t step) {
    if (stop->every <= 0 || stop->window < 2 || !(stop->threshold > 0)) return false;
    int64_t evaluations = step / stop->every + 1;
    return stop->count > 0 &&
           (stop->count == evaluations || (stop->count == evaluations - 1 && step % stop->every == 0));
}

/* Whether a run can have this state: a checksum does not rule out a file that was made by hand. */
static bool plausible(const RunState *s) {
    return s->step >= 0 && s->taken >= 0 && s->gathered >= 0 && s->count > 0 && s->records >= 0 &&
           s->losses_bytes >= 0 && (!s->newer || s->steps > 0) && generator_valid(&s->torch) &&
           twister_valid(&s->python) && (s->stop.best == NULL || plausible_stop(&s->stop, s->step));
}

static bool read_fields(const char *path, const Safetensors *file, RunState *s, Messages *errors) {
    Fields f = { .file = file, .names = { "checksum" }, .count = 1 };
    fields(&f, s);
    s->newer = true;
    const char *unknown = safetensors_unknown(file, f.names, f.count);
    if (unknown)
        return messages_add(
            errors,
            "%s: contains \"%s\", which a later version of ti wrote; resume the run with that version", path,
            unknown);
    return (!f.wrong && plausible(s)) || damaged(path, errors);
}

bool state_parse(const char *path, const unsigned char *bytes, size_t size, RunState *s, Messages *errors) {
    *s = (RunState) { 0 };
    Safetensors file;
    Messages why = { 0 };
    int version = state_version(bytes, size);
    bool ok;
    if (version && version != 2)
        ok = messages_add(errors,
                          "%s: was written by another version of ti; resume the run with that version", path);
    else if (version)
        ok = (state_parse_2(bytes, size, s) && plausible(s)) || damaged(path, errors);
    else if (!sealed_intact(bytes, size) || !safetensors_parse(path, bytes, size, &file, &why))
        ok = damaged(path, errors);
    else {
        ok = read_fields(path, &file, s, errors);
        safetensors_close(&file);
    }
    messages_free(&why);
    if (!ok) state_free(s);
    return ok;
}

bool state_read(const char *path, RunState *s, Messages *errors) {
    File file;
    *s = (RunState) { 0 };
    if (!ranks_file_read(path, &file, errors)) return false;
    bool ok = state_parse(path, file.data, file.size, s, errors);
    file_close(&file);
    return ok;
}

void state_free(RunState *s) {
    free(s->identity.pictures);
    free(s->learned);
    free(s->m);
    free(s->v);
    free(s->accumulated);
    free(s->initial);
    free(s->grid);
    early_stop_free(&s->stop);
    *s = (RunState) { 0 };
}
