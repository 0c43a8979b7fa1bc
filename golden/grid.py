# SPDX-License-Identifier: MIT
"""Writes golden/grid.safetensors: the fixed-grid loss of `ti evaluate` and `ti train --grid-loss`.

This loss is the mean of all squared errors of the noise predictions for each picture's latents (the mean of
the posterior) at 20 timesteps, which are the middles of 20 equal parts of the noise schedule. One generator
makes the noise for all of them in this order. For each case the file has "CASE/loss" [1], computed in
float64, with the error of PyTorch's own fp32 computation, and in the metadata "CASE/options", the options of
`ti evaluate`.
"""
import functools
import os
import shlex
import sys

import torch
from diffusers import DDPMScheduler

from common import HERE, Golden
from loop import OBJECT, STYLE, Pictures, parse
from models import load_folder

TIMESTEPS, SEED = 20, 20220802
CASES = {
    "critters": "--images weights/critters/concepts/grum --init critter",
    "style": "--images weights/critters/concepts/style-blueprint --init drawing --kind style",
    "v_prediction": "--model golden/models/linear --images golden/loop_pictures --init cat --center-crop --resolution 64",
}


def fixed_loss(a, dtype, points):
    """The mean squared error of the noise predictions at fixed points. points(pictures) lists them: the number of a
    picture, k and n for the middle of part k of n equal parts of the noise schedule, and a template."""
    parts = load_folder(a.model)
    clip, unet, vae = (parts[k].to(dtype).eval() for k in ("clip", "unet", "vae"))
    scheduler, tokenizer = DDPMScheduler.from_pretrained(a.model, subfolder="scheduler"), parts["tokenizer"]
    a.resolution = a.resolution or unet.config.sample_size * 2 ** (len(vae.config.block_out_channels) - 1)
    a.repeats, a.no_flip = 1, True
    pictures = Pictures(a, tokenizer, a.init)

    @functools.cache
    def states(template):
        ids = tokenizer(template.format(a.init), padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                        return_tensors="pt").input_ids  # fmt: skip
        return clip(ids)[0]

    @functools.cache
    def latents(picture):
        return vae.encode(pictures[picture]["pixel_values"][None].to(dtype)).latent_dist.mean * vae.config.scaling_factor

    generator = torch.Generator().manual_seed(SEED)
    total, values = 0.0, 0
    for picture, k, n, template in points(len(pictures)):
        z = latents(picture)
        noise = torch.randn(z.shape, generator=generator).to(dtype)
        t = torch.tensor([(2 * k + 1) * scheduler.config.num_train_timesteps // (2 * n)])
        pred = unet(scheduler.add_noise(z, noise, t), t, states(template)).sample
        v = scheduler.config.prediction_type == "v_prediction"
        target = scheduler.get_velocity(z, noise, t) if v else noise
        total += (pred - target).double().square().sum().item()
        values += target.numel()
    return torch.tensor([total / values], dtype=torch.float64)


def grid_loss(a, dtype):
    template = (STYLE if a.kind == "style" else OBJECT)[0]
    return fixed_loss(a, dtype, lambda pictures: [(i, k, TIMESTEPS, template) for i in range(pictures) for k in range(TIMESTEPS)])


def main():
    os.chdir(os.path.join(HERE, ".."))
    torch.set_grad_enabled(False)
    golden = Golden(__file__, SEED)
    for name, options in CASES.items():
        results = [grid_loss(parse(shlex.split(options + " --token none")), d) for d in (torch.float64, torch.float32)]
        golden.meta(f"{name}/options", options)
        golden.result(f"{name}/loss", *results)
        print(name, *(f"{x.item():.7f}" for x in results))
    golden.save(sys.argv[1] if len(sys.argv) > 1 else "grid.safetensors")


if __name__ == "__main__":
    main()
