/* SPDX-License-Identifier: MIT */
/* `ti reconstruct`: encodes a picture x with the VAE and decodes its latents, which gives D(E(x)). No learned
   word can make the model generate the picture more closely than that. */
#include "autograd/finite.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/console.h"
#include "cli/progress.h"
#include "io/image_write.h"
#include "tensor/threads.h"
#include "inversion/posterior.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *in, *out, *model, *vae;
    Sides sides;
    int64_t threads;
    int precision;
    bool center_crop, force;
} ReconstructOptions;

#define AT(field) offsetof(ReconstructOptions, field)
static const Option OPTIONS[] = {
    { "in", OPTION_STRING, AT(in), "IN", .required = true, .positional = true,
      .help = "the picture to read (PNG, JPEG or BMP)" },
    { "out", OPTION_STRING, AT(out), "OUT", .required = true, .positional = true,
      .help = "the picture to write: a PNG, or a JPEG if the name ends in .jpg or .jpeg" },
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    SIDES_OPTIONS(AT(sides), "the side of the square that the picture is resized to, in pixels"),
    { "center-crop", OPTION_FLAG, AT(center_crop),
      .help = "first crop the picture to its middle, of the same shape" },
    { "force", OPTION_FLAG, AT(force), .help = "overwrite a file that exists" },
    PRECISION_OPTION(AT(precision)),
    THREADS_OPTION(AT(threads)),
};

/* Encodes and decodes a picture. Sets *latents to the shape [1, L, h, w] of the latents, and *rms to the root
   mean square of the latents that the UNet would get. */
static bool encode_decode(const Model *m, const Image *in, Image *out, PlanOptions plan_options, int threads,
                          Shape *latents, double *rms, Messages *errors) {
    Encoder encoder = encoder_new(&m->vae, in->height, in->width, plan_options);
    *latents = encoder.parameters->shape; /* [1, 2 L, h, w] */
    latents->dim[1] /= 2;
    int64_t count = shape_count(*latents);
    float *mean = mem_alloc((size_t)count * sizeof *mean);
    Graph *decoder = graph_new();
    Tensor *decoded = vae_decode(decoder, &m->vae, graph_leaf(decoder, "latents", *latents, mean, NULL));
    Plan plan = graph_plan(decoder, decoded, plan_options);
    Arena arena = { 0 };
    bool ok = get_arena(&arena, max_i64(plan_bytes(&encoder.plan, threads), plan_bytes(&plan, threads)),
                        "a smaller --resolution", errors);
    if (ok) {
        graph_bind(encoder.graph, &arena, threads);
        graph_bind(decoder, &arena, threads);
        image_to_floats(in, encoder.picture);
        Wait wait;
        Watch watch = wait_start(&wait, "VAE", encoder.plan.forward_flops + plan.forward_flops, NULL);
        watch_go_on(&watch, 0, 2);
        graph_forward(encoder.graph);
        ok = check_finite(encoder.graph, encoder.parameters, "the VAE's output for the picture", errors);
        /* The latents are the posterior's mean. The UNet gets them multiplied by scaling_factor, which the
           decoder would divide by again, so that both are left out here. */
        memcpy(mean, encoder.parameters->data, (size_t)count * sizeof *mean);
        double squares = 0;
        for (int64_t i = 0; i < count; i++) squares += (double)mean[i] * mean[i];
        watch_go_on(&watch, 1, 2);
        graph_forward(decoder);
        ok = ok && check_finite(decoder, decoded, "the picture that the VAE decodes", errors);
        watch_go_on(&watch, 2, 2);
        image_from_floats(decoded->data, out);
        *rms = sqrt(squares / (double)count) * (double)m->vae.config.scaling_factor;
    }
    arena_free(&arena);
    graph_free(decoder);
    free(mean);
    encoder_free(&encoder);
    return ok;
}

/* Prints the difference of two pictures over all pixels and colours, in 8-bit values. */
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

static int reconstruct(void *options, Messages *errors, Messages *warnings) {
    ReconstructOptions *o = options;
    char *path = image_path(o->out, NULL); /* adds ".png" to a name without an ending */
    free(o->out);
    o->out = path;
    if (!may_write(o->out, o->force, errors)) return 1;
    int threads = threads_start(o->threads);
    Model m;
    if (!open_model(o->model, o->vae, PREDICTION_UNUSED, &m, errors, warnings)) return 1;
    Image in = { 0 }, out = { 0 };
    bool ok = check_sides(&m, &o->sides, errors, NULL) &&
              load_picture(o->in, fit_of(&o->sides, o->center_crop), &in, errors, warnings) &&
              image_new(in.width, in.height, &out, errors);
    threads_check_blas(warnings);
    check_precision((Precision)o->precision, warnings);
    report_warnings(warnings);
    Shape latents;
    double rms;
    if (ok &&
        encode_decode(&m, &in, &out, (PlanOptions) { .precision = (Precision)o->precision }, threads,
                      &latents, &rms, errors) &&
        folder_unchanged(&m.folder, errors) && image_write(o->out, &out, NULL, errors)) {
        printf("latents             %lld x %lld x %lld of %d x %d x 3, rms %.3f after scaling (the UNet "
               "expects 1)\n",
               (long long)latents.dim[1], (long long)latents.dim[2], (long long)latents.dim[3], in.height,
               in.width, rms);
        print_error(&in, &out);
        console_path(o->out);
    }
    image_free(&in);
    image_free(&out);
    model_close(&m);
    return 0;
}

static void check(void *options, Messages *errors) {
    const ReconstructOptions *o = options;
    if (errors->count == 0) check_picture_name("OUT", o->out, errors);
}

const Command RECONSTRUCT_COMMAND = {
    .name = "reconstruct",
    .brief = "send a picture through the VAE and back",
    .summary = "Encodes a picture with the VAE, decodes its latents, and prints the error. This shows how "
               "much of the "
               "picture the latents hold: no learned word can make the model generate it more closely.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(ReconstructOptions),
    .examples = "  ti reconstruct weights/critters/concepts/grum/1.png back.png\n",
    .check = check,
    .run = reconstruct,
};
