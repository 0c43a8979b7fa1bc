/* What a training step and a drawing compute and what memory they take, without computing anything. */
#ifndef TI_PLAN_REPORT_H
#define TI_PLAN_REPORT_H

#include "diffusion/model.h"
#include "io/json.h"

typedef struct {
    int64_t resolution, batch, vectors;
    int64_t reading;  /* the bytes that reading the training pictures takes, 0: not known */
    bool nodes, json; /* nodes: list them; json: as a document */
} PlanRequest;

/* Prints the report on an open model, with request->json as a document, which `time` is added to first (NULL:
   nothing is; else it is the document's then). */
void plan_report(const Model *m, const PlanRequest *request, int threads, json_t *time);

#endif
