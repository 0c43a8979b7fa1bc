/* `ti reconstruct`: a picture through the VAE and back, D(E(x)): the best that any word could make the model
   draw. */
#include "cli/reconstruct.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/machine.h"
#include "cli/posterior.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *in, *out, *model;
    int64_t resolution, threads;
    bool center_crop, force;
} ReconstructOptions;

#define AT(field) offsetof(ReconstructOptions, field)
static const Option OPTIONS[] = {
    { "in", OPTION_STRING, AT(in), "IN", .required = true, .positional = true, .help = "a picture" },
    { "out", OPTION_STRING, AT(out), "OUT.png", .required = true, .positional = true,
      .help = "the PNG to write" },
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "the embedded model",
      .reason = "it needs no download",
      .help = "Stable Diffusion 1.x or 2.x: a folder as diffusers lays it out, or one .safetensors file" },
    { "resolution", OPTION_INT, AT(resolution), "N", 0, 8192, .shown = "the model's own side",
      .reason = "what it was trained on", .help = "side of the square that the picture is resized to" },
    { "center-crop", OPTION_FLAG, AT(center_crop), .help = "cut the picture to its middle square first" },
    { "force", OPTION_FLAG, AT(force), .help = "write over a file that exists" },
    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .shown = "the physical cores",
      .reason = "a core's second thread slows the matrix products down", .help = "threads to compute with" },
};

const Command RECONSTRUCT_COMMAND = {
    .name = "reconstruct",
    .summary = "Puts a picture through the VAE and back, and prints the error: what of it the latents hold. "
               "No learned word can make the model draw it better than this.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples = "  ti reconstruct weights/critters/concepts/grum/1.png back.png\n",
};

static bool load_square(const ReconstructOptions *o, Image *square, Messages *errors, Messages *warnings) {
    Image full;
    if (!image_load(o->in, &full, errors)) return false;
    if (full.width != full.height && !o->center_crop)
        messages_add(warnings, "%s: %d x %d is squashed to a square (--center-crop takes its middle instead)",
                     o->in, full.width, full.height);
    bool ok = (!o->center_crop || image_crop_square(&full, errors)) &&
              image_resize(&full, (int)o->resolution, (int)o->resolution, square, errors);
    image_free(&full);
    return ok;
}

/* latents: their shape; rms: of the scaled ones. */
static bool encode_decode(const Model *m, const Image *in, Image *out, int threads, Shape *latents,
                          double *rms, Messages *errors) {
    Encoder encoder = encoder_new(&m->vae, in->width);
    *latents = encoder.moments->shape; /* [1, 2 L, h, w] */
    latents->dim[1] /= 2;
    int64_t count = shape_count(*latents);
    float *mean = mem_alloc((size_t)count * sizeof *mean);
    Graph *decoder = graph_new();
    Tensor *decoded = vae_decode(decoder, &m->vae, graph_leaf(decoder, "latents", *latents, mean, NULL));
    Plan plan = graph_plan(decoder, decoded, (PlanOptions) { 0 });
    Arena arena = { 0 };
    bool ok = arena_allocate(&arena, max_i64(plan_bytes(&encoder.plan, threads), plan_bytes(&plan, threads)),
                             errors);
    if (ok) {
        graph_bind(encoder.graph, &arena, threads);
        graph_bind(decoder, &arena, threads);
        image_to_floats(in, encoder.picture);
        graph_forward(encoder.graph);
        /* The posterior's mean. Its scaling_factor would cancel here, so that both are left out. */
        memcpy(mean, encoder.moments->data, (size_t)count * sizeof *mean);
        double squares = 0;
        for (int64_t i = 0; i < count; i++) squares += (double)mean[i] * mean[i];
        graph_forward(decoder);
        image_from_floats(decoded->data, out);
        *rms = sqrt(squares / (double)count) * (double)m->vae.config.scaling_factor;
    }
    arena_free(&arena);
    graph_free(decoder);
    free(mean);
    encoder_free(&encoder);
    return ok;
}

/* In steps of 8-bit values, over all pixels and colours. */
static void print_error(const Image *a, const Image *b) {
    int64_t count = 3 * (int64_t)a->width * a->height;
    double sum = 0, squares = 0;
    int largest = 0;
    for (int64_t i = 0; i < count; i++) {
        int d = abs(a->rgb[i] - b->rgb[i]);
        sum += d;
        squares += d * d;
        largest = d > largest ? d : largest;
    }
    printf("mean absolute error %.2f of 255, the largest %d\n", sum / (double)count, largest);
    printf("PSNR                %.2f dB\n", 10 * log10(255.0 * 255.0 / (squares / (double)count)));
}

static bool reconstruct(ReconstructOptions *o, Messages *errors, Messages *warnings) {
    if (!may_write(o->out, o->force, errors)) return false;
    int threads = machine_start(o->threads);
    char *path = find_model(o->model, errors);
    Model m;
    bool opened = path && model_open(path, &m, errors, warnings);
    free(path);
    if (!opened) return false;
    Image in = { 0 }, out = { 0 };
    bool ok = check_resolution(&m, &o->resolution, errors) && load_square(o, &in, errors, warnings) &&
              image_new(in.width, in.height, &out, errors);
    machine_check_blas(warnings);
    report(&(Messages) { 0 }, warnings);
    Shape latents;
    double rms;
    if (ok && encode_decode(&m, &in, &out, threads, &latents, &rms, errors) &&
        image_write_png(o->out, &out, errors)) {
        printf("latents             %lld x %lld x %lld of %d x %d x 3, rms %.3f when scaled (the UNet "
               "expects 1)\n",
               (long long)latents.dim[1], (long long)latents.dim[2], (long long)latents.dim[3], in.height,
               in.width, rms);
        print_error(&in, &out);
        printf("%s\n", o->out);
    }
    image_free(&in);
    image_free(&out);
    model_close(&m);
    return console_finish(errors) && errors->count == 0;
}

int reconstruct_command(int argc, char *const argv[]) {
    Messages errors = { 0 }, warnings = { 0 };
    ReconstructOptions o;
    int status;
    OptionsResult parsed = options_parse(&RECONSTRUCT_COMMAND, argc, argv, &o, &errors);
    if (usage_ok(&RECONSTRUCT_COMMAND, parsed, &errors, &status)) {
        status = reconstruct(&o, &errors, &warnings) ? 0 : 1;
        report(&errors, &warnings);
    }
    options_free(&RECONSTRUCT_COMMAND, &o);
    messages_free(&errors);
    return status;
}
