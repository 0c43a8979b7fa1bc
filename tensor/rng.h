/* SPDX-License-Identifier: MIT */
/* The two random number generators of the reference script, which give the same numbers as PyTorch's
   torch.Generator('cpu') and Python's random. Both are the Mersenne Twister MT19937 (Matsumoto and Nishimura
   1998); they differ in how they are seeded and in what they compute from its 32-bit numbers. The structs are
   plain data without padding, so a copy of their bytes is a saved state. */
#ifndef TI_RNG_H
#define TI_RNG_H

#include "tensor/tensor.h"

enum { TWISTER_WORDS = 624 };

typedef struct {
    uint32_t word[TWISTER_WORDS];
    uint32_t next; /* index of the word that the next draw uses; at 624 all words are renewed first */
} Twister;

/* torch.Generator('cpu'). generator_randn_slow computes normal numbers in pairs, and `normal` keeps the
   second one. */
typedef struct {
    Twister twister;
    uint32_t has_normal; /* 0 or 1 */
    double normal;
} Generator;

/* Whether a state, which may have been read from a file, is a possible state of a generator. */
bool generator_valid(const Generator *g);
bool twister_valid(const Twister *t);

/* torch.Generator.manual_seed, which uses only the low 32 bits of the seed. Also clears
   the kept normal number. */
void generator_seed(Generator *g, uint64_t seed);

uint32_t generator_u32(Generator *g);
uint64_t generator_u64(Generator *g); /* two draws, the first for the high half */

/* torch.rand(count): uniform in [0, 1), multiples of 2^-24 */
void generator_rand(Generator *g, float *out, int64_t count);

/* torch.randint(low, high, [1]): a number in low..high-1, with 0 < high - low < 2^63. Uses one 32-bit draw if
   high - low is below 2^28, else two. */
int64_t generator_randint(Generator *g, int64_t low, int64_t high);

/* torch.randperm(count): 0..count-1 in random order, with count < RANDPERM_MAX */
enum { RANDPERM_MAX = 1 << 27 };
void generator_randperm(Generator *g, int64_t *out, int64_t count);

/* torch.randn of a contiguous tensor of count elements. For 16 or more elements, blocks of 16 are
   computed in single precision, with the bits of PyTorch's AVX2 kernel on every machine. For fewer
   elements, this function is generator_randn_slow. */
void generator_randn(Generator *g, float *out, int64_t count);

/* Fills out with normal numbers one after the other, computed in double precision. PyTorch computes tensors
   of every size in this way if they are not contiguous. */
void generator_randn_slow(Generator *g, float *out, int64_t count);

/* torch.randn_like of a channels-last tensor [B, C, H, W]: the numbers of generator_randn_slow in the order
   b, h, w, c. out is contiguous, [B, C, H, W]. */
void generator_randn_channels_last(Generator *g, float *out, Shape shape);

/* random.seed(seed) for a seed >= 0 */
void python_seed(Twister *t, uint64_t seed);
/* random.getrandbits(bits) for 1..32 bits */
uint32_t python_getrandbits(Twister *t, int bits);
/* random.random(): a number from 0 to below 1 */
double python_random(Twister *t);
/* The index that random.choice draws for a sequence of n elements, 0 < n < 2^32 */
int64_t python_choice(Twister *t, int64_t n);

#endif
