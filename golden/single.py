# SPDX-License-Identifier: MIT
"""Writes golden/single/NAME/ for four architectures: names and configs for the original layout, which has a
whole model in one file. The configs are those of diffusers for the architecture. names.txt has one line per
tensor:

    name in the single file <tab> part <tab> diffusers' name <tab> diffusers' shape <tab> flag

The flag "1" says that the single file stores the tensor as a 1x1 convolution. A flag "q", "k" or "v" says
that the tensor is this third of the one in the single file.

    sd15, sd21      Stable Diffusion 1.5 and 2.1 at full size
    small1, small2  the same architectures with two levels of one layer each

The script derives the original names from diffusers' names, while `ti` converts them in the other direction.
To check them, diffusers' single-file loader gets tensors under the original names, each filled with a number
of its own, and must return each number under the right name.
"""
import json
import os
import re

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel

from common import HERE

UNET = dict(
    sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, norm_num_groups=32, attention_head_dim=8,
    block_out_channels=[320, 640, 1280, 1280], cross_attention_dim=768,
    down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
)  # fmt: skip
SMALL_UNET = dict(
    UNET, layers_per_block=1, block_out_channels=[32, 64], cross_attention_dim=64,
    down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
)  # fmt: skip
VAE = dict(
    block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4, norm_num_groups=32, sample_size=512,
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, scaling_factor=0.18215,
)  # fmt: skip
SMALL_VAE = dict(
    VAE, block_out_channels=[32, 64], layers_per_block=1, sample_size=128,
    down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
)  # fmt: skip
CLIP = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
            max_position_embeddings=77, vocab_size=49408, hidden_act="quick_gelu")  # fmt: skip
SMALL_CLIP = dict(CLIP, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=1)
SECOND_CLIP = dict(hidden_act="gelu")
SECOND_UNET = dict(use_linear_projection=True, sample_size=96)
MODELS = {
    "sd15": dict(unet=UNET, vae=VAE, clip=CLIP),
    "sd21": dict(
        second=True, vae=dict(VAE, sample_size=768),
        unet=dict(UNET, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], **SECOND_UNET),
        clip=dict(CLIP, hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, **SECOND_CLIP),
    ),
    "small1": dict(unet=SMALL_UNET, vae=SMALL_VAE, clip=SMALL_CLIP),
    "small2": dict(
        second=True, vae=dict(SMALL_VAE, sample_size=192),
        unet=dict(SMALL_UNET, block_out_channels=[64, 128], cross_attention_dim=64, attention_head_dim=[1, 2], **SECOND_UNET),
        clip=dict(SMALL_CLIP, **SECOND_CLIP),
    ),
}  # fmt: skip


def replaced(name, pairs):
    """Replaces parts of a name between dots; pairs are (diffusers' part, original part)."""
    for new, old in pairs:
        name = re.sub(rf"(^|\.){re.escape(new)}(\.|$)", rf"\g<1>{old}\g<2>", name)
    return name


def unet_name(name, m):
    """Returns the original name of a UNet tensor. The original numbers blocks consecutively. A level of the
    down path has one block per layer and one for the downsampling. A level of the up path has one block more
    than layers, the last of which includes the upsampling."""
    layers = m["unet"]["layers_per_block"]
    if name.startswith(("down_blocks", "up_blocks")):
        way, level, kind, layer, rest = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name).groups()
        level, layer = int(level), int(layer)
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * (layers + 1)}.0.op." + rest.removeprefix("conv.")
        if kind == "upsamplers":
            place = 2 if "CrossAttn" in m["unet"]["up_block_types"][level] else 1
            return f"output_blocks.{level * (layers + 1) + layers}.{place}.{rest}"
        block = level * (layers + 1) + layer
        prefix = f"input_blocks.{1 + block}" if way == "down" else f"output_blocks.{block}"
        name = f"{prefix}.{0 if kind == 'resnets' else 1}.{rest}"
        resnet = kind == "resnets"
    elif name.startswith("mid_block"):
        resnet = ".resnets." in name
        name = replaced(name, [("mid_block.resnets.0", "middle_block.0"), ("mid_block.attentions.0", "middle_block.1"),
                               ("mid_block.resnets.1", "middle_block.2")])  # fmt: skip
    else:
        return replaced(name, [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
                               ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")])  # fmt: skip
    if not resnet:
        return name
    return replaced(name, [("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"),
                           ("norm2", "out_layers.0"), ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection")])  # fmt: skip


def vae_name(name, m):
    levels = len(m["vae"]["block_out_channels"])
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda x: f"up.{levels - 1 - int(x[1])}.block.{x[2]}", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda x: f"up.{levels - 1 - int(x[1])}.upsample", name)
    return replaced(name, [("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"),
                           ("mid_block.attentions.0", "mid.attn_1"), ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"),
                           ("to_v", "v"), ("to_out.0", "proj_out"), ("conv_shortcut", "nin_shortcut"),
                           ("conv_norm_out", "norm_out")])  # fmt: skip


def openclip_name(name):
    name = replaced(name, [("embeddings.token_embedding", "token_embedding"), ("final_layer_norm", "ln_final"),
                           ("embeddings.position_embedding.weight", "positional_embedding")])  # fmt: skip
    name = re.sub(r"encoder\.layers\.(\d+)\.", r"transformer.resblocks.\1.", name)
    name = re.sub(r"self_attn\.[qkv]_proj\.", "attn.in_proj_", name)
    return replaced(name, [("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
                           ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")])  # fmt: skip


def lines(modules, m):
    """Returns (original name, part, name, shape, flag) of all tensors, with q, k and v of the same tensor in
    sequence."""
    found = []
    for part, module in modules.items():
        state = module.state_dict()
        for name, t in state.items():
            flag = ""
            if part == "unet":
                original = "model.diffusion_model." + unet_name(name, m)
            elif part == "vae":
                original = "first_stage_model." + vae_name(name, m)
                flag = "1" if ".attentions." in name and t.dim() == 2 else ""
            elif m.get("second"):
                original = "cond_stage_model.model." + openclip_name(name)
                if third := re.search(r"self_attn\.([qkv])_proj", name):
                    flag = third[1]
            else:
                original = "cond_stage_model.transformer.text_model." + name
            found.append((original, part, name, list(t.shape), flag))
    return sorted(found, key=lambda line: (line[0], "qkv".find(line[4])))


def check(modules, m, found):
    """Checks the names with diffusers' loader. Tensor i is filled with the number i (by expand, so that it
    takes no memory)."""
    single, thirds = {}, {}
    for i, (original, part, name, shape, flag) in enumerate(found):
        t = torch.tensor(i, dtype=torch.int16).expand(*shape)
        if flag == "1":
            t = t[:, :, None, None]
        if flag and flag in "qkv":
            thirds.setdefault(original, []).append(t)
        else:
            single[original] = t
    single.update({name: torch.cat(parts) for name, parts in thirds.items()})
    text = dict(modules["text_encoder"].state_dict())
    loaded = {
        "unet": convert_ldm_unet_checkpoint(single, dict(modules["unet"].config)),
        "vae": convert_ldm_vae_checkpoint(single, dict(modules["vae"].config)),
        "text_encoder": convert_open_clip_checkpoint(modules["text_encoder"], single) if m.get("second")
                        else convert_ldm_clip_checkpoint(single),
    }  # fmt: skip
    for i, (_, part, name, shape, _) in enumerate(found):
        key = name
        if part == "text_encoder":  # the loader's names are those of transformers before 5.0
            key = "text_model." + name
        t = loaded[part].pop(key)
        assert list(t.shape) == shape and t.min() == t.max() == i, (name, t.shape)
    left = [name for part in loaded.values() for name in part]
    assert not left and len(text) == sum(line[1] == "text_encoder" for line in found), left


def write(name, m):
    folder = os.path.join(HERE, "single", name)
    os.makedirs(folder, exist_ok=True)
    with torch.device("meta"):
        modules = dict(text_encoder=CLIPTextModel(CLIPTextConfig(**m["clip"])), unet=UNet2DConditionModel(**m["unet"]),
                       vae=AutoencoderKL(**m["vae"]))  # fmt: skip
    for part, module in modules.items():
        if part == "text_encoder":
            config = dict(model_type="clip_text_model", **m["clip"])
        else:
            config = {k: v for k, v in module.config.items() if not k.startswith("_")}
        with open(f"{folder}/{part}.json", "w", encoding="utf-8") as f:
            json.dump(config, f, indent=1)
            f.write("\n")
    found = lines(modules, m)
    check(modules, m, found)
    with open(f"{folder}/names.txt", "w", encoding="utf-8") as f:
        for original, part, ours, shape, flag in found:
            f.write(f"{original}\t{part}\t{ours}\t{' '.join(map(str, shape))}\t{flag}\n")
    print(f"{os.path.relpath(folder)}: {len(found)} tensors, all found by diffusers")


if __name__ == "__main__":
    for name, m in MODELS.items():
        write(name, m)
