# SPDX-License-Identifier: MIT
"""Trains the VAE, and encodes every picture with it."""
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import folder
import pictures
from files import written
from training import DEVICE, Run, autocast, picture_batch


def path(out):
    return f"{out}/vae.safetensors"


def build(settings):
    return AutoencoderKL(**settings.vae)


def draw_batch(all_pictures, count, r):
    """Returns random pictures, half of them mirrored, as [B, 3, H, W] from -1 to 1."""
    chosen = [all_pictures[r.randrange(len(all_pictures))][:, :: r.choice((1, -1))] for _ in range(count)]
    return picture_batch(np.stack(chosen)) / 127.5 - 1


def edges(x):
    """Returns the differences of neighbouring pixels, [B, all of them]."""
    return torch.cat([(x[..., 1:, :] - x[..., :-1, :]).flatten(1), (x[..., 1:] - x[..., :-1]).flatten(1)], 1)


def make(out, settings):
    """Trains the VAE into OUT/vae.safetensors. The loss is L1 on pixels, their edges and half the size."""
    torch.manual_seed(settings.seed)
    plan, all_pictures = settings.vae_training, pictures.load(out)
    vae = build(settings).to(DEVICE, memory_format=torch.channels_last)
    run = Run(f"{out}/vae.state", plan, [vae], [(list(vae.parameters()), 1)], settings.seed)

    def loss_of(r):
        x = draw_batch(all_pictures, plan.batch, r).to(memory_format=torch.channels_last)
        with autocast(plan):
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample
        y = y.float()
        small_x, small_y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        distance = F.l1_loss(y, x) + F.l1_loss(edges(y), edges(x)) + F.l1_loss(small_y, small_x)
        return distance + settings.kl_weight * posterior.kl().float().mean()

    (average,) = run.train(loss_of, vae.parameters())
    with torch.no_grad():  # Latents are scaled to a standard deviation of 1 for the UNet.
        batches = [draw_batch(all_pictures, 64, run.random) for _ in range(8)]
        z = torch.cat([average.encode(x).latent_dist.sample() for x in batches])
    folder.save_tensors(path(out), average.state_dict(), scaling_factor=float(1 / z.std()), steps=run.step)


def faults(out, settings):
    """Returns what is wrong with OUT/vae.safetensors, a list of sentences."""
    return folder.tensor_faults(path(out), build, settings, {"scaling_factor"})


def load(out, settings):
    """Returns the trained VAE and its scaling factor."""
    vae = build(settings)
    vae.load_state_dict(folder.load_tensors(path(out)))
    scale = folder.load_values(path(out))["scaling_factor"]
    vae.register_to_config(scaling_factor=scale)
    return vae.eval(), scale


def latents_path(out):
    return f"{out}/latents.npy"


def latents_shape(settings):
    side = settings.size // 2 ** (len(settings.vae["block_out_channels"]) - 1)
    return settings.pictures, 2 * settings.vae["latent_channels"], side, side


@torch.no_grad()
def make_latents(out, settings):
    """Encodes every picture once into OUT/latents.npy: mean and log-variance of the posterior, as F16."""
    all_pictures, vae = pictures.load(out), load(out, settings)[0].to(DEVICE)
    latents = np.empty(latents_shape(settings), np.float16)
    for i in range(0, len(latents), 100):
        posterior = vae.encode(picture_batch(np.array(all_pictures[i : i + 100])) / 127.5 - 1).latent_dist
        latents[i : i + 100] = torch.cat([posterior.mean, posterior.logvar], 1).cpu().numpy()
    with written(latents_path(out)) as new, open(new, "wb") as f:
        np.save(f, latents)


def latents_faults(out, settings):
    return pictures.array_faults(latents_path(out), latents_shape(settings), np.float16)
