# SPDX-License-Identifier: MIT
"""Every size and rate with which the model is made: SHIPPED for the embedded model, and TINY for tests."""
import os
from dataclasses import dataclass, field, replace

# The defaults of ti's commands with this model, which are copied
DEFAULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "defaults.json")


@dataclass(frozen=True)
class Training:
    """How one stage is trained. It lasts so many minutes, or so many steps when steps is not 0. The learning
    rate rises during warmup steps, and falls as a cosine to a fiftieth at the end."""

    minutes: float
    batch: int
    lr: float
    warmup: int
    weight_decay: float
    betas: tuple
    average: float  # the decay of the moving average of the weights, which is the result; 0: the last weights
    bf16: bool  # whether networks compute in bfloat16, faster on processors that can; their weights stay F32
    steps: int = 0
    report: float = 30  # seconds between two lines about the loss
    save: float = 120  # seconds between two saves of the state


@dataclass(frozen=True)
class Settings:
    pictures: int = 40_000
    size: int = 64  # pixels a side
    tokens: int = 32  # of a prompt
    seed: int = 0

    # diffusers' AutoencoderKL. A latent has a quarter of the pixels a side, since there are three levels.
    vae: dict = field(default_factory=lambda: dict(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=64, layers_per_block=1,
        block_out_channels=(32, 64, 128), norm_num_groups=16,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    ))  # fmt: skip
    # transformers' CLIPTextModel; the vocabulary adds its size and the ids of its special tokens.
    text: dict = field(default_factory=lambda: dict(
        hidden_size=192, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4,
        projection_dim=192, hidden_act="quick_gelu",
    ))  # fmt: skip
    # diffusers' UNet2DConditionModel, where attention_head_dim is the number of heads
    unet: dict = field(default_factory=lambda: dict(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(64, 128, 256),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=192, attention_head_dim=2, norm_num_groups=32,
    ))  # fmt: skip
    # transformers' CLIPModel: what its two encoders share, and their layers
    clip: dict = field(default_factory=lambda: dict(
        hidden_size=128, intermediate_size=512, num_attention_heads=4, projection_dim=128,
        hidden_act="quick_gelu",
    ))  # fmt: skip
    clip_text_layers: int = 3
    clip_vision_layers: int = 5
    clip_patch: int = 8  # pixels a side

    vae_training: Training = Training(
        minutes=60, batch=64, lr=1.5e-3, warmup=200, weight_decay=1e-4, betas=(0.9, 0.999), average=0.999,
        bf16=False,
    )  # fmt: skip
    unet_training: Training = Training(
        minutes=280, batch=32, lr=6e-4, warmup=500, weight_decay=0.01, betas=(0.9, 0.99), average=0.9995,
        bf16=True,
    )  # fmt: skip
    clip_training: Training = Training(
        minutes=50, batch=192, lr=1e-3, warmup=200, weight_decay=0.05, betas=(0.9, 0.98), average=0, bf16=True
    )

    kl_weight: float = 1e-5  # of the VAE's posterior
    gamma: float = 5  # of min-SNR weighting
    empty: float = 0.1  # how many captions the UNet's training leaves empty, for classifier-free guidance
    # How often captions say the critter's name if it has one, and how often they name nothing but the style.
    unet_named: float = 0.75
    unet_style_only: float = 0.2
    clip_named: float = 0.5
    clip_style_only: float = 0.15
    # The text encoder's learning rates relative to the UNet's. A row of its table learns only where its word
    # is read, so the table's rate is higher.
    text_scale: float = 0.5
    table_scale: float = 2.0
    held_out: int = 1000  # the last pictures, which CLIP's training leaves out

    # Stable Diffusion 1.x's noise schedule
    scheduler: dict = field(default_factory=lambda: dict(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
        clip_sample=False, steps_offset=1,
    ))  # fmt: skip


SHIPPED = Settings()


def tiny():
    """Returns settings that make everything in seconds: few pictures and steps, and narrow networks."""

    def short(training, steps, batch):
        return replace(training, steps=steps, batch=batch, warmup=2, report=0, save=0)

    s = SHIPPED
    return replace(
        s, pictures=60, held_out=20,
        vae=dict(s.vae, block_out_channels=(8, 16, 16), norm_num_groups=4),
        text=dict(s.text, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                  projection_dim=32),
        unet=dict(s.unet, block_out_channels=(16, 32, 32), cross_attention_dim=32, norm_num_groups=8),
        clip=dict(s.clip, hidden_size=32, intermediate_size=64, num_attention_heads=2, projection_dim=32),
        clip_text_layers=2, clip_vision_layers=2,
        vae_training=short(s.vae_training, 6, 8), unet_training=short(s.unet_training, 8, 8),
        clip_training=short(s.clip_training, 6, 8),
    )  # fmt: skip


TINY = tiny()
