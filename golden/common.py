# SPDX-License-Identifier: MIT
"""Shared by the golden scripts: writing a golden file, and computing every result in float64 and in fp32.

A golden file is a safetensors file. It holds inputs and weights as they were used. Results are what the
reference computes in float64 on exactly these inputs and weights, rounded once to fp32. The metadata key
"torch:NAME" holds the error of the reference's own fp32 computation of NAME, so that a test can print it
beside the error that it measures. Likewise "bf16:NAME" holds the error of the reference in bfloat16, where
modules and inputs are bfloat16, the largest of several runs (bf16_errors).
"""
import importlib.metadata
import json
import os
import struct

import diffusers
import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
CRITTERS = os.path.join(HERE, "..", "weights", "critters")
VERSIONS = ("torch", "diffusers", "transformers", "accelerate", "pillow")
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
diffusers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
diffusers.logging.disable_progress_bar()


def relative_error(a, b):
    """Returns max|a - b| / max|b|, computed in float64. All tests measure errors in this way."""
    a, b = a.detach().double(), b.detach().double()
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-300)).item()


class Golden:
    """Collects the tensors and metadata of a golden file and writes it."""

    def __init__(self, script, seed):
        """script is the path of the calling script. seed goes to the metadata, and seeds torch's global
        generator."""
        torch.manual_seed(seed)
        self.tensors = {}
        self.metadata = {"script": os.path.basename(script), "seed": str(seed)}
        for name in VERSIONS:
            self.metadata[name] = importlib.metadata.version(name)

    def put(self, name, tensor):
        """Stores a tensor as it is."""
        assert name not in self.tensors, name
        assert not tensor.dtype.is_floating_point or tensor.isfinite().all(), f"{name} is not finite"
        self.tensors[name] = tensor.detach().clone().contiguous()

    def result(self, name, f64, f32=None, bf16_error=None):
        """Stores a float64 result as fp32. When f32, the same result computed in fp32, is given, its error is
        stored as well, and so is the error in bfloat16."""
        assert f64.dtype == torch.float64, f"{name} is {f64.dtype}"
        self.put(name, f64.float())
        if f32 is not None:
            self.meta(f"torch:{name}", "%.1e" % relative_error(f32, f64))
        if bf16_error is not None:
            self.meta(f"bf16:{name}", "%.2e" % bf16_error)

    def meta(self, key, text):
        """Stores a text under a metadata key."""
        assert key not in self.metadata, key
        self.metadata[key] = str(text)

    def save(self, path):
        """Writes the file. A path without a folder is a name in the folder of the scripts."""
        if not os.path.dirname(path):
            path = os.path.join(HERE, path)
        write_safetensors(path, self.tensors, self.metadata)
        worst = max((float(v) for k, v in self.metadata.items() if k.startswith("torch:")), default=0)
        print(f"{os.path.relpath(path)}: {len(self.tensors)} tensors, {os.path.getsize(path)} bytes, "
              f"torch's own fp32 error at most {worst:.1e}")


def write_safetensors(path, tensors, metadata):
    """Writes a safetensors file whose bytes depend on its content alone. The safetensors library writes
    metadata in an order that changes from run to run."""
    header, parts, offset = {"__metadata__": dict(sorted(metadata.items()))}, [], 0
    # The largest element size comes first, so that each tensor is aligned to its element size.
    for name in sorted(tensors, key=lambda n: (-tensors[n].element_size(), n)):
        t = tensors[name]
        data = t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
        header[name] = {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
    os.replace(path + ".tmp", path)


def random_weights(module, seed, dtype=torch.float32):
    """Fills a module with random weights, the same on every machine, with which activations keep their size
    through any depth: matrices and kernels have variance 1 / fan_in, weights of norms are near 1, biases near
    0. dtype represents all of them exactly. Returns the module in fp32, in eval mode, and with gradients of
    its parameters turned off."""
    generator = torch.Generator().manual_seed(seed)
    module.float().eval().requires_grad_(False)
    for name, p in sorted(module.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        if "embedding" in name and p.dim() == 2:
            noise *= 0.5
        elif p.dim() >= 2:
            noise *= p[0].numel() ** -0.5
        elif name.endswith("weight"):
            noise = 1 + 0.2 * noise
        else:
            noise *= 0.1
        p.copy_(noise.to(dtype))
    return module


def normal(*shape, seed):
    """Returns standard normal numbers from a generator of their own."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run_in(dtype, function, inputs):
    """Returns function(*inputs), a tuple of tensors, detached. All floating-point inputs are converted to the
    type; an input that requires a gradient becomes a new leaf."""
    cast = [
        x.detach().to(dtype, copy=True).requires_grad_(x.requires_grad)
        if isinstance(x, torch.Tensor) and x.is_floating_point() else x
        for x in inputs
    ]  # fmt: skip
    return tuple(r.detach() for r in function(*cast))


def both(function, modules, inputs):
    """Runs function(*inputs), which returns a tuple of tensors, twice: first with the modules and all
    floating-point inputs converted to float64, then to fp32. Returns both tuples, detached."""
    results = []
    for dtype in (torch.float64, torch.float32):
        for m in modules:
            m.to(dtype)
        results.append(run_in(dtype, function, inputs))
    return results


BF16_RUNS = 8


def bf16_errors(function, modules, inputs, exact=torch.float64, count=BF16_RUNS):
    """Returns the error of each result of function(*inputs) when it is computed in bfloat16, relative to the
    result in the type `exact`. One run tells little, since its roundings may happen to cancel. So this is the
    largest error of several runs, whose inputs all differ by about a thousandth. Afterwards the modules are as
    they were."""
    generator = torch.Generator().manual_seed(1)
    kept = [(t, t.data) for m in modules for t in (*m.parameters(), *m.buffers()) if t.is_floating_point()]
    runs = []
    for dtype in (exact, torch.bfloat16):
        generator.manual_seed(1)
        for t, data in kept:
            t.data = data.to(dtype)
        for i in range(count):
            moved = [
                (x.detach() * (1 + (1e-3 * torch.randn(x.shape, generator=generator) if i else 0))).requires_grad_(x.requires_grad)
                if isinstance(x, torch.Tensor) and x.is_floating_point() else x
                for x in inputs
            ]  # fmt: skip
            runs.append(run_in(dtype, function, moved))
    for t, data in kept:
        t.data = data
    pairs = list(zip(runs[:count], runs[count:]))
    return [max(relative_error(b[k], a[k]) for a, b in pairs) for k in range(len(runs[0]))]
