/* SPDX-License-Identifier: MIT */
#include "weights/mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool words_mix(const MixPart *parts, int64_t count, Embeddings *sum, Messages *errors) {
    *sum = (Embeddings) { 0 };
    const Embedding *first = parts[0].word;
    for (int64_t i = 1; i < count; i++) {
        const Embedding *e = parts[i].word;
        if (e->vectors != first->vectors || e->width != first->width)
            return messages_add(errors, "\"%s\" is %lld x %lld numbers, but \"%s\" is %lld x %lld", e->token,
                                (long long)e->vectors, (long long)e->width, first->token,
                                (long long)first->vectors, (long long)first->width);
    }
    int64_t numbers = first->vectors * first->width;
    float *learned = mem_alloc((size_t)numbers * sizeof *learned);
    bool finite = true;
    for (int64_t k = 0; k < numbers; k++) {
        double x = 0;
        for (int64_t i = 0; i < count; i++) x += parts[i].factor * (double)parts[i].word->learned[k];
        learned[k] = (float)x;
        finite = finite && isfinite(learned[k]);
    }
    sum->words = mem_alloc(sizeof *sum->words);
    sum->count = 1;
    sum->words[0] = (Embedding) { .token = mem_string(first->token),
                                  .learned = learned,
                                  .vectors = first->vectors,
                                  .width = first->width };
    if (finite) return true;
    embeddings_free(sum);
    return messages_add(errors, "the sum of the words is not finite");
}

bool word_keep_rows(Embedding *e, const int64_t *rows, int64_t count, Messages *errors) {
    size_t size = (size_t)e->width * sizeof *e->learned;
    float *kept = mem_alloc((size_t)count * size);
    bool ok = true;
    for (int64_t i = 0; i < count && ok; i++) {
        ok = 0 <= rows[i] && rows[i] < e->vectors;
        if (ok)
            memcpy(kept + i * e->width, e->learned + rows[i] * e->width, size);
        else
            messages_add(errors, "there is no vector %lld: \"%s\" has the vectors 0 to %lld",
                         (long long)rows[i], e->token, (long long)e->vectors - 1);
    }
    free(ok ? e->learned : kept);
    if (!ok) return false;
    e->learned = kept;
    e->vectors = count;
    return true;
}

bool word_set_norm(Embedding *e, double norm, Messages *errors) {
    for (int64_t i = 0; i < e->vectors; i++) {
        float *row = e->learned + i * e->width;
        double squares = dot_product(row, row, e->width);
        if (squares == 0)
            return messages_add(errors, "vector %lld of \"%s\" is 0, and has no direction", (long long)i,
                                e->token);
        for (int64_t k = 0; k < e->width; k++) row[k] = (float)((double)row[k] * (norm / sqrt(squares)));
    }
    return true;
}
