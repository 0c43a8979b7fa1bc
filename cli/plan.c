/* `ti plan`: what a training step and a drawing do and need. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/plan_report.h"
#include "tensor/threads.h"

typedef struct {
    Given given;
    char *model, *vae;
    int64_t resolution, batch, vectors, threads;
    bool summary, json;
} PlanValues;

#define AT(field) offsetof(PlanValues, field)
static const Option OPTIONS[] = {
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    RESOLUTION_OPTION(AT(resolution), "side of the pictures"),
    { "batch", OPTION_INT, AT(batch), "N", 1, 1024, .standard = "1", .shown = "what ti train takes",
      .reason = "so that it is planned as it is run", .help = "pictures in a training step" },
    { "vectors", OPTION_INT, AT(vectors), "N", 1, 64, .standard = "1", .reason = "what ti train takes",
      .help = "rows that are learned" },
    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .shown = "the physical cores",
      .reason = "what ti train takes", .help = "threads, each of which needs a workspace" },
    { "summary", OPTION_FLAG, AT(summary), .help = "leave the lists of nodes out" },
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
    PlanRequest request = { .batch = o->batch, .vectors = o->vectors, .nodes = !o->summary, .json = o->json };
    if (check_resolution(&m, &o->resolution, errors, NULL) && errors->count == 0) {
        request.resolution = o->resolution;
        plan_report(&m, &request, threads, NULL);
    }
    model_close(&m);
    return 0;
}

const Command PLAN_COMMAND = {
    .name = "plan",
    .brief = "what a training step and a drawing do and need",
    .summary = "Shows what a training step and a drawing do and need, without doing it: memory, arithmetic, "
               "what recomputation would save, and every node with its output, bytes and GFLOP.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(PlanValues),
    .examples = "  ti plan --summary\n"
                "  ti plan --model stable-diffusion-v1-5 --resolution 512 --batch 2\n",
    .run = plan,
};
