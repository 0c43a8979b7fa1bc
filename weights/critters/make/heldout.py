# SPDX-License-Identifier: MIT
"""How well models do on pictures on which they were not trained. Every model gets the same pictures,
captions, noise and timesteps, so that the numbers of two models can be compared.

    python heldout.py MODEL...         the folders of models, such as ../ and OUT/model

prints the mean square error of the noise prediction, the mean absolute error of the VAE's reconstruction,
whose values range from -1 to 1, and how often CLIP finds the caption that belongs to a picture among 200.
"""
import random
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPModel, CLIPTextModel

import vocabulary
import world
from settings import SHIPPED
from train_clip import normalized

FIRST, COUNT, BATCH, SEED = 5_000_000, 640, 64, 5
CHOICES, ROUNDS = 200, 3


@torch.no_grad()
def noise_and_reconstruction(folder, pictures, captions):
    """Returns the two errors of a model."""
    _, ids_of = vocabulary.load(f"{folder}/tokenizer", SHIPPED)
    text = CLIPTextModel.from_pretrained(f"{folder}/text_encoder").float().eval()
    unet = UNet2DConditionModel.from_pretrained(f"{folder}/unet").float().eval()
    vae = AutoencoderKL.from_pretrained(f"{folder}/vae").float().eval()
    scheduler = DDPMScheduler.from_pretrained(f"{folder}/scheduler")
    generator = torch.Generator().manual_seed(SEED)
    noise_error = picture_error = 0
    for i in range(0, COUNT, BATCH):
        x = pictures[i : i + BATCH] / 127.5 - 1
        mean = vae.encode(x).latent_dist.mean
        picture_error += (vae.decode(mean).sample - x).abs().mean().item()
        z = mean * vae.config.scaling_factor
        noise = torch.randn(z.shape, generator=generator)
        t = torch.randint(0, scheduler.config.num_train_timesteps, (BATCH,), generator=generator)
        context = text(ids_of(captions[i : i + BATCH]))[0]
        prediction = unet(scheduler.add_noise(z, noise, t), t, context).sample
        noise_error += ((prediction - noise) ** 2).mean().item()
    return noise_error / (COUNT // BATCH), picture_error / (COUNT // BATCH)


@torch.no_grad()
def found(folder, pictures, captions):
    """Returns which part of the captions CLIP finds."""
    _, ids_of = vocabulary.load(f"{folder}/clip", SHIPPED)
    clip = CLIPModel.from_pretrained(f"{folder}/clip").float().eval()
    hits = 0
    for i in range(0, CHOICES * ROUNDS, CHOICES):
        part = slice(i, i + CHOICES)
        features = clip(pixel_values=normalized(pictures[part]), input_ids=ids_of(captions[part]))
        best = (features.image_embeds @ features.text_embeds.T).argmax(1)
        hits += (best == torch.arange(CHOICES)).sum().item()
    return hits / (CHOICES * ROUNDS)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: python heldout.py MODEL...")
    whats, drawn = [], []
    for k in range(FIRST, FIRST + COUNT):
        what, r = world.shown(k)
        whats.append(what)
        drawn.append(world.draw(what, r, SHIPPED.size))
    pictures = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float()
    r = random.Random(SEED)
    captions = [world.caption(what, r, SHIPPED.unet_named) for what in whats]
    scored = [world.caption(what, r, SHIPPED.clip_named, SHIPPED.clip_style_only) for what in whats]
    for folder in sys.argv[1:]:
        noise, picture = noise_and_reconstruction(folder, pictures, captions)
        part = found(folder, pictures, scored)
        print(f"{folder}: noise prediction {noise:.5f}, reconstruction {picture:.4f}, "
              f"CLIP finds {100 * part:.1f} of 100 captions", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
