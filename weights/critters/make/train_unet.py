# SPDX-License-Identifier: MIT
"""Trains the UNet together with the text encoder, as the latent diffusion paper does."""
import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel

import folder
import pictures
import train_vae
import vocabulary
import world
from training import DEVICE, Run, autocast


def path(out):
    return f"{out}/unet.safetensors"


class Networks(torch.nn.Module):
    """Both networks; the names of their weights begin with "unet." and "text."."""

    def __init__(self, settings, tokenizer):
        super().__init__()
        config = dict(settings.text, **vocabulary.text_config(tokenizer, settings))
        self.text = CLIPTextModel(CLIPTextConfig(**config))
        self.unet = UNet2DConditionModel(**settings.unet)


def build(out, settings):
    return Networks(settings, vocabulary.load(f"{out}/tokenizer", settings)[0])


def caption(what, settings, r):
    """Returns a new caption of what a picture shows, or none."""
    if r.random() < settings.empty:
        return ""
    return world.caption(what, r, settings.unet_named, settings.unet_style_only)


def make(out, settings):
    """Trains into OUT/unet.safetensors: epsilon is predicted, with min-SNR weighting."""
    torch.manual_seed(settings.seed)
    plan, shown = settings.unet_training, pictures.all_shown(settings)
    _, ids_of = vocabulary.load(f"{out}/tokenizer", settings)
    latents = torch.from_numpy(np.load(train_vae.latents_path(out)))
    scale = folder.load_values(train_vae.path(out))["scaling_factor"]
    networks = build(out, settings).to(DEVICE)
    text, unet = networks.text, networks.unet
    if DEVICE == "cpu":
        unet.set_attn_processor(AttnProcessor())  # plain products are a third faster there at this size
    table = text.get_input_embeddings().weight
    groups = [
        (list(unet.parameters()), 1),
        ([p for p in text.parameters() if p is not table], settings.text_scale),
        ([table], settings.table_scale),
    ]
    run = Run(f"{out}/unet.state", plan, [networks], groups, settings.seed)
    scheduler = DDPMScheduler(**settings.scheduler)
    abar = scheduler.alphas_cumprod.to(DEVICE)
    snr = abar / (1 - abar)

    def loss_of(r):
        chosen = [r.randrange(len(shown)) for _ in range(plan.batch)]
        mean, logvar = latents[chosen].float().to(DEVICE).chunk(2, 1)
        z = (mean + torch.randn_like(mean) * torch.exp(0.5 * logvar.clamp(-30, 20))) * scale
        ids = ids_of([caption(shown[i], settings, r) for i in chosen]).to(DEVICE)
        t = torch.randint(0, len(abar), (plan.batch,), device=DEVICE)
        noise = torch.randn_like(z)
        with autocast(plan):
            prediction = unet(scheduler.add_noise(z, noise, t), t, text(ids)[0]).sample
        weight = torch.clamp(snr[t], max=settings.gamma) / snr[t]
        return (weight * ((prediction.float() - noise) ** 2).mean((1, 2, 3))).mean()

    (average,) = run.train(loss_of, unet.parameters())
    folder.save_tensors(path(out), average.state_dict(), steps=run.step)


def faults(out, settings):
    """Returns what is wrong with OUT/unet.safetensors, a list of sentences."""
    return folder.tensor_faults(path(out), lambda s: build(out, s), settings)


def load(out, settings):
    """Returns the trained text encoder and UNet."""
    networks = build(out, settings)
    networks.load_state_dict(folder.load_tensors(path(out)))
    return networks.text.eval(), networks.unet.eval()
