"""Times PyTorch on what `make bench` times: python golden/bench.py [--threads N] [--runs N]

    train    a training step of the embedded model, batch 4, posterior cached: noise, text encoder, UNet, loss, backward, AdamW
    draw     4 pictures, DDIM 30 steps with guidance, decoded

Prints a line a measure: name, median seconds, seconds of each run.
"""
import argparse
import os
import statistics
import time

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler

from common import CRITTERS
from models import load_folder
from picture import open_pipeline


def measure(name, run, runs, repeats=1):
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        seconds.append((time.perf_counter() - start) / repeats)
    print(name, "%.4f" % statistics.median(seconds), *("%.4f" % s for s in seconds), flush=True)


def training_step(parts, batch=4):
    clip, unet, vae = parts["clip"], parts["unet"], parts["vae"]
    scheduler = DDPMScheduler.from_pretrained(CRITTERS, subfolder="scheduler")
    table = clip.get_input_embeddings().weight.requires_grad_(True)
    optimizer = torch.optim.AdamW([table], lr=5e-3)
    ids = parts["tokenizer"](["a photo of a critter"] * batch, padding="max_length", return_tensors="pt",
                             max_length=parts["tokenizer"].model_max_length).input_ids  # fmt: skip
    with torch.no_grad():
        mean = vae.encode(torch.rand(batch, 3, 64, 64) * 2 - 1).latent_dist.mean

    def run():
        latents = (mean + torch.randn_like(mean)) * vae.config.scaling_factor
        noise, t = torch.randn_like(latents), torch.randint(0, 1000, (batch,))
        states = clip(ids)[0]
        pred = unet(scheduler.add_noise(latents, noise, t), t, states).sample
        F.mse_loss(pred, noise).backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--runs", type=int, default=5)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    measure("train", training_step(load_folder(os.path.normpath(CRITTERS))), a.runs, repeats=10)
    pipe = open_pipeline(os.path.normpath(CRITTERS))
    draw = lambda: pipe("a photo of a critter", num_inference_steps=30, guidance_scale=4.0, num_images_per_prompt=4,
                        generator=torch.Generator().manual_seed(1))  # fmt: skip
    measure("draw", draw, a.runs)


if __name__ == "__main__":
    main()
