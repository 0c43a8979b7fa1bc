/* The two random number generators that the reference script uses, draw for draw: torch.Generator('cpu') and
   Python's random. Both are the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998); they differ in
   seeding and in what they make of its 32-bit numbers. The structs are plain data without padding: a copy is
   a saved state. */
#ifndef TI_RNG_H
#define TI_RNG_H

#include "tensor/tensor.h"

enum { TWISTER_WORDS = 624 };

typedef struct {
    uint32_t word[TWISTER_WORDS];
    uint32_t next; /* the word that the next draw takes, 0..624; at 624 a new block is made first */
} Twister;

/* torch.Generator('cpu'). normal is the second value of a Box-Muller pair, kept by the slow path of randn. */
typedef struct {
    Twister twister;
    uint32_t has_normal; /* 0 or 1 */
    double normal;
} Generator;

/* False where a state that came out of a file could not have been made by drawing. */
bool generator_valid(const Generator *g);
bool twister_valid(const Twister *t);

/* manual_seed: the low 32 bits of the seed count. Clears the kept normal. */
void generator_seed(Generator *g, uint64_t seed);

uint32_t generator_u32(Generator *g);
uint64_t generator_u64(Generator *g); /* two draws, the first is the high half */

/* torch.rand(count): uniform in [0, 1), multiples of 2^-24 */
void generator_rand(Generator *g, float *out, int64_t count);

/* torch.randint(low, high, [1]): in low..high-1, 0 < high - low < 2^63; one 32-bit draw below a range of
   2^28, else two */
int64_t generator_randint(Generator *g, int64_t low, int64_t high);

/* torch.randperm(count): 0..count-1 in random order, count < RANDPERM_MAX */
enum { RANDPERM_MAX = 1 << 27 };
void generator_randperm(Generator *g, int64_t *out, int64_t count);

/* torch.randn of a contiguous tensor of count elements: 16 or more take the block path, in single precision
   with the bits of PyTorch's AVX2 kernel on every machine; fewer take the slow path. */
void generator_randn(Generator *g, float *out, int64_t count);

/* The slow path, double precision, one element after the other in memory order. PyTorch takes it, whatever
   the size, for a tensor that is not contiguous. */
void generator_randn_slow(Generator *g, float *out, int64_t count);

/* torch.randn_like of a channels-last tensor [B, C, H, W]: the slow path in the order b, h, w, c, stored
   contiguous (b, c, h, w) */
void generator_randn_channels_last(Generator *g, float *out, Shape shape);

/* Python's random.seed(seed), for a seed >= 0 */
void python_seed(Twister *t, uint64_t seed);
/* random.getrandbits(bits), 1..32 */
uint32_t python_getrandbits(Twister *t, int bits);
/* The index that random.choice draws for a sequence of n elements, 0 < n < 2^32 */
int64_t python_choice(Twister *t, int64_t n);

#endif
