/* SPDX-License-Identifier: MIT */
/* The scores by which the paper judges a word (Gal et al. 2022, section 5.2): in CLIP's space, how alike
   the pictures drawn with it are to the concept, and how well they obey the rest of the prompt.

   g_i are the features of the n drawn pictures, r_j of the m training pictures, and t that of the prompt's
   text without the word. All have F numbers and the length 1, so that a cosine is an inner product. */
#ifndef TI_SCORES_H
#define TI_SCORES_H

#include "tensor/tensor.h"

/* A score and its standard error by the jackknife, which is NAN for a single picture. With s_(i) the score
   without picture i, and s_() the mean of all s_(i),

       error^2 = (n - 1) / n  sum_i (s_(i) - s_())^2

   For a mean of n numbers this is their standard deviation divided by sqrt(n). */
typedef struct {
    double value, error;
} Score;

/* Returns mean_ij <g_i, r_j>, the similarity to the concept: pictures [n, F], training [m, F]. */
Score score_images(const float *pictures, int64_t n, const float *training, int64_t m, int64_t width);

/* Return the similarity to the text [F]. The paper and its code differ: the paper takes the cosine of the
   mean feature, <sum_i g_i, t> / |sum_i g_i|, and the code the mean of the cosines, mean_i <g_i, t>. The
   code's is the paper's times the length of the mean feature, which is below 1 unless all pictures are
   alike. */
Score score_text_of_mean(const float *pictures, int64_t n, const float *text, int64_t width);
Score score_text(const float *pictures, int64_t n, const float *text, int64_t width);

/* Returns the mean of scores of pictures that were drawn independently, such as those of several prompts. */
Score score_mean(const Score *scores, int64_t count);

#endif
