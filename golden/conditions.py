# SPDX-License-Identifier: MIT
"""Writes golden/conditions.safetensors: what is done to the context and to the guidance besides the plain
formulas.

    skip/N/states, skip/N/drows     final_layer_norm(hidden_states[-N]) of the text encoder of golden/models/lcm
                                    on skip/ids, with the learned vectors skip/rows, and their gradient for the
                                    gradient skip/dy. diffusers' pipeline, which has this as clip_skip = N - 1,
                                    fails with this version of transformers.
    rescale/cond, uncond            two noise predictions
    rescale/PHI                     rescale_noise_cfg of their combination with guidance 7.5
    embedding/SCALE/DIM             get_guidance_scale_embedding of StableDiffusionPipeline
    guided/SCALE                    noise predictions of the UNet of golden/models/lcm with that embedding, on
                                    guided/latents, guided/context and guided/timesteps

and pictures as golden/picture.py records them: with --guidance-rescale, with --clip-skip (the contexts of both
prompts are computed as above and given to the pipeline), with --latents (the file is latents.safetensors) and
with golden/models/lcm.
"""
import os
import shlex

import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

import picture
from common import HERE, Golden, normal, relative_error, write_safetensors
from models import PLACEHOLDERS, encode_with_learned, leaf, load_folder, results

SEED = 61
LCM = os.path.join(HERE, "models", "lcm")
PROMPTS = ["a <thing> <thing>_1", "to <thing>_1<thing>s cat"]
SCALES = (1.0, 1.5, 7.3, 7.5, 20.0)
DIMS = (4, 5, 11, 256)
CASES = {
    "rescale": "--prompt 'a photo of a critter in the snow' --sampler ddim --steps 8 --guidance 7.5 --seed 1 --guidance-rescale 0.7",
    "skip": "--prompt 'a photo of a critter in the snow' --negative 'a hat' --sampler ddim --steps 8 --guidance 4 --seed 1 --clip-skip 2",
    "latents": "--prompt 'a blue round critter' --sampler ddim --steps 8 --guidance 4 --eta 0.5 --seed 3 --latents golden/latents.safetensors",
    "lcm": "--model golden/models/lcm --prompt 'a cat' --negative 'toy' --sampler ddim --steps 4 --guidance 7.3 --seed 2 --count 2",
    "lcm_unguided": "--model golden/models/lcm --prompt 'a cat' --sampler ddim --steps 2 --guidance 1 --seed 2",
}  # fmt: skip


def skipped(clip, ids, n):
    """Returns the context of A1111's Clip skip n."""
    states = clip(ids, output_hidden_states=True).hidden_states
    return clip.final_layer_norm(states[-n])


def skip_goldens(golden, parts):
    tokenizer, clip = parts["tokenizer"], parts["clip"]
    ids = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                    return_tensors="pt").input_ids  # fmt: skip
    learned, dy = 0.5 * normal(2, 16, seed=SEED), normal(*ids.shape, 16, seed=SEED + 1)
    golden.meta("skip/prompts", "\n".join(PROMPTS))
    golden.put("skip/ids", ids.int())
    golden.put("skip/rows", learned)
    golden.put("skip/dy", dy)
    for n in (1, 2, 4):

        def run(learned, dy):
            table = clip.get_input_embeddings()
            before = table.weight
            del table.weight
            table.weight = torch.cat([before, learned])
            states = skipped(clip, ids, n)
            del table.weight
            table.weight = before
            return states, *torch.autograd.grad(states, learned, dy)

        results(golden, f"skip/{n}", ["states", "drows"], run, [clip], [leaf(learned), dy])
    with torch.no_grad():
        one = encode_with_learned(clip.float(), ids, learned)
    assert relative_error(golden.tensors["skip/1/states"], one) < 1e-6


def rescale_goldens(golden):
    cond, uncond = normal(2, 4, 9, 7, seed=SEED + 2), 0.7 * normal(2, 4, 9, 7, seed=SEED + 3)
    golden.put("rescale/cond", cond)
    golden.put("rescale/uncond", uncond)
    for phi in (0.3, 0.7, 1.0):
        results(golden, "rescale", [f"{phi}"],
                lambda c, u: (rescale_noise_cfg(u + 7.5 * (c - u), c, phi),), [], [cond, uncond])  # fmt: skip


def embedding(scale, dim):
    """As the pipeline computes it."""
    w = torch.tensor(scale - 1).repeat(1)
    return StableDiffusionPipeline.get_guidance_scale_embedding(None, w, embedding_dim=dim)


def guided_goldens(golden, unet):
    latents, context = normal(2, 4, 9, 7, seed=SEED + 4), normal(2, 10, 16, seed=SEED + 5)
    timesteps = torch.tensor([7, 731])
    golden.put("guided/latents", latents)
    golden.put("guided/context", context)
    golden.put("guided/timesteps", timesteps.int())
    for scale in SCALES:
        for dim in DIMS:
            golden.put(f"embedding/{scale}/{dim}", embedding(scale, dim)[0])
        w = embedding(scale, unet.config.time_cond_proj_dim).repeat(2, 1)
        results(golden, f"guided/{scale}", ["noise_pred"],
                lambda x, c, w: (unet(x, timesteps, c, timestep_cond=w).sample,), [unet], [latents, context, w])  # fmt: skip


def contexts(pipe, text, n):
    ids = pipe.tokenizer(text, padding="max_length", truncation=True, max_length=pipe.tokenizer.model_max_length,
                         return_tensors="pt").input_ids  # fmt: skip
    with torch.no_grad():
        return skipped(pipe.text_encoder, ids, n)


def generate(options, threads):
    """Returns the last latents and the 8-bit pictures."""
    words = shlex.split(options)
    extra = {name: words[words.index(name) + 1] for name in ("--guidance-rescale", "--clip-skip", "--latents") if name in words}
    for name, value in extra.items():
        del words[words.index(name) : words.index(name) + 2]
    a = picture.parse(words)
    torch.set_num_threads(threads)
    pipe = picture.open_pipeline(os.path.normpath(a.model))
    prompts = dict(prompt=a.prompt, negative_prompt=a.negative)
    if n := int(extra.get("--clip-skip", 0)):
        prompts = dict(prompt_embeds=contexts(pipe, a.prompt, n), negative_prompt_embeds=contexts(pipe, a.negative or "", n))
    latents = None
    if path := extra.get("--latents"):
        latents = picture.load_file(path)["latents"]
        a.count = latents.shape[0]
    kept = {}

    def keep(pipe, i, t, values):
        kept["latents"] = values["latents"].clone()
        return {}

    images = pipe(
        **prompts, latents=latents, num_inference_steps=a.steps, guidance_scale=a.guidance, eta=a.eta,
        guidance_rescale=float(extra.get("--guidance-rescale", 0)), num_images_per_prompt=a.count,
        generator=torch.Generator().manual_seed(a.seed), callback_on_step_end=keep,
    ).images  # fmt: skip
    return kept["latents"], picture.eight_bit(images)


def picture_goldens(golden):
    os.chdir(os.path.join(HERE, ".."))
    write_safetensors(os.path.join(HERE, "latents.safetensors"), {"latents": normal(2, 4, 12, 16, seed=SEED + 6)}, {})
    for name, options in CASES.items():
        latents, pictures = generate(options, 2)
        golden.meta(f"{name}/options", options)
        golden.put(f"{name}/pictures", pictures.half())
        other, again = generate(options, 1)
        difference = (again.int() - pictures.int()).abs().max().item()
        golden.meta(f"{name}/threads", "%.1e %d" % (relative_error(other, latents), difference))
        print(f"{name}: {tuple(pictures.shape)}, std {pictures.float().std():.0f}, with 1 thread",
              golden.metadata[f"{name}/threads"])  # fmt: skip


def main():
    golden = Golden(__file__, SEED)
    parts = load_folder(LCM)
    assert parts["tokenizer"].add_tokens(PLACEHOLDERS) == 2
    skip_goldens(golden, parts)
    rescale_goldens(golden)
    guided_goldens(golden, parts["unet"])
    picture_goldens(golden)
    golden.save("conditions.safetensors")


if __name__ == "__main__":
    main()
