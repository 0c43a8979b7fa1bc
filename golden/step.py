# SPDX-License-Identifier: MIT
"""Writes the numbers and the picture of docs/step.md: one training step on the concept grum, as `ti train --dump` records it.

    make && python golden/step.py

The script follows one example of a batch of five from its prompt to the learned vector. It recomputes the embedding, the
noisy latents, the loss and its gradient, the gradient of v and the update from other lines, by the equations in the table, and stops
when the program's number differs. PyTorch decodes the latents to pictures; every number in the table is the program's own.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.numpy import load_file
from transformers import CLIPTokenizer

from common import CRITTERS, HERE

ROOT = os.path.join(HERE, "..")
PAGE, PICTURE = os.path.join(ROOT, "docs", "step.md"), os.path.join(ROOT, "docs", "step.png")
BEGIN, END = "<!-- golden/step.py writes from here -->\n", "<!-- to here -->\n"
BATCH, SEED, LR = 5, 21, 5e-3  # the seed is one whose five timesteps lie well apart
FOLLOWED = 2  # the example that the table follows, in the order of the timesteps


def train(*options):
    command = [
        "./ti", "train", "--images", "weights/critters/concepts/grum", "--token", "<grum>", "--init", "critter", "--lr", str(LR), "--schedule", "constant",
        "--batch", str(BATCH), "--seed", str(SEED), "--force", *options,
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def same(what, ours, theirs, tolerance=2e-5):
    """Checks that the program's number is the one that the equation gives."""
    error = np.abs(np.float64(ours) - theirs).max() / np.abs(theirs).max()
    if not error <= tolerance:
        sys.exit(f"golden/step.py: {what} is off by {error:.1e}")


def first(x, count=4):
    return ", ".join(f"{v:.4g}" for v in np.ravel(x)[:count]) + ", ..."


def norm(x):
    return f"norm {np.linalg.norm(np.ravel(x).astype(np.float64)):.4g}"


def noise_schedule():
    """abar_t, the product of 1 - beta up to t; the roots of the betas rise linearly ("scaled_linear")."""
    with open(f"{CRITTERS}/scheduler/scheduler_config.json", encoding="utf-8") as f:
        config = json.load(f)
    roots = np.linspace(config["beta_start"] ** 0.5, config["beta_end"] ** 0.5, config["num_train_timesteps"])
    return np.cumprod(1 - roots**2)


def adamw(p, g):
    """The first step of AdamW with torch's defaults. Returns its m and v and the vector after the step."""
    m, v = 0.1 * g, 0.001 * g * g
    return m, v, p * (1 - LR * 0.01) - LR * (m / 0.1) / (np.sqrt(v / 0.001) + 1e-8)


def table(dump, learned_after):
    step, forward, backward = (load_file(f"{dump}/{name}.safetensors") for name in ("step", "forward", "backward"))
    tokenizer = CLIPTokenizer.from_pretrained(f"{CRITTERS}/tokenizer")
    order = np.argsort(step["timesteps"])
    i = order[FOLLOWED]
    abar = noise_schedule()[step["timesteps"].astype(int)].reshape(-1, 1, 1, 1)
    a = abar[i, 0, 0, 0]
    ids = step["input_ids"].astype(int)
    placeholder = tokenizer.vocab_size if ids.max() >= tokenizer.vocab_size else ids.max()
    at = int(np.argmax(ids[i] == placeholder))
    length = int(np.argmax(ids[i] == tokenizer.eos_token_id)) + 1
    words = ["<grum>" if k == placeholder else tokenizer.decode([k]).strip() for k in ids[i, 1 : length - 1]]

    z, noise, z_t, prediction = step["latents"], step["noise"], step["noisy"], forward["unet.conv_out"]
    e, c = forward["text_encoder.embeddings.token_embedding"], forward["text_encoder.final_layer_norm"]
    de, dc = (backward["text_encoder." + name] for name in ("embeddings.token_embedding", "final_layer_norm"))
    block = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2"
    k = forward[block + ".to_k"]
    dprediction, v, dv = backward["unet.conv_out"], step["rows"], backward["rows"]
    m, second, after = adamw(v.astype(np.float64), dv.astype(np.float64))
    losses = ((prediction.astype(np.float64) - noise) ** 2).mean(axis=(1, 2, 3))

    same("the embedding", e[i, at], v[0], 0)
    same("z_t", z_t, np.sqrt(abar) * z + np.sqrt(1 - abar) * noise)
    same("the loss", step["loss"], losses.mean())
    same("d loss / d prediction", dprediction, 2 * (prediction.astype(np.float64) - noise) / noise.size)
    same("the vector's gradient", dv[0], de.astype(np.float64)[ids == placeholder].sum(axis=0))
    same("the vector after the step", learned_after, after, 1e-6)

    lines = [
        ("prompt y", "a template with the placeholder in it", "text", f"`{' '.join(words)}`", "`templates_encode`"),
        ("token ids", "BPE; the placeholder's id is the first after the vocabulary", f"[{ids.shape[1]}]",
         ", ".join(str(k) for k in ids[i, :length]) + ", ...", "`prompt_ids`"),
        ("learned vector v", "starts as the embedding of the initial word, critter", "[1, 192]", f"{first(v)} {norm(v)}",
         "`train_initial_vectors`"),
        ("token embeddings e", "e_s = row ids_s of the embedding table, or v where ids_s is the placeholder", "[5, 32, 192]",
         f"at position {at}: {first(e[i, at])}", "`embedding`"),
        ("context c", "c = c_theta(y), four causal transformer layers and a layer norm", "[5, 32, 192]",
         f"at position {at}: {first(c[i, at])} {norm(c[i, at])}", "`clip_text`"),
        ("latents z", "z = 0.18215 (mean + exp(logvar / 2) n), n ~ N(0, 1)".replace("0.18215", scaling()), "[5, 4, 16, 16]",
         f"{first(z[i])} rms {rms(z[i])}", "`posterior_sample`"),
        ("timestep t", "t ~ U{0, ..., 999}; abar_t = prod (1 - beta_s) for s up to t", "[5]",
         f"t = {int(step['timesteps'][i])}, abar_t = {a:.4f}", "`draw_noise`, `noise_schedule_new`"),
        ("noise eps", "eps ~ N(0, 1)", "[5, 4, 16, 16]", f"{first(noise[i])} rms {rms(noise[i])}", "`generator_randn`"),
        ("noisy latents z_t", "z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps", "[5, 4, 16, 16]",
         f"{np.sqrt(a):.4f} · {z[i].flat[0]:.4f} + {np.sqrt(1 - a):.4f} · {noise[i].flat[0]:.4f} = {z_t[i].flat[0]:.4f}",
         "`noise_schedule_add_noise`"),
        ("keys of a cross-attention", "K = W_k c, and values V = W_v c; here the text enters the UNet", "[5, 32, 128]",
         f"at position {at}: {first(k[i, at])}", "`cross_attention`"),
        ("noise_pred", "eps_theta(z_t, t, c)", "[5, 4, 16, 16]", f"{first(prediction[i])} rms {rms(prediction[i])}", "`unet`"),
        ("loss", "mean of (eps_theta - eps)²", "[1]",
         f"of this example {losses[i]:.4f}; of the batch {float(step['loss'][0]):.4f}", "`mse_loss`"),
        ("d loss / d noise_pred", "2 (eps_theta - eps) / 5120".replace("5120", str(noise.size)), "[5, 4, 16, 16]",
         first(dprediction[i]), "`mse_loss`, backward"),
        ("d loss / d c", "the sum of dK W_k + dV W_v over all cross-attentions", "[5, 32, 192]",
         f"at position {at}: {first(dc[i, at])} {norm(dc[i, at])}", "`linear`, backward"),
        ("d loss / d e", "through the text encoder", "[5, 32, 192]", f"at position {at}: {first(de[i, at])} {norm(de[i, at])}",
         "`clip_layer`, backward"),
        ("d loss / d v", "the sum of d loss / d e over all positions of the placeholder", "[1, 192]", f"{first(dv)} {norm(dv)}",
         "`embedding`, backward"),
        ("Adam's moments", "m = 0.1 g, s = 0.001 g²", "[1, 192] each", f"m: {first(m)} s: {first(second)}", "`adamw_step`"),
        ("the update", "v (1 - lr 0.01) - lr m̂ / (sqrt(ŝ) + 1e-8), with m̂ = m / 0.1 and ŝ = s / 0.001", "[1, 192]",
         f"{first(learned_after - v)} {norm(learned_after - v)}", "`adamw_step`"),
        ("learned vector v after the step", "", "[1, 192]", f"{first(learned_after)} {norm(learned_after)}", "`embedding_write`"),
    ]  # fmt: skip
    text = "| what | equation | shape | numbers | function |\n|---|---|---|---|---|\n"
    text += "".join("| " + " | ".join(line) + " |\n" for line in lines)
    text += "\nThe batch's five examples, in the order of their timesteps:\n\n| t | abar_t | loss |\n|---|---|---|\n"
    text += "".join(f"| {int(step['timesteps'][j])} | {abar[j, 0, 0, 0]:.4f} | {losses[j]:.4f} |\n" for j in order)
    implied = (z_t - np.sqrt(1 - abar) * prediction) / np.sqrt(abar)
    return text, [z[order], z_t[order], implied[order]], step["timesteps"][order].astype(int)


def rms(x):
    return f"{np.sqrt((x.astype(np.float64) ** 2).mean()):.4g}"


def scaling():
    with open(f"{CRITTERS}/vae/config.json", encoding="utf-8") as f:
        return f"{json.load(f)['scaling_factor']:.6g}"


def draw(rows, timesteps, folder):
    """Writes the rows of latents as pictures on one sheet, with a palette of 256 colours, which keeps the file small."""
    vae = AutoencoderKL.from_pretrained(f"{CRITTERS}/vae")
    captions = [
        "the latents z of the five examples, decoded",
        "z_t at t = " + ", ".join(str(t) for t in timesteps),
        "what the prediction implies for z",
    ]
    arguments = []
    for number, (caption, row) in enumerate(zip(captions, rows)):
        with torch.no_grad():
            pictures = vae.decode(torch.tensor(row).float() / vae.config.scaling_factor).sample
        pictures = ((pictures / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        arguments.append(caption)
        for i, picture in enumerate(pictures):
            arguments.append(f"{folder}/{number}-{i}.png")
            Image.fromarray(picture).save(arguments[-1])
    subprocess.run(["./ti", "sheet", "--out", PICTURE, "--force", *arguments], cwd=ROOT, check=True, capture_output=True)
    Image.open(PICTURE).quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        train("--dump", f"{folder}/dump")
        train("--steps", "1", "--out", f"{folder}/run")
        after = next(iter(load_file(f"{folder}/run/grum.safetensors").values()))
        text, rows, timesteps = table(f"{folder}/dump", after.reshape(1, -1))
        draw(rows, timesteps, folder)
    with open(PAGE, encoding="utf-8") as f:
        before, rest = f.read().split(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + text + END + rest.split(END)[1])


main()
