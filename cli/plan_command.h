#ifndef TI_PLAN_COMMAND_H
#define TI_PLAN_COMMAND_H

#include "cli/options.h"
#include "nn/model.h"

#include <cjson/cJSON.h>

typedef struct {
    Given given;
    char *model;
    int64_t resolution, batch, vectors, threads;
    bool summary, json;
} PlanCommandOptions;

extern const Command PLAN_COMMAND;

/* `ti plan` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int plan_command(int argc, char *const argv[]);

/* Prints the report on an open model, with options->json as a document, which `time` is added to first (NULL: nothing is;
   else it is the document's then). False and a line where the model cannot draw pictures of that size. */
bool plan_report(const Model *m, const PlanCommandOptions *options, int threads, cJSON *time,
                 Messages *errors);

#endif
