# SPDX-License-Identifier: MIT
"""Writes golden/critters.safetensors, results of the embedded model:

    text/ids, text/states      token ids of PROMPTS and the last hidden states, with two placeholder tokens
                               whose learned vectors are text/rows
    vae/picture                two pictures of a concept, prepared as for training
    vae/mean, vae/logvar       the parameters of their posterior (logvar is clamped)
    vae/decoded                the decoded mean
    unet/t1, t250, t999        latents, noise_pred: two real latents with the noise of that timestep, and the
                               prediction for unet/context, the states of two real prompts
    step/one, step/three       from 1 and 3 learned vectors to the loss and back: ids, rows (the learned
                               vectors), noisy, timesteps, target, loss, drows
"""
import os

import numpy as np
import torch
from diffusers import DDPMScheduler
from PIL import Image

from common import CRITTERS, Golden, normal
from models import encode_with_learned, leaf, load_folder, results

SEED = 41
PROMPTS = [
    "a photo of a <grum>", "", "A Pencil-drawing of a <grum> <grum>_1, wearing a crown!", "x<grum>y zubok's 2 eyes",
    "a blue round critter with one eye and stripes, wearing glasses and a scarf and a hat, on the beach at night in the snow",
]  # fmt: skip


def pictures():
    images = [Image.open(f"{CRITTERS}/concepts/grum/{i}.png").convert("RGB") for i in (1, 2)]
    arrays = [np.array(i.resize((64, 64), resample=Image.Resampling.BICUBIC)) for i in images]
    return torch.from_numpy(np.stack([(a / 127.5 - 1.0).astype(np.float32) for a in arrays])).permute(0, 3, 1, 2)


def step(golden, name, parts, ids, learned, noisy, timesteps, target):
    clip, unet = parts["clip"], parts["unet"]
    for key, x in dict(ids=ids.int(), rows=learned, noisy=noisy, timesteps=timesteps.int(), target=target).items():
        golden.put(f"{name}/{key}", x)

    def run(learned, noisy, target):
        pred = unet(noisy, timesteps, encode_with_learned(clip, ids, learned)).sample
        loss = torch.nn.functional.mse_loss(pred, target)
        return loss.reshape(1), *torch.autograd.grad(loss, learned)

    results(golden, name, ["loss", "drows"], run, [clip, unet], [leaf(learned), noisy, target])


def main():
    golden = Golden(__file__, SEED)
    parts = load_folder(os.path.normpath(CRITTERS))
    tokenizer, clip, unet, vae = (parts[k] for k in ("tokenizer", "clip", "unet", "vae"))
    scheduler = DDPMScheduler.from_pretrained(CRITTERS, subfolder="scheduler")
    table = clip.get_input_embeddings().weight
    critter = tokenizer.encode("critter", add_special_tokens=False)
    assert len(critter) == 1 and tokenizer.add_tokens(["<grum>", "<grum>_1", "<grum>_2"]) == 3
    learned = table[critter] + table.std() * normal(3, table.shape[1], seed=SEED)

    def tokens(prompts):
        return tokenizer(prompts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                         return_tensors="pt").input_ids  # fmt: skip

    ids = tokens(PROMPTS)
    golden.meta("text/prompts", "\n".join(PROMPTS))
    golden.put("text/ids", ids.int())
    golden.put("text/rows", learned[:2])
    results(golden, "text", ["states"], lambda learned: (encode_with_learned(clip, ids, learned),), [clip], [learned[:2]])

    picture = pictures()
    golden.put("vae/picture", picture)

    def autoencode(picture):
        posterior = vae.encode(picture).latent_dist
        return posterior.mean, posterior.logvar

    results(golden, "vae", ["mean", "logvar"], autoencode, [vae], [picture])
    mean = golden.tensors["vae/mean"]
    results(golden, "vae", ["decoded"], lambda z: (vae.decode(z).sample,), [vae], [mean])

    z = mean * vae.config.scaling_factor
    with torch.no_grad():
        context = encode_with_learned(clip, tokens(["a photo of a critter", "pixel art of a <grum> at night"]), learned)
    golden.put("unet/context", context)
    for t in (1, 250, 999):
        noisy = scheduler.add_noise(z, normal(*z.shape, seed=SEED + t), torch.tensor([t, t]))
        golden.put(f"unet/t{t}/latents", noisy)
        predict = lambda x, c: (unet(x, t, c).sample,)
        results(golden, f"unet/t{t}", ["noise_pred"], predict, [unet], [noisy, context])

    cases = {
        "step/one": (["a photo of a <grum>", "the photo of a <grum>"], 1, [250, 731]),
        "step/three": (["a photo of my <grum> <grum>_1 <grum>_2", "a close-up photo of a <grum> <grum>_1 <grum>_2"], 3, [40, 600]),
    }  # fmt: skip
    for i, (name, (prompts, vectors, timesteps)) in enumerate(cases.items()):
        t, noise = torch.tensor(timesteps), normal(*z.shape, seed=SEED + 2000 + i)
        step(golden, name, parts, tokens(prompts), learned[:vectors], scheduler.add_noise(z, noise, t), t, noise)
    golden.save("critters.safetensors")


if __name__ == "__main__":
    main()
