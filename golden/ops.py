# SPDX-License-Identifier: MIT
"""Writes golden/ops.safetensors: every op of autograd/ops.h, forward and backward.

For a case NAME the file has the inputs NAME.in0, in1, ...; NAME.weight and NAME.bias in the type of a
checkpoint, also in 16 bits; NAME.dy, the gradient of the output; and the results NAME.y and NAME.dx0, dx1,
... for the inputs that have a gradient. Other parameters (stride, heads, ...) are given again in
tests/ops/test_ops.c, case by case.
"""
import math
import sys

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import Timesteps

from common import Golden, bf16_errors

golden = Golden("golden/ops.py", 7)
generator = torch.Generator().manual_seed(7)


def normal(*shape, scale=1.0, mean=0.0):
    return torch.randn(*shape, generator=generator) * scale + mean


def run(f, inputs, layer, dy, dtype, gradients):
    leaves = [x.to(dtype, copy=True).requires_grad_(wanted) for x, wanted in zip(inputs, gradients)]
    y = f(*leaves, *[None if w is None else w.to(dtype) for w in layer])
    if dy is None:
        return [y.detach()]
    return [y.detach(), *torch.autograd.grad(y, [x for x in leaves if x.requires_grad], dy.to(dtype))]


def case(name, f, *inputs, layer=(), gradients=None):
    """Stores a case of f(*inputs, *layer). layer has weight and bias, which get no gradient. gradients tells
    which inputs get one."""
    gradients = gradients or [True] * len(inputs)
    for i, x in enumerate(inputs):
        golden.put(f"{name}.in{i}", x)
    for key, w in zip(("weight", "bias"), layer):
        if w is not None:
            golden.put(f"{name}.{key}", w)
    with torch.no_grad():
        shape = f(*inputs, *[None if w is None else w.float() for w in layer]).shape
    dy = normal(*shape)
    golden.put(f"{name}.dy", dy)
    exact = run(f, inputs, layer, dy, torch.float64, gradients)
    single = run(f, inputs, layer, dy, torch.float32, gradients)
    leaves = [x.clone().requires_grad_(wanted) for x, wanted in zip(inputs, gradients)]
    errors = bf16_errors(lambda *x: run(f, x, layer, dy, x[0].dtype, gradients), [], leaves)
    names = ["y", *[f"dx{i}" for i, wanted in enumerate(gradients) if wanted]]
    for key, a, b, error in zip(names, exact, single, errors):
        golden.result(f"{name}.{key}", a, b, error)


def weights(*shape, dtype=torch.float32, bias=True):
    fan_in = math.prod(shape[1:])
    weight = normal(*shape, scale=fan_in**-0.5).to(dtype)
    return weight, normal(shape[0], scale=0.3).to(dtype) if bias else None


def affine(channels, dtype=torch.float32):
    return normal(channels, scale=0.5, mean=1.0).to(dtype), normal(channels, scale=0.5).to(dtype)


# Linear
case("linear", F.linear, normal(2, 37, 33), layer=weights(29, 33))
case("linear.no_bias", F.linear, normal(3, 50), layer=weights(41, 50, bias=False))
case("linear.one_row", F.linear, normal(1, 70), layer=weights(130, 70))
case("linear.many_rows", F.linear, normal(1, 267, 9), layer=weights(13, 9))
case("linear.many_columns", F.linear, normal(1, 5, 24), layer=weights(531, 24))
case("linear.long", F.linear, normal(1, 9, 600), layer=weights(20, 600))
case("linear.f16", F.linear, normal(2, 19, 40), layer=weights(31, 40, dtype=torch.float16))
conv1x1 = weights(18, 22, 1, 1)
case("linear.conv1x1", lambda x, w, b: F.linear(x, w.flatten(1), b), normal(2, 15, 22), layer=conv1x1)


# Conv2d
def convolution(stride, top, bottom, left, right):
    return lambda x, w, b: F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, stride=stride)


case("conv2d", convolution(1, 1, 1, 1, 1), normal(2, 5, 9, 7), layer=weights(6, 5, 3, 3))
case("conv2d.stride2", convolution(2, 1, 1, 1, 1), normal(2, 5, 9, 8), layer=weights(6, 5, 3, 3))
case("conv2d.pad_end", convolution(2, 0, 1, 0, 1), normal(1, 5, 8, 7), layer=weights(6, 5, 3, 3))
case("conv2d.asymmetric", convolution(1, 2, 0, 1, 3), normal(2, 3, 6, 5), layer=weights(4, 3, 3, 3))
case("conv2d.no_padding", convolution(1, 0, 0, 0, 0), normal(2, 3, 6, 5), layer=weights(4, 3, 3, 3))
case("conv2d.1x1", convolution(1, 0, 0, 0, 0), normal(2, 13, 5, 7), layer=weights(11, 13, 1, 1))
case("conv2d.1x1.stride2", convolution(2, 0, 0, 0, 0), normal(2, 6, 7, 9), layer=weights(5, 6, 1, 1))
case("conv2d.no_bias", convolution(1, 1, 1, 1, 1), normal(1, 3, 4, 4), layer=weights(2, 3, 3, 3, bias=False))
case("conv2d.one_pixel", convolution(1, 1, 1, 1, 1), normal(2, 4, 1, 1), layer=weights(3, 4, 3, 3))
case("conv2d.wide", convolution(1, 1, 1, 1, 1), normal(2, 24, 17, 14), layer=weights(20, 24, 3, 3))
bf16 = weights(28, 24, 3, 3, dtype=torch.bfloat16)
case("conv2d.bf16", convolution(1, 1, 1, 1, 1), normal(1, 24, 16, 16), layer=bf16)


# Norms
def group_norm(groups, eps):
    return lambda x, w, b: F.group_norm(x, groups, w, b, eps)


def layer_norm(x, w, b):
    return F.layer_norm(x, x.shape[-1:], w, b, 1e-5)


case("group_norm", group_norm(4, 1e-5), normal(2, 12, 5, 7), layer=affine(12))
case("group_norm.one_group", group_norm(1, 1e-6), normal(2, 6, 9, 31), layer=affine(6))
case("group_norm.instance", group_norm(6, 1e-5), normal(1, 6, 4, 4), layer=affine(6))
case("group_norm.mean_100", group_norm(2, 1e-6), normal(1, 8, 6, 6, mean=100.0), layer=affine(8))
case("group_norm.tokens_f16", group_norm(5, 1e-6), normal(2, 10, 11), layer=affine(10, torch.float16))
case("layer_norm", layer_norm, normal(2, 37, 33), layer=affine(33))
case("layer_norm.bf16", layer_norm, normal(2, 3, 48, scale=30.0), layer=affine(48, torch.bfloat16))
case("layer_norm.mean_100", layer_norm, normal(1, 17, 64, mean=100.0), layer=affine(64))

# Activations, also over a range where they saturate on both sides
for name, f in (
    ("silu", F.silu),
    ("gelu", F.gelu),
    ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
):
    case(name, f, normal(2, 7, 99, scale=3.0))
    case(f"{name}.range", f, torch.linspace(-120, 120, 481))


def geglu(x):
    a, b = x.chunk(2, dim=-1)
    return a * F.gelu(b)


case("geglu", geglu, normal(2, 13, 38, scale=2.0))


# Attention
def attention(heads, causal=False):
    def f(q, k, v):
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if causal:
            scores = scores + torch.full(scores.shape[-2:], -torch.inf, dtype=scores.dtype).triu(1)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2)

    return f


def qkv(batch, queries, keys, channels, scale=1.0):
    q = normal(batch, queries, channels, scale=scale)
    return q, normal(batch, keys, channels), normal(batch, keys, channels)


case("attention.head40", attention(2), *qkv(2, 130, 77, 80))
case("attention.head64.causal", attention(2, True), *qkv(1, 77, 77, 128))
case("attention.head80", attention(2), *qkv(1, 21, 77, 160))
case("attention.head160", attention(1), *qkv(1, 18, 77, 160))
case("attention.blocks", attention(1), *qkv(1, 650, 300, 6))
case("attention.causal_blocks", attention(3, True), *qkv(1, 150, 150, 9))
case("attention.sharp", attention(2), *qkv(2, 19, 5, 6, scale=30.0))
case("attention.one_key", attention(2), *qkv(1, 3, 1, 4))
case("attention.frozen_q", attention(4), *qkv(2, 21, 32, 48), gradients=[False, True, True])
case("attention.frozen_kv", attention(4), *qkv(2, 21, 32, 48), gradients=[True, False, False])

# Embedding. Ids from 11 on are learned vectors, of which some occur several times.
ids = torch.tensor([[0, 11, 3, 10, 11], [13, 2, 2, 12, 11]])
table = normal(11, 24).bfloat16()
golden.put("embedding.ids", ids.int())
case("embedding", lambda learned, w: F.embedding(ids, torch.cat([w, learned])), normal(3, 24), layer=(table,))

# Additions, and ops that move data
case("add", torch.add, normal(2, 3, 5, 7), normal(2, 3, 5, 7))
case("add.frozen", torch.add, normal(3, 5), normal(3, 5), gradients=[True, False])
case("add.twice", lambda x: x + x, normal(4, 5))
case("add_position", lambda x, w: x + w[: x.shape[1]], normal(2, 9, 20), layer=(normal(12, 20).half(),))


def add_channel(x, t):
    return x + t[:, :, None, None]


def concat(a, b):
    return torch.cat([a, b], 1)


case("add_channel", add_channel, normal(2, 5, 7, 3), normal(2, 5))
case("add_channel.frozen", add_channel, normal(1, 3, 40, 40), normal(1, 3), gradients=[False, True])
case("concat", concat, normal(2, 3, 5, 7), normal(2, 4, 5, 7))
case("concat.frozen", concat, normal(2, 3, 2, 2), normal(2, 1, 2, 2), gradients=[False, True])
case("to_tokens", lambda x: x.flatten(2).transpose(1, 2), normal(2, 35, 5, 7))
case("to_image", lambda x: x.transpose(1, 2).unflatten(-1, (5, 7)), normal(2, 35, 19))


def nearest(height, width):
    return lambda x: F.interpolate(x, size=(height, width), mode="nearest")


case("upsample_nearest", nearest(10, 14), normal(2, 3, 5, 7))
case("upsample_nearest.odd", nearest(9, 17), normal(1, 2, 5, 9))
case("upsample_nearest.rounding", nearest(82, 2), normal(1, 1, 2, 2))


# The timestep embedding is defined by its angles in fp32, so that the exact result is their cosine and sine
# in double. The frequencies here are the correctly rounded exponentials. Those of torch, from MKL, differ by
# one ulp in places, which the recorded error of torch includes.
def timesteps(name, t, dim):
    half = dim // 2
    exponent = -math.log(10000) * torch.arange(half, dtype=torch.float32) / half
    angle = t[:, None] * exponent.double().exp().float()
    golden.put(f"{name}.in0", t)
    golden.result(
        f"{name}.y",
        torch.cat([angle.double().cos(), angle.double().sin()], 1),
        Timesteps(dim, flip_sin_to_cos=True, downscale_freq_shift=0)(t),
    )


timesteps("timestep_embedding", torch.tensor([0.0, 1.0, 250.0, 731.0, 999.0]), 320)
timesteps("timestep_embedding.narrow", torch.tensor([999.0, 41.0]), 64)

# The loss
pred, target = normal(2, 4, 9, 13), normal(2, 4, 9, 13)
case("mse_loss", lambda a, b: F.mse_loss(a, b).view(1), pred, target, gradients=[True, False])

# New cases come last, so that the random numbers of those above do not change.
case("repeat", lambda x: x.repeat(3, 1, 1, 1), normal(2, 3, 5, 7))

factors = normal(2, 9, 13).abs()
case("weighted_mse_loss", lambda a, b, w: (F.mse_loss(a, b, reduction="none") * w[:, None]).mean().view(1), pred, target, factors,
     gradients=[True, False, False])

golden.save(sys.argv[1] if len(sys.argv) > 1 else "ops.safetensors")
