# SPDX-License-Identifier: MIT
"""Recomputes the training step that `ti train --dump DIR` wrote with the reference's own classes, from the
same token ids, noisy latents, timesteps and learned vectors, and compares every tensor and every gradient by
name, in the order of execution:

    ./ti train --images ... --token ... --init ... --model MODEL --dump DIR
    python golden/dump.py DIR [--model MODEL] [--tolerance 1e-5]

The comparison is made twice. In the first one, "whole", the reference computes everything from the inputs on,
so that rounding errors add up along the way. In the second one, "own", every tensor that the reference has
computed is replaced by the dump's tensor before the next module gets it, and likewise every gradient on the
way back. An error is then the error of that one node. If every node is right by itself, the whole step is
right.

The script prints one line for each tensor: the node's own error in the forward pass, its own error of d loss
/ d tensor, the same two errors of the whole ("-" where the tensor has no gradient), the name and the shape.
Errors are relative to the largest value of the tensor. After that, all tensors with an error above the
tolerance are listed in the order of execution. The exit status is 1 when there is any, or when a tensor has
no counterpart. The gradient of a tensor is computed by the backward passes of the nodes that read it, so
these nodes are named with it.

A node with weights is compared with the output of its module. Any other node is compared with the input of
the module that reads it: the residual sum before a norm is the input of that norm. A node that no module
reads is the output of a block, or a copy in another layout of the tensor that it reads.

The reference computes in float64 on the stored weights. With --float32 it needs half the memory for a large
model, and the errors are the sum of both sides' errors.

Without arguments the script writes golden/dump.safetensors, with which tests/commands/test_dump.c checks that
a dump is right: what the reference computes in the first batch of CASE, one of the CASES of loop.py. For each
module with weights, forward/MODULE and backward/MODULE hold SAMPLES values at equal distances of its output
and of the gradient of that output, and last their root mean square.
"""
import argparse
import json
import os
import shlex
import sys

import torch
from diffusers import DDPMScheduler
from safetensors import safe_open

import loop
from common import CRITTERS, HERE, Golden, relative_error
from models import encode_with_learned, load_folder

CASE, SAMPLES = "accumulate", 32

COPIES = ("to_tokens", "to_image")
# The sines of the timestep embedding have arguments up to 1000. Both sides round them to fp32 and compute
# them from frequencies that can differ in the last bit.
TOLERANCES = {"timestep_embedding": 1000 * 2**-23}


def in_layout(tensor, shape):
    """Converts [B, C, H, W] to [B, H W, C] or back when `shape`, the shape on the other side, has that
    layout."""
    if tensor.dim() == 4 and len(shape) == 3:
        tensor = tensor.flatten(2).transpose(1, 2)
    elif tensor.dim() == 3 and len(shape) == 4:
        tensor = tensor.transpose(1, 2)
    return tensor.reshape(shape)


class Dump:
    """A dump folder: the nodes of the graph, and their tensors, which are read on demand."""

    def __init__(self, folder):
        with open(f"{folder}/graph.json", encoding="utf-8") as f:
            graph = json.load(f)
        self.accumulate, self.nodes = graph["accumulate"], {n["name"]: n for n in graph["nodes"]}
        self.forward = safe_open(f"{folder}/forward.safetensors", "pt")
        path = f"{folder}/backward.safetensors"  # is missing when the loss is not finite
        self.backward = safe_open(path, "pt") if os.path.exists(path) else None
        self.gradients = set(self.backward.keys()) if self.backward else set()
        with safe_open(f"{folder}/step.safetensors", "pt") as f:
            self.step = {name: f.get_tensor(name) for name in f.keys()}
        self.readers = {}
        for n in self.nodes.values():
            for name in n["reads"]:
                self.readers.setdefault(name, []).append(n["name"])

    def place(self, name):
        """Returns the module that a node is compared with, and whether with its output (True) or its input
        (False). Returns None when there is none."""
        node = self.nodes[name]
        if node["module"]:
            return name, True
        for reader in self.readers.get(name, []):
            if self.nodes[reader]["module"] and self.nodes[reader]["reads"][0] == name:
                return reader, False
        if node["op"] == "add":
            return name.split("/")[0], True
        return self.place(node["reads"][0]) if node["op"] in COPIES else None


class Comparison:
    """The errors of the reference against each tensor of a dump. With `own`, each node is compared by
    itself."""

    def __init__(self, dump, own):
        self.dump, self.own, self.hooks = dump, own, []
        self.errors, self.gradient_errors = {}, {}  # name -> error, in the order of execution

    def take(self, name, tensor):
        """Compares the reference's tensor of a node, and returns the tensor with which the reference
        continues. A hook compares the gradient when it is complete. No tensor is kept."""
        if name in self.dump.gradients and tensor.requires_grad:
            tensor.register_hook(lambda g: self.compare(self.gradient_errors, self.dump.backward, name, g))
        mine = self.compare(self.errors, self.dump.forward, name, tensor.detach())
        return tensor if mine is None else tensor + (mine - tensor).detach()

    def compare(self, errors, file, name, tensor):
        """Stores the error of a tensor. Returns the dump's tensor in its place, or None unless `own`."""
        mine = file.get_tensor(name)
        errors[name] = relative_error(mine, in_layout(tensor, mine.shape))
        return in_layout(mine, tensor.shape).to(tensor.dtype) if self.own else None

    def output(self, name, out):
        """Calls take for the output of a module, which can be a tuple whose first member is the tensor."""
        return self.take(name, out) if torch.is_tensor(out) else (self.take(name, out[0]), *out[1:])

    def watch(self, parts):
        """Registers hooks in every module that a node is compared with. parts maps the first word of a node's
        name to a network."""
        for name in self.dump.nodes:
            found = self.dump.place(name)
            if found is None:
                continue
            part, _, path = found[0].partition(".")
            module = submodule(parts[part], path)
            if found[1]:
                hook = module.register_forward_hook(lambda m, i, out, n=name: self.output(n, out))
            else:
                hook = module.register_forward_pre_hook(lambda m, i, n=name: (self.take(n, i[0]), *i[1:]))
            self.hooks.append(hook)

    def unwatch(self):
        for hook in self.hooks:
            hook.remove()

    def missing(self):
        """Returns the names of nodes and gradients that were not compared."""
        return [n for n in self.dump.nodes if n not in self.errors] + [
            n for n in self.dump.gradients if n not in self.gradient_errors
        ]


def submodule(part, path):
    """Finds a module by its path. In some versions of transformers all paths begin with "text_model."."""
    for name in (path, f"text_model.{path}"):
        try:
            return part.get_submodule(name)
        except AttributeError:
            pass
    sys.exit(f"the reference has no module {path}")


def compare_inputs(dump, scheduler):
    """Returns the errors of the UNet's input and of the loss's target, which depend on the scheduler alone:
    name -> error."""
    latents, noise, t = dump.step["latents"].double(), dump.step["noise"].double(), dump.step["timesteps"].long()
    v = scheduler.config.prediction_type == "v_prediction"
    return {
        "noisy": relative_error(dump.step["noisy"], scheduler.add_noise(latents, noise, t)),
        "target": relative_error(dump.step["target"], scheduler.get_velocity(latents, noise, t) if v else noise),
    }


def run(c, clip, unet, dtype):
    """Runs both networks forward and backward, with hooks that compare every tensor."""
    dump, step = c.dump, c.dump.step
    noisy, target, learned = (step[k].to(dtype, copy=True) for k in ("noisy", "target", "rows"))
    c.watch({"text_encoder": clip, "unet": unet})
    learned.requires_grad_(True)
    pred = unet(noisy, step["timesteps"].long(), encode_with_learned(clip, step["input_ids"].long(), learned)).sample
    loss = c.take("loss", torch.nn.functional.mse_loss(pred, target))
    if dump.backward:
        learned.register_hook(lambda g: c.compare(c.gradient_errors, dump.backward, "rows", g))
        (loss / dump.accumulate).backward()
    c.unwatch()
    return c


def report(tolerance, dump, inputs, own, whole):
    """Prints the table and the errors above the tolerance. Returns the exit status."""
    limit = lambda name: max(tolerance, TOLERANCES.get(dump.nodes.get(name, {}).get("op"), 0))
    off = lambda name, errors: name in errors and not errors[name] <= limit(name)  # true for NaN as well

    def line(name, *columns):
        cells = ["%8.1e%s" % (e[name], "*" if i < 2 and off(name, e) else " ") if name in e else "       - "
                 for i, e in enumerate(columns)]  # fmt: skip
        print(*cells, name, dump.nodes[name]["shape"] if name in dump.nodes else "")

    print(f"{'own':>8}  {'gradient':>8}  {'whole':>8}  {'gradient':>8}  tensor")
    for name in inputs:
        line(name, inputs, {}, {}, {})
    for name in [*dump.nodes, "rows"]:
        line(name, own.errors, own.gradient_errors, whole.errors, whole.gradient_errors)
    worst = lambda errors: max((e if e == e else float("inf") for e in errors.values()), default=0)
    print(f"{len(inputs) + len(own.errors)} tensors and {len(own.gradient_errors)} gradients; "
          f"the largest own errors are {worst(own.errors):.1e} and {worst(own.gradient_errors):.1e}, those of the whole "
          f"{worst(whole.errors):.1e} and {worst(whole.gradient_errors):.1e}")  # fmt: skip
    faults = [f"{n}: forward, {e:.1e}" for n, e in {**inputs, **own.errors}.items() if off(n, {n: e})]
    for name, error in own.gradient_errors.items():
        if off(name, own.gradient_errors):
            readers = ", ".join(dump.readers.get(name, []))
            faults.append(f"gradient of {name}: {error:.1e}, from the backward pass of {readers}")
    faults += [f"{n}: has no counterpart" for n in own.missing()]
    if faults:
        print(f"{len(faults)} tensors are above the tolerance or have no counterpart:")
    for fault in faults[:20]:
        print(f"    {fault}")
    if not faults:
        print(f"all own errors are within {tolerance:g}, "
              f"{', '.join(f'{op} within {e:.1e}' for op, e in TOLERANCES.items())}")  # fmt: skip
    return 1 if faults else 0


def samples(tensor):
    """Returns SAMPLES values at equal distances, followed by the root mean square of all values."""
    flat = tensor.detach().flatten()
    at = torch.arange(SAMPLES) * len(flat) // SAMPLES
    return torch.cat([flat[at], flat.square().mean().sqrt()[None]])


def sample_step(dtype, batch, learned, accumulate):
    """Computes a training step with the reference. Returns name -> samples of every module's output and its
    gradient."""
    parts, found = load_folder(os.path.normpath(CRITTERS)), {}
    clip, unet = parts["clip"].to(dtype), parts["unet"].to(dtype)
    scheduler = DDPMScheduler.from_pretrained(CRITTERS, subfolder="scheduler")

    def keep(name, out):
        tokens = out.dim() == 4 and name.endswith((".proj_in", ".proj_out"))  # linear layers in ti
        in_ti_layout = lambda x: x.flatten(2).transpose(1, 2) if tokens else x
        found[f"forward/{name}"] = samples(in_ti_layout(out))
        if out.requires_grad:
            out.register_hook(lambda g: found.update({f"backward/{name}": samples(in_ti_layout(g))}))

    for part, module in dict(text_encoder=clip, unet=unet).items():
        for name, m in module.named_modules():
            name = name.removeprefix("text_model.")
            if "weight" in m._parameters and name != "embeddings.position_embedding":
                m.register_forward_hook(lambda m, i, out, n=f"{part}.{name}": keep(n, out))
    latents, noise, learned = (x.to(dtype, copy=True) for x in (batch["latents"], batch["noise"], learned))
    learned.requires_grad_(True)
    noisy = scheduler.add_noise(latents, noise, batch["timesteps"])
    pred = unet(noisy, batch["timesteps"], encode_with_learned(clip, batch["ids"], learned)).sample
    loss = torch.nn.functional.mse_loss(pred, noise)
    (loss / accumulate).backward()
    found["backward/rows"] = learned.grad
    return {**found, "forward/loss": loss.detach().reshape(1)}


def write_golden():
    os.chdir(os.path.join(HERE, ".."))
    golden, first = Golden(__file__, 11), {}
    options = loop.parse(shlex.split(loop.CASES[CASE] + " --steps 1"))

    def on_batch(batch, latents, noise, timesteps, **_):
        if not first:
            first.update(ids=batch["input_ids"], latents=latents, noise=noise, timesteps=timesteps)

    learned = loop.train(options, on_batch)[0]
    golden.meta("case", CASE)
    double, single = (sample_step(t, first, learned, options.accumulate) for t in (torch.float64, torch.float32))
    for name in sorted(double):
        golden.result(name, double[name], single[name])
    golden.save("dump.safetensors")


def main():
    if len(sys.argv) == 1:
        write_golden()
        return
    p = argparse.ArgumentParser(description="Compares a step of `ti train --dump` with the reference.")
    p.add_argument("dump", metavar="DIR", help="the folder that --dump wrote")
    p.add_argument("--model", default=CRITTERS, help="the model folder that it was run with")
    p.add_argument("--variant", help="the variant of the model's weight files, such as fp16")
    p.add_argument("--clip-skip", type=int, default=1, metavar="N", help="the --clip-skip that it was run with")
    p.add_argument("--tolerance", type=float, default=1e-5, help="for the error of a node by itself")
    p.add_argument("--float32", action="store_true", help="compute the reference in fp32")
    a = p.parse_args()
    dtype = torch.float32 if a.float32 else torch.float64
    dump, parts = Dump(a.dump), load_folder(a.model, a.variant)
    clip, unet = parts["clip"].to(dtype), parts["unet"].to(dtype)
    clip.encoder.layers = clip.encoder.layers[: len(clip.encoder.layers) - a.clip_skip + 1]
    inputs = compare_inputs(dump, DDPMScheduler.from_pretrained(a.model, subfolder="scheduler"))
    own, whole = (run(Comparison(dump, own), clip, unet, dtype) for own in (True, False))
    sys.exit(report(a.tolerance, dump, inputs, own, whole))


if __name__ == "__main__":
    main()
