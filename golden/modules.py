# SPDX-License-Identifier: MIT
"""Writes golden/modules.safetensors: the modules of the three networks with random weights.

For a case NAME it has the weights NAME/weights.KEY under diffusers' keys; the inputs NAME/x and, where the
module has them, NAME/temb, NAME/context or NAME/ids; the incoming gradient NAME/dy; and the results NAME/out,
NAME/dx, NAME/dtemb and NAME/dcontext. Parameters that do not follow from the shapes (heads, groups, eps) are
given again in tests/models/test_modules.c.
"""
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from transformers import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPEncoderLayer, CLIPTextEmbeddings

from common import Golden, bf16_errors, both, normal, random_weights

SEED = 21
golden = Golden(__file__, SEED)
seeds = iter(range(1000, 2000))


def case(name, module, inputs, forward, dtype=torch.float32):
    """Stores a case. inputs maps names to tensors, each of which gets a gradient. forward(module, *inputs)
    returns the output."""
    random_weights(module, next(seeds), dtype)
    for key, weight in module.state_dict().items():
        golden.put(f"{name}/weights.{key}", weight.to(dtype))
    for key, x in inputs.items():
        golden.put(f"{name}/{key}", x)
    with torch.no_grad():
        dy = normal(*forward(module, *inputs.values()).shape, seed=next(seeds))
    golden.put(f"{name}/dy", dy)

    def run(dy, *leaves):
        out = forward(module, *leaves)
        return out, *torch.autograd.grad(out, leaves, dy)

    leaves = [x.clone().requires_grad_() for x in inputs.values()]
    names, arguments = ["out", *(f"d{k}" for k in inputs)], (run, [module], [dy, *leaves])
    for key, f64, f32, error in zip(names, *both(*arguments), bf16_errors(*arguments)):
        golden.result(f"{name}/{key}", f64, f32, error)


def x(*shape, scale=1.0):
    return normal(*shape, seed=next(seeds)) * scale


# Residual blocks. With small inputs eps makes a difference: it is 1e-5 in the UNet and 1e-6 in the VAE.
def resnet(inputs, outputs, groups, eps, temb=None):
    return ResnetBlock2D(in_channels=inputs, out_channels=outputs, temb_channels=temb, groups=groups, eps=eps)


with_temb = lambda m, x, temb: m(x, temb)
without = lambda m, x: m(x, None)
case("resnet.shortcut", resnet(24, 32, 8, 1e-5, 20), {"x": x(2, 24, 5, 7), "temb": x(2, 20)}, with_temb)
case("resnet.same", resnet(32, 32, 16, 1e-5, 20), {"x": x(2, 32, 6, 3, scale=0.01), "temb": x(2, 20)}, with_temb)
case("resnet.vae_shortcut", resnet(16, 24, 4, 1e-6), {"x": x(2, 16, 9, 6)}, without)
case("resnet.vae_same", resnet(16, 16, 1, 1e-6), {"x": x(1, 16, 5, 5, scale=0.003)}, without)


# Transformers: one has heads of width 40 and 1x1 convolutions as projections, the other heads of width 8, two
# layers and linear projections.
def transformer(heads, width, layers, context, groups, linear):
    return Transformer2DModel(
        num_attention_heads=heads, attention_head_dim=width, in_channels=heads * width, num_layers=layers,
        cross_attention_dim=context, norm_num_groups=groups, use_linear_projection=linear,
    )  # fmt: skip


attend = lambda m, x, context: m(x, encoder_hidden_states=context).sample
case("transformer.conv", transformer(2, 40, 1, 24, 16, False), {"x": x(2, 80, 3, 5), "context": x(2, 7, 24)}, attend,
     torch.bfloat16)  # fmt: skip
case("transformer.linear", transformer(4, 8, 2, 20, 8, True), {"x": x(2, 32, 4, 3), "context": x(2, 9, 20)}, attend)

# Downsampling and upsampling. The UNet pads by 1 on all sides, the VAE only at the right and bottom. The size
# after upsampling need not be the double.
alone = lambda m, x: m(x)
case("downsample.even", Downsample2D(12, use_conv=True, padding=1, name="op"), {"x": x(2, 12, 6, 8)}, alone)
case("downsample.odd", Downsample2D(12, use_conv=True, padding=1, name="op"), {"x": x(2, 12, 7, 5)}, alone)
case("downsample.vae", Downsample2D(12, use_conv=True, padding=0, name="op"), {"x": x(2, 12, 8, 6)}, alone)
case("downsample.vae_odd", Downsample2D(12, use_conv=True, padding=0, name="op"), {"x": x(2, 12, 7, 9)}, alone)
case("upsample.double", Upsample2D(12, use_conv=True), {"x": x(2, 12, 3, 4)}, alone)
case("upsample.odd", Upsample2D(12, use_conv=True), {"x": x(2, 12, 4, 5)}, lambda m, x: m(x, output_size=(7, 9)))

# The attention of the VAE has one head, biases, a group norm and a residual connection.
attention = Attention(
    32, heads=1, dim_head=32, rescale_output_factor=1.0, eps=1e-6, norm_num_groups=8, residual_connection=True,
    bias=True, _from_deprecated_attn_block=True, processor=AttnProcessor2_0(),
)  # fmt: skip
case("pixel_attention", attention, {"x": x(2, 32, 5, 4, scale=0.01)}, alone)


# CLIP. The attention implementation is sdpa, because transformers' eager one computes the softmax in fp32
# even in a float64 module.
def causal(m, x):
    """Runs a layer of CLIP with its causal mask."""
    length = x.shape[1]
    mask = torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)
    return m(x, mask.expand(x.shape[0], 1, -1, -1))


def clip(act, width, heads, inner):
    return CLIPTextConfig(hidden_size=width, num_attention_heads=heads, intermediate_size=inner, hidden_act=act,
                          vocab_size=32, max_position_embeddings=10, attn_implementation="sdpa")  # fmt: skip


case("clip_layer.quick_gelu", CLIPEncoderLayer(clip("quick_gelu", 80, 2, 96)), {"x": x(2, 9, 80)}, causal)
case("clip_layer.gelu", CLIPEncoderLayer(clip("gelu", 24, 3, 40)), {"x": x(2, 10, 24, scale=0.01)}, causal)

# Token and position embeddings. Ids 30 and 31 are placeholder tokens. Their vectors are the last rows of the
# table in the reference, and learned vectors in ti.
embeddings = random_weights(CLIPTextEmbeddings(clip("gelu", 12, 3, 40)), next(seeds))
ids = torch.tensor([[1, 30, 31, 5, 30, 29, 0], [30, 30, 2, 31, 31, 7, 29]])
dy = x(2, 7, 12)


def embed(dy):
    table = embeddings.token_embedding.weight.requires_grad_()
    out = embeddings(input_ids=ids)
    return out, torch.autograd.grad(out, table, dy)[0][30:]


golden.put("clip_embeddings/weights.token_embedding.weight", embeddings.token_embedding.weight[:30])
golden.put("clip_embeddings/weights.position_embedding.weight", embeddings.position_embedding.weight)
golden.put("clip_embeddings/rows", embeddings.token_embedding.weight[30:])
golden.put("clip_embeddings/ids", ids.int())
golden.put("clip_embeddings/dy", dy)
for key, f64, f32 in zip(("out", "drows"), *both(embed, [embeddings], [dy])):
    golden.result(f"clip_embeddings/{key}", f64, f32)

golden.save("modules.safetensors")
