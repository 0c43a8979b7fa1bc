/* Textual Inversion in one file (SPDX-License-Identifier: MIT)

   What is learned. A text-to-image model has never seen your cat. You show it a few pictures and want a word
   for it. A prompt is divided into tokens (words and parts of words), and the text encoder looks up one
   vector for each token. So a new word is a new vector v, and to learn the word is to find v. Nothing else
   changes: neither the text encoder, nor the denoiser, nor the autoencoder that makes pictures smaller. This
   is Textual Inversion (Gal et al. 2022, arXiv 2208.01618).

   How it is found. The denoiser of a latent diffusion model was trained on this question: given a picture z
   with noise eps mixed into it, and a text y that describes the picture, which noise is it? A text that
   describes the picture well makes the question easier. So v is good if the denoiser, which is shown your
   noisy pictures and told "a photo of a <my-cat>", makes small errors (equation 2 of the paper):

       v* = argmin_v  E  || eps - eps_theta(z_t, t, c_theta(y)) ||^2                                     (1)

   E is the mean over the pictures, the prompts, the noise and its amount t. One training step draws one of
   each at random, computes the gradient of the squared error with respect to v, and moves v against it.

   The symbols.

       y            a prompt with the new word in it, as S = 32 token ids
       v            the learned vector, D = 192 numbers: what the text encoder looks up for the new word
       e            [S, D], the vectors of all the prompt's tokens; one of its rows is v
       c_theta(y)   [S, D], the context: what the text encoder computes from e                     (part 4)
       z            [4, 16, 16], the latents: a picture of 64 x 64 pixels, made small by the autoencoder
       eps          [4, 16, 16], the noise: each number is drawn from the normal distribution N(0, 1)
       t            0 to 999, the timestep: how much noise is mixed in                             (part 6)
       z_t          [4, 16, 16], the noisy latents: z and eps, mixed
       eps_theta    [4, 16, 16], the denoiser's prediction of eps; the denoiser is a UNet          (part 5)
       loss         the mean of (eps_theta - eps)^2 over the 1024 numbers
       theta        the weights of both networks, 15 million numbers, which are frozen

   How to read this file. Read from top to bottom: numbers and files (1), the operations of which the networks
   are made (2), blocks of operations (3), the text encoder (4), the UNet (5), the loss (6), AdamW (7), the
   training loop (8) and three exercises (9). Each operation consists of two functions. NAME_forward computes
   y from x. NAME_backward is given the gradient d loss / d y and accumulates d loss / d x by the chain rule:

       d loss / d x_i  +=  sum_j  d loss / d y_j  d y_j / d x_i                                          (2)

   From here on dx is short for d loss / d x. Backward adds to dx rather than overwriting it, since x may be
   used in several places. The weights are frozen, so their gradients are never computed. In parts 2 and 3 the
   letters x, y, v, s and eps are local to each operation. All arithmetic is in double precision, by the
   plainest loops, for one example at a time. The program `ti` does the same with tiles, threads and planned
   memory, and is about 20 times faster even on one core. Each part ends with the place of ti's version.

   How to run it. `ti train --dump FOLDER` writes the inputs of a run's first steps (latents, noise, timesteps
   and token ids), so this file needs no tokenizer, autoencoder or pictures. In the repository's root:

       make ti plain
       ./ti train --images weights/critters/concepts/grum --token '<grum>' --init critter --batch 1 \
           --lr 5e-3 --schedule constant --seed 7 --dump out/dump
       build/plain out/dump out/plain.safetensors

   In about ten seconds this prints the losses of eight steps and writes the learned vector. The losses agree
   to six digits with those in out/run/losses.csv, which `ti train` writes with `--steps 8 --out out/run` in
   place of `--dump out/dump`. This file needs a C11 compiler and libm, and nothing else. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- 1. Numbers and files ---------------------------------------------------------------------------- */

/* The sizes of the embedded model, weights/critters. Stable Diffusion 1.5 has the same parts in larger sizes:
   77 tokens of 768 numbers, 12 layers in the text encoder, 320 to 1280 channels, latents of 64 x 64. */
enum {
    TOKENS = 32, /* S, the length to which prompts are padded */
    WIDTH = 192, /* D, of the text encoder's vectors and of the context */
    TEXT_LAYERS = 4,
    TEXT_HEADS = 4,
    LATENT_CHANNELS = 4,
    LATENT_SIDE = 16,
    LATENTS = LATENT_CHANNELS * LATENT_SIDE * LATENT_SIDE,
    LEVELS = 3, /* of the UNet: 64, 128 and 256 channels at 16 x 16, 8 x 8 and 4 x 4 pixels */
    UNET_HEADS = 2,
    GROUPS = 32, /* of each group norm */
    TIME_CHANNELS = 64,
    TIMESTEPS = 1000
};

/* A matrix x, stored row by row, and the gradient dx of the loss with respect to each of its numbers. A text
   has a row for each token. An image has a row for each channel, and its columns are the pixels, line by
   line, with `width` pixels in a line; width is 0 when the matrix is not an image. */
typedef struct {
    int rows, columns, width;
    double *x, *dx;
} Tensor;

/* A layer's frozen weights [out, in], or [out, in, kernel, kernel] for a convolution. `in` is 0 when the
   weight is a vector, as in a norm. bias is NULL when there is none. */
typedef struct {
    int out, in;
    double *weight, *bias;
} Layer;

static _Noreturn void fail(const char *what, const char *name) {
    fprintf(stderr, "plain: %s: %s\n", name, what);
    exit(1);
}

static double *numbers(size_t count) {
    double *x = calloc(count > 0 ? count : 1, sizeof *x);
    if (!x) fail("there is no memory", "numbers");
    return x;
}

/* Prepares a tensor for the forward function that writes it: allocates its memory in the first step, and sets
   its gradient to zero, to which the backward functions add. A tensor keeps its shape in all steps. */
static void shape(Tensor *t, int rows, int columns, int width) {
    size_t count = (size_t)rows * (size_t)columns;
    if (!t->x) {
        t->x = numbers(count);
        t->dx = numbers(count);
    }
    *t = (Tensor) { rows, columns, width, t->x, t->dx };
    memset(t->dx, 0, count * sizeof(double));
}

/* A safetensors file consists of eight bytes with the header's length, the header (JSON with each tensor's
   name, type, shape and offsets), and the numbers. Like the files, this program is little-endian. */
typedef struct {
    const char *path;
    char *header;
    unsigned char *data;
    size_t size; /* of data */
} File;

static File file_read(const char *folder, const char *name) {
    char *path = malloc(strlen(folder) + strlen(name) + 2);
    if (!path) fail("there is no memory", name);
    sprintf(path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    uint64_t length;
    if (!f || fread(&length, sizeof length, 1, f) != 1) fail("cannot be read", path);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f) - sizeof length;
    if (length > size) fail("is not a safetensors file", path);
    fseek(f, sizeof length, SEEK_SET);
    File file = { path, calloc(length + 1, 1), malloc(size - length + 1), size - length };
    if (!file.header || !file.data) fail("there is no memory", path);
    if (fread(file.header, 1, length, f) != length || fread(file.data, 1, size - length, f) != size - length)
        fail("cannot be read", path);
    fclose(f);
    return file;
}

static void file_free(File *f) {
    free((char *)(uintptr_t)f->path);
    free(f->header);
    free(f->data);
}

/* Converts an fp16 number, which has a sign bit, 5 bits of exponent and 10 bits of fraction. */
static double from_half(unsigned bits) {
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023) / 1024;
    double size = exponent ? ldexp(1 + fraction, exponent - 15) : ldexp(fraction, -14);
    return bits >> 15 ? -size : size;
}

/* Returns a tensor of the file, F16 or F32, in double precision, or NULL when the file has none of that name.
   `dim` gets the first two dimensions (0 for those that it lacks) and `count` the number of elements. */
static double *file_tensor(const File *f, const char *name, int dim[2], size_t *count) {
    char key[200];
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *entry = strstr(f->header, key);
    if (!entry) return NULL;
    const char *shape_text = strstr(entry, "\"shape\":["), *place = strstr(entry, "\"data_offsets\":[");
    unsigned long long begin, end;
    if (!shape_text || !place || sscanf(place + 16, "%llu , %llu", &begin, &end) != 2 || begin > end ||
        end > f->size)
        fail("has a header that is not understood", f->path);
    dim[0] = dim[1] = 0;
    sscanf(shape_text + 9, "%d , %d", &dim[0], &dim[1]);
    bool half = strncmp(strstr(entry, "\"dtype\":\"") + 9, "F16", 3) == 0;
    *count = (size_t)(end - begin) / (half ? 2 : 4);
    double *x = numbers(*count);
    for (size_t i = 0; i < *count; i++) {
        const unsigned char *p = f->data + begin + i * (half ? 2 : 4);
        float single;
        memcpy(&single, p, half ? 0 : 4);
        x[i] = half ? from_half((unsigned)(p[0] | p[1] << 8)) : (double)single;
    }
    return x;
}

/* Reads PREFIX.NAME.weight and, when the file has it, PREFIX.NAME.bias. */
static Layer layer(const File *f, const char *prefix, const char *name) {
    char full[160];
    int dim[2], ignored[2];
    size_t count;
    const char *dot = *prefix ? "." : "";
    snprintf(full, sizeof full, "%s%s%s.weight", prefix, dot, name);
    Layer l = { .weight = file_tensor(f, full, dim, &count) };
    if (!l.weight) fail("has no such weight", full);
    l.out = dim[0];
    l.in = dim[1];
    snprintf(full, sizeof full, "%s%s%s.bias", prefix, dot, name);
    l.bias = file_tensor(f, full, ignored, &count);
    return l;
}

/* In the program: weights/safetensors.c maps the file into memory and checks its header strictly, since it
   may come from anyone. weights/store.c finds weights by name and checks their shapes. They stay in the
   file's 16 bits, and weight_panel (tensor/tensor.c) converts a part to fp32 when an operation needs it. */

/* ---- 2. Operations ----------------------------------------------------------------------------------- */

/* The linear layer maps each row x of its input by itself.

       y_o = b_o + sum_i W_oi x_i                 dx_i += sum_o dy_o W_oi */
static void linear_forward(Tensor *y, const Tensor *x, const Layer *l) {
    shape(y, x->rows, l->out, 0);
    for (int r = 0; r < x->rows; r++)
        for (int o = 0; o < l->out; o++) {
            double sum = l->bias ? l->bias[o] : 0;
            for (int i = 0; i < l->in; i++) sum += l->weight[o * l->in + i] * x->x[r * l->in + i];
            y->x[r * l->out + o] = sum;
        }
}

static void linear_backward(const Tensor *y, Tensor *x, const Layer *l) {
    for (int r = 0; r < x->rows; r++)
        for (int o = 0; o < l->out; o++)
            for (int i = 0; i < l->in; i++)
                x->dx[r * l->in + i] += y->dx[r * l->out + o] * l->weight[o * l->in + i];
}

/* In a convolution, each output pixel is a weighted sum of the input pixels around it in all channels. Pixels
   beyond the edge count as zeros; `top` lines and `left` columns of zeros lie before the image. Channel o of
   the output at line i and column j is

       y[o][i][j] = b_o + sum_{c,p,q} W[o][c][p][q] x[c][stride i + p - top][stride j + q - left]

   Backward runs the same loops: wherever forward added w x to y, it adds w dy to dx. */
typedef struct {
    int kernel, stride, top, left, height, width; /* height and width are the output's */
} Geometry;

static void conv2d_forward(Tensor *y, const Tensor *x, const Layer *l, Geometry g) {
    int in_width = x->width, in_height = x->columns / in_width;
    shape(y, l->out, g.height * g.width, g.width);
    for (int o = 0; o < l->out; o++) {
        double *out = y->x + o * y->columns;
        for (int i = 0; i < y->columns; i++) out[i] = l->bias ? l->bias[o] : 0;
        for (int c = 0; c < l->in; c++)
            for (int p = 0; p < g.kernel; p++)
                for (int q = 0; q < g.kernel; q++) {
                    double w = l->weight[((o * l->in + c) * g.kernel + p) * g.kernel + q];
                    for (int i = 0; i < g.height; i++) {
                        int row = g.stride * i + p - g.top;
                        if (row < 0 || row >= in_height) continue;
                        const double *line = x->x + c * x->columns + row * in_width;
                        for (int j = 0; j < g.width; j++) {
                            int column = g.stride * j + q - g.left;
                            if (column >= 0 && column < in_width) out[i * g.width + j] += w * line[column];
                        }
                    }
                }
    }
}

static void conv2d_backward(const Tensor *y, Tensor *x, const Layer *l, Geometry g) {
    int in_width = x->width, in_height = x->columns / in_width;
    for (int o = 0; o < l->out; o++) {
        const double *dout = y->dx + o * y->columns;
        for (int c = 0; c < l->in; c++)
            for (int p = 0; p < g.kernel; p++)
                for (int q = 0; q < g.kernel; q++) {
                    double w = l->weight[((o * l->in + c) * g.kernel + p) * g.kernel + q];
                    for (int i = 0; i < g.height; i++) {
                        int row = g.stride * i + p - g.top;
                        if (row < 0 || row >= in_height) continue;
                        double *dline = x->dx + c * x->columns + row * in_width;
                        for (int j = 0; j < g.width; j++) {
                            int column = g.stride * j + q - g.left;
                            if (column >= 0 && column < in_width) dline[column] += w * dout[i * g.width + j];
                        }
                    }
                }
    }
}

/* Normalisation shifts and scales each group of n neighbouring numbers to mean 0 and variance 1. Then each
   number is scaled and shifted by the weight and the bias of its channel.

       mean = sum_i x_i / n                        variance = sum_i (x_i - mean)^2 / n
       h_i = (x_i - mean) / sqrt(variance + eps)   y_i = weight h_i + bias

   In a layer norm, a group is one token, and its channels are the columns. In a group norm, a group is all
   pixels of some neighbouring channels, and the channels are the rows. x_i also changes the mean and
   the variance, from which backward has its second and third term. With dh_i = dy_i weight:

       dx_i += (dh_i - sum_j dh_j / n - h_i sum_j dh_j h_j / n) / sqrt(variance + eps) */
typedef struct {
    int groups; /* 0 for a layer norm, which has one for each row */
    double eps; /* keeps the division finite; its value differs between the norms */
} Norm;

static const Norm LAYER_NORM = { 0, 1e-5 }, RESNET_NORM = { GROUPS, 1e-5 },
                  TRANSFORMER_NORM = { GROUPS, 1e-6 };

static void norm_statistics(const double *x, int n, double eps, double *mean, double *inverse) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    *mean = sum / n;
    for (int i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *inverse = 1 / sqrt(squares / n + eps);
}

static void norm_forward(Tensor *y, const Tensor *x, const Layer *l, Norm norm) {
    shape(y, x->rows, x->columns, x->width);
    int groups = norm.groups ? norm.groups : x->rows, n = x->rows * x->columns / groups;
    for (int g = 0; g < groups; g++) {
        double mean, inverse;
        norm_statistics(x->x + g * n, n, norm.eps, &mean, &inverse);
        for (int i = g * n; i < (g + 1) * n; i++) {
            int channel = norm.groups ? i / x->columns : i % x->columns;
            y->x[i] = l->weight[channel] * (x->x[i] - mean) * inverse + l->bias[channel];
        }
    }
}

static void norm_backward(const Tensor *y, Tensor *x, const Layer *l, Norm norm) {
    int groups = norm.groups ? norm.groups : x->rows, n = x->rows * x->columns / groups;
    for (int g = 0; g < groups; g++) {
        double mean, inverse, sum_dh = 0, sum_dh_h = 0;
        norm_statistics(x->x + g * n, n, norm.eps, &mean, &inverse);
        for (int i = g * n; i < (g + 1) * n; i++) {
            int channel = norm.groups ? i / x->columns : i % x->columns;
            double dh = y->dx[i] * l->weight[channel];
            sum_dh += dh;
            sum_dh_h += dh * (x->x[i] - mean) * inverse;
        }
        for (int i = g * n; i < (g + 1) * n; i++) {
            int channel = norm.groups ? i / x->columns : i % x->columns;
            double dh = y->dx[i] * l->weight[channel], h = (x->x[i] - mean) * inverse;
            x->dx[i] += inverse * (dh - sum_dh / n - h * sum_dh_h / n);
        }
    }
}

/* An activation maps each number by itself. With the sigmoid s = 1 / (1 + e^(-a x)):

       y = x s                                    dx += dy s (1 + a x (1 - s))

   With a = 1 this is SiLU, as in the UNet. With a = 1.702 it is quick-GELU, as in the text encoder. */
static const double SILU = 1, QUICK_GELU = 1.702;

static void activation_forward(Tensor *y, const Tensor *x, double a) {
    shape(y, x->rows, x->columns, x->width);
    for (int i = 0; i < x->rows * x->columns; i++) y->x[i] = x->x[i] / (1 + exp(-a * x->x[i]));
}

static void activation_backward(const Tensor *y, Tensor *x, double a) {
    for (int i = 0; i < x->rows * x->columns; i++) {
        double s = 1 / (1 + exp(-a * x->x[i]));
        x->dx[i] += y->dx[i] * s * (1 + a * x->x[i] * (1 - s));
    }
}

/* GEGLU multiplies u, the first half of each row, by the GELU of g, the second half. Phi is the distribution
   function of N(0, 1), and Phi' its density.

       y = u g Phi(g)               du += dy g Phi(g)         dg += dy u (Phi(g) + g Phi'(g)) */
static double normal_cdf(double x) { return 0.5 * (1 + erf(x / sqrt(2.0))); }

static double normal_density(double x) { return exp(-x * x / 2) / sqrt(2 * 3.14159265358979323846); }

static void geglu_forward(Tensor *y, const Tensor *x) {
    int half = x->columns / 2;
    shape(y, x->rows, half, 0);
    for (int r = 0; r < x->rows; r++)
        for (int i = 0; i < half; i++) {
            double u = x->x[r * x->columns + i], g = x->x[r * x->columns + half + i];
            y->x[r * half + i] = u * g * normal_cdf(g);
        }
}

static void geglu_backward(const Tensor *y, Tensor *x) {
    int half = x->columns / 2;
    for (int r = 0; r < x->rows; r++)
        for (int i = 0; i < half; i++) {
            double u = x->x[r * x->columns + i], g = x->x[r * x->columns + half + i];
            double dy = y->dx[r * half + i];
            x->dx[r * x->columns + i] += dy * g * normal_cdf(g);
            x->dx[r * x->columns + half + i] += dy * u * (normal_cdf(g) + g * normal_density(g));
        }
}

/* In attention, each token n of the queries q looks at all tokens s of the keys k, and gets a weighted mean
   of the values v_s (which are not the learned vector). A weight p_s is the larger, the better q_n and
   k_s agree. The columns are split into heads of d columns each, and each head computes this by itself:

       a_s = q_n . k_s / sqrt(d)       p_s = e^(a_s) / sum_r e^(a_r)       y_n = sum_s p_s v_s

   The text encoder's attention is causal: token n sees only tokens 0 to n. Backward:

       dv_s += p_s dy_n       dp_s = dy_n . v_s       da_s = p_s (dp_s - sum_r p_r dp_r)
       dq_n += sum_s da_s k_s / sqrt(d)               dk_s += da_s q_n / sqrt(d) */
typedef struct {
    const Tensor *q, *k, *v;
    int heads;
    bool causal;
} AttentionInputs;

/* Computes p of token n in the head that begins at column `first`. Returns how many tokens n sees. */
static int attention_row(const AttentionInputs *a, int n, int first, double *p) {
    int d = a->q->columns / a->heads, seen = a->causal ? n + 1 : a->k->rows;
    double highest = -INFINITY, sum = 0;
    for (int s = 0; s < seen; s++) {
        p[s] = 0;
        for (int i = first; i < first + d; i++)
            p[s] += a->q->x[n * a->q->columns + i] * a->k->x[s * a->k->columns + i] / sqrt((double)d);
        highest = fmax(highest, p[s]);
    }
    for (int s = 0; s < seen; s++) sum += p[s] = exp(p[s] - highest); /* without overflow */
    for (int s = 0; s < seen; s++) p[s] /= sum;
    return seen;
}

static void attention_forward(Tensor *y, AttentionInputs a) {
    int columns = a.q->columns, d = columns / a.heads;
    double *p = numbers((size_t)a.k->rows);
    shape(y, a.q->rows, columns, 0);
    for (int first = 0; first < columns; first += d)
        for (int n = 0; n < a.q->rows; n++) {
            int seen = attention_row(&a, n, first, p);
            for (int i = first; i < first + d; i++) {
                double sum = 0;
                for (int s = 0; s < seen; s++) sum += p[s] * a.v->x[s * columns + i];
                y->x[n * columns + i] = sum;
            }
        }
    free(p);
}

static void attention_backward(const Tensor *y, AttentionInputs a) {
    int columns = a.q->columns, d = columns / a.heads;
    double *p = numbers((size_t)a.k->rows), *dp = numbers((size_t)a.k->rows);
    for (int first = 0; first < columns; first += d)
        for (int n = 0; n < a.q->rows; n++) {
            int seen = attention_row(&a, n, first, p);
            const double *dy = y->dx + n * columns;
            double mean = 0; /* sum_r p_r dp_r */
            for (int s = 0; s < seen; s++) {
                dp[s] = 0;
                for (int i = first; i < first + d; i++) dp[s] += dy[i] * a.v->x[s * columns + i];
                mean += p[s] * dp[s];
            }
            for (int s = 0; s < seen; s++) {
                double da = p[s] * (dp[s] - mean) / sqrt((double)d);
                for (int i = first; i < first + d; i++) {
                    a.v->dx[s * columns + i] += p[s] * dy[i];
                    a.q->dx[n * columns + i] += da * a.k->x[s * columns + i];
                    a.k->dx[s * columns + i] += da * a.q->x[n * columns + i];
                }
            }
        }
    free(p);
    free(dp);
}

/* Adds two tensors of the same shape. Both get the gradient of the sum. */
static void add_forward(Tensor *y, const Tensor *a, const Tensor *b) {
    shape(y, a->rows, a->columns, a->width);
    for (int i = 0; i < a->rows * a->columns; i++) y->x[i] = a->x[i] + b->x[i];
}

static void add_backward(const Tensor *y, Tensor *a, Tensor *b) {
    for (int i = 0; i < a->rows * a->columns; i++) {
        a->dx[i] += y->dx[i];
        b->dx[i] += y->dx[i];
    }
}

/* Adds bias [1, C], one number for each channel, to all pixels of an image. Each number of the bias gets the
   sum of its pixels' gradients. */
static void add_channel_forward(Tensor *y, const Tensor *x, const Tensor *bias) {
    shape(y, x->rows, x->columns, x->width);
    for (int i = 0; i < x->rows * x->columns; i++) y->x[i] = x->x[i] + bias->x[i / x->columns];
}

static void add_channel_backward(const Tensor *y, Tensor *x, Tensor *bias) {
    for (int i = 0; i < x->rows * x->columns; i++) {
        x->dx[i] += y->dx[i];
        bias->dx[i / x->columns] += y->dx[i];
    }
}

/* Concatenates two images of the same size: the channels of a, then those of b. */
static void concat_forward(Tensor *y, const Tensor *a, const Tensor *b) {
    int first = a->rows * a->columns, second = b->rows * b->columns;
    shape(y, a->rows + b->rows, a->columns, a->width);
    for (int i = 0; i < first; i++) y->x[i] = a->x[i];
    for (int i = 0; i < second; i++) y->x[first + i] = b->x[i];
}

static void concat_backward(const Tensor *y, Tensor *a, Tensor *b) {
    int first = a->rows * a->columns, second = b->rows * b->columns;
    for (int i = 0; i < first; i++) a->dx[i] += y->dx[i];
    for (int i = 0; i < second; i++) b->dx[i] += y->dx[first + i];
}

/* Makes tokens [N, C] from an image [C, N] by transposing it, or an image from tokens. `width` is that of the
   result: 0 for tokens. The gradient is transposed back. */
static void transpose_forward(Tensor *y, const Tensor *x, int width) {
    shape(y, x->columns, x->rows, width);
    for (int r = 0; r < x->rows; r++)
        for (int c = 0; c < x->columns; c++) y->x[c * x->rows + r] = x->x[r * x->columns + c];
}

static void transpose_backward(const Tensor *y, Tensor *x) {
    for (int r = 0; r < x->rows; r++)
        for (int c = 0; c < x->columns; c++) x->dx[r * x->columns + c] += y->dx[c * x->rows + r];
}

/* Upsampling makes an image larger: each output pixel copies the nearest input pixel, and so an input pixel
   gets the sum of the gradients of its copies. PyTorch computes the index in fp32, which in rare sizes (from
   2 to 82 pixels, for example) picks another pixel than exact arithmetic would, and so does this. */
static int nearest(int i, int size, int in_size) {
    int source = (int)((float)i * ((float)in_size / (float)size));
    return source < in_size ? source : in_size - 1;
}

/* Returns the index of the input element that element i of the output copies. */
static int upsample_source(const Tensor *y, const Tensor *x, int i) {
    int height = y->columns / y->width, in_height = x->columns / x->width;
    int channel = i / y->columns, row = i % y->columns / y->width, column = i % y->width;
    return channel * x->columns + nearest(row, height, in_height) * x->width +
           nearest(column, y->width, x->width);
}

static void upsample_forward(Tensor *y, const Tensor *x, int height, int width) {
    shape(y, x->rows, height * width, width);
    for (int i = 0; i < y->rows * y->columns; i++) y->x[i] = x->x[upsample_source(y, x, i)];
}

static void upsample_backward(const Tensor *y, Tensor *x) {
    for (int i = 0; i < y->rows * y->columns; i++) x->dx[upsample_source(y, x, i)] += y->dx[i];
}

/* In the program: autograd/ops_*.c have each operation's forward and backward function side by side as here,
   in fp32 and for whole batches, with tiles of work that threads share (tensor/share.c). BLAS computes the
   matrix products (tensor/gemm.c). Except for small images, 3x3 convolutions of stride 1 use Winograd's
   method, with a quarter of the multiplications (tensor/conv_winograd.c). Attention computes p for a block of
   queries at a time, here for one. The graph records the forward pass, so it can run backward by itself
   (autograd/execute.c). Tensors whose lifetimes do not overlap share memory (autograd/plan.c). */

/* ---- 3. Blocks --------------------------------------------------------------------------------------- */

/* A block holds its frozen weights and the tensors of its last forward pass, which backward reads. Its
   backward function makes the calls of its forward function in reverse order. */

/* The attention block computes queries from x, keys and values from the context, and has a linear layer after
   the attention. In self-attention the context is x itself. In cross-attention it is the text, and this is
   where the text, and with it the learned vector, enters the UNet. */
typedef struct {
    Layer to_q, to_k, to_v, to_out;
    int heads;
    bool causal;
    Tensor q, k, v, attended, y;
} Attention;

static Attention attention_load(const File *f, const char *prefix, const char *const names[4], int heads) {
    return (Attention) { .to_q = layer(f, prefix, names[0]),
                         .to_k = layer(f, prefix, names[1]),
                         .to_v = layer(f, prefix, names[2]),
                         .to_out = layer(f, prefix, names[3]),
                         .heads = heads };
}

static AttentionInputs attention_inputs(const Attention *a) {
    return (AttentionInputs) { &a->q, &a->k, &a->v, a->heads, a->causal };
}

static void attention_block_forward(Attention *a, const Tensor *x, const Tensor *context) {
    linear_forward(&a->q, x, &a->to_q);
    linear_forward(&a->k, context, &a->to_k);
    linear_forward(&a->v, context, &a->to_v);
    attention_forward(&a->attended, attention_inputs(a));
    linear_forward(&a->y, &a->attended, &a->to_out);
}

static void attention_block_backward(Attention *a, Tensor *x, Tensor *context) {
    linear_backward(&a->y, &a->attended, &a->to_out);
    attention_backward(&a->attended, attention_inputs(a));
    linear_backward(&a->v, context, &a->to_v);
    linear_backward(&a->k, context, &a->to_k);
    linear_backward(&a->q, x, &a->to_q);
}

/* The ResNet block has two convolutions beside a skip connection: y = skip(x) + f(x). Between them it adds a
   vector that is computed from the timestep, and so knows how noisy its input is. The skip connection is x
   itself, or a 1x1 convolution of x when the number of channels changes. */
typedef struct {
    Layer norm1, conv1, time_emb_proj, norm2, conv2, conv_shortcut;
    bool has_shortcut;
    Tensor normed1, active1, conved1, active_time, time, timed, normed2, active2, conved2, skip, y;
} Resnet;

/* The geometry of a convolution whose output has the size of its input. */
static Geometry same_size(const Tensor *x, int kernel) {
    return (Geometry) { kernel, 1, kernel / 2, kernel / 2, x->columns / x->width, x->width };
}

static Resnet resnet_load(const File *f, const char *prefix) {
    char shortcut[160];
    snprintf(shortcut, sizeof shortcut, "\"%s.conv_shortcut.weight\"", prefix);
    Resnet r = { .norm1 = layer(f, prefix, "norm1"),
                 .conv1 = layer(f, prefix, "conv1"),
                 .time_emb_proj = layer(f, prefix, "time_emb_proj"),
                 .norm2 = layer(f, prefix, "norm2"),
                 .conv2 = layer(f, prefix, "conv2"),
                 .has_shortcut = strstr(f->header, shortcut) != NULL };
    if (r.has_shortcut) r.conv_shortcut = layer(f, prefix, "conv_shortcut");
    return r;
}

static Tensor *resnet_forward(Resnet *r, const Tensor *x, const Tensor *time) {
    norm_forward(&r->normed1, x, &r->norm1, RESNET_NORM);
    activation_forward(&r->active1, &r->normed1, SILU);
    conv2d_forward(&r->conved1, &r->active1, &r->conv1, same_size(x, 3));
    activation_forward(&r->active_time, time, SILU);
    linear_forward(&r->time, &r->active_time, &r->time_emb_proj);
    add_channel_forward(&r->timed, &r->conved1, &r->time);
    norm_forward(&r->normed2, &r->timed, &r->norm2, RESNET_NORM);
    activation_forward(&r->active2, &r->normed2, SILU);
    conv2d_forward(&r->conved2, &r->active2, &r->conv2, same_size(x, 3));
    if (r->has_shortcut) conv2d_forward(&r->skip, x, &r->conv_shortcut, same_size(x, 1));
    add_forward(&r->y, r->has_shortcut ? &r->skip : x, &r->conved2);
    return &r->y;
}

static void resnet_backward(Resnet *r, Tensor *x) {
    add_backward(&r->y, r->has_shortcut ? &r->skip : x, &r->conved2);
    if (r->has_shortcut) conv2d_backward(&r->skip, x, &r->conv_shortcut, same_size(x, 1));
    conv2d_backward(&r->conved2, &r->active2, &r->conv2, same_size(x, 3));
    activation_backward(&r->active2, &r->normed2, SILU);
    norm_backward(&r->normed2, &r->timed, &r->norm2, RESNET_NORM);
    add_channel_backward(&r->timed, &r->conved1, &r->time); /* time does not depend on v */
    conv2d_backward(&r->conved1, &r->active1, &r->conv1, same_size(x, 3));
    activation_backward(&r->active1, &r->normed1, SILU);
    norm_backward(&r->normed1, x, &r->norm1, RESNET_NORM);
}

/* The transformer block takes the pixels as tokens. They look at each other (self-attention, attn1) and at
   the text (cross-attention, attn2), and then each passes through two linear layers with a GEGLU between them
   (the feed-forward network, ff). Each of these three has a skip connection. proj_in and proj_out are stored
   as 1x1 convolutions, which are linear layers over tokens. */
typedef struct {
    Layer norm, proj_in, norm1, norm2, norm3, ff_in, ff_out, proj_out;
    Attention attn1, attn2;
    Tensor normed, tokens, h0, normed1, h1, normed2, h2, normed3, wide, gated, narrow, h3, out, image, y;
} Transformer;

static Transformer transformer_load(const File *f, const char *prefix) {
    static const char *const names[] = { "to_q", "to_k", "to_v", "to_out.0" };
    char block[100], attn1[120], attn2[120];
    snprintf(block, sizeof block, "%s.transformer_blocks.0", prefix);
    snprintf(attn1, sizeof attn1, "%s.attn1", block);
    snprintf(attn2, sizeof attn2, "%s.attn2", block);
    return (Transformer) { .norm = layer(f, prefix, "norm"),
                           .proj_in = layer(f, prefix, "proj_in"),
                           .norm1 = layer(f, block, "norm1"),
                           .attn1 = attention_load(f, attn1, names, UNET_HEADS),
                           .norm2 = layer(f, block, "norm2"),
                           .attn2 = attention_load(f, attn2, names, UNET_HEADS),
                           .norm3 = layer(f, block, "norm3"),
                           .ff_in = layer(f, block, "ff.net.0.proj"),
                           .ff_out = layer(f, block, "ff.net.2"),
                           .proj_out = layer(f, prefix, "proj_out") };
}

static Tensor *transformer_forward(Transformer *t, const Tensor *x, const Tensor *context) {
    norm_forward(&t->normed, x, &t->norm, TRANSFORMER_NORM);
    transpose_forward(&t->tokens, &t->normed, 0);
    linear_forward(&t->h0, &t->tokens, &t->proj_in);

    norm_forward(&t->normed1, &t->h0, &t->norm1, LAYER_NORM);
    attention_block_forward(&t->attn1, &t->normed1, &t->normed1);
    add_forward(&t->h1, &t->h0, &t->attn1.y);

    norm_forward(&t->normed2, &t->h1, &t->norm2, LAYER_NORM);
    attention_block_forward(&t->attn2, &t->normed2, context);
    add_forward(&t->h2, &t->h1, &t->attn2.y);

    norm_forward(&t->normed3, &t->h2, &t->norm3, LAYER_NORM);
    linear_forward(&t->wide, &t->normed3, &t->ff_in);
    geglu_forward(&t->gated, &t->wide);
    linear_forward(&t->narrow, &t->gated, &t->ff_out);
    add_forward(&t->h3, &t->h2, &t->narrow);

    linear_forward(&t->out, &t->h3, &t->proj_out);
    transpose_forward(&t->image, &t->out, x->width);
    add_forward(&t->y, x, &t->image);
    return &t->y;
}

static void transformer_backward(Transformer *t, Tensor *x, Tensor *context) {
    add_backward(&t->y, x, &t->image);
    transpose_backward(&t->image, &t->out);
    linear_backward(&t->out, &t->h3, &t->proj_out);

    add_backward(&t->h3, &t->h2, &t->narrow);
    linear_backward(&t->narrow, &t->gated, &t->ff_out);
    geglu_backward(&t->gated, &t->wide);
    linear_backward(&t->wide, &t->normed3, &t->ff_in);
    norm_backward(&t->normed3, &t->h2, &t->norm3, LAYER_NORM);

    add_backward(&t->h2, &t->h1, &t->attn2.y);
    attention_block_backward(&t->attn2, &t->normed2, context);
    norm_backward(&t->normed2, &t->h1, &t->norm2, LAYER_NORM);

    add_backward(&t->h1, &t->h0, &t->attn1.y);
    attention_block_backward(&t->attn1, &t->normed1, &t->normed1);
    norm_backward(&t->normed1, &t->h0, &t->norm1, LAYER_NORM);

    linear_backward(&t->h0, &t->tokens, &t->proj_in);
    transpose_backward(&t->tokens, &t->normed);
    norm_backward(&t->normed, x, &t->norm, TRANSFORMER_NORM);
}

/* In the program: nn/blocks.c has only the forward functions. They record their operations in the graph,
   which then runs backward by itself, so there is no backward function of a block. */

/* ---- 4. The text encoder: c = c_theta(y) ------------------------------------------------------------- */

/* CLIP's text encoder adds a vector for each position to the vectors of the tokens. Four layers of attention
   and a feed-forward network follow (fc1, fc2), and a norm at the end. */
typedef struct {
    Layer norm1, norm2, fc1, fc2;
    Attention attention;
    Tensor normed1, h, normed2, wide, active, narrow, y;
} ClipLayer;

typedef struct {
    Layer token_embedding, position_embedding, final_norm;
    ClipLayer layers[TEXT_LAYERS];
    Tensor e, context;
} Clip;

static void clip_load(Clip *c, const File *f) {
    static const char *const names[] = { "q_proj", "k_proj", "v_proj", "out_proj" };
    c->token_embedding = layer(f, "text_model.embeddings", "token_embedding");
    c->position_embedding = layer(f, "text_model.embeddings", "position_embedding");
    for (int i = 0; i < TEXT_LAYERS; i++) {
        char prefix[100], attention[120];
        snprintf(prefix, sizeof prefix, "text_model.encoder.layers.%d", i);
        snprintf(attention, sizeof attention, "%s.self_attn", prefix);
        c->layers[i] = (ClipLayer) { .norm1 = layer(f, prefix, "layer_norm1"),
                                     .attention = attention_load(f, attention, names, TEXT_HEADS),
                                     .norm2 = layer(f, prefix, "layer_norm2"),
                                     .fc1 = layer(f, prefix, "mlp.fc1"),
                                     .fc2 = layer(f, prefix, "mlp.fc2") };
        c->layers[i].attention.causal = true;
    }
    c->final_norm = layer(f, "text_model", "final_layer_norm");
}

/* The embedding looks up each token's row in the table, or v when the token is the new word, whose id is the
   size V of the vocabulary. Only v gets a gradient, which is the sum over all its places in the prompt:

       e_s = v if ids_s >= V, else row ids_s of the table      dv += sum of de_s over all s with ids_s >= V

   A word can also have several vectors; then v is a matrix, and the id V + k stands for its row k. */
static void embedding_forward(Tensor *e, const Layer *table, const double *v, const int *ids, int tokens) {
    shape(e, tokens, table->in, 0);
    for (int s = 0; s < tokens; s++) {
        int k = ids[s] - table->out;
        const double *row = k >= 0 ? v + k * table->in : table->weight + ids[s] * table->in;
        for (int i = 0; i < table->in; i++) e->x[s * table->in + i] = row[i];
    }
}

static void embedding_backward(const Tensor *e, const Layer *table, double *dv, const int *ids) {
    for (int s = 0; s < e->rows; s++) {
        int k = ids[s] - table->out;
        for (int i = 0; i < e->columns && k >= 0; i++) dv[k * e->columns + i] += e->dx[s * e->columns + i];
    }
}

static Tensor *clip_layer_forward(ClipLayer *l, const Tensor *x) {
    norm_forward(&l->normed1, x, &l->norm1, LAYER_NORM);
    attention_block_forward(&l->attention, &l->normed1, &l->normed1);
    add_forward(&l->h, x, &l->attention.y);
    norm_forward(&l->normed2, &l->h, &l->norm2, LAYER_NORM);
    linear_forward(&l->wide, &l->normed2, &l->fc1);
    activation_forward(&l->active, &l->wide, QUICK_GELU);
    linear_forward(&l->narrow, &l->active, &l->fc2);
    add_forward(&l->y, &l->h, &l->narrow);
    return &l->y;
}

static void clip_layer_backward(ClipLayer *l, Tensor *x) {
    add_backward(&l->y, &l->h, &l->narrow);
    linear_backward(&l->narrow, &l->active, &l->fc2);
    activation_backward(&l->active, &l->wide, QUICK_GELU);
    linear_backward(&l->wide, &l->normed2, &l->fc1);
    norm_backward(&l->normed2, &l->h, &l->norm2, LAYER_NORM);
    add_backward(&l->h, x, &l->attention.y);
    attention_block_backward(&l->attention, &l->normed1, &l->normed1);
    norm_backward(&l->normed1, x, &l->norm1, LAYER_NORM);
}

static Tensor *clip_forward(Clip *c, const int ids[TOKENS], const double v[WIDTH]) {
    embedding_forward(&c->e, &c->token_embedding, v, ids, TOKENS);
    for (int i = 0; i < TOKENS * WIDTH; i++) c->e.x[i] += c->position_embedding.weight[i];
    Tensor *x = &c->e;
    for (int i = 0; i < TEXT_LAYERS; i++) x = clip_layer_forward(&c->layers[i], x);
    norm_forward(&c->context, x, &c->final_norm, LAYER_NORM);
    return &c->context;
}

static void clip_backward(Clip *c, const int ids[TOKENS], double dv[WIDTH]) {
    norm_backward(&c->context, &c->layers[TEXT_LAYERS - 1].y, &c->final_norm, LAYER_NORM);
    for (int i = TEXT_LAYERS - 1; i >= 0; i--)
        clip_layer_backward(&c->layers[i], i > 0 ? &c->layers[i - 1].y : &c->e);
    embedding_backward(&c->e, &c->token_embedding, dv, ids);
}

/* In the program: nn/clip.c builds text encoders of any size, also with GELU in place of quick-GELU. The
   embedding is in autograd/ops_shape.c. text/tokenizer.c turns a prompt into token ids. */

/* ---- 5. The UNet: eps_theta(z_t, t, c) --------------------------------------------------------------- */

/* The UNet looks at the noisy latents in three sizes. On the way down the image shrinks (16 x 16, 8 x 8 and
   then 4 x 4 pixels) and gets more channels, and on the way up it grows again. The way down leaves its
   results as skip connections. The way up takes them back, the last one first, and concatenates them:

       conv_in -- down 0 -- half -- down 1 -- half -- down 2 -- middle
          |          |       |         |       |         |         |
          |          |       |         |       |         '--- up 0, first
          |          |       |         |       '------------- up 0, second -- double
          |          |       |         '--------------------- up 1, first
          |          |       '------------------------------- up 1, second -- double
          |          '--------------------------------------- up 2, first
          '-------------------------------------------------- up 2, second -- conv_out

   Each "down" and each "up" is a ResNet block with a transformer block after it, except that down 2 and up 0
   have no transformer. The middle is two ResNet blocks with a transformer between them. So the text enters in
   seven places. "half" and "double" are convolutions that change the size. The middle leads to "up 0". */
enum { SKIPS = 2 * LEVELS };

typedef struct {
    Layer conv_in, linear_1, linear_2, conv_norm_out, conv_out;
    Resnet down[LEVELS], middle[2], up[LEVELS][2];
    Transformer down_transformer[LEVELS], middle_transformer, up_transformer[LEVELS][2];
    Layer downsampler[LEVELS], upsampler[LEVELS]; /* "half" and "double"; the last level has none */
    Tensor sines, time1, active_time, time2; /* the timestep's embedding, and time2 for the ResNet blocks */
    Tensor z_t, input, downsampled[LEVELS], joined[LEVELS][2], large[LEVELS], upsampled[LEVELS];
    Tensor *skips[SKIPS];
    Tensor normed, active, noise_pred;
} Unet;

static bool down_attends(int level) { return level < LEVELS - 1; }
static bool up_attends(int level) { return level > 0; }

static void unet_load(Unet *u, const File *f) {
    char name[100];
    for (int i = 0; i < LEVELS; i++) {
        snprintf(name, sizeof name, "down_blocks.%d.resnets.0", i);
        u->down[i] = resnet_load(f, name);
        snprintf(name, sizeof name, "down_blocks.%d.attentions.0", i);
        if (down_attends(i)) u->down_transformer[i] = transformer_load(f, name);
        snprintf(name, sizeof name, "down_blocks.%d.downsamplers.0", i);
        if (i < LEVELS - 1) u->downsampler[i] = layer(f, name, "conv");
        for (int j = 0; j < 2; j++) {
            snprintf(name, sizeof name, "up_blocks.%d.resnets.%d", i, j);
            u->up[i][j] = resnet_load(f, name);
            snprintf(name, sizeof name, "up_blocks.%d.attentions.%d", i, j);
            if (up_attends(i)) u->up_transformer[i][j] = transformer_load(f, name);
        }
        snprintf(name, sizeof name, "up_blocks.%d.upsamplers.0", i);
        if (i < LEVELS - 1) u->upsampler[i] = layer(f, name, "conv");
    }
    u->middle[0] = resnet_load(f, "mid_block.resnets.0");
    u->middle_transformer = transformer_load(f, "mid_block.attentions.0");
    u->middle[1] = resnet_load(f, "mid_block.resnets.1");
    u->linear_1 = layer(f, "time_embedding", "linear_1");
    u->linear_2 = layer(f, "time_embedding", "linear_2");
    u->conv_in = layer(f, "", "conv_in");
    u->conv_norm_out = layer(f, "", "conv_norm_out");
    u->conv_out = layer(f, "", "conv_out");
}

/* Turns the timestep into a vector: cosines and sines of t at frequencies from 1 down to almost 1 / 10000.
   The high frequencies tell neighbouring timesteps apart, and the low ones distant timesteps. diffusers
   computes the angles in fp32, and so does this. */
static void timestep_embedding_forward(Tensor *y, float t, int channels) {
    int half = channels / 2;
    shape(y, 1, channels, 0);
    for (int i = 0; i < half; i++) {
        float angle = t * expf((float)(-log(10000.0)) * (float)i / (float)half);
        y->x[i] = cos((double)angle);
        y->x[half + i] = sin((double)angle);
    }
}

static const Tensor *time_forward(Unet *u, int t) {
    timestep_embedding_forward(&u->sines, (float)t, TIME_CHANNELS);
    linear_forward(&u->time1, &u->sines, &u->linear_1);
    activation_forward(&u->active_time, &u->time1, SILU);
    linear_forward(&u->time2, &u->active_time, &u->linear_2);
    return &u->time2;
}

/* The geometry of a convolution of stride 2, whose output has half the height and width of its input. */
static Geometry half_size(const Tensor *x) {
    return (Geometry) { 3, 2, 1, 1, x->columns / x->width / 2, x->width / 2 };
}

static Tensor *unet_forward(Unet *u, const double z_t[LATENTS], int t, const Tensor *context) {
    const Tensor *time = time_forward(u, t);
    int count = 0;
    shape(&u->z_t, LATENT_CHANNELS, LATENT_SIDE * LATENT_SIDE, LATENT_SIDE);
    memcpy(u->z_t.x, z_t, LATENTS * sizeof *z_t);
    conv2d_forward(&u->input, &u->z_t, &u->conv_in, same_size(&u->z_t, 3));
    Tensor *x = u->skips[count++] = &u->input;

    for (int i = 0; i < LEVELS; i++) {
        x = resnet_forward(&u->down[i], x, time);
        if (down_attends(i)) x = transformer_forward(&u->down_transformer[i], x, context);
        u->skips[count++] = x;
        if (i == LEVELS - 1) break;
        conv2d_forward(&u->downsampled[i], x, &u->downsampler[i], half_size(x));
        x = u->skips[count++] = &u->downsampled[i];
    }

    x = resnet_forward(&u->middle[0], x, time);
    x = transformer_forward(&u->middle_transformer, x, context);
    x = resnet_forward(&u->middle[1], x, time);

    for (int i = 0; i < LEVELS; i++) {
        for (int j = 0; j < 2; j++) {
            concat_forward(&u->joined[i][j], x, u->skips[--count]);
            x = resnet_forward(&u->up[i][j], &u->joined[i][j], time);
            if (up_attends(i)) x = transformer_forward(&u->up_transformer[i][j], x, context);
        }
        if (i == LEVELS - 1) break;
        upsample_forward(&u->large[i], x, 2 * x->columns / x->width, 2 * x->width);
        conv2d_forward(&u->upsampled[i], &u->large[i], &u->upsampler[i], same_size(&u->large[i], 3));
        x = &u->upsampled[i];
    }

    norm_forward(&u->normed, x, &u->conv_norm_out, RESNET_NORM);
    activation_forward(&u->active, &u->normed, SILU);
    conv2d_forward(&u->noise_pred, &u->active, &u->conv_out, same_size(&u->active, 3));
    return &u->noise_pred;
}

/* The output of "down i" or "up i", which is that of its last block. */
static Tensor *down_result(Unet *u, int i) {
    return down_attends(i) ? &u->down_transformer[i].y : &u->down[i].y;
}
static Tensor *up_result(Unet *u, int i, int j) {
    return up_attends(i) ? &u->up_transformer[i][j].y : &u->up[i][j].y;
}

/* The image that the first block of "up i" concatenates with a skip connection. */
static Tensor *up_input(Unet *u, int i) { return i > 0 ? &u->upsampled[i - 1] : &u->middle[1].y; }

/* Goes from d loss / d noise_pred back to d loss / d context. What lies before the first transformer block
   does not depend on v, so conv_in and the first ResNet block need no backward pass. */
static void unet_backward(Unet *u, Tensor *context) {
    int count = 0;
    conv2d_backward(&u->noise_pred, &u->active, &u->conv_out, same_size(&u->active, 3));
    activation_backward(&u->active, &u->normed, SILU);
    norm_backward(&u->normed, up_result(u, LEVELS - 1, 1), &u->conv_norm_out, RESNET_NORM);

    for (int i = LEVELS - 1; i >= 0; i--) {
        if (i < LEVELS - 1) {
            conv2d_backward(&u->upsampled[i], &u->large[i], &u->upsampler[i], same_size(&u->large[i], 3));
            upsample_backward(&u->large[i], up_result(u, i, 1));
        }
        for (int j = 1; j >= 0; j--) {
            if (up_attends(i)) transformer_backward(&u->up_transformer[i][j], &u->up[i][j].y, context);
            resnet_backward(&u->up[i][j], &u->joined[i][j]);
            concat_backward(&u->joined[i][j], j > 0 ? up_result(u, i, 0) : up_input(u, i), u->skips[count++]);
        }
    }

    resnet_backward(&u->middle[1], &u->middle_transformer.y);
    transformer_backward(&u->middle_transformer, &u->middle[0].y, context);
    resnet_backward(&u->middle[0], down_result(u, LEVELS - 1));

    for (int i = LEVELS - 1; i >= 0; i--) {
        if (i < LEVELS - 1)
            conv2d_backward(&u->downsampled[i], down_result(u, i), &u->downsampler[i],
                            half_size(down_result(u, i)));
        if (down_attends(i)) transformer_backward(&u->down_transformer[i], &u->down[i].y, context);
        if (i > 0) resnet_backward(&u->down[i], &u->downsampled[i - 1]);
    }
}

/* In the program: nn/unet.c builds UNets with other numbers of levels, layers and heads, as the model's
   config.json says, and for images of any size. */

/* ---- 6. Noise and loss ------------------------------------------------------------------------------- */

/* Returns abar_t, which says how much of the picture is left at timestep t: the product of 1 - beta_s for all
   s from 0 to t. beta_s is the variance of the noise that timestep s adds. The betas grow from 0.00085 to
   0.012, and their square roots do so in equal steps.

       z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps                                                       (3)

   If z has variance 1, so has this mixture at every t. */
static double abar(int t) {
    double product = 1, low = sqrt(0.00085), high = sqrt(0.012);
    for (int s = 0; s <= t; s++) {
        double root = low + (high - low) * s / (TIMESTEPS - 1);
        product *= 1 - root * root;
    }
    return product;
}

static void add_noise(double z_t[LATENTS], const double z[LATENTS], const double eps[LATENTS], int t) {
    double signal = sqrt(abar(t)), spread = sqrt(1 - abar(t));
    for (int i = 0; i < LATENTS; i++) z_t[i] = signal * z[i] + spread * eps[i];
}

/* Returns the mean squared error of y and adds its gradient to dy. The batch's loss is the mean over its
   examples, and `weight` is the share of one, 1 / batch:

       loss = sum_i (y_i - target_i)^2 / n        dy_i += weight 2 (y_i - target_i) / n */
static double mse(Tensor *y, const double *target, double weight) {
    int n = y->rows * y->columns;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double error = y->x[i] - target[i];
        sum += error * error;
        y->dx[i] += weight * 2 * error / n;
    }
    return sum / n;
}

/* In the program: diffusion/noise_schedule.c computes abar_t once for all t, rounds as torch does, and has
   other schedules too. autograd/ops_loss.c has the loss. inversion/training.c puts equation (1) together. */

/* ---- 7. AdamW ---------------------------------------------------------------------------------------- */

/* The gradient of one example is mostly noise, since it depends on eps and t more than on v. AdamW
   (Loshchilov and Hutter 2019) keeps two moments: the running means m of the gradient g and s of its square
   (elsewhere s is called v). It moves each number of v by about the learning rate lr while the recent
   gradients agree, and by less when they contradict each other. Weight decay wd pulls v towards 0. k is the
   step:

       v -= lr wd v
       m += (1 - b1) (g - m)          s += (1 - b2) (g^2 - s)
       v -= lr m' / (sqrt(s') + 1e-8)      m' = m / (1 - b1^k),  s' = s / (1 - b2^k)

   m' and s' correct for the fact that m and s begin with zeros. */
typedef struct {
    double m[WIDTH], s[WIDTH];
    int k;
} AdamW;

static void adamw(AdamW *a, double v[WIDTH], const double g[WIDTH]) {
    const double lr = 5e-3, decay = 1e-2, b1 = 0.9, b2 = 0.999; /* those of ti train */
    a->k++;
    for (int i = 0; i < WIDTH; i++) {
        v[i] -= lr * decay * v[i];
        a->m[i] += (1 - b1) * (g[i] - a->m[i]);
        a->s[i] += (1 - b2) * (g[i] * g[i] - a->s[i]);
        double mean = a->m[i] / (1 - pow(b1, a->k)), square = a->s[i] / (1 - pow(b2, a->k));
        v[i] -= lr * mean / (sqrt(square) + 1e-8);
    }
}

/* In the program: inversion/adamw.c computes this in fp32 and rounds where torch rounds.
   inversion/lr_schedule.c can change the learning rate during the run. */

/* ---- 8. Training ------------------------------------------------------------------------------------- */

/* The inputs of the steps, which `ti train --dump` wrote: latents [steps, batch, 4, 16, 16], noise of the
   same shape, timesteps [steps, batch] and token ids [steps, batch, S]. */
typedef struct {
    int steps, batch;
    double *latents, *noise, *timesteps, *ids;
} Inputs;

static Inputs inputs_read(const char *folder) {
    File f = file_read(folder, "inputs.safetensors");
    int dim[2];
    size_t count;
    Inputs in = { .noise = file_tensor(&f, "noise", dim, &count) };
    in.ids = file_tensor(&f, "input_ids", dim, &count);
    in.timesteps = file_tensor(&f, "timesteps", dim, &count);
    in.latents = file_tensor(&f, "latents", dim, &count);
    if (!in.latents || !in.noise || !in.ids || !in.timesteps) fail("is no dump of ti train", folder);
    in.steps = dim[0];
    in.batch = dim[1];
    if (count != (size_t)(in.steps * in.batch) * LATENTS) fail("is not of the embedded model", folder);
    file_free(&f);
    return in;
}

/* Computes equation (1) for example i, from the prompt to the loss and back to dv, and adds the example's
   part of the gradient to dv. Returns its part of the loss. */
static double example(Clip *clip, Unet *unet, const Inputs *in, int i, const double v[WIDTH],
                      double dv[WIDTH]) {
    double z_t[LATENTS], weight = 1.0 / in->batch;
    const double *noise = in->noise + i * LATENTS;
    int ids[TOKENS], t = (int)in->timesteps[i];
    for (int s = 0; s < TOKENS; s++) ids[s] = (int)in->ids[i * TOKENS + s];

    Tensor *context = clip_forward(clip, ids, v);
    add_noise(z_t, in->latents + i * LATENTS, noise, t);
    Tensor *noise_pred = unet_forward(unet, z_t, t, context);
    double loss = weight * mse(noise_pred, noise, weight);

    unet_backward(unet, context);
    clip_backward(clip, ids, dv);
    return loss;
}

/* Writes the learned vector as a safetensors file, which diffusers can load. */
static void write_vector(const char *path, const double v[WIDTH]) {
    char header[200];
    snprintf(header, sizeof header,
             "{\"<learned>\":{\"dtype\":\"F32\",\"shape\":[1,%d],\"data_offsets\":[0,%d]}}", WIDTH,
             4 * WIDTH);
    uint64_t length = strlen(header);
    float x[WIDTH];
    for (int i = 0; i < WIDTH; i++) x[i] = (float)v[i];
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(&length, sizeof length, 1, f) != 1 || fwrite(header, 1, length, f) != length ||
        fwrite(x, sizeof x, 1, f) != 1 || fclose(f) != 0)
        fail("cannot be written", path);
}

int main(int argc, char *argv[]) {
    static Clip clip;
    static Unet unet;
    if (argc != 3) {
        fprintf(stderr,
                "usage: plain DUMP OUT.safetensors      DUMP: a folder that `ti train --dump` wrote\n");
        return 2;
    }
    Inputs in = inputs_read(argv[1]);
    int dim[2];
    size_t count;
    File step = file_read(argv[1], "step.safetensors");
    File text = file_read("weights/critters/text_encoder", "model.safetensors");
    File denoiser = file_read("weights/critters/unet", "diffusion_pytorch_model.safetensors");
    double *v = file_tensor(&step, "rows", dim, &count); /* the vector from which training starts */
    if (!v || dim[0] != 1 || dim[1] != WIDTH) fail("is not of one vector for the embedded model", argv[1]);
    clip_load(&clip, &text);
    unet_load(&unet, &denoiser);

    file_free(&step);
    file_free(&text);
    file_free(&denoiser);

    AdamW state = { .k = 0 };
    for (int k = 0; k < in.steps; k++) {
        double dv[WIDTH] = { 0 }, loss = 0;
        for (int b = 0; b < in.batch; b++) loss += example(&clip, &unet, &in, k * in.batch + b, v, dv);
        adamw(&state, v, dv);
        printf("step %d  loss %.7f\n", k + 1, loss);
    }
    write_vector(argv[2], v);
    printf("%s\n", argv[2]);
    free(v);
    free(in.latents);
    free(in.noise);
    free(in.timesteps);
    free(in.ids);
    return 0;
}

/* In the program: inversion/loop.c is this loop. It also makes the random draws, in the order of diffusers'
   script, and can accumulate the gradients of several batches. cli/train.c saves and resumes runs.

   ---- 9. Exercises -------------------------------------------------------------------------------------

   The tests compare the operations of this file with those of the program and with PyTorch's results
   (golden/). So if your version passes, it agrees with both.

   1. Delete the body of norm_backward, and derive it yourself from the two lines of equations that define the
      forward pass. Remember that x_i also changes the mean and the variance. To check it:

          make build/test_ops && build/test_ops | grep norm

      "plain group_norm.dx0" compares your gradient with PyTorch's, and "group_norm.dx0, plain" compares the
      program's gradient with yours. Every line must begin with "ok".

   2. Give the word two vectors. embedding_forward and embedding_backward can do that already, but all other
      arrays of WIDTH numbers hold only one, and main and write_vector expect one. To check it, run the
      `ti train` of the first page with `--vectors 2`, once with `--dump out/dump2` and once with `--steps 8
      --out out/run2`. Compare your losses with out/run2/losses.csv and your vectors with those of
      out/run2/learned_embeds.safetensors. (The case "vectors" of golden/loop.py trains three with PyTorch.)

   3. Some models predict not the noise but the velocity sqrt(abar_t) eps - sqrt(1 - abar_t) z, which is
      called v-prediction. Change the loss so that it trains such a model. To check it, dump and train with
      `--prediction v_prediction` into two other folders and compare the losses. The embedded model predicts
      noise, so the losses are high: 1.8 on average. (The case "v_prediction" of golden/grid.py compares the
      loss of a model that does predict the velocity with PyTorch's.) */
