"""Does the training step that `ti train --dump DIR` wrote again with the reference's own classes, on the same token ids, noisy
latents, timesteps and rows, and compares every tensor and every gradient by name, in the order of execution:

    ./ti train --images ... --token ... --init ... --model MODEL --dump DIR
    python golden/dump.py DIR [--model MODEL] [--tolerance 1e-5]

It does so twice. First from the inputs on ("whole": rounding adds up on the way). Then each node by itself ("own"): whatever the
reference has computed is replaced by what stands in the dump before the next module sees it, and so are the gradients on
the way back, so that an error is its own node's and nobody else's. If all nodes are right in this way, the whole is.

A line a tensor: own error forward, own error of d loss / d tensor, the same two of the whole ("-": it has no gradient), name,
shape. Errors are the largest relative to the tensor's largest value. Then each that is off by more than the tolerance, in the
order of execution; exit status 1 if there is any or a tensor has no counterpart. The gradient of a tensor is computed by
the backward passes of the nodes that read it, so these are named.

A node with weights is the output of its module. Any other node is what a module takes in: the residual sum in front of a norm
is that norm's input. Where no module takes it, it is a block's output, or a copy in another layout of what it reads.

float64 on the stored weights by default. --float32 takes half the memory for large models; the errors are then both sides'.

Without arguments it writes golden/dump.safetensors: what the reference computes in the first batch of loop.py's CASE, from
which tests/commands/test_dump.c knows that a dump is right. For each module that has weights forward/MODULE and backward/MODULE:
SAMPLES values spread evenly over its output, and over the gradient of it, and their root mean square.
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
from models import encode_with_rows, load_folder

CASE, SAMPLES = "accumulate", 32

COPIES = ("to_tokens", "to_image")
# The arguments of its sines go up to 1000 and are rounded to fp32 on both sides, by two roundings of the frequencies.
TOLERANCES = {"timestep_embedding": 1000 * 2**-23}


def in_layout(tensor, shape):
    """[B, C, H, W] as [B, H W, C] or back, where the other side has it so."""
    if tensor.dim() == 4 and len(shape) == 3:
        tensor = tensor.flatten(2).transpose(1, 2)
    elif tensor.dim() == 3 and len(shape) == 4:
        tensor = tensor.transpose(1, 2)
    return tensor.reshape(shape)


class Dump:
    """What the program wrote: its nodes, and their tensors on demand."""

    def __init__(self, folder):
        with open(f"{folder}/graph.json", encoding="utf-8") as f:
            graph = json.load(f)
        self.accumulate, self.nodes = graph["accumulate"], {n["name"]: n for n in graph["nodes"]}
        self.forward = safe_open(f"{folder}/forward.safetensors", "pt")
        path = f"{folder}/backward.safetensors"  # not there where the loss is not finite
        self.backward = safe_open(path, "pt") if os.path.exists(path) else None
        self.gradients = set(self.backward.keys()) if self.backward else set()
        with safe_open(f"{folder}/step.safetensors", "pt") as f:
            self.step = {name: f.get_tensor(name) for name in f.keys()}
        self.readers = {}
        for n in self.nodes.values():
            for name in n["reads"]:
                self.readers.setdefault(name, []).append(n["name"])

    def place(self, name):
        """(module, True: its output, False: its input) of a node; None: no module has it."""
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
    """How far the reference is from each tensor of a dump. own: each node by itself."""

    def __init__(self, dump, own):
        self.dump, self.own, self.hooks = dump, own, []
        self.errors, self.gradient_errors = {}, {}  # both in the order of execution

    def take(self, name, tensor):
        """What the reference computed for a node; returns what it is to go on with. The gradient is compared when it is
        complete, and nothing is kept."""
        if name in self.dump.gradients and tensor.requires_grad:
            tensor.register_hook(lambda g: self.compare(self.gradient_errors, self.dump.backward, name, g))
        mine = self.compare(self.errors, self.dump.forward, name, tensor.detach())
        return tensor if mine is None else tensor + (mine - tensor).detach()

    def compare(self, errors, file, name, tensor):
        mine = file.get_tensor(name)
        errors[name] = relative_error(mine, in_layout(tensor, mine.shape))
        return in_layout(mine, tensor.shape).to(tensor.dtype) if self.own else None

    def output(self, name, out):
        return self.take(name, out) if torch.is_tensor(out) else (self.take(name, out[0]), *out[1:])

    def watch(self, parts):
        """Hooks into every module that has a counterpart. parts: the module that each name's first word means."""
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
        return [n for n in self.dump.nodes if n not in self.errors] + [
            n for n in self.dump.gradients if n not in self.gradient_errors
        ]


def submodule(part, path):
    """transformers has had text_model. in front of all names or not, from version to version."""
    for name in (path, f"text_model.{path}"):
        try:
            return part.get_submodule(name)
        except AttributeError:
            pass
    sys.exit(f"the reference has no module {path}")


def compare_inputs(dump, scheduler):
    """What goes into the networks and what the loss compares with, which take a scheduler alone: name -> error."""
    latents, noise, t = dump.step["latents"].double(), dump.step["noise"].double(), dump.step["timesteps"].long()
    v = scheduler.config.prediction_type == "v_prediction"
    return {
        "noisy": relative_error(dump.step["noisy"], scheduler.add_noise(latents, noise, t)),
        "target": relative_error(dump.step["target"], scheduler.get_velocity(latents, noise, t) if v else noise),
    }


def run(c, clip, unet, dtype):
    """Both networks forward and backward."""
    dump, step = c.dump, c.dump.step
    noisy, target, rows = (step[k].to(dtype, copy=True) for k in ("noisy", "target", "rows"))
    c.watch({"text_encoder": clip, "unet": unet})
    rows.requires_grad_(True)
    pred = unet(noisy, step["timesteps"].long(), encode_with_rows(clip, step["input_ids"].long(), rows)).sample
    loss = c.take("loss", torch.nn.functional.mse_loss(pred, target))
    if dump.backward:
        rows.register_hook(lambda g: c.compare(c.gradient_errors, dump.backward, "rows", g))
        (loss / dump.accumulate).backward()
    c.unwatch()
    return c


def report(tolerance, dump, inputs, own, whole):
    """Prints all; returns the exit status."""
    limit = lambda name: max(tolerance, TOLERANCES.get(dump.nodes.get(name, {}).get("op"), 0))
    off = lambda name, errors: name in errors and not errors[name] <= limit(name)  # NaN is off

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
    print(f"{len(inputs) + len(own.errors)} tensors and {len(own.gradient_errors)} gradients, the worst by itself "
          f"{worst(own.errors):.1e} and {worst(own.gradient_errors):.1e}, in the whole {worst(whole.errors):.1e} and "
          f"{worst(whole.gradient_errors):.1e}")  # fmt: skip
    faults = [f"{n}: forward, {e:.1e}" for n, e in {**inputs, **own.errors}.items() if off(n, {n: e})]
    for name, error in own.gradient_errors.items():
        if off(name, own.gradient_errors):
            readers = ", ".join(dump.readers.get(name, []))
            faults.append(f"gradient of {name}: {error:.1e}, from the backward pass of {readers}")
    faults += [f"{n}: has no counterpart" for n in own.missing()]
    for i, fault in enumerate(faults[:20]):
        print(f"{'first off:' if i == 0 else '          '} {fault}")
    if not faults:
        print(f"all by themselves within {tolerance:g}, {', '.join(f'{op} within {e:.1e}' for op, e in TOLERANCES.items())}")
    return 1 if faults else 0


def samples(tensor):
    flat = tensor.detach().flatten()
    at = torch.arange(SAMPLES) * len(flat) // SAMPLES
    return torch.cat([flat[at], flat.square().mean().sqrt()[None]])


def sample_step(dtype, batch, rows, accumulate):
    """The same step from the reference alone: name -> samples of every module's output and gradient."""
    parts, found = load_folder(os.path.normpath(CRITTERS)), {}
    clip, unet = parts["clip"].to(dtype), parts["unet"].to(dtype)
    scheduler = DDPMScheduler.from_pretrained(CRITTERS, subfolder="scheduler")

    def keep(name, out):
        tokens = out.dim() == 4 and name.endswith((".proj_in", ".proj_out"))  # 1x1 convolutions here, linears there
        as_there = lambda x: x.flatten(2).transpose(1, 2) if tokens else x
        found[f"forward/{name}"] = samples(as_there(out))
        if out.requires_grad:
            out.register_hook(lambda g: found.update({f"backward/{name}": samples(as_there(g))}))

    for part, module in dict(text_encoder=clip, unet=unet).items():
        for name, m in module.named_modules():
            name = name.removeprefix("text_model.")
            if "weight" in m._parameters and name != "embeddings.position_embedding":
                m.register_forward_hook(lambda m, i, out, n=f"{part}.{name}": keep(n, out))
    latents, noise, rows = (x.to(dtype, copy=True) for x in (batch["latents"], batch["noise"], rows))
    rows.requires_grad_(True)
    noisy = scheduler.add_noise(latents, noise, batch["timesteps"])
    pred = unet(noisy, batch["timesteps"], encode_with_rows(clip, batch["ids"], rows)).sample
    loss = torch.nn.functional.mse_loss(pred, noise)
    (loss / accumulate).backward()
    found["backward/rows"] = rows.grad
    return {**found, "forward/loss": loss.detach().reshape(1)}


def write_golden():
    os.chdir(os.path.join(HERE, ".."))
    golden, first = Golden(__file__, 11), {}
    options = loop.parse(shlex.split(loop.CASES[CASE] + " --steps 1"))

    def on_batch(batch, latents, noise, timesteps, **_):
        if not first:
            first.update(ids=batch["input_ids"], latents=latents, noise=noise, timesteps=timesteps)

    rows = loop.train(options, on_batch)[0]
    golden.meta("case", CASE)
    double, single = (sample_step(t, first, rows, options.accumulate) for t in (torch.float64, torch.float32))
    for name in sorted(double):
        golden.result(name, double[name], single[name])
    golden.save("dump.safetensors")


def main():
    if len(sys.argv) == 1:
        write_golden()
        return
    p = argparse.ArgumentParser(description="Compares a step that `ti train --dump` wrote with the reference's.")
    p.add_argument("dump", metavar="DIR", help="what --dump wrote")
    p.add_argument("--model", default=CRITTERS, help="the model folder that it was run with")
    p.add_argument("--variant", help="of the model's weight files, such as fp16")
    p.add_argument("--tolerance", type=float, default=1e-5, help="of a node by itself, relative to its largest value")
    p.add_argument("--float32", action="store_true", help="the reference in fp32")
    a = p.parse_args()
    dtype = torch.float32 if a.float32 else torch.float64
    dump, parts = Dump(a.dump), load_folder(a.model, a.variant)
    clip, unet = parts["clip"].to(dtype), parts["unet"].to(dtype)
    inputs = compare_inputs(dump, DDPMScheduler.from_pretrained(a.model, subfolder="scheduler"))
    own, whole = (run(Comparison(dump, own), clip, unet, dtype) for own in (True, False))
    sys.exit(report(a.tolerance, dump, inputs, own, whole))


if __name__ == "__main__":
    main()
