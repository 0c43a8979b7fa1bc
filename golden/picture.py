"""Pictures as the reference draws them: StableDiffusionPipeline with DDIMScheduler.from_config of the model's scheduler.

    python golden/picture.py --prompt TEXT [--embedding FILE] [--seed N] [--count N] ... --out picture.png

draws what `ti generate` draws with the same options. Without arguments it writes golden/picture.safetensors, for each CASE
in CASES (whose options stand in the metadata as "CASE/options"):

    CASE/latents    [count, 4, h, w], after the last step, as the VAE gets them times scaling_factor
    CASE/pictures   [count, H, W, 3], 8-bit values as F16 (which holds them exactly)

and in the metadata "CASE/threads": the latents' relative error and the largest 8-bit difference of the same drawing with
another number of threads. golden/word.safetensors, the embedding that one case loads, is taken from loop.safetensors.
"""
import argparse
import os
import shlex
import sys

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file

from common import CRITTERS, HERE, Golden, relative_error, write_safetensors

PROMPT = "--prompt 'a photo of a critter wearing a crown at night' --steps 30 --guidance 4 --seed 1"
CASES = {
    "plain": PROMPT,
    "eta": f"{PROMPT} --eta 0.5 --count 2",
    "negative": f"{PROMPT} --negative 'blue critter, a hat'",
    "count": "--prompt 'pixel art of a red fluffy critter' --steps 20 --guidance 7.5 --seed 4294967299 --count 2",
    "unguided": "--prompt 'a blue round critter' --steps 7 --guidance 1 --seed 2",
    "wide": "--prompt 'a critter on the beach' --steps 10 --guidance 4 --seed 3 --width 96 --height 64",
    "word": "--embedding golden/word.safetensors --prompt 'a photo of a <zog> in the snow' --steps 30 --guidance 4 --seed 5",
    "v_prediction": "--model golden/models/linear --prompt 'a cat' --steps 12 --guidance 2 --seed 6 --eta 0.3",
    "beta_linear": "--model golden/models/wide --prompt 'toy' --steps 9 --guidance 3 --seed 7",
}  # fmt: skip


def parse(arguments):
    p = argparse.ArgumentParser(description="Draws with the reference's pipeline, as `ti generate` does.")
    p.add_argument("--prompt", required=True)
    p.add_argument("--embedding", action="append", default=[])
    p.add_argument("--negative")
    p.add_argument("--model", default=CRITTERS)
    p.add_argument("--variant", help="of the model's weight files, such as fp16")
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--width", type=int)
    p.add_argument("--height", type=int)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps", type=int, default=30)
    p.add_argument("--guidance", type=float, default=7.5)
    p.add_argument("--eta", type=float, default=0.0)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", default="picture.png")
    return p.parse_args(arguments)


def open_pipeline(model, variant=None):
    """In fp32 whatever the files hold."""
    pipe = StableDiffusionPipeline.from_pretrained(model, variant=variant, torch_dtype=torch.float32)
    for module in (pipe.text_encoder, pipe.unet, pipe.vae):
        module.float().eval()
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(a):
    """Returns the last latents and the pictures, as PIL's."""
    torch.set_num_threads(a.threads)
    pipe = open_pipeline(os.path.normpath(a.model), a.variant)
    for path in a.embedding:
        pipe.load_textual_inversion(path)
    kept = {}

    def keep(pipe, i, t, values):
        kept["latents"] = values["latents"].clone()
        return {}

    images = pipe(
        a.prompt, negative_prompt=a.negative, height=a.height, width=a.width, num_inference_steps=a.steps,
        guidance_scale=a.guidance, eta=a.eta, num_images_per_prompt=a.count,
        generator=torch.Generator().manual_seed(a.seed), callback_on_step_end=keep,
    ).images  # fmt: skip
    return kept["latents"], images


def eight_bit(images):
    return torch.from_numpy(np.stack([np.array(i) for i in images]))


def main():
    if len(sys.argv) > 1:
        a = parse(sys.argv[1:])
        _, images = draw(a)
        stem = os.path.splitext(a.out)[0]
        for i, image in enumerate(images):
            image.save(a.out if len(images) == 1 else f"{stem}-{i + 1}.png")
        return
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 1)
    rows = load_file(os.path.join(HERE, "loop.safetensors"))["vectors/end"]
    write_safetensors(os.path.join(HERE, "word.safetensors"), {"<zog>": rows}, {"format": "pt"})
    for name, options in CASES.items():
        latents, images = draw(parse(shlex.split(options)))
        pictures = eight_bit(images)
        golden.meta(f"{name}/options", options)
        golden.put(f"{name}/latents", latents)
        golden.put(f"{name}/pictures", pictures.half())
        other, images = draw(parse(shlex.split(options + " --threads 1")))
        difference = (eight_bit(images).int() - pictures.int()).abs().max().item()
        golden.meta(f"{name}/threads", "%.1e %d" % (relative_error(other, latents), difference))
        print(f"{name}: {tuple(pictures.shape)}, std {pictures.float().std():.0f}, with 1 thread",
              golden.metadata[f"{name}/threads"])  # fmt: skip
    golden.save("picture.safetensors")


if __name__ == "__main__":
    main()
