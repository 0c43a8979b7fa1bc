/* `ti generate`: draws pictures from a prompt. */
#include "cli/generate.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/machine.h"
#include "cli/memory.h"
#include "cli/profile.h"
#include "cli/progress.h"
#include "cli/sheet.h"
#include "nn/drawing.h"
#include "tensor/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    GenerateOptions o;
    int threads;
    MemoryLimit memory;
    Model model;
    Words words;
    Drawing *drawing;
    Arena arena;
    Image *images; /* [count] */
    Progress progress;
    Profile profile;
} Generation;

/* out.png -> out.png for one picture, out-1.png ... for several */
static char *picture_path(const GenerateOptions *o, int64_t i, const char *what) {
    size_t stem = strlen(o->out);
    if (stem > 4 && strcmp(o->out + stem - 4, ".png") == 0) stem -= 4;
    if (what) return mem_format("%.*s-%s.png", (int)stem, o->out, what);
    if (o->count == 1) return mem_format("%.*s.png", (int)stem, o->out);
    return mem_format("%.*s-%lld.png", (int)stem, o->out, (long long)i + 1);
}

static bool check_outputs(const GenerateOptions *o, Messages *errors) {
    bool ok = true;
    for (int64_t i = 0; i < o->count + (o->grid ? 1 : 0); i++) {
        char *path = picture_path(o, i, i == o->count ? "grid" : NULL);
        ok = may_write(path, o->force, errors) && ok;
        free(path);
    }
    return ok;
}

static bool show_step(void *user, int64_t done, int64_t steps) {
    Generation *g = user;
    char left[DURATION_TEXT];
    progress_show(&g->progress, done == steps, "denoising %lld/%lld  %.3f s/step  %s left", (long long)done,
                  (long long)steps, progress_elapsed(&g->progress) / (double)done,
                  duration_text(progress_left(&g->progress, done, steps), left));
    if (done == steps) folder_forget(&g->model.folder); /* only the decoder's are needed now */
    return true;
}

static void keep_picture(void *user, int64_t i, const float *picture) {
    Generation *g = user;
    image_from_floats(picture, &g->images[i]);
}

/* Tells what the run will take, before any work, and gets it. */
static bool allocate(Generation *g, Messages *errors, Messages *warnings) {
    int64_t bytes = drawing_bytes(g->drawing, g->threads),
            pictures = 3 * g->o.count * g->o.width * g->o.height;
    MemoryNeed need = memory_of_drawing(g->drawing, g->threads);
    need.buffers += pictures;
    if (!memory_check(&need, &g->memory, "a smaller --width and --height", errors, warnings)) return false;
    report(&(Messages) { 0 }, warnings);
    memory_tell(&need, &g->memory, g->threads);
    g->images = mem_alloc((size_t)g->o.count * sizeof *g->images);
    for (int64_t i = 0; i < g->o.count; i++)
        if (!image_new((int)g->o.width, (int)g->o.height, &g->images[i], errors)) return false;
    if (!arena_allocate(&g->arena, bytes, errors)) return false;
    drawing_bind(g->drawing, &g->arena, g->threads);
    return true;
}

static bool write_pictures(const Generation *g, Messages *errors) {
    for (int64_t i = 0; i < g->o.count; i++) {
        char *path = picture_path(&g->o, i, NULL);
        bool ok = image_write_png(path, &g->images[i], errors);
        if (ok) printf("%s\n", path);
        free(path);
        if (!ok) return false;
    }
    if (!g->o.grid) return true;
    char *path = picture_path(&g->o, 0, "grid");
    bool ok = sheet_write_grid(path, g->o.prompt, g->images, g->o.count, errors);
    if (ok) printf("%s\n", path);
    free(path);
    return ok;
}

static bool draw(Generation *g, Messages *errors, Messages *warnings) {
    DrawingOptions options = {
        .count = g->o.count,
        .steps = g->o.steps,
        .height = g->o.height,
        .width = g->o.width,
        .guidance = (float)g->o.guidance,
        .eta = (float)g->o.eta,
        .seed = (uint64_t)g->o.seed,
    };
    const Model *m = &g->model;
    g->drawing = drawing_new(&m->clip, &m->unet, &m->vae, &m->diffusion, g->words.rows, g->words.vectors,
                             tokenizer_max_length(m->tokenizer), options, (PlanOptions) { 0 }, errors);
    if (!g->drawing) return false;
    int32_t *ids = prompt_ids(m, g->o.prompt, warnings);
    int32_t *negative = prompt_ids(m, g->o.negative ? g->o.negative : "", warnings);
    bool ok = allocate(g, errors, warnings);
    if (ok) {
        if (g->o.profile) {
            profile_start(&g->profile);
            graph_trace(drawing_graph(g->drawing), &g->profile.trace);
        }
        g->progress = progress_new();
        drawing_run(g->drawing, ids, negative, &(DrawingEvents) { show_step, keep_picture, g });
        if (g->o.profile) profile_print(&g->profile, g->o.steps);
        char text[BYTES_TEXT];
        fprintf(stderr, "ti: peak memory %s\n", bytes_text(machine_peak_memory(), text));
        ok = write_pictures(g, errors);
    }
    free(ids);
    free(negative);
    return ok;
}

static bool prepare(Generation *g, Messages *errors, Messages *warnings) {
    if (!check_outputs(&g->o, errors)) return false;
    char *path = find_model(g->o.model, errors);
    bool ok = path && open_model(path, g->o.prediction, &g->model, errors, warnings) &&
              generate_options_complete(&g->o, path, errors);
    free(path);
    if (!ok) return false;
    for (int64_t i = 0; i < g->o.embeddings.count; i++)
        words_load(&g->words, &g->model, g->o.embeddings.items[i], errors);
    if (check_side(&g->model, "--width", 0, &g->o.width, errors))
        resolution_word(&g->model, "--width", g->o.width, warnings);
    if (check_side(&g->model, "--height", 0, &g->o.height, errors))
        resolution_word(&g->model, "--height", g->o.height, warnings);
    machine_check_blas(warnings);
    return errors->count == 0;
}

int generate_command(int argc, char *const argv[]) {
    Messages errors = { 0 }, warnings = { 0 };
    Generation *g = mem_alloc(sizeof *g);
    int status;
    if (usage_ok(&GENERATE_COMMAND, generate_options_parse(&g->o, argc, argv, &errors), &errors, &status)) {
        g->threads = machine_start(g->o.threads);
        bool ok = memory_limit_parse(g->o.memory, &g->memory, &errors) && prepare(g, &errors, &warnings) &&
                  draw(g, &errors, &warnings);
        ok = console_finish(&errors) && ok;
        report(&errors, &warnings);
        status = ok ? 0 : 1;
    }
    for (int64_t i = 0; g->images && i < g->o.count; i++) image_free(&g->images[i]);
    free(g->images);
    drawing_free(g->drawing);
    arena_free(&g->arena);
    words_free(&g->words);
    model_close(&g->model);
    generate_options_free(&g->o);
    free(g);
    messages_free(&errors);
    return status;
}
