# SPDX-License-Identifier: MIT
"""Textual inversion as the reference trains it: diffusers' models and schedulers, torch's DataLoader and
AdamW, and accelerate's training loop. The calls are in the order of diffusers'
examples/textual_inversion/textual_inversion.py, since that order determines which random numbers each of
them gets. Two things differ from that script: pictures are taken in the order of their names, and both
generators are seeded immediately before the first epoch.

    python golden/loop.py --images DIR --token '<word>' --init WORD ... --csv losses.csv --out learned.safetensors

trains as `ti train` does with the same options, and writes the same two files, so that anyone can compare
them. Without arguments the script writes golden/loop.safetensors, and golden/sizes.safetensors with the cases of SIZES,
in which the pictures are not square. (The reference script knows only squares: what --center-crop means for other
sizes is decided here.) For each CASE in CASES, whose options are
in the metadata as "CASE/options", it has

    CASE/step, loss, lr          one value per micro-batch, as in losses.csv (lr as F64)
    CASE/pictures, templates, flips, timesteps, prompts    one value per example (prompts: token ids)
    CASE/count                   the number of examples in each micro-batch
    CASE/noise                   the first 8 noise values of each micro-batch, in memory order n, c, h, w
    CASE/start, CASE/end         the learned vectors before and after training
    CASE/template_ids            [templates, tokens], the token ids of all templates
    CASE/latents                 the latents z of the first micro-batch

and in the metadata "CASE/threads", the differences from the same run with another number of threads: that of
the learned vectors relative to "CASE/distance", the distance that they travelled, and the relative one of the
losses.
"""
import argparse
import os
import random
import shlex
import sys

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from PIL import Image, ImageOps

import variants
from common import CRITTERS, HERE, Golden, write_safetensors
from models import load_folder

OBJECT = """a photo of a {}|a rendering of a {}|a cropped photo of the {}|the photo of a {}|a photo of a clean {}
a photo of a dirty {}|a dark photo of the {}|a photo of my {}|a photo of the cool {}|a close-up photo of a {}
a bright photo of the {}|a cropped photo of a {}|a photo of the {}|a good photo of the {}|a photo of one {}
a close-up photo of the {}|a rendition of the {}|a photo of the clean {}|a rendition of a {}|a photo of a nice {}
a good photo of a {}|a photo of the nice {}|a photo of the small {}|a photo of the weird {}|a photo of the large {}
a photo of a cool {}|a photo of a small {}""".replace("\n", "|").split("|")
STYLE = [
    f"{words} in the style of {{}}"
    for words in """a painting|a rendering|a cropped painting|the painting|a clean painting|a dirty painting
a dark painting|a picture|a cool painting|a close-up painting|a bright painting|a cropped painting|a good painting
a close-up painting|a rendition|a nice painting|a small painting|a weird painting|a large painting"""
    .replace("\n", "|").split("|")
]  # fmt: skip
assert len(OBJECT) == 27 and len(STYLE) == 19

CASES = {
    # 25 examples make 13 batches and 7 updates per epoch. The last batch is a single picture, for which torch
    # generates normal numbers in another way.
    "accumulate": "--images weights/critters/concepts/grum --token <grum> --init critter --steps 60 --lr 5e-3 --batch 2"
                  " --accumulate 2 --repeats 5 --seed 11",
    "batch": "--images weights/critters/concepts/mimi --token <mimi> --init critter --steps 40 --lr 5e-3 --batch 4"
             " --repeats 6 --seed 3",
    "style": "--images weights/critters/concepts/style-blueprint --token <blue-print> --init drawing --kind style"
             " --steps 30 --lr 1e-3 --scale-lr --batch 2 --repeats 4 --seed 4294967301 --schedule linear --warmup 0",
    "vectors": "--images golden/loop_pictures --token <zog> --vectors 3 --init critter,blue,round --steps 30 --lr 5e-3 --batch 2"
               " --repeats 5 --seed 5 --schedule cosine --warmup 6 --center-crop --no-flip",
    "single": "--images golden/loop_pictures --token <z> --init critter --steps 20 --lr 5e-3 --batch 1 --repeats 3"
              " --seed 6 --schedule cosine_with_restarts --cycles 3 --warmup 2 --weight-decay 0.1",
}  # fmt: skip

SIZES = {
    "wide": "--images golden/loop_pictures --token <zog> --init critter --steps 6 --lr 5e-3 --batch 2 --repeats 3 --seed 7"
            " --width 96 --height 64 --center-crop",
    "high": "--images weights/critters/concepts/grum --token <grum> --init critter --steps 6 --lr 5e-3 --batch 2 --repeats 3"
            " --seed 1 --height 72",
}  # fmt: skip


def parse(arguments):
    p = argparse.ArgumentParser(description="Trains a word with the reference's own parts, as `ti train` does.")
    p.add_argument("--images", required=True)
    p.add_argument("--token", required=True)
    p.add_argument("--init", required=True, help="one word, or one per vector: WORD[,WORD...]")
    p.add_argument("--model", default=CRITTERS)
    p.add_argument("--variant", help="the variant of the model's weight files, such as fp16")
    p.add_argument("--vectors", type=int, default=1)
    p.add_argument("--kind", choices=["object", "style"], default="object")
    p.add_argument("--templates", help="paper, code, diffusers, or a file with one template per line")
    p.add_argument("--class", dest="word_class", help="what stands before the word")
    p.add_argument("--captions", action="store_true", help="NAME.txt beside each picture has its sentences")
    p.add_argument("--steps", type=int, default=3000)
    p.add_argument("--lr", default="5e-4", help="a rate, or rates by step: 0.005:100,0.001:1000,0.0005")
    p.add_argument("--scale-lr", action="store_true")
    p.add_argument("--schedule", default="constant")
    p.add_argument("--warmup", type=int, default=500)
    p.add_argument("--cycles", type=int, default=1)
    p.add_argument("--weight-decay", type=float, default=1e-2)
    p.add_argument("--regularise", type=float, default=0)
    p.add_argument("--progressive", type=int, default=0, help="the steps after which the next vector joins")
    p.add_argument("--per-image", type=float, default=0, help="how often a prompt names the picture's own word")
    p.add_argument("--norm", default="free", help="free, median, sphere or a number")
    p.add_argument("--min-snr", type=float, default=0)
    p.add_argument("--masks", action="store_true")
    p.add_argument("--background", type=float, default=0.1)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--accumulate", type=int, default=1)
    p.add_argument("--repeats", type=int, default=100)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--resolution", type=int)
    p.add_argument("--width", type=int)
    p.add_argument("--height", type=int)
    p.add_argument("--center-crop", action="store_true")
    p.add_argument("--no-flip", action="store_true")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--csv", default="losses.csv")
    p.add_argument("--out", default="learned.safetensors")
    return p.parse_args(arguments)


class Pictures(torch.utils.data.Dataset):
    """The reference's class TextualInversionDataset. An example is a picture, and a random template with the
    word in it."""

    def __init__(self, a, tokenizer, placeholder):
        self.a, self.tokenizer, self.placeholder = a, tokenizer, placeholder
        names = sorted(n for n in os.listdir(a.images) if n.lower().endswith((".png", ".jpg", ".jpeg", ".bmp"))
                       and not n.endswith(".mask.png"))  # fmt: skip
        self.paths = [os.path.join(a.images, n) for n in names]
        self.templates = STYLE if a.kind == "style" else OBJECT
        if a.templates in variants.TEMPLATES:
            self.templates = variants.TEMPLATES[a.templates](self.templates, a.kind)
        elif a.templates:
            self.templates = variants.lines(a.templates)
        if a.word_class:
            self.placeholder = f"{a.word_class} {placeholder}"
        # the prompts of each picture, with {} in the word's place
        self.prompts = [
            variants.captions(path, a.token) if a.captions else variants.with_filewords(self.templates, path)
            for path in self.paths
        ]

    def __len__(self):
        return len(self.paths) * self.a.repeats

    def tokens(self, template, vectors=None, own=None):
        """The ids of a template with the word's first `vectors` vectors, and with the own word of a picture."""
        words = self.placeholder.split()
        text = template.format(" ".join(words[: len(words) - self.a.vectors + (vectors or self.a.vectors)]))
        if own is not None:
            stop = "." if text.endswith(".") else ""
            text = f"{text[: len(text) - len(stop)]} with {variants.own_word(own)}{stop}"
        return self.tokenizer(
            text, padding="max_length", truncation=True,
            max_length=self.tokenizer.model_max_length, return_tensors="pt",
        ).input_ids[0]  # fmt: skip

    def __getitem__(self, i):
        picture = i % len(self.paths)
        image = variants.on_white(Image.open(self.paths[picture]))
        prompts = self.prompts[picture]
        template = random.choice(range(len(prompts)))  # choice(prompts) draws the same number
        own = bool(self.a.per_image) and random.random() < self.a.per_image
        array = np.array(image).astype(np.uint8)
        if self.a.center_crop:
            h, w = array.shape[:2]
            cut_h, cut_w = min(h, w * self.a.height // self.a.width), min(w, h * self.a.width // self.a.height)
            array = array[(h - cut_h) // 2 : (h + cut_h) // 2, (w - cut_w) // 2 : (w + cut_w) // 2]
        size = self.a.width, self.a.height
        image = Image.fromarray(array).resize(size, resample=Image.Resampling.BICUBIC)
        flip = bool(torch.rand(1) < (0.0 if self.a.no_flip else 0.5))  # torchvision's RandomHorizontalFlip
        if flip:
            image = ImageOps.mirror(image)
        pixels = (np.array(image).astype(np.uint8) / 127.5 - 1.0).astype(np.float32)
        return dict(item=i, picture=picture, template=template, flip=int(flip),
                    own=own, input_ids=self.tokens(prompts[template], own=picture if own else None),
                    mask=variants.mask(self.a, self.paths[picture], flip) if self.a.masks else torch.ones(1),
                    pixel_values=torch.from_numpy(pixels).permute(2, 0, 1))  # fmt: skip


def add_word(parts, token, vectors, init, own):
    """Adds a row to the token embedding for each learned vector, with the values of an initial word: those of the
    word, and one for each of `own` pictures. Returns their ids."""
    tokenizer, clip = parts["tokenizer"], parts["clip"]
    words = [token] + [f"{token}_{i}" for i in range(1, vectors)] + [variants.own_word(i) for i in range(own)]
    assert tokenizer.add_tokens(words) == vectors + own, f"the model knows {token} already"
    ids = tokenizer.convert_tokens_to_ids(words)
    starts = init.split(",")
    starts = (starts * vectors if len(starts) == 1 else starts) + starts[:1] * own
    clip.resize_token_embeddings(len(tokenizer))
    table = clip.get_input_embeddings().weight
    for row, word in zip(ids, starts, strict=True):
        known = tokenizer.encode(word, add_special_tokens=False)
        assert len(known) == 1, f"{word} is {len(known)} tokens"
        with torch.no_grad():
            table[row] = table[known[0]].clone()
    return ids


def train(a, on_batch=lambda **_: None):
    """Trains a word. Returns the learned vectors before and after, and (step, loss, lr) of each
    micro-batch."""
    torch.set_num_threads(a.threads)
    parts = load_folder(a.model, a.variant)
    clip, unet, vae = parts["clip"], parts["unet"], parts["vae"]
    a.resolution = a.resolution or unet.config.sample_size * 2 ** (len(vae.config.block_out_channels) - 1)
    a.width, a.height = a.width or a.resolution, a.height or a.resolution
    scheduler = DDPMScheduler.from_pretrained(a.model, subfolder="scheduler")
    accelerator = Accelerator(gradient_accumulation_steps=a.accumulate, cpu=True)

    pictures = len(Pictures(a, None, "").paths) if a.per_image else 0
    ids = add_word(parts, a.token, a.vectors, a.init, pictures)
    table = clip.get_input_embeddings().weight.requires_grad_(True)
    by_step = [rate.split(":") for rate in a.lr.split(",")]
    first_rate = float(by_step[0][0]) * (a.accumulate * a.batch if a.scale_lr else 1)
    optimizer = torch.optim.AdamW(
        [table], lr=first_rate, betas=(0.9, 0.999), weight_decay=a.weight_decay, eps=1e-8,
    )  # fmt: skip
    norm = variants.length(a.norm, table[: len(table) - len(ids)])
    if a.norm == "sphere":
        optimizer = variants.Sphere(table, ids, norm, first_rate)
    if a.progressive:
        optimizer = variants.Progressive(table, ids, a)
    words = parts["tokenizer"].convert_ids_to_tokens(ids[: a.vectors])
    dataset = Pictures(a, parts["tokenizer"], " ".join(words))
    loader = torch.utils.data.DataLoader(dataset, batch_size=a.batch, shuffle=True, num_workers=0)
    rates = get_scheduler(a.schedule, optimizer=optimizer, num_warmup_steps=a.warmup, num_training_steps=a.steps,
                          num_cycles=a.cycles)  # fmt: skip
    if len(by_step) > 1:
        rates = variants.RatesByStep(optimizer, by_step)
    clip.train()
    clip, optimizer, loader, rates = accelerator.prepare(clip, optimizer, loader, rates)
    before = table.detach().clone()
    frozen = torch.ones(len(table), dtype=torch.bool)
    frozen[ids] = False

    random.seed(a.seed)
    torch.manual_seed(a.seed)
    step, losses = 0, []
    while step < a.steps:
        for batch in loader:
            with accelerator.accumulate(clip):
                latents = vae.encode(batch["pixel_values"]).latent_dist.sample().detach() * vae.config.scaling_factor
                noise = torch.randn_like(latents)  # the order of values depends on the layout
                timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),)).long()
                noisy = scheduler.add_noise(latents, noise, timesteps)
                if a.progressive:  # the loader has fetched this batch before the last step
                    count = min(a.vectors, 1 + step // a.progressive)
                    prompts = [dataset.prompts[p][t] for p, t in zip(batch["picture"], batch["template"])]
                    batch["input_ids"] = torch.stack([dataset.tokens(p, count) for p in prompts])
                states = clip(batch["input_ids"])[0]
                pred = unet(noisy, timesteps, states).sample
                v = scheduler.config.prediction_type == "v_prediction"
                target = scheduler.get_velocity(latents, noise, timesteps) if v else noise
                if a.min_snr or a.masks:
                    loss = F.mse_loss(pred, target, reduction="none")
                    if a.masks:
                        loss = loss * F.interpolate(batch["mask"], size=loss.shape[2:], mode="area").clamp(min=a.background)
                    loss = loss.mean([1, 2, 3])
                    loss = (loss * variants.min_snr(scheduler, timesteps, a.min_snr) if a.min_snr else loss).mean()
                else:
                    loss = F.mse_loss(pred.float(), target.float(), reduction="mean")
                word = ids[: a.vectors]
                pull = (table[word] - before[word]).square().sum() if a.regularise else 0
                accelerator.backward(loss + a.regularise / a.vectors * pull)
                optimizer.step()
                rates.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    table[frozen] = before[frozen]
                    if norm and a.norm != "sphere" and accelerator.sync_gradients:
                        table[ids] *= norm / table[ids].norm(dim=1, keepdim=True)
            step += accelerator.sync_gradients
            losses.append((step, loss.item(), rates.get_last_lr()[0]))
            on_batch(batch=batch, latents=latents, noise=noise, timesteps=timesteps, dataset=dataset)
            if step >= a.steps:
                break
    return before[word], table.detach()[word].clone(), losses


def check_draws():
    """Checks random choices against those of the reference script itself with seed 11, 5 pictures, repeats 6
    and batch 2. They differ when any call is out of order."""
    seen = dict(item=[], template=[], flip=[], t=[])

    def on_batch(batch, timesteps, **_):
        for key in ("item", "template", "flip"):
            seen[key] += batch[key].tolist()
        seen["t"] += timesteps.tolist()

    train(parse(shlex.split(f"--images {CRITTERS}/concepts/grum --token <g> --init critter --steps 18 --batch 2"
                            " --repeats 6 --seed 11")), on_batch)  # fmt: skip
    assert seen["item"][:8] == [14, 17, 26, 16, 9, 24, 3, 15] and seen["item"][30:36] == [18, 14, 19, 5, 17, 16]
    assert seen["template"][:8] == [14, 17, 24, 14, 14, 16, 18, 6] and seen["flip"][:8] == [0, 0, 0, 1, 0, 1, 1, 1]
    assert seen["t"][:4] == [728, 34, 958, 656] and seen["t"][30:32] == [941, 449]


def write_pictures():
    """Writes pictures that are not square: a wide one, a high one, and one whose shorter side has the
    training size already."""
    folder = os.path.join(HERE, "loop_pictures")
    os.makedirs(folder, exist_ok=True)
    for i, box in enumerate([(20, 60, 220, 210), (75, 30, 186, 247), (90, 96, 170, 160)]):
        Image.open(f"{CRITTERS}/concepts/zog/{i + 1}.png").convert("RGB").crop(box).save(f"{folder}/{i + 1}.png")


def record(golden, name, options, own=""):
    """Trains a case twice, with two threads and with one, and stores the results. `own` are options that only this
    script has."""
    golden.meta(f"{name}/options", options)
    columns = {k: [] for k in ("picture", "template", "flip", "timesteps", "prompts", "count", "noise")}
    first = {}

    def on_batch(batch, latents, noise, timesteps, dataset):
        for key in ("picture", "template", "flip"):
            columns[key] += batch[key].tolist()
        columns["timesteps"] += timesteps.tolist()
        columns["prompts"] += batch["input_ids"].tolist()
        columns["count"].append(len(timesteps))
        columns["noise"].append(noise.contiguous().flatten()[:8])
        first.setdefault("latents", latents)
        first.setdefault("template_ids", torch.stack([dataset.tokens(t) for t in dataset.templates]).int())

    start, end, losses = train(parse(shlex.split(options + own)), on_batch)
    for key, values in columns.items():
        value = torch.stack(values) if key == "noise" else torch.tensor(values, dtype=torch.int32)
        golden.put(f"{name}/{key}s" if key in ("picture", "template", "flip") else f"{name}/{key}", value)
    for key, value in first.items():
        golden.put(f"{name}/{key}", value)
    golden.put(f"{name}/step", torch.tensor([x[0] for x in losses], dtype=torch.int32))
    golden.put(f"{name}/loss", torch.tensor([x[1] for x in losses]))
    golden.put(f"{name}/lr", torch.tensor([x[2] for x in losses], dtype=torch.float64))
    golden.put(f"{name}/start", start)
    golden.put(f"{name}/end", end)

    _, other, other_losses = train(parse(shlex.split(options + own + " --threads 1")))
    distance = (end - start).abs().max()
    error = ((other - end).abs().max() / distance).item()
    losses, other_losses = (torch.tensor([x[1] for x in y]) for y in (losses, other_losses))
    worst = ((other_losses - losses).abs() / losses).max().item()
    golden.meta(f"{name}/distance", "%.6g" % distance.item())
    golden.meta(f"{name}/threads", "%.1e %.1e" % (error, worst))
    print(f"{name}: {len(losses)} micro-batches; with 1 thread vectors differ by {error:.1e}, "
          f"losses by {worst:.1e}")  # fmt: skip


def main():
    if len(sys.argv) > 1:
        a = parse(sys.argv[1:])
        _, learned, losses = train(a)
        write_safetensors(a.out, {a.token: learned}, {"format": "pt"})
        with open(a.csv, "w", encoding="utf-8") as f:
            f.write("step,loss,lr\n" + "".join("%d,%.9g,%.9g\n" % line for line in losses))
        return
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 11)
    write_pictures()
    check_draws()
    for name, options in CASES.items():
        record(golden, name, options)
    golden.save("loop.safetensors")
    golden = Golden(__file__, 11)
    for name, options in SIZES.items():
        record(golden, name, options)
    golden.save("sizes.safetensors")


if __name__ == "__main__":
    main()
