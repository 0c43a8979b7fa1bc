/* SPDX-License-Identifier: MIT */
/* What the weights of a prompt do to its context. */
#ifndef TI_EMPHASIS_H
#define TI_EMPHASIS_H

#include "text/prompt.h"

/* Applies the weights w [S] of one chunk to its context c [S, D]:

       A1111     c'_i = w_i c_i mean(c) / mean(w c)      the means are over the whole chunk
       ComfyUI   c'_i = e_i + w_i (c_i - e_i)            e [S, D] is the context of a chunk without text

   e is read for ComfyUI only. Under SYNTAX_PLAIN nothing changes. A1111 calls its rule "Original". */
void weight_context(PromptSyntax syntax, const float *weights, const float *empty, int64_t tokens,
                    int64_t width, float *context);

#endif
