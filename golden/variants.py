# SPDX-License-Identifier: MIT
"""The variants of the method that `ti train` has as options, in torch, and golden runs with them. golden/loop.py
trains with the same options.

    python golden/variants.py

writes golden/variants.safetensors with the cases below, in the form of loop.safetensors, and with

    snr/eps, snr/v    [1000], the Min-SNR weights (gamma 5) of Stable Diffusion's noise schedule
"""
import os
import re

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from PIL import Image, ImageOps

MODEL = "--model golden/models/narrow --images golden/loop_pictures --token <g> "
CASES = {
    "median": "--init a --steps 36 --batch 1 --repeats 5 --lr 0.05:10,0.02:25,0.01 --norm median --seed 7",
    "regularised": "--init a,toy --vectors 2 --steps 30 --batch 2 --accumulate 2 --repeats 5 --lr 0.02 --regularise 3"
                   " --seed 8",
    "norm": "--init a --steps 30 --batch 1 --repeats 4 --lr 0.02 --norm 0.7 --min-snr 5 --no-flip --seed 9",
    "sphere": "--init critter --steps 30 --batch 1 --repeats 6 --resolution 64 --lr 0.03 --norm sphere --schedule linear"
              " --warmup 0 --seed 10",
    "code": "--init a --steps 30 --batch 1 --repeats 5 --lr 0.02 --templates code --class toy --seed 11",
    "captions": "--init toy --steps 30 --batch 2 --repeats 5 --lr 0.02 --captions --seed 12",
    "filewords": "--init toy --steps 30 --batch 2 --repeats 5 --lr 0.02 --templates golden/loop_pictures/templates.txt --seed 13",
    "masks": "--init toy --steps 30 --batch 2 --repeats 6 --lr 0.02 --images golden/masked_pictures --masks --background 0.2"
             " --center-crop --min-snr 5 --seed 14",
    "progressive": "--init a,toy,a --vectors 3 --steps 30 --batch 2 --accumulate 2 --repeats 5 --lr 0.02 --progressive 9 --seed 15",
    "per-image": "--init critter,blue --vectors 2 --steps 30 --batch 2 --repeats 5 --resolution 64 --lr 0.02 --per-image 0.5"
                 " --templates paper --seed 16",
}  # fmt: skip
# Sentences for the pictures of golden/loop.py, which are written beside them.
TEXTS = {
    "1.txt": "a {} at the sea\n# not a caption\n\nmy <g> and I\n",
    "3.txt": "an old [name], red\nthe {}\n{}\n",
    "2.txt": "one <g>\n",
    "templates.txt": "a photo of a [name], [filewords]\n[filewords] and {}\n",
}


def lines(path):
    stripped = (line.rstrip() for line in open(path, encoding="utf-8-sig"))
    return [line for line in stripped if line and line[0] != "#"]


def code_templates(objects, kind):
    """The list of the authors' code: objects thrice, with other words for "a photo of" at the beginning."""
    begins = ["a photo of"] + (["an illustration of", "a depiction of"] if kind == "object" else [])
    return [re.sub("^a photo of", begin, line) for begin in begins for line in objects]


TEMPLATES = {
    "diffusers": lambda templates, kind: templates,
    "paper": lambda templates, kind: [line + "." for line in templates],
    "code": code_templates,
}


def captions(path, token):
    """The sentences in the text file beside a picture, with {} for the word."""
    return [re.sub(re.escape(token) + r"|\[name\]", "{}", line) for line in lines(os.path.splitext(path)[0] + ".txt")]


def with_filewords(templates, path):
    """A1111's templates: [filewords] is the text beside the picture, or else its name without digits in front."""
    text = os.path.splitext(path)[0] + ".txt"
    if os.path.exists(text):
        words = open(text, encoding="utf-8").read().rstrip()
    else:
        words = re.sub(r"^[-\d]+\s*", "", os.path.splitext(os.path.basename(path))[0])
    fill = words.replace("{", "{{").replace("}", "}}")  # the word is put in by str.format
    return [line.replace("[name]", "{}").replace("[filewords]", fill) for line in templates]


def on_white(image):
    """An RGB picture, in which transparent parts are laid on white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    rgba = np.array(image).astype(int)
    alpha = rgba[:, :, 3:]
    return Image.fromarray(((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8))


def mask(a, path, flip):
    """A picture's mask [1, height, width] from 0 to 1, cropped, resized and mirrored as the picture is."""
    beside = os.path.splitext(path)[0] + ".mask.png"
    image = Image.open(beside).convert("L") if os.path.exists(beside) else Image.open(path).getchannel("A")
    if a.center_crop:
        w, h = image.size
        cut_h, cut_w = min(h, w * a.height // a.width), min(w, h * a.width // a.height)
        left, top = (w - cut_w) // 2, (h - cut_h) // 2
        image = image.crop((left, top, left + cut_w, top + cut_h))
    image = image.resize((a.width, a.height), resample=Image.Resampling.BICUBIC)
    image = ImageOps.mirror(image) if flip else image
    return torch.from_numpy(np.array(image)).float()[None] / 255


def write_masked_pictures():
    """Writes a picture with an alpha channel, and one with a coloured mask beside it. Neither is square."""
    os.makedirs("golden/masked_pictures", exist_ok=True)
    one, two = (Image.open(f"golden/loop_pictures/{i}.png").convert("RGB").resize(size) for i, size in ((1, (48, 36)), (2, (30, 44))))
    y, x = np.mgrid[:36, :48]
    one.putalpha(Image.fromarray(np.clip(400 - 16 * np.hypot(y - 15, x - 20), 0, 255).astype(np.uint8)))
    one.save("golden/masked_pictures/a.png")
    two.save("golden/masked_pictures/b.png")
    y, x = np.mgrid[:44, :30]
    colours = np.stack([(x > 9) * 255, (y > 11) * 200, (x + y > 30) * 255], 2)
    Image.fromarray(colours.astype(np.uint8)).save("golden/masked_pictures/b.mask.png")


def length(norm, vocabulary):
    """The length that --norm gives the vectors, or None."""
    norms = vocabulary.detach().double().norm(dim=1)
    if norm == "median":
        return norms.quantile(0.5).item()
    if norm == "sphere":
        return norms[norms > 0].mean().item()
    return None if norm == "free" else float(norm)


def min_snr(scheduler, timesteps, gamma):
    """The weights of a batch, as diffusers' train_text_to_image.py computes them."""
    snr = compute_snr(scheduler, timesteps)
    weights = snr.clamp(max=gamma)
    return weights / (snr + 1) if scheduler.config.prediction_type == "v_prediction" else weights / snr


class RatesByStep(torch.optim.lr_scheduler.LRScheduler):
    """A1111's list of rates and the steps at which they end."""

    def __init__(self, optimizer, by_step):
        self.by_step = by_step
        super().__init__(optimizer)

    def get_lr(self):
        for rate, *end in self.by_step:
            if not end or self.last_epoch < int(end[0]):
                break
        return [float(rate)]


class Sphere(torch.optim.Optimizer):
    """DTI (arXiv 2512.13672): Riemannian gradient descent for the direction of each row, with a prior towards the
    initial direction. The rows' norms are fixed."""

    def __init__(self, table, ids, norm, lr, kappa=1e-4):
        super().__init__([table], dict(lr=lr))
        self.ids, self.norm, self.kappa = ids, norm, kappa
        with torch.no_grad():
            self.prior = torch.nn.functional.normalize(table[ids], dim=1)
            table[ids] = norm * self.prior

    @torch.no_grad()
    def step(self, closure=None):
        (table,) = self.param_groups[0]["params"]
        u = table[self.ids] / self.norm
        g = self.norm * table.grad[self.ids] - self.kappa * self.prior
        g = g - (g * u).sum(1, keepdim=True) * u
        u = u - self.param_groups[0]["lr"] * g / (g.norm(dim=1, keepdim=True) + 1e-8)
        table[self.ids] = self.norm * torch.nn.functional.normalize(u, dim=1)


class Progressive(torch.optim.Optimizer):
    """One AdamW for each row, of which the next one begins every a.progressive steps."""

    def __init__(self, table, ids, a):
        super().__init__([table], dict(lr=float(a.lr)))
        self.ids, self.every, self.steps = ids, a.progressive, 0
        self.rows = [torch.nn.Parameter(table[i].detach().clone()) for i in ids]
        self.each = [torch.optim.AdamW([row], lr=float(a.lr), weight_decay=a.weight_decay) for row in self.rows]

    @torch.no_grad()
    def step(self, closure=None):
        (table,) = self.param_groups[0]["params"]
        for k in range(min(len(self.ids), 1 + self.steps // self.every)):
            self.rows[k].grad = table.grad[self.ids[k]].clone()
            self.each[k].param_groups[0]["lr"] = self.param_groups[0]["lr"]
            self.each[k].step()
            table[self.ids[k]] = self.rows[k]
        self.steps += 1


def own_word(picture):
    """The name of the token that only this picture's prompts contain."""
    return f"<of-{picture}>"


def main():
    import loop
    from common import HERE, Golden

    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 12)
    for name, text in TEXTS.items():
        with open(f"golden/loop_pictures/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    write_masked_pictures()
    for prediction, name in (("epsilon", "snr/eps"), ("v_prediction", "snr/v")):
        scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                  prediction_type=prediction)  # fmt: skip
        golden.put(name, min_snr(scheduler, torch.arange(1000), 5))
    for name, options in CASES.items():
        if name == "masks":
            loop.record(golden, name, MODEL.replace("--images golden/loop_pictures ", "") + options, " --variant fp16")
        elif name in ("sphere", "per-image"):
            # The gradients of sphere are ill-conditioned on a model of random weights, whose prompts are too short for
            # the words of per-image.
            loop.record(golden, name, "--images weights/critters/concepts/grum --token <g> " + options)
        else:
            loop.record(golden, name, MODEL + options, " --variant fp16")
    golden.save("variants.safetensors")


if __name__ == "__main__":
    main()
