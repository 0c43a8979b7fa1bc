# SPDX-License-Identifier: MIT
"""Trains the small CLIP that scores pictures, with CLIP's contrastive loss. It takes no part in drawing."""
import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel

import folder
import pictures
import vocabulary
import world
from training import DEVICE, Run, autocast, picture_batch

# How CLIP prepares pictures. The mean and the standard deviation of the channels are those of CLIP ViT-B/32.
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


def path(out):
    return f"{out}/clip.safetensors"


def preparation(settings):
    """Returns the content of preprocessor_config.json."""
    side = settings.size
    return {
        "crop_size": {"height": side, "width": side}, "do_center_crop": True, "do_convert_rgb": True,
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": MEAN,
        "image_processor_type": "CLIPImageProcessor", "image_std": STD, "resample": 3,
        "rescale_factor": 1 / 255, "size": {"shortest_edge": side},
    }  # fmt: skip


def normalized(x):
    """Returns pictures with values from 0 to 255 as the network reads them."""
    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (x / 255 - mean) / std


def build(out, settings):
    tokenizer, _ = vocabulary.load(f"{out}/tokenizer", settings)
    text = dict(settings.clip, **vocabulary.text_config(tokenizer, settings))
    text["num_hidden_layers"] = settings.clip_text_layers
    vision = dict(
        settings.clip, num_hidden_layers=settings.clip_vision_layers, image_size=settings.size,
        patch_size=settings.clip_patch,
    )  # fmt: skip
    both = dict(text_config=text, vision_config=vision, projection_dim=settings.clip["projection_dim"])
    return CLIPModel(CLIPConfig(**both))


def make(out, settings):
    """Trains CLIP into OUT/clip.safetensors."""
    torch.manual_seed(settings.seed)
    plan, all_pictures, shown = settings.clip_training, pictures.load(out), pictures.all_shown(settings)
    _, ids_of = vocabulary.load(f"{out}/tokenizer", settings)
    clip = build(out, settings).to(DEVICE)
    run = Run(f"{out}/clip.state", plan, [clip], [(list(clip.parameters()), 1)], settings.seed)

    def loss_of(r):
        chosen = [r.randrange(len(shown) - settings.held_out) for _ in range(plan.batch)]
        x = normalized(picture_batch(np.stack([all_pictures[i][:, :: r.choice((1, -1))] for i in chosen])))
        x = torch.roll(x, (r.randrange(-3, 4), r.randrange(-3, 4)), (2, 3))
        captions = [world.caption(shown[i], r, settings.clip_named, settings.clip_style_only) for i in chosen]
        with autocast(plan):
            features = clip(pixel_values=x, input_ids=ids_of(captions).to(DEVICE))
        cosines = features.image_embeds.float() @ features.text_embeds.float().T
        logits = cosines * clip.logit_scale.exp().clamp(max=100)
        own = torch.arange(plan.batch, device=DEVICE)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    (average,) = run.train(loss_of, clip.parameters())
    folder.save_tensors(path(out), average.state_dict(), steps=run.step)


def faults(out, settings):
    """Returns what is wrong with OUT/clip.safetensors, a list of sentences."""
    return folder.tensor_faults(path(out), lambda s: build(out, s), settings)


def load(out, settings):
    clip = build(out, settings)
    clip.load_state_dict(folder.load_tensors(path(out)))
    return clip.eval()
