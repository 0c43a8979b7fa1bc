# SPDX-License-Identifier: MIT
"""Writes golden/real.safetensors and golden/real_noise.safetensors, for tests/models/check_real.c: the last 3 x 3
pixels, in blue and from 0 to 1, of a picture of PROMPT of 3 steps with guidance 7.5 from given noise.

    sd14/ddim, sd14/pndm         for CompVis/stable-diffusion-v1-4 at 512 pixels, as diffusers' tests have them
                                 (tests/pipelines/stable_diffusion/test_stable_diffusion.py, Apache-2.0), which
                                 were computed on a GPU; their tolerance is 1e-4 to 3e-3, depending on the version
    narrow/ddim, narrow/pndm     for golden/models/narrow, computed here

The noise is that of diffusers' tests.
"""
import os

import numpy as np
import torch
from diffusers import DDIMScheduler, PNDMScheduler

import picture
from common import HERE, Golden, write_safetensors

PROMPT = "a photograph of an astronaut riding a horse"
PUBLISHED = {
    "ddim": [0.38019, 0.28647, 0.27321, 0.40377, 0.38290, 0.35446, 0.39218, 0.38165, 0.42239],
    "pndm": [0.57400, 0.47841, 0.31625, 0.63583, 0.58306, 0.55056, 0.50825, 0.56306, 0.55748],
}


def main():
    noise = torch.from_numpy(np.random.RandomState(0).standard_normal((1, 4, 64, 64)).astype(np.float32))
    write_safetensors(os.path.join(HERE, "real_noise.safetensors"), {"latents": noise}, {})
    golden = Golden(__file__, 0)
    for name, values in PUBLISHED.items():
        golden.put(f"sd14/{name}", torch.tensor(values).reshape(3, 3))
    pipe = picture.open_pipeline(os.path.join(HERE, "models", "narrow"), "fp16")
    config = pipe.scheduler.config
    for name, scheduler in {"ddim": DDIMScheduler, "pndm": PNDMScheduler}.items():
        pipe.scheduler = scheduler.from_config(config)
        image = pipe(PROMPT, latents=noise, num_inference_steps=3, guidance_scale=7.5, output_type="np").images[0]
        golden.put(f"narrow/{name}", torch.from_numpy(image[-3:, -3:, -1].astype(np.float32)))
        print(name, image.shape, image[-3:, -3:, -1].flatten())
    golden.save("real.safetensors")


if __name__ == "__main__":
    main()
