/* SPDX-License-Identifier: MIT */
/* `ti plan`: shows what a training step and the sampling of a picture would compute, and how much memory they
   need. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/plan_report.h"
#include "tensor/threads.h"

typedef struct {
    Given given;
    char *model, *vae;
    Sides sides;
    int64_t batch, vectors, threads;
    int precision;
    bool summary, json;
} PlanValues;

#define AT(field) offsetof(PlanValues, field)
static const Option OPTIONS[] = {
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    SIDES_OPTIONS(AT(sides), "the side of the pictures, in pixels"),
    { "batch", OPTION_INT, AT(batch), "N", 1, 1024, .standard = "1", .shown = "the default of ti train",
      .reason = "so that the plan is that of a run", .help = "the number of pictures in a training step" },
    { "vectors", OPTION_INT, AT(vectors), "N", 1, 64, .standard = "1", .reason = "the default of ti train",
      .help = "the number of vectors that are learned" },
    PRECISION_OPTION(AT(precision)),
    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .shown = "the physical cores",
      .reason = "the default of ti train", .help = "the number of threads, each of which needs a workspace" },
    { "summary", OPTION_FLAG, AT(summary), .help = "leave out the lists of nodes" },
    { "json", OPTION_FLAG, AT(json), .help = "print JSON, for programs" },
};

static int plan(void *values, Messages *errors, Messages *warnings) {
    PlanValues *o = values;
    int threads = threads_start(o->threads);
    Model m;
    if (!open_model(o->model, o->vae, PREDICTION_UNUSED, &m, errors, warnings)) return 1;
    if (!options_given(&PLAN_COMMAND, o, "batch"))
        o->batch = options_model_default(&TRAIN_COMMAND, m.folder.path, "batch", errors);
    report_warnings(warnings);
    PlanRequest request = { .precision = (Precision)o->precision,
                            .batch = o->batch,
                            .vectors = o->vectors,
                            .nodes = !o->summary,
                            .json = o->json };
    if (check_sides(&m, &o->sides, errors, NULL) && errors->count == 0) {
        request.width = o->sides.width;
        request.height = o->sides.height;
        plan_report(&m, &request, threads, NULL);
    }
    model_close(&m);
    return 0;
}

const Command PLAN_COMMAND = {
    .name = "plan",
    .brief = "show the memory and arithmetic of training and of generating",
    .summary =
        "Shows what training and generating pictures would compute, without computing it: their memory, "
        "their arithmetic, what recomputation would save, and each node of the graphs with its output, "
        "bytes and GFLOP.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(PlanValues),
    .examples = "  ti plan --summary\n"
                "  ti plan --model stable-diffusion-v1-5 --resolution 512 --batch 2\n",
    .run = plan,
};
