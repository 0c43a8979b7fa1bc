# SPDX-License-Identifier: MIT
"""Five complete Stable Diffusion models, tiny and random, which differ from the embedded model and from each
other. For each the script writes golden/models/NAME, a model folder in the layout of save_pretrained, and
golden/models/NAME.safetensors, the reference's results on it.

    narrow  F16, variant files; 2 layers per block, one level without attention, 2, 3 and 4 heads, keys of the
            text encoder with "text_model."
    linear  F32; like Stable Diffusion 2.x: linear projections, v-prediction, gelu, padding token "!"; 2
            transformer layers at the coarser level; a VAE without attention and without quant_conv
    wide    BF16; four levels with 1, 2, 1 and 1 layers, attention at other levels of the up blocks than of
            the down blocks, the UNet in several files (shards); a VAE without post_quant_conv and with four
            levels
    second  F16, variant files, the UNet in shards with the variant's name; the architecture of Stable
            Diffusion 2.1: gelu, padding token "!", linear projections, all heads of the same width, attention
            at three levels; at 72 pixels, where halving rounds up at every level
    lcm     F32; a UNet with time_cond_proj_dim, into which the guidance scale enters as an embedding, as in
            models distilled for latent consistency; golden/models/lcm.safetensors has its results without
            that embedding, as the training script runs it, and conditions.py has those with it
"""
import json
import os
import shutil
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from common import CRITTERS, HERE, Golden, bf16_errors, both, normal, random_weights, write_safetensors

MERGES = [("a", "t</w>"), ("c", "at</w>"), ("t", "o"), ("to", "y</w>"), ("a", "n"), ("an", "i"), ("ani", "m")]
PLACEHOLDERS = ["<thing>", "<thing>_1"]
DOWN = {True: "CrossAttnDownBlock2D", False: "DownBlock2D"}
UP = {True: "CrossAttnUpBlock2D", False: "UpBlock2D"}

MODELS = {
    "narrow": dict(
        seed=31, dtype=torch.float16, variant="fp16", prefix="text_model.",
        unet=dict(block_out_channels=[8, 12, 16], attends=[True, False, True], up_attends=[True, False, True],
                  layers_per_block=2, attention_head_dim=[2, 3, 4], norm_num_groups=4, sample_size=8),
        vae=dict(block_out_channels=[8, 16], layers_per_block=2, norm_num_groups=4, latent_channels=4,
                 scaling_factor=0.18215, sample_size=16),
        clip=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                  max_position_embeddings=12, hidden_act="quick_gelu"),
        scheduler=dict(_class_name="PNDMScheduler", beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                       set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, clip_sample=False),
    ),
    "linear": dict(
        seed=32, dtype=torch.float32, pad="!",
        unet=dict(block_out_channels=[8, 16], attends=[True, True], up_attends=[True, True], layers_per_block=1,
                  attention_head_dim=[2, 4], norm_num_groups=4, use_linear_projection=True,
                  transformer_layers_per_block=[1, 2], sample_size=12),
        vae=dict(block_out_channels=[8, 8, 16], layers_per_block=1, norm_num_groups=8, latent_channels=4,
                 mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False,
                 scaling_factor=0.5, sample_size=48),
        clip=dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
                  max_position_embeddings=10, hidden_act="gelu"),
        scheduler=dict(_class_name="DDIMScheduler", beta_start=0.001, beta_end=0.015, beta_schedule="linear",
                       set_alpha_to_one=False, steps_offset=1, clip_sample=False, prediction_type="v_prediction"),
    ),
    "wide": dict(
        seed=33, dtype=torch.bfloat16, shard="90KB",
        unet=dict(block_out_channels=[8, 8, 16, 16], attends=[True, False, True, False],
                  up_attends=[False, False, True, True], layers_per_block=[1, 2, 1, 1], attention_head_dim=4,
                  norm_num_groups=4, sample_size=8),
        vae=dict(block_out_channels=[8, 8, 8, 16], layers_per_block=1, norm_num_groups=2, latent_channels=4,
                 use_post_quant_conv=False, scaling_factor=1.25, sample_size=64),
        clip=dict(hidden_size=40, num_hidden_layers=3, num_attention_heads=1, intermediate_size=48,
                  max_position_embeddings=16, hidden_act="quick_gelu"),
        scheduler=dict(_class_name="DDPMScheduler", beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
    ),
    "second": dict(
        seed=34, dtype=torch.float16, variant="fp16", shard="250KB", pad="!", side=72,
        unet=dict(block_out_channels=[8, 16, 16, 16], attends=[True, True, True, False],
                  up_attends=[False, True, True, True], layers_per_block=2, attention_head_dim=[1, 2, 2, 2],
                  norm_num_groups=8, use_linear_projection=True, upcast_attention=True, sample_size=12),
        vae=dict(block_out_channels=[8, 8, 16, 16], layers_per_block=2, norm_num_groups=4, latent_channels=4,
                 scaling_factor=0.18215, sample_size=96),
        clip=dict(hidden_size=24, num_hidden_layers=4, num_attention_heads=3, intermediate_size=96,
                  max_position_embeddings=14, hidden_act="gelu"),
        scheduler=dict(_class_name="DDIMScheduler", beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                       set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, clip_sample=False,
                       trained_betas=None, prediction_type="v_prediction"),
    ),
    "lcm": dict(
        seed=36, dtype=torch.float32,
        unet=dict(block_out_channels=[8, 16], attends=[True, False], up_attends=[False, True], layers_per_block=1,
                  attention_head_dim=2, norm_num_groups=4, sample_size=8, time_cond_proj_dim=11),
        vae=dict(block_out_channels=[8, 8, 8, 8], layers_per_block=1, norm_num_groups=4, latent_channels=4,
                 scaling_factor=0.18215, sample_size=64),
        clip=dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
                  max_position_embeddings=10, hidden_act="quick_gelu"),
        scheduler=dict(_class_name="LCMScheduler", beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                       original_inference_steps=50, timestep_scaling=10.0, set_alpha_to_one=True, steps_offset=1,
                       clip_sample=False),
    ),
}  # fmt: skip


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def write_tokenizer(folder, length, pad):
    """Writes a minimal tokenizer in CLIP's format: the bytes, the bytes with "</w>", a few merges and two
    special tokens. Returns the size of its vocabulary."""
    with open(os.path.join(CRITTERS, "tokenizer", "vocab.json"), encoding="utf-8") as f:
        tokens = sorted((vocab := json.load(f)), key=vocab.get)[:512]
    tokens += ["".join(pair) for pair in MERGES] + ["<|startoftext|>", "<|endoftext|>"]
    write_json(f"{folder}/vocab.json", {t: i for i, t in enumerate(tokens)})
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in MERGES))
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    special["pad_token"] = pad or "<|endoftext|>"
    write_json(f"{folder}/tokenizer_config.json", dict(tokenizer_class="CLIPTokenizer", model_max_length=length, **special))
    write_json(f"{folder}/special_tokens_map.json", special)
    return len(tokens)


def write_folder(folder, m):
    """Makes a model with random weights and writes its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    seed, dtype, clip, u = m["seed"], m["dtype"], m["clip"], dict(m["unet"])
    vocab_size = write_tokenizer(f"{folder}/tokenizer", clip["max_position_embeddings"], m.get("pad"))
    config = CLIPTextConfig(vocab_size=vocab_size, bos_token_id=vocab_size - 2, eos_token_id=vocab_size - 1,
                            pad_token_id=0 if m.get("pad") else vocab_size - 1, **clip)  # fmt: skip
    attends, up_attends = u.pop("attends"), u.pop("up_attends")
    unet = UNet2DConditionModel(
        cross_attention_dim=clip["hidden_size"], down_block_types=[DOWN[a] for a in attends],
        up_block_types=[UP[a] for a in up_attends], **u,
    )  # fmt: skip
    levels = len(m["vae"]["block_out_channels"])
    vae = AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * levels,
                        up_block_types=["UpDecoderBlock2D"] * levels, **m["vae"])  # fmt: skip
    parts = {"text_encoder": CLIPTextModel(config), "unet": unet, "vae": vae}
    for i, (part, module) in enumerate(parts.items()):
        random_weights(module, 10 * seed + i, dtype).to(dtype)
        options = dict(variant=m.get("variant"))
        if part == "unet" and "shard" in m:
            options["max_shard_size"] = m["shard"]
        module.save_pretrained(f"{folder}/{part}", **options)
    if "prefix" in m:  # as in all Stable Diffusion 1.x folders; old ones also have this buffer
        name = next(f for f in os.listdir(f"{folder}/text_encoder") if f.endswith(".safetensors"))
        state = {m["prefix"] + k: v for k, v in load_file(f"{folder}/text_encoder/{name}").items()}
        state[m["prefix"] + "embeddings.position_ids"] = torch.arange(clip["max_position_embeddings"])[None]
        write_safetensors(f"{folder}/text_encoder/{name}", state, {"format": "pt"})
    write_json(f"{folder}/scheduler/scheduler_config.json", dict(num_train_timesteps=1000, **m["scheduler"]))
    write_json(f"{folder}/model_index.json", {
        "_class_name": "StableDiffusionPipeline", "requires_safety_checker": False,
        "feature_extractor": [None, None], "safety_checker": [None, None],
        "scheduler": ["diffusers", m["scheduler"]["_class_name"]], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })  # fmt: skip


def load_folder(folder, variant=None):
    """Loads the parts of a model with the reference's classes, frozen and in fp32. They are converted because
    transformers keeps the type that the file has."""
    parts = dict(
        tokenizer=CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer"),
        clip=CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", variant=variant, attn_implementation="sdpa"),
        unet=UNet2DConditionModel.from_pretrained(folder, subfolder="unet", variant=variant),
        vae=AutoencoderKL.from_pretrained(folder, subfolder="vae", variant=variant),
    )
    for part in ("clip", "unet", "vae"):
        parts[part].float().eval().requires_grad_(False)
    return parts


def encode_with_learned(clip, ids, learned):
    """Returns the last hidden state. Ids beyond the vocabulary stand for the learned vectors, to which
    gradients flow."""
    table = clip.get_input_embeddings()
    before = table.weight
    del table.weight
    table.weight = torch.cat([before, learned])  # not a Parameter, so that the gradient reaches them
    try:
        return clip(ids).last_hidden_state
    finally:
        del table.weight
        table.weight = before


def results(golden, prefix, names, function, modules, inputs):
    """Computes function(*inputs) in float64, fp32 and bfloat16, and stores its results under the given
    names."""
    arguments = (function, modules, inputs)
    for name, f64, f32, error in zip(names, *both(*arguments), bf16_errors(*arguments)):
        golden.result(f"{prefix}/{name}", f64, f32, error)


def leaf(x):
    """Returns a copy that requires a gradient."""
    return x.clone().requires_grad_()


def clip_goldens(golden, parts, learned, seed):
    tokenizer, clip = parts["tokenizer"], parts["clip"]
    prompts = ["a <thing> <thing>_1", "to <thing>_1<thing>s cat"]
    ids = tokenizer(prompts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                    return_tensors="pt").input_ids  # fmt: skip
    golden.meta("clip/prompts", "\n".join(prompts))
    golden.put("clip/ids", ids.int())
    dy = normal(*ids.shape, learned.shape[1], seed=seed)
    golden.put("clip/dy", dy)

    def run(learned, dy):
        states = encode_with_learned(clip, ids, learned)
        return states, *torch.autograd.grad(states, learned, dy)

    results(golden, "clip", ["states", "drows"], run, [clip], [leaf(learned), dy])
    return ids


def unet_goldens(golden, parts, prefix, shape, timesteps, tokens, seed):
    unet = parts["unet"]
    latents = normal(*shape, seed=seed)
    context = normal(shape[0], tokens, unet.config.cross_attention_dim, seed=seed + 1)
    target = normal(*shape, seed=seed + 2)
    for name, x in dict(latents=latents, context=context, target=target).items():
        golden.put(f"{prefix}/{name}", x)
    golden.put(f"{prefix}/timesteps", torch.tensor(timesteps, dtype=torch.int32))

    def run(latents, context, target):
        pred = unet(latents, torch.tensor(timesteps), context).sample
        loss = torch.nn.functional.mse_loss(pred, target)
        return pred, loss.reshape(1), *torch.autograd.grad(loss, [latents, context])

    results(golden, prefix, ["noise_pred", "loss", "dlatents", "dcontext"], run, [unet],
            [leaf(latents), leaf(context), target])  # fmt: skip


def vae_goldens(golden, parts, prefix, batch, height, width, seed):
    vae = parts["vae"]
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    picture = normal(batch, 3, height, width, seed=seed).tanh()
    latents = normal(batch, vae.config.latent_channels, height // factor, width // factor, seed=seed + 1)
    dmoments = normal(batch, 2 * latents.shape[1], *latents.shape[2:], seed=seed + 2)
    ddecoded = normal(*picture.shape, seed=seed + 3)
    for name, x in dict(picture=picture, latents=latents, dmoments=dmoments, ddecoded=ddecoded).items():
        golden.put(f"{prefix}/{name}", x)

    def run(picture, latents, dmoments, ddecoded):
        parameters = vae.encode(picture).latent_dist.parameters
        decoded = vae.decode(latents).sample
        return (parameters, *torch.autograd.grad(parameters, picture, dmoments),
                decoded, *torch.autograd.grad(decoded, latents, ddecoded))  # fmt: skip

    results(golden, prefix, ["moments", "dpicture", "decoded", "dlatents"], run, [vae],
            [leaf(picture), leaf(latents), dmoments, ddecoded])  # fmt: skip


def step_goldens(golden, parts, ids, learned, shape, timesteps, seed):
    """Stores the loss and its gradient with respect to the learned vectors, through both networks."""
    noisy, target = normal(*shape, seed=seed), normal(*shape, seed=seed + 1)
    golden.put("step/noisy", noisy)
    golden.put("step/target", target)
    golden.put("step/timesteps", torch.tensor(timesteps, dtype=torch.int32))

    def run(learned, noisy, target):
        pred = parts["unet"](noisy, torch.tensor(timesteps), encode_with_learned(parts["clip"], ids, learned)).sample
        loss = torch.nn.functional.mse_loss(pred, target)
        return loss.reshape(1), *torch.autograd.grad(loss, learned)

    results(golden, "step", ["loss", "drows"], run, [parts["clip"], parts["unet"]], [leaf(learned), noisy, target])


def write_goldens(name, m):
    folder, seed = os.path.join(HERE, "models", name), 100 * m["seed"]
    parts = load_folder(folder, m.get("variant"))
    golden = Golden(__file__, m["seed"])
    assert parts["tokenizer"].add_tokens(PLACEHOLDERS) == 2
    learned = 0.5 * normal(2, m["clip"]["hidden_size"], seed=seed)
    golden.put("rows", learned)
    ids = clip_goldens(golden, parts, learned, seed + 1)
    # At 9 x 7 halving rounds up, so that the upsampling has to take the size of the skip connection. The
    # other case has a batch of one and the last timestep.
    unet_goldens(golden, parts, "unet/odd", (2, 4, 9, 7), [7, 731], ids.shape[1], seed + 10)
    unet_goldens(golden, parts, "unet/even", (1, 4, 8, 16), [999], ids.shape[1] - 3, seed + 20)
    if side := m.get("side"):
        vae_goldens(golden, parts, "vae", 1, side, side, seed + 30)
        step_goldens(golden, parts, ids, learned, (2, 4, side // 8, side // 8), [1, 999], seed + 40)
    else:
        vae_goldens(golden, parts, "vae", 2, 16, 24, seed + 30)
        step_goldens(golden, parts, ids, learned, (2, 4, 8, 10), [1, 999], seed + 40)
    golden.save(os.path.join(HERE, "models", f"{name}.safetensors"))


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        m = MODELS[name]
        write_folder(os.path.join(HERE, "models", name), m)
        write_goldens(name, m)
