# SPDX-License-Identifier: MIT
"""Measures the speed of PyTorch on the same tasks as tests/bench/bench_steps.c. Each task runs in a process
of its own, since the peak of memory is that of the whole process:

    python golden/bench.py --what train [--model FOLDER] [--resolution N] [--batch N] [--threads N]
        [--precision f32|bf16] [--channels-last] [--compile]

    train      a training step from given latents: noise, text encoder, UNet, loss, backward pass to the token
               embedding, AdamW
    draw       generating pictures: 30 DDIM steps with guidance, then the VAE's decoder
    quick      the same in 10 steps of DPM-Solver++ 2M
    predict    one noise prediction without a gradient
    encode     the VAE's encoder without a gradient
    decode     the VAE's decoder without a gradient

Prints the versions in a line that begins with "#". The next line has the name of the task, the seconds of one
run (after a first run that is not counted), and the process's peak of memory in MB. Only the networks that a
task needs are loaded. With --precision bf16 the UNet and the VAE are bfloat16, as with --mixed_precision bf16
of the reference script, and the text encoder is fp32. --channels-last and --compile are what people try to make
these two networks faster.
"""
import argparse
import os
import resource
import time

import diffusers
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from common import CRITTERS
from picture import open_pipeline


def measure(name, run):
    """Runs the task once, then repeatedly for at least a second, and prints the result."""
    run()
    start, runs, seconds = time.perf_counter(), 0, 0
    while seconds < 1:
        run()
        runs, seconds = runs + 1, time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{name} {seconds / runs:.4f} {peak:.0f}", flush=True)


def load(kind, folder, subfolder, **options):
    """Loads a frozen network in fp32. It is converted because transformers keeps the type that the file
    has."""
    return kind.from_pretrained(folder, subfolder=subfolder, **options).float().eval().requires_grad_(False)


def prepare(network, a):
    """Prepares the UNet or the VAE as the options say."""
    network.to(a.dtype)
    if a.channels_last:
        network.to(memory_format=torch.channels_last)
    if a.compile:
        network.forward = torch.compile(network.forward)
    return network


def load_large(kind, a, subfolder):
    return prepare(load(kind, a.model, subfolder), a)


def train(a):
    clip = load(CLIPTextModel, a.model, "text_encoder", attn_implementation="sdpa")
    unet = load_large(UNet2DConditionModel, a, "unet")
    tokenizer = CLIPTokenizer.from_pretrained(a.model, subfolder="tokenizer")
    scheduler = DDPMScheduler.from_pretrained(a.model, subfolder="scheduler")
    table = clip.get_input_embeddings().weight.requires_grad_(True)
    optimizer = torch.optim.AdamW([table], lr=5e-3)
    ids = tokenizer(["a photo of a cat"] * a.batch, padding="max_length", return_tensors="pt",
                    max_length=tokenizer.model_max_length).input_ids  # fmt: skip
    mean = torch.randn(a.batch, unet.config.in_channels, a.side, a.side)

    def run():
        latents = (mean + torch.randn_like(mean)) * a.scaling_factor
        noise, t = torch.randn_like(latents), torch.randint(0, 1000, (a.batch,))
        states = clip(ids)[0]
        noisy = scheduler.add_noise(latents, noise, t)
        pred = unet(noisy.to(a.dtype), t, states.to(a.dtype)).sample.float()
        target = noise if scheduler.config.prediction_type == "epsilon" else scheduler.get_velocity(latents, noise, t)
        F.mse_loss(pred, target).backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def draw(a, sampler="ddim", steps=30):
    pipe = open_pipeline(a.model, sampler=sampler)
    pipe.text_encoder.to(a.dtype)  # the pipeline hands its result to the UNet as it is
    prepare(pipe.unet, a)
    prepare(pipe.vae, a)
    return lambda: pipe("a photo of a cat", num_inference_steps=steps, guidance_scale=4.0, num_images_per_prompt=a.batch,
                        height=a.resolution, width=a.resolution, generator=torch.Generator().manual_seed(1))  # fmt: skip


def quick(a):
    return draw(a, "dpm++2m", 10)


def predict(a):
    unet = load_large(UNet2DConditionModel, a, "unet")
    latents = torch.randn(a.batch, unet.config.in_channels, a.side, a.side, dtype=a.dtype)
    text = CLIPTextConfig.from_pretrained(a.model, subfolder="text_encoder")
    context = torch.randn(a.batch, text.max_position_embeddings, text.hidden_size, dtype=a.dtype)
    t = torch.full((a.batch,), 500)
    return torch.no_grad()(lambda: unet(latents, t, context))


def encode(a):
    vae = load_large(AutoencoderKL, a, "vae")
    pictures = (torch.rand(a.batch, 3, a.resolution, a.resolution) * 2 - 1).to(a.dtype)
    return torch.no_grad()(lambda: vae.encode(pictures))


def decode(a):
    vae = load_large(AutoencoderKL, a, "vae")
    latents = torch.randn(a.batch, vae.config.latent_channels, a.side, a.side, dtype=a.dtype)
    return torch.no_grad()(lambda: vae.decode(latents))


WHATS = dict(train=train, draw=draw, quick=quick, predict=predict, encode=encode, decode=decode)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--what", choices=WHATS, required=True)
    p.add_argument("--model", default=CRITTERS)
    p.add_argument("--resolution", type=int, default=64)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--compile", action="store_true")
    a = p.parse_args()
    a.dtype = torch.bfloat16 if a.precision == "bf16" else torch.float32
    a.model = os.path.normpath(a.model)
    torch.set_num_threads(a.threads)
    vae = AutoencoderKL.load_config(a.model, subfolder="vae")
    a.side = a.resolution // 2 ** (len(vae["block_out_channels"]) - 1)
    a.scaling_factor = vae.get("scaling_factor", 0.18215)
    print(f"# PyTorch {torch.__version__}, diffusers {diffusers.__version__}")
    measure(a.what, WHATS[a.what](a))


if __name__ == "__main__":
    main()
