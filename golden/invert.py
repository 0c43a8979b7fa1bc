# SPDX-License-Identifier: MIT
"""Writes golden/invert.safetensors: the noise to which diffusers' DDIMInverseScheduler leads from a picture, the
pictures that DDIMScheduler draws from it without guidance, and the options of `ti invert`:

    CASE/options                in the metadata
    CASE/latents, CASE/back     [1, 4, h, w], and the 8-bit values [1, H, W, 3] of the picture drawn from them
"""
import os
import shlex

import numpy as np
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from PIL import Image

import picture
from common import CRITTERS, HERE, Golden, relative_error

CASES = {
    "plain": "golden/init_square.png --prompt 'a photo of a critter' --steps 20",
    "guided": "golden/init_picture.png --prompt 'a photo of a critter' --steps 10 --guidance 1.5",
    "v": "golden/init_square.png --model golden/models/linear --prompt 'a cat' --steps 12",
}


def invert(options, threads):
    torch.set_num_threads(threads)
    words = shlex.split(options)
    given = dict(zip(words[1::2], words[2::2]))
    pipe = picture.open_pipeline(os.path.normpath(given.get("--model", CRITTERS)))
    steps, guidance = int(given["--steps"]), float(given.get("--guidance", 1))
    image = Image.open(words[0]).convert("RGB")
    image = image.resize([side - side % 8 for side in image.size], Image.LANCZOS)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        z = pipe.vae.encode(x).latent_dist.mean * pipe.vae.config.scaling_factor
        cond, uncond = pipe.encode_prompt(given["--prompt"], "cpu", 1, True, "")
        inverse = DDIMInverseScheduler.from_config(pipe.scheduler.config)
        inverse.set_timesteps(steps)
        for t in inverse.timesteps:
            e = pipe.unet(z, t, cond).sample
            if guidance > 1:
                e0 = pipe.unet(z, t, uncond).sample
                e = e0 + guidance * (e - e0)
            z = inverse.step(e, t, z).prev_sample
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    back = pipe(given["--prompt"], latents=z, height=image.height, width=image.width, num_inference_steps=steps, guidance_scale=1).images
    return z, picture.eight_bit(back), picture.eight_bit([image])


def main():
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 1)
    for name, options in CASES.items():
        latents, back, image = invert(options, 2)
        other, _, _ = invert(options, 1)
        golden.meta(f"{name}/options", options)
        golden.meta(f"{name}/threads", "%.1e" % relative_error(other, latents))
        golden.put(f"{name}/latents", latents)
        golden.put(f"{name}/back", back.half())
        error = (back.float() - image.float()).square().mean().sqrt().item()
        print(f"{name}: {tuple(latents.shape)}, with 1 thread {golden.metadata[f'{name}/threads']}, round trip {error:.1f}")
    golden.save("invert.safetensors")


if __name__ == "__main__":
    main()
