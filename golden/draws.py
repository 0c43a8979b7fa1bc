# SPDX-License-Identifier: MIT
"""Writes golden/draws.safetensors: random numbers of torch's CPU generator and of Python's random, from
single calls of many sizes and from a long sequence of mixed calls.
"""
import random

import torch

from common import Golden

SEED = 20220811
SIZES = [1, 2, 3, 15, 16, 17, 31, 32, 33, 100, 623, 624, 625, 1250, 4096, 20000]
RANGES = [(0, 1000), (-7, 20), (0, 2**28 - 1), (0, 2**28), (5, 2**31 - 1)]
PYTHON_SEEDS = [0, 11, 2**32 - 1, 2**32 + 5, 2**63 + 9]
# With these seeds one of the first 8 uniform numbers u is exactly 0, so that ln(1 - u) in the Box-Muller
# transform is +0 or -0.
ZERO_RADIUS = [1753191, 2934939, 3109716, 5528393]
RAND, RANDN, RANDINT, RANDPERM, CHANNELS_LAST, RESEED = range(6)  # as in tests/ops/test_rng.c


def generator(seed):
    return torch.Generator().manual_seed(seed)


def channels_last(shape, g):
    like = torch.empty(shape).to(memory_format=torch.channels_last)
    like = like.normal_(generator=g)  # the same as randn_like, which accepts no generator
    return like.contiguous()


def sequence(out):
    """Records calls in a random order, so that each kind of call occurs with and without a cached normal
    number, and at any position in the generator's block of 624 numbers."""
    choose = random.Random(SEED)
    g = generator(SEED)
    calls, floats, ints = [], [], []
    for _ in range(300):
        call = choose.choice([RAND, RANDN, RANDN, RANDINT, RANDPERM, CHANNELS_LAST, RESEED])
        n = choose.choice([1, 2, 3, 5, 15, 16, 17, 31, 32, 40])
        if call == RESEED and choose.random() < 0.7:
            call = RANDN
        if call == RAND:
            floats.append(torch.rand(n, generator=g))
        elif call == RANDN:
            floats.append(torch.randn(n, generator=g))
        elif call == RANDINT:
            ints.append(torch.randint(1000, (n,), generator=g))
        elif call == RANDPERM:
            ints.append(torch.randperm(n, generator=g))
        elif call == CHANNELS_LAST:
            floats.append(channels_last((2, 4, n, 3), g).flatten())
        else:
            g.manual_seed(n)
        calls.append((call, n))
    out.put("sequence.calls", torch.tensor(calls, dtype=torch.int32))
    out.put("sequence.floats", torch.cat(floats))
    out.put("sequence.ints", torch.cat(ints).to(torch.int32))


def main():
    assert torch.backends.cpu.get_cpu_capability() != "DEFAULT", "the AVX2 kernels are the reference"
    out = Golden("draws.py", SEED)
    out.meta("cpu_capability", torch.backends.cpu.get_cpu_capability())
    out.put("sizes", torch.tensor(SIZES, dtype=torch.int32))
    for n in SIZES:
        g = generator(n)
        out.put(f"rand.{n}", torch.rand(n, generator=g))
        out.put(f"randn.{n}", torch.randn(n, generator=g))
        out.put(f"randperm.{n}", torch.randperm(n, generator=g).to(torch.int32)[:700])

    for seed in ZERO_RADIUS:
        out.put(f"zero_radius.{seed}", torch.randn(16, generator=generator(seed)))

    g = generator(2**40 + 3)  # only the low 32 bits of a seed matter
    for i, (low, high) in enumerate(RANGES):
        out.put(f"randint.{i}.range", torch.tensor([low, high], dtype=torch.int32))
        out.put(f"randint.{i}", torch.randint(low, high, (50,), generator=g).to(torch.int32))
    seeds = torch.stack([torch.empty((), dtype=torch.int64).random_(generator=g) for _ in range(20)])
    out.put("u63.high", (seeds >> 32).to(torch.int32))
    out.put("u63.low", (seeds & 0x7FFFFFFF).to(torch.int32))

    g = generator(5)
    out.put("channels_last.before", torch.randn(3, generator=g))  # an odd count leaves a cached normal number
    out.put("channels_last", channels_last((2, 4, 5, 6), g))
    out.put("channels_last.after", torch.randn(3, generator=g))
    sequence(out)

    for i, seed in enumerate(PYTHON_SEEDS):
        random.seed(seed)
        bits = [random.getrandbits(5) for _ in range(20)] + [random.getrandbits(31) for _ in range(700)]
        out.put(f"python.{i}.bits", torch.tensor(bits, dtype=torch.int32))
        drawn = [random.choice(range(n)) for n in (1, 2, 19, 27, 32, 33, 1000003) for _ in range(30)]
        out.put(f"python.{i}.choice", torch.tensor(drawn, dtype=torch.int32))
        out.put(f"python.{i}.random", torch.tensor([random.random() for _ in range(30)], dtype=torch.float64))
    out.save("draws.safetensors")


if __name__ == "__main__":
    main()
