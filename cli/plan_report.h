/* SPDX-License-Identifier: MIT */
/* The report of `ti plan` and of `ti train --dry-run`: what a training step and the sampling of a picture
   compute, and how much memory they need. The report is made from the plans of the graphs, which are
   not run. */
#ifndef TI_PLAN_REPORT_H
#define TI_PLAN_REPORT_H

#include "diffusion/model.h"
#include "io/json.h"

typedef struct {
    int64_t width, height, batch, vectors;
    Precision precision;
    int64_t reading; /* the bytes that reading the training pictures takes, or 0 when unknown */
    bool nodes;      /* whether to list the nodes of the graphs */
    bool json;       /* whether to print JSON */
} PlanRequest;

/* Prints the report on an open model. With request->json it is a JSON document that includes and then
   owns `time`, the estimate of a run's duration, which may be NULL. */
void plan_report(const Model *m, const PlanRequest *request, int threads, json_t *time);

#endif
