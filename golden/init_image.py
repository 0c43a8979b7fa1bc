# SPDX-License-Identifier: MIT
"""Writes golden/init_image.safetensors: pictures that begin from another picture, by diffusers'
StableDiffusionImg2ImgPipeline and, with a mask, StableDiffusionInpaintPipeline, as golden/picture.py records them;
the pictures from which they begin, golden/init_picture.png and golden/init_square.png, and their masks,
golden/init_picture_mask.png and golden/init_square_mask.png; and pictures that Pillow has resized with Lanczos' kernel:

    lanczos.I.from, lanczos.I     case I of RESIZES in golden/images.py

    python golden/init_image.py --init-image FILE --prompt TEXT [--strength X] ... --out picture.png

draws the same pictures as `ti generate` with the same options.
"""
import argparse
import os
import shlex
import sys

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from diffusers.schedulers import AysSchedules
from PIL import Image, ImageDraw, ImageFilter

import picture
from common import CRITTERS, HERE, Golden, relative_error
from images import RESIZES, eight_bit

PICTURE = "--init-image golden/init_picture.png --prompt 'a photo of a critter in the snow' --guidance 4 --seed 1"
MASKED = f"{PICTURE} --mask golden/init_picture_mask.png --no-paste"
SQUARE = "--init-image golden/init_square.png --prompt 'a blue round critter' --guidance 4 --seed 2"
CASES = {
    "ddim": f"{PICTURE} --sampler ddim --steps 10 --strength 0.58",
    "eta": f"{SQUARE} --sampler ddim --steps 8 --strength 0.5 --eta 0.5 --count 2",
    "pndm": f"{SQUARE} --sampler pndm --steps 10",
    "pndm_second": f"{SQUARE} --sampler pndm --steps 8 --strength 0.9",
    "pndm_all": f"{SQUARE} --sampler pndm --steps 5 --strength 1",
    "euler": f"{SQUARE} --sampler euler --steps 9 --strength 0.6 --karras",
    "ancestral": f"{SQUARE} --sampler euler-a --steps 9 --strength 0.7 --count 2",
    "dpm": f"{SQUARE} --sampler dpm++2m --steps 10 --strength 0.5",
    "sde": f"{SQUARE} --sampler dpm++2m-sde --karras --steps 16 --strength 0.75 --count 3",
    "lcm": f"{SQUARE} --sampler lcm --steps 6 --strength 0.5",
    "ays": f"{SQUARE} --steps ays --strength 0.6",
    "mask_ddim": f"{MASKED} --sampler ddim --steps 8 --eta 0.5 --count 2",
    "mask_pndm": f"{MASKED} --sampler pndm --steps 7 --strength 0.75 --width 72 --height 56",
    "mask_euler": f"{MASKED} --sampler euler --steps 8 --strength 0.8",
    "mask_ancestral": f"{MASKED} --sampler euler-a --steps 8",
    "mask_dpm": f"{MASKED} --sampler dpm++2m --steps 8 --strength 0.5",
    "mask_sde": f"{MASKED} --sampler dpm++2m-sde --steps 8 --strength 0.9",
    "mask_lcm": f"{MASKED} --sampler lcm --steps 5 --strength 0.9",
    "mask_paste": f"{SQUARE} --mask golden/init_square_mask.png --sampler euler --karras --steps 6",
    "kutta": "--init-image golden/init_square.png --model golden/models/linear --prompt 'a cat' --sampler pndm "
    "--steps 8 --strength 0.7 --guidance 2 --seed 6",
    "whole": "--init-image golden/init_square.png --model golden/models/linear --prompt 'a cat' --sampler euler "
    "--steps 5 --strength 1 --guidance 2 --seed 6",
}  # fmt: skip


def parse(arguments):
    """Returns the options of golden/picture.py and those of a picture to begin from."""
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument("--init-image", required=True)
    p.add_argument("--mask")
    p.add_argument("--no-paste", action="store_true")
    p.add_argument("--strength", type=float)
    own, others = p.parse_known_args(arguments)
    return own, picture.parse(others)


def paste(image, init, mask):
    """Puts the pixels of the picture back where the mask keeps it."""
    init, mask = (i.resize(image.size, Image.LANCZOS) for i in (init, mask))
    return Image.fromarray(np.where(np.array(mask)[..., None] < 128, np.array(init), np.array(image)))


def generate(arguments, threads=None, watch=None):
    """Calls watch(pipe) and draws. Returns the last latents and the pictures as PIL images."""
    own, a = parse(arguments)
    torch.set_num_threads(threads or a.threads)
    ays = a.steps == "ays"
    pipe = picture.open_pipeline(os.path.normpath(a.model), a.variant, "dpm++2m" if ays else a.sampler, a.karras)
    for path in a.embedding:
        pipe.load_textual_inversion(path)
    kind = StableDiffusionInpaintPipeline if own.mask else StableDiffusionImg2ImgPipeline
    pipe = kind(**pipe.components, requires_safety_checker=False)
    init, more = Image.open(own.init_image).convert("RGB"), {}
    if own.strength is not None:
        more["strength"] = own.strength
    if own.mask:
        mask = Image.open(own.mask).convert("L")
        more |= {"mask_image": mask, "width": a.width, "height": a.height}
    pipe.set_progress_bar_config(disable=True)
    length = {"timesteps": AysSchedules["StableDiffusionTimesteps"]} if ays else {"num_inference_steps": a.steps}
    if watch:
        watch(pipe)
    kept = {}

    def keep(pipe, i, t, values):
        kept["latents"] = values["latents"].clone()
        return {}

    images = pipe(
        a.prompt, negative_prompt=a.negative, image=init, **more, **length, guidance_scale=a.guidance, eta=a.eta, num_images_per_prompt=a.count,
        generator=torch.Generator().manual_seed(a.seed), callback_on_step_end=keep,
    ).images  # fmt: skip
    if own.mask and not own.no_paste:
        images = [paste(image, init, mask) for image in images]
    return kept["latents"], images


def write_pictures():
    """Writes the pictures and masks: a picture whose sides are no multiples of 8 (nor of 4, the factor of the embedded model), and
    one of the embedded model's size."""
    critter = Image.open(os.path.join(CRITTERS, "concepts", "grum", "1.png")).convert("RGB")
    critter.resize((75, 58), Image.BICUBIC).save(os.path.join(HERE, "init_picture.png"))
    critter.resize((64, 64), Image.BICUBIC).save(os.path.join(HERE, "init_square.png"))
    for name, size in (("init_picture", (75, 58)), ("init_square", (64, 64))):
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).ellipse((size[0] // 4, size[1] // 5, size[0] - 10, size[1] - 20), fill=255)
        mask.filter(ImageFilter.GaussianBlur(2)).save(os.path.join(HERE, f"{name}_mask.png"))


def lanczos(golden):
    for i, (size, target) in enumerate(RESIZES):
        pixels = torch.randint(0, 256, (*size, 3), generator=torch.Generator().manual_seed(i)).to(torch.uint8)
        resized = Image.fromarray(pixels.numpy()).resize((target[1], target[0]), Image.LANCZOS)
        golden.put(f"lanczos.{i}.from", torch.tensor(size, dtype=torch.int32))
        golden.put(f"lanczos.{i}", eight_bit(resized))


def record(golden, name, options, draw):
    """Records the pictures that draw(arguments, threads) draws."""
    latents, images = draw(shlex.split(options), 2)
    pictures = picture.eight_bit(images)
    golden.meta(f"{name}/options", options)
    golden.put(f"{name}/pictures", pictures.half())
    other, images = draw(shlex.split(options), 1)
    difference = (picture.eight_bit(images).int() - pictures.int()).abs().max().item()
    golden.meta(f"{name}/threads", "%.1e %d" % (relative_error(other, latents), difference))
    print(f"{name}: {tuple(pictures.shape)}, std {pictures.float().std():.0f}, with 1 thread",
          golden.metadata[f"{name}/threads"])  # fmt: skip


def main():
    if len(sys.argv) > 1:
        _, a = parse(sys.argv[1:])
        _, images = generate(sys.argv[1:])
        stem = os.path.splitext(a.out)[0]
        for i, image in enumerate(images):
            image.save(a.out if len(images) == 1 else f"{stem}-{i + 1}.png")
        return
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 1)
    write_pictures()
    lanczos(golden)
    for name, options in CASES.items():
        record(golden, name, options, generate)
    golden.save("init_image.safetensors")


if __name__ == "__main__":
    main()
