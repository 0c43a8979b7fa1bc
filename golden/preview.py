# SPDX-License-Identifier: MIT
"""Writes golden/preview.safetensors: the last preview of `ti generate --preview N` in runs of diffusers' pipelines. It is
the picture x0 that the guided output of the UNet stands for, averaged by torch's avg_pool2d over 4 x 4 latents and
decoded. x0 is that of the scheduler's class where step returns it or keeps it; for PNDM and LCM it is computed from
the class's alphas_cumprod. The tensors are as those of golden/init_image.py:

    CASE/pictures   [1, H, W, 3], 8-bit values as F16
"""
import functools
import os
import shlex

import torch
from diffusers import StableDiffusionInpaintPipeline
from torch.nn.functional import avg_pool2d, interpolate

import init_image
import picture
from common import HERE, Golden

DRAWN = "--prompt 'a red fluffy critter' --guidance 4 --seed 1"
BEGUN = "--init-image golden/init_square.png --prompt 'a blue round critter' --guidance 4 --seed 2"
CASES = {
    "ddim": f"{DRAWN} --sampler ddim --steps 6 --preview 2",
    "pndm": f"{DRAWN} --sampler pndm --steps 5 --preview 4",
    "euler": f"{DRAWN} --sampler euler --steps 6 --preview 5 --width 72 --height 56",
    "ancestral": f"{DRAWN} --sampler euler-a --steps 6 --preview 3 --count 2",
    "dpm": f"{DRAWN} --sampler dpm++2m --steps 6 --preview 3",
    "sde": f"{DRAWN} --sampler dpm++2m-sde --steps 6 --preview 4",
    "lcm": f"{DRAWN} --sampler lcm --steps 4 --preview 2",
    "v_euler": "--model golden/models/linear --prompt 'a cat' --sampler euler --steps 5 --guidance 2 --preview 3",
    "v_dpm": "--model golden/models/linear --prompt 'a cat' --sampler dpm++2m --steps 5 --guidance 2 --preview 2",
    "begun": f"{BEGUN} --sampler ddim --steps 9 --strength 0.6 --preview 2",
    "mask": f"{BEGUN} --mask golden/init_square_mask.png --sampler euler --steps 6 --preview 4 --no-paste",
}  # fmt: skip


def clean(scheduler, output, t, x, result):
    """Returns x0 of a step, in which x was the input and `result` what the class returned."""
    if getattr(result, "pred_original_sample", None) is not None:
        return result.pred_original_sample
    if hasattr(scheduler, "model_outputs"):
        return scheduler.model_outputs[-1]
    a = scheduler.alphas_cumprod[int(t)]
    assert scheduler.config.prediction_type == "epsilon"
    return (x - (1 - a).sqrt() * output) / a.sqrt()


class Watch:
    """Keeps x0 of every step of a pipeline's scheduler, for the first picture."""

    def __init__(self):
        self.x0, self.image, self.pipe = [], None, None

    def __call__(self, pipe):
        self.pipe, step, prepare = pipe, pipe.scheduler.step, pipe.prepare_latents

        @functools.wraps(step)
        def watched(output, t, x, *rest, return_dict=True, **more):
            x = x.clone()
            result = step(output, t, x, *rest, return_dict=True, **more)
            self.x0.append(clean(pipe.scheduler, output, t, x, result)[:1].clone())
            return (result.prev_sample, getattr(result, "denoised", None))

        def prepared(*arguments, **more):
            result = prepare(*arguments, **more)
            self.image = result[-1]
            return result

        pipe.scheduler.step = watched
        if isinstance(pipe, StableDiffusionInpaintPipeline):
            pipe.prepare_latents = prepared

    def preview(self, every, mask):
        """Returns the last preview, [1, H, W, 3]."""
        x0 = self.x0[(len(self.x0) - 1) // every * every - 1]
        if mask is not None:
            m = interpolate(mask, size=x0.shape[2:])
            x0 = (1 - m) * self.image[:1] + m * x0
        small = avg_pool2d(x0, 4, ceil_mode=True)
        with torch.no_grad():
            image = self.pipe.vae.decode(small / self.pipe.vae.config.scaling_factor).sample
        return picture.eight_bit(self.pipe.image_processor.postprocess(image))


def draw(options, threads):
    arguments, watch = shlex.split(options), Watch()
    at = arguments.index("--preview")
    every = int(arguments[at + 1])
    del arguments[at : at + 2]
    mask = None
    if "--init-image" in arguments:
        init_image.generate(arguments, threads, watch)
        own, _ = init_image.parse(arguments)
        if own.mask:
            grey = init_image.Image.open(own.mask).convert("L")
            mask = watch.pipe.mask_processor.preprocess(grey, *reversed(grey.size))
    else:
        picture.generate(picture.parse([*arguments, "--threads", str(threads)]), watch)
    return watch.preview(every, mask)


def main():
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 1)
    for name, options in CASES.items():
        want, other = draw(options, 2), draw(options, 1)
        golden.meta(f"{name}/options", options)
        golden.put(f"{name}/pictures", want.half())
        difference = (other.int() - want.int()).abs().max().item()
        golden.meta(f"{name}/threads", "0 %d" % difference)
        print(f"{name}: {tuple(want.shape)}, std {want.float().std():.0f}, with 1 thread {difference}")
    golden.save("preview.safetensors")


if __name__ == "__main__":
    main()
