# SPDX-License-Identifier: MIT
"""Models at full size whose weights are generated from their tensors' names.

    python golden/full.py sd15|sd21|tiny [--pictures | --bf16 | --look]

writes full_NAME.safetensors, the reference's results on such a model. With --pictures it adds only the
generated pictures to the file that is there, and with --bf16 only the errors of the reference in bfloat16. With
--look it prints the sizes of activations instead, which shows whether they vanish or explode.

tests/made_model.c generates the same weights, and tests/made_model.h explains the rule. Here the rule is
implemented a second time, for the tensors of diffusers' own modules. The metadata keys "weights:PART" hold a
checksum of all weights, which the test compares first.

    sd15    Stable Diffusion 1.5: states of the text encoder; noise predictions, losses and gradients at 512
            and 256 px; the VAE's encoder and decoder at 512 px; three training steps and a
            generated picture at 256 px; pictures from a picture, also with a mask, and the noise of a
            picture at 512 px
    sd21    Stable Diffusion 2.1 (gelu, heads by level, linear projections, v-prediction): states of the text
            encoder, noise prediction, loss and gradient at 256 px, the VAE at 256 px
    tiny    the same architecture with 32 and 64 channels: everything above, at 72 px, where halving rounds
            up, and at sizes that are not square; and generated pictures that are not square
"""
import argparse
import math
import os
import re
import sys
import tempfile

import numpy as np
import torch
from diffusers import (AutoencoderKL, DDIMInverseScheduler, DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler,
                       StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline,
                       UNet2DConditionModel)  # fmt: skip
from safetensors import safe_open
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from common import HERE, Golden, bf16_errors, normal, relative_error
from models import encode_with_learned, write_json

SD_LEVELS = dict(
    down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    layers_per_block=2, norm_num_groups=32,
)  # fmt: skip
SD_VAE = dict(down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, layers_per_block=2,
              latent_channels=4, norm_num_groups=32, scaling_factor=0.18215)  # fmt: skip
FAMILIES = {
    "sd15": dict(
        seed=51, solver_picture=(256, 256), from_picture=(512, 512), from_grid=16, unet_size=(512, 512), steps=(256, 256), vae_size=(512, 512), grid=8,
        clip=dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                  hidden_act="quick_gelu"),
        unet=dict(block_out_channels=[320, 640, 1280, 1280], cross_attention_dim=768, attention_head_dim=8, sample_size=64),
        vae=dict(block_out_channels=[128, 256, 512, 512], sample_size=512),
    ),
    "sd21": dict(
        seed=52, unet_size=(256, 256), vae_size=(256, 256), grid=8, pad="!", prediction_type="v_prediction",
        clip=dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu"),
        unet=dict(block_out_channels=[320, 640, 1280, 1280], cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20],
                  use_linear_projection=True, sample_size=96),
        vae=dict(block_out_channels=[128, 256, 512, 512], sample_size=768),
    ),
    "tiny": dict(
        seed=53, picture=(72, 96), solver_picture=(72, 96), from_picture=(72, 96), from_grid=8, unet_size=(72, 96), steps=(72, 72), vae_size=(64, 72), grid=1,
        clip=dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=1, hidden_act="quick_gelu"),
        unet=dict(block_out_channels=[32, 64, 64, 64], cross_attention_dim=64, attention_head_dim=8, sample_size=8),
        vae=dict(block_out_channels=[32, 64, 64, 64], sample_size=64),
    ),
}  # fmt: skip

# Weights from names


def gain(part, name):
    """Returns the factor by which a layer multiplies the standard deviation of its input, which depends on
    its place in the network (see tests/made_model.c)."""
    layer = name.removesuffix(".weight")
    last = layer.split(".")[-1]
    if part in ("text_encoder", "clip"):
        return {"out_proj": 0.7, "fc2": 0.35}.get(last, 1)
    if layer == "time_embedding.linear_1":
        return 1.4
    if layer == "encoder.conv_in":
        return 2
    if last in ("conv2", "conv_shortcut", "proj_out") or layer == "decoder.conv_out" or layer.endswith("ff.net.2"):
        return {"conv_shortcut": 0.7, "proj_out": 0.5}.get(last, 0.84)
    if layer.endswith("to_out.0"):
        return 3
    after_silu = last in ("conv1", "time_emb_proj") or layer in ("time_embedding.linear_2", "conv_out", "encoder.conv_out")
    return 1.68 if after_silu else 1


def rule(part, name, shape):
    """Returns (centre, spread, exponent). An element is (centre + u) 2^-exponent with u uniform in [-spread,
    spread]."""
    if name.endswith("weight") and len(shape) == 1:
        return 64, 16, 6
    if name.endswith("bias"):
        deviation = 0.05
    elif "embedding" in name and part in ("text_encoder", "clip") and len(shape) < 4:
        deviation = 0.5
    else:
        deviation = gain(part, name) / math.sqrt(math.prod(shape[1:]))
    spread, exponent = math.sqrt(3.0) * deviation, 0
    while math.ldexp(spread, exponent + 1) < 128:
        exponent += 1
    return 0, int(math.ldexp(spread, exponent)), exponent


def fnv(text):
    """Returns the 64-bit FNV-1a hash of a text."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


CHUNK = 1 << 20
INDICES = np.arange(CHUNK, dtype=np.uint32) * np.uint32(0x9E3779B9)
ODD = 2 * np.arange(CHUNK, dtype=np.uint64) + 1


def made_values(part, name, shape):
    """Returns the weight in fp32 and its checksum: the sum over all elements of (2 index + 1) times the
    element's bits, modulo 2^64."""
    centre, spread, exponent = rule(part, name, shape)
    low, high = (h := fnv(f"{part}.{name}")) % 2**32, h >> 32
    out, total = np.empty(math.prod(shape), np.float32), 0
    for first in range(0, out.size, CHUNK):
        piece = out[first:first + CHUNK]
        x = INDICES[:piece.size] + np.uint32((first * 0x9E3779B9 + low) % 2**32)
        x ^= x >> 16
        x *= np.uint32(0x85EBCA6B)
        x ^= np.uint32(high)
        x ^= x >> 13
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> 16
        x >>= 8
        x *= np.uint32(2 * spread + 1)
        x >>= 24
        piece[:] = x
        piece += centre - spread
        piece *= 2.0**-exponent
        bits = piece.view(np.uint32).astype(np.uint64)
        total += int((bits * ODD[:piece.size]).sum()) + 2 * first * int(bits.sum())
    return torch.from_numpy(out.reshape(shape)), total % 2**64


def fill(part, module):
    """Sets the weights of a module. Returns the sum of the tensors' checksums, each times the hash of its
    name, modulo 2^64."""
    total = 0
    module.eval().requires_grad_(False)
    for name, p in module.named_parameters():
        name = f"text_model.{name.removeprefix('text_model.')}" if part == "text_encoder" else name
        p.data, bits = made_values(part, name, tuple(p.shape))
        total += bits * fnv(name)
    return total % 2**64


def build(part, family):
    """Returns a network of a family with its weights, and the checksum of these."""
    m = FAMILIES[family]
    with torch.device("meta"):
        if part == "unet":
            module = UNet2DConditionModel(**SD_LEVELS, **m["unet"])
        elif part == "vae":
            module = AutoencoderKL(**SD_VAE, **m["vae"])
        else:
            module = CLIPTextModel._from_config(CLIPTextConfig(vocab_size=49408, **m["clip"]), attn_implementation="sdpa")
    module.to_empty(device="cpu")
    for b in module.buffers():  # position ids
        b.copy_(torch.arange(b.numel()).reshape(b.shape))
    return module, fill(part, module)


def tokenizer_of(m):
    """Makes CLIP's tokenizer. Its vocabulary is derived from its merges."""
    path = os.path.join(HERE, "..", "weights", "clip", "merges.txt")
    with open(path, encoding="utf-8") as f:
        merges = [line.rstrip("\n").replace(" ", "") for line in f][1:]
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(c) for c in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    tokens = letters + [c + "</w>" for c in letters] + merges + ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        write_json(f"{folder}/vocab.json", {t: i for i, t in enumerate(tokens)})
        with open(path, "rb") as source, open(f"{folder}/merges.txt", "wb") as copy:
            copy.write(source.read())
        special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
        special["pad_token"] = m.get("pad", "<|endoftext|>")
        write_json(f"{folder}/tokenizer_config.json", dict(tokenizer_class="CLIPTokenizer", model_max_length=77, **special))
        return CLIPTokenizer.from_pretrained(folder)


# Results


class Jobs:
    """Computations on the same modules. All of them run in fp32 first. Then the modules are converted to
    float64 in place, and all run a second time, so that the memory holds only one copy of the weights."""

    def __init__(self, golden):
        self.golden, self.jobs = golden, []

    def add(self, prefix, names, function, inputs, keep=lambda name, x: {name: x}):
        """Adds a computation: function(*inputs) returns one tensor for each name. keep(name, tensor) returns
        the tensors that go into the golden file for it."""
        self.jobs.append((prefix, names, function, inputs, keep))

    def run(self, modules):
        results = []
        for dtype in (torch.float32, torch.float64):
            for m in modules:
                for p in m.parameters():  # one at a time, so that two copies of all never exist
                    p.data = p.data.to(dtype)
            for prefix, names, function, inputs, keep in self.jobs:
                cast = [x.detach().to(dtype, copy=True).requires_grad_(x.requires_grad)
                        if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in inputs]  # fmt: skip
                results.append([r.detach() for r in function(*cast)])
                print(f"{prefix} {dtype}", file=sys.stderr, flush=True)
        for job, f32, f64 in zip(self.jobs, results, results[len(self.jobs):]):
            for name, a, b in zip(job[1], f64, f32):
                kept, of_f32 = job[4](name, a), job[4](name, b)
                for key in kept:
                    self.golden.result(f"{job[0]}/{key}", kept[key], of_f32[key])
        self.jobs = []


def picture_of(height, width):
    """Returns a picture with exact values k / 128, which the C test computes as well."""
    c, i, j = np.indices((3, height, width))
    return torch.from_numpy((((7 * i + 3 * j + i * j // 64 + 85 * c) % 255 - 127) / 128).astype(np.float32))[None]


def on_grid(step, name, x):
    """Reduces a large result to every step-th pixel in both directions, and to the means of blocks of step x
    step pixels."""
    return {name: x} if step == 1 else {
        f"{name}/grid": x[..., step // 2::step, step // 2::step],
        f"{name}/means": torch.nn.functional.avg_pool2d(x, step),
    }  # fmt: skip


def vae_goldens(golden, m, vae):
    height, width = m["vae_size"]
    jobs = Jobs(golden)

    def encode(picture):
        distribution = vae.encode(picture).latent_dist
        return distribution.mean, distribution.logvar

    jobs.add("vae", ["mean", "logvar"], encode, [picture_of(height, width)])
    jobs.run([vae])
    mean = golden.tensors["vae/mean"]
    vae.float()
    jobs.add("vae", ["decoded"], lambda z: (vae.decode(z).sample,), [mean], keep=lambda n, x: on_grid(m["grid"], n, x))
    jobs.run([vae])


def loss_of(clip, unet, ids, learned, noisy, t, target):
    pred = unet(noisy, t, encode_with_learned(clip, ids, learned)).sample
    return torch.nn.functional.mse_loss(pred, target)


def examples(golden, m, scheduler, prefix, shape, timesteps, seed):
    """Stores latents, noise and timesteps. Returns the UNet's input, the timesteps and the target of the
    prediction."""
    t = torch.tensor(timesteps)
    z, noise = normal(*shape, seed=seed), normal(*shape, seed=seed + 1)
    noisy = scheduler.add_noise(z, noise, t)
    target = scheduler.get_velocity(z, noise, t) if m.get("prediction_type") else noise
    for name, x in dict(z=z, noise=noise, timesteps=t.int()).items():
        golden.put(f"{prefix}/{name}", x)
    return noisy, t, target


def three_steps(clip, unet, ids, learned, batches):
    """Trains the learned vectors for three steps as the reference script does. Returns the losses, and the
    vectors after each step."""
    learned = learned.detach().clone().requires_grad_()
    optimizer = torch.optim.AdamW([learned], lr=0.01)
    losses, after = [], []
    for noisy, t, target in batches:
        loss = loss_of(clip, unet, ids, learned, noisy.to(learned.dtype), t, target.to(learned.dtype))
        (learned.grad,) = torch.autograd.grad(loss, learned)
        optimizer.step()
        losses.append(loss.detach())
        after.append(learned.detach().clone())
    return torch.stack(losses), torch.stack(after)


def noise_scheduler(m):
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                         prediction_type=m.get("prediction_type", "epsilon"))  # fmt: skip


def unet_computations(golden, m, clip, unet, ids, learned):
    """Stores an example for each size. Returns what is computed with it: the noise prediction, and the loss with its
    gradient. Each is a name, the names of the results, the function and its inputs."""
    scheduler, found = noise_scheduler(m), []
    for i, size in enumerate(dict.fromkeys([m["unet_size"], m.get("steps", m["unet_size"])])):
        shape = (1, 4, size[0] // 8, size[1] // 8)
        name = f"unet/{size[0]}x{size[1]}"
        noisy, t, target = examples(golden, m, scheduler, name, shape, [250 + 400 * i], 1000 * m["seed"] + 10 * i)

        def predict(noisy, states, t=t):
            with torch.no_grad():
                return (unet(noisy, t, states).sample,)

        def gradient(learned, noisy, target, t=t):
            loss = loss_of(clip, unet, ids[:1], learned, noisy, t, target)
            return loss.reshape(1), *torch.autograd.grad(loss, learned)

        found.append((name, ["noise_pred"], predict, [noisy, golden.tensors["text/states"][:1]]))
        found.append((name, ["loss", "drows"], gradient, [learned.clone().requires_grad_(), noisy, target]))
    return found


def step_goldens(golden, m, computations, clip, unet, ids, learned):
    scheduler, jobs = noise_scheduler(m), Jobs(golden)
    for computation in computations:
        jobs.add(*computation)
    if "steps" in m:
        shape = (1, 4, m["steps"][0] // 8, m["steps"][1] // 8)
        batches = [examples(golden, m, scheduler, f"steps/{k}", shape, [(97 + 331 * k) % 1000], 1000 * m["seed"] + 100 + 10 * k)
                   for k in range(3)]  # fmt: skip
        jobs.add("steps", ["losses", "rows"], lambda learned: three_steps(clip, unet, ids[:1], learned, batches), [learned])
    unet.enable_gradient_checkpointing()
    jobs.run([clip, unet])
    for key, drows in golden.tensors.items():
        if key.endswith("/drows"):
            median = drows.abs().median().item()
            assert median >= 1e-6, f"{key}: the median of |d loss / d row| is {median}"
            print(f"{key}: median {median:.2e}")


def bf16_goldens(golden, computations, modules):
    """Stores the errors of the reference in bfloat16. They are a thousand times those of fp32, so that fp32 is
    exact enough to compare with."""
    for name, results, function, inputs in computations:
        errors = bf16_errors(function, modules, inputs, exact=torch.float32, count=4)
        for result, error in zip(results, errors):
            golden.meta(f"bf16:{name}/{result}", "%.2e" % error)
            print(f"{name}/{result} in bfloat16: {error:.2e}", file=sys.stderr, flush=True)


PROMPT = "a photo of a cat in the snow"


def put_drawn(golden, step, name, draw):
    """Stores what draw() returns with two threads, and its difference with one thread as the reference's error."""
    two, one = (on_grid(step, name, (torch.set_num_threads(threads), draw())[1]) for threads in (2, 1))
    for part, tensor in two.items():
        golden.put(part, tensor)
        golden.meta(f"torch:{part}", "%.1e" % relative_error(one[part], tensor))
    print(name, file=sys.stderr, flush=True)


def pipeline(m, clip, unet, vae):
    """Returns the reference's pipeline with DDIM, in fp32 like all that draws pictures in golden/."""
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                              set_alpha_to_one=False, steps_offset=1)  # fmt: skip
    return StableDiffusionPipeline(vae.float(), clip.float(), tokenizer_of(m), unet.float(), scheduler, None, None,
                                   requires_safety_checker=False)  # fmt: skip


def picture_goldens(golden, m, pipe):
    """Generates pictures with the reference's pipeline: one with DDIM, and one with DPM-Solver++ 2M and Karras'
    sigmas."""
    ddim = pipe.scheduler
    pipe.set_progress_bar_config(disable=True)
    draw = lambda size: pipe(PROMPT, height=size[0], width=size[1], num_inference_steps=4, guidance_scale=7.5,
                             generator=torch.Generator().manual_seed(m["seed"]), output_type="pt").images  # fmt: skip
    for key, name in (("picture", "draw/picture"), ("solver_picture", "draw_solver/picture")):
        if key in m:
            put_drawn(golden, m["grid"], name, lambda: draw(m[key]))
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(ddim.config, use_karras_sigmas=True)
    pipe.scheduler = ddim


def from_picture_goldens(golden, m, pipe):
    """Draws from picture_of's picture: a picture with DPM-Solver++ 2M, one with DDIM whose right half is repainted, and
    the noise to which DDIM's inversion leads."""
    (height, width), ddim = m["from_picture"], pipe.scheduler
    values = picture_of(height, width)

    def draw(kind, **options):
        drawn = kind(**pipe.components, requires_safety_checker=False)
        drawn.set_progress_bar_config(disable=True)
        return drawn(PROMPT, image=(values + 1) / 2, num_inference_steps=4, strength=0.5, guidance_scale=7.5, output_type="pt",
                     generator=torch.Generator().manual_seed(m["seed"]), **options).images  # fmt: skip

    pipe.scheduler = DPMSolverMultistepScheduler.from_config(ddim.config)
    put_drawn(golden, m["from_grid"], "draw_init/picture", lambda: draw(StableDiffusionImg2ImgPipeline))
    pipe.scheduler = ddim
    mask = torch.zeros(1, 1, height, width)
    mask[..., width // 2:] = 1
    put_drawn(golden, m["from_grid"], "draw_mask/picture",
              lambda: draw(StableDiffusionInpaintPipeline, mask_image=mask, height=height, width=width))  # fmt: skip

    def invert():
        z = pipe.vae.encode(values).latent_dist.mean * pipe.vae.config.scaling_factor
        states, _ = pipe.encode_prompt(PROMPT, "cpu", 1, False)
        inverse = DDIMInverseScheduler.from_config(ddim.config)
        inverse.set_timesteps(3)
        for t in inverse.timesteps:
            z = inverse.step(pipe.unet(z, t, states).sample, t, z).prev_sample
        return z

    put_drawn(golden, 1, "draw_invert/latents", invert)


def text_goldens(golden, m, clip):
    tokenizer = tokenizer_of(m)
    assert tokenizer.add_tokens(["<thing>", "<thing>_1"]) == 2
    prompts = ["a photo of a <thing> <thing>_1 in the snow", ""]
    ids = tokenizer(prompts, padding="max_length", max_length=77, return_tensors="pt").input_ids
    cat = tokenizer.encode("cat", add_special_tokens=False)
    learned = clip.get_input_embeddings().weight[cat] + 0.1 * normal(2, m["clip"]["hidden_size"], seed=m["seed"])
    golden.put("text/ids", ids.int())
    golden.meta("text/prompts", "\n".join(["a photo of a <thing> <thing>_1 in the snow", ""]))
    golden.put("text/rows", learned)
    jobs = Jobs(golden)
    jobs.add("text", ["states"], lambda learned: (encode_with_learned(clip, ids, learned),), [learned])
    with torch.no_grad():
        jobs.run([clip])
    clip.float()
    return ids, learned


# Sizes of activations


def look(family):
    """Prints the standard deviation of each block's output and of the attention logits, and how much
    predictions for two prompts differ."""
    m = FAMILIES[family]
    clip, unet, vae = (build(part, family)[0] for part in ("text_encoder", "unet", "vae"))
    ids = torch.cat([torch.randint(0, 49000, (1, 77), generator=torch.Generator().manual_seed(i)) for i in range(2)])

    def watch(module, names):
        for name, part in module.named_modules():
            if any(name.endswith(n) for n in names):
                part.register_forward_hook(lambda _, __, y, name=name: print(
                    "%-60s %.3f" % (name, (y[0] if isinstance(y, tuple) else getattr(y, "sample", y)).std())))  # fmt: skip

    def watch_logits(module):
        for name, part in module.named_modules():
            if hasattr(part, "to_q"):
                part.to_q.register_forward_hook(lambda _, __, y, part=part: setattr(part, "q_out", y))
                part.to_k.register_forward_hook(lambda _, __, y, part=part, name=name: print(
                    "%-60s logits %.2f" % (name, logits(part.q_out, y, part.heads))))  # fmt: skip

    def logits(q, k, heads):
        q, k = (x[0].reshape(x.shape[1], heads, -1).transpose(0, 1) for x in (q, k))
        return (q[:, :256] @ k[:, :256].transpose(1, 2) * q.shape[-1] ** -0.5).std().item()

    with torch.no_grad():
        states = clip(ids).last_hidden_state
        print("states", states.std().item(), "between prompts", (states[0] - states[1]).std().item())
        x = normal(1, 4, 32, 32, seed=1)
        a, b = (unet(x, torch.tensor([500]), states[i:i + 1]).sample for i in range(2))
        print("pred", a.std().item(), "between prompts", (a - b).std().item())
        watch(unet, [f"resnets.{i}" for i in range(4)] + [f"attentions.{i}" for i in range(4)] + ["attn1", "attn2", "ff"])
        watch_logits(unet)
        unet(x, torch.tensor([500]), states[:1])
        watch(vae, [f"resnets.{i}" for i in range(4)] + ["attentions.0"])
        distribution = vae.encode(picture_of(256, 256)).latent_dist
        print("mean", distribution.mean.std().item(), "logvar", distribution.logvar.std().item())
        print("decoded", vae.decode(distribution.mean).sample.std().item())


def read_golden(golden, family, leave_out):
    """Reads what is in the golden file of the family, without what leave_out(tensor or key) names. Returns the file's
    path."""
    path = f"{HERE}/full_{family}.safetensors"
    with safe_open(path, "pt") as f:
        golden.tensors = {name: f.get_tensor(name) for name in f.keys() if not leave_out(name)}
        golden.metadata = {k: v for k, v in f.metadata().items() if not leave_out(k)}
    return path


def add_bf16(family, m, golden):
    """Adds the errors of the reference in bfloat16 to the golden file of the family, or replaces them."""
    example = re.compile("unet/.*/(z|noise|timesteps)")  # unet_computations stores them again
    path = read_golden(golden, family, lambda name: name.startswith("bf16:") or example.fullmatch(name))
    clip, unet = (build(part, family)[0] for part in ("text_encoder", "unet"))
    ids, learned = golden.tensors["text/ids"].long(), golden.tensors["text/rows"]
    bf16_goldens(golden, unet_computations(golden, m, clip, unet, ids, learned), [clip, unet])
    golden.save(path)


def add_pictures(family, m, golden):
    """Adds the generated pictures to the golden file of the family, or replaces them."""
    path = read_golden(golden, family, lambda name: name.removeprefix("torch:").startswith("draw"))
    with torch.no_grad():
        pipe = pipeline(m, *(build(part, family)[0] for part in ("text_encoder", "unet", "vae")))
        picture_goldens(golden, m, pipe)
        from_picture_goldens(golden, m, pipe)
    golden.save(path)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("family", choices=FAMILIES)
    p.add_argument("--pictures", action="store_true", help="add only the generated pictures, to the file that is there")
    p.add_argument("--bf16", action="store_true", help="add only the errors in bfloat16, to the file that is there")
    p.add_argument("--look", action="store_true", help="print the sizes of activations, write nothing")
    a = p.parse_args()
    m = FAMILIES[a.family]
    if a.look:
        return look(a.family)
    golden = Golden(__file__, m["seed"])
    if a.pictures:
        return add_pictures(a.family, m, golden)
    if a.bf16:
        return add_bf16(a.family, m, golden)
    vae, total = build("vae", a.family)
    golden.meta("weights:vae", total)
    with torch.no_grad():
        vae_goldens(golden, m, vae)
    if "solver_picture" not in m:
        del vae
    clip, total = build("text_encoder", a.family)
    golden.meta("weights:text_encoder", total)
    ids, learned = text_goldens(golden, m, clip)
    unet, total = build("unet", a.family)
    golden.meta("weights:unet", total)
    with torch.no_grad():
        states = golden.tensors["text/states"]
        x = normal(1, 4, 8, 8, seed=m["seed"])
        a_, b_ = (unet(x, torch.tensor([500]), states[i:i + 1]).sample for i in range(2))
        assert (a_ - b_).std() > 0.05 * a_.std(), "the prompt makes no difference"
    computations = unet_computations(golden, m, clip, unet, ids, learned)
    step_goldens(golden, m, computations, clip, unet, ids, learned)
    bf16_goldens(golden, computations, [clip.float(), unet.float()])
    if "solver_picture" in m:
        pipe = pipeline(m, clip, unet, vae)
        picture_goldens(golden, m, pipe)
        with torch.no_grad():
            from_picture_goldens(golden, m, pipe)
    golden.save(f"full_{a.family}.safetensors")


if __name__ == "__main__":
    main()
