# SPDX-License-Identifier: MIT
"""Records how the reference reads files: whether the safetensors library accepts a header, and what diffusers
and transformers read from configs.

Writes files.txt, which has one case per line with fields separated by tabs, files.safetensors, which has a
tensor of every type in the layout of the safetensors library, and embedding.safetensors, a learned word as
diffusers' training script saves it.
"""
import importlib.metadata
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import types
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
from safetensors import deserialize
from safetensors.torch import load, save_file
from transformers import CLIPTokenizer

HERE = Path(__file__).parent
MODEL = HERE.parent / "weights" / "critters"
SEED = 7

# Headers that the safetensors library accepts and ti refuses on purpose (see weights/safetensors.h).
STRICTER = {
    "twice": '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "metadata twice": '{"__metadata__":{"a":"b","a":"c"}}',
    "U+0000": '{"a\\u0000":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    "9 dimensions": '{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}',
    "2^53": '{"a":{"dtype":"F32","shape":[0,9007199254740992],"data_offsets":[0,0]}}',
    "leading space": ' {"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    "a list": '{"a":["F32",[0],[0,0]]}',
}

TYPES = "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64 U4 F128".split()


def accepts(header, size):
    """Whether the safetensors library accepts a file with this header and `size` bytes of data."""
    raw = header.encode()
    try:
        deserialize(struct.pack("<Q", len(raw)) + raw + bytes(size))
        return True
    except Exception:
        return False


def entry(dtype="F32", shape="[1]", offsets="[0,4]"):
    return '{"dtype":"%s","shape":%s,"data_offsets":%s}' % (dtype, shape, offsets)


def headers():
    """Yields headers to judge, each with the size of the data: systematic ones, and random edits of a valid
    one."""
    yield "{}", 0
    yield "[]", 0
    yield "", 0
    for t in TYPES:
        for size in (4, 6, 8, 16, 32, 64):
            yield '{"a":%s}' % entry(t, "[8]", "[0,%d]" % size), size
    shapes = "[] [0] [1.0] [1e0] [-0] [-1] [01] [+1] [0x1] [1,] [,1] [true] [\"1\"] [null] null 1 {} [[1]] [0,99999999999] " \
             "[99999999999,99999999999,0] [4294967296,4294967296] [9223372036854775807,2] [18446744073709551617] [1,1,1,1,1,1,1,1]"
    for s in shapes.split():
        for size in (0, 4):
            yield '{"a":%s}' % entry("F32", s, "[0,%d]" % size), size
    for o in "[0] [0,4,4] [4,0] [0,3] [0,5] [1,5] [-4,0] [0.0,4] [0,\"4\"] [0,1e1] null {} [4,8] [0,18446744073709551615]".split():
        for size in (4, 8):
            yield '{"a":%s}' % entry("F32", "[1]", o), size
    for a, b, size in (("[0,4]", "[4,8]", 8), ("[4,8]", "[0,4]", 8), ("[0,4]", "[0,4]", 4), ("[0,4]", "[8,12]", 12),
                       ("[0,4]", "[2,6]", 6), ("[0,4]", "[4,8]", 9), ("[0,4]", "[4,8]", 7)):
        yield '{"a":%s,"b":%s}' % (entry("F32", "[1]", a), entry("F32", "[1]", b)), size
    yield '{"a":%s,"b":%s}' % (entry(), entry("F32", "[0]", "[0,0]")), 4
    yield '{"a":%s,"b":%s}' % (entry(), entry("F32", "[0]", "[2,2]")), 4
    for m in ('null', '{}', '[]', '1', '"x"', '{"a":1}', '{"a":null}', '{"a":{}}', '{"a":"b"}', '{"a":"b","c":"d"}'):
        yield '{"__metadata__":%s}' % m, 0
    for name in ("", "é", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "\\udc00\\ud800", "\\ud800\\u0041", "\\udc00\\udc00", "\\x", "\\u12", "a b", "\\\"", "\x7f", "a\\"):
        yield '{"%s":%s}' % (name, entry()), 4
    for tail in (" ", "\r", "\f", "x", ",", "}", "{}"):
        yield '{"a":%s}%s' % (entry(), tail), 4
    yield '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}', 4
    yield '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"dtype":"F32"}}', 4
    yield '{"a":{"dtype":"F32","shape":[1]}}', 4
    yield '{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}', 4
    rng = random.Random(SEED)
    base = '{"__metadata__":{"k":"v"},"a":%s,"b":%s}' % (entry(), entry("F16", "[2,1]", "[4,8]"))
    for _ in range(300):
        h = list(base)
        for _ in range(rng.choice((1, 1, 2))):
            i = rng.randrange(len(h))
            action = rng.randrange(3)
            if action == 0:
                del h[i]
            elif action == 1:
                h[i] = rng.choice('{}[]":,0123456789aF-.')
            else:
                h.insert(i, rng.choice('{}[]":,0123456789aF-. '))
        yield "".join(h), 8


# The schedulers that can be saved with a Stable Diffusion pipeline: all of KarrasDiffusionSchedulers, and the
# others whose model is a DDPM.
SCHEDULERS = (
    "DDIM DDIMInverse DDIMParallel DDPM DDPMParallel PNDM EulerDiscrete EulerAncestralDiscrete LMSDiscrete HeunDiscrete "
    "KDPM2Discrete KDPM2AncestralDiscrete DPMSolverMultistep DPMSolverMultistepInverse DPMSolverSinglestep DPMSolverSDE "
    "DEISMultistep UniPCMultistep SASolver IPNDM LCM TCD RePaint EDMEuler EDMDPMSolverMultistep CosineDPMSolverMultistep"
).split()
assert {c.name for c in KarrasDiffusionSchedulers} <= {f"{s}Scheduler" for s in SCHEDULERS}


def scheduler_class(name):
    """Imports a scheduler class of diffusers. Packages that are missing are replaced by empty ones, since
    only sampling needs them, and neither configs nor noise schedules do."""
    for package in ("scipy", "scipy.stats", "scipy.integrate", "torchsde"):
        try:
            importlib.import_module(package)
        except ImportError:
            sys.modules[package] = types.SimpleNamespace(stats=None, integrate=None, BrownianTree=None)
    for module in Path(diffusers.__file__).parent.glob("schedulers/scheduling_*.py"):
        if f"class {name}(" in module.read_text():
            return getattr(importlib.import_module(f"diffusers.schedulers.{module.stem}"), name)


def converted_to_ddim(scheduler, pipe):
    """Returns the DDIMScheduler made from the config of a pipeline with this scheduler. Checks that
    DDPMScheduler, which the training script uses, has the same noise schedule."""
    whole = diffusers.StableDiffusionPipeline(
        vae=pipe.vae, text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer, unet=pipe.unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    ddim = diffusers.DDIMScheduler.from_config(whole.scheduler.config)
    ddpm = diffusers.DDPMScheduler.from_config(scheduler.config)
    assert torch.equal(ddim.alphas_cumprod, ddpm.alphas_cumprod)
    return ddim


def saved_config(scheduler):
    """Returns the config that save_pretrained writes for a scheduler."""
    with tempfile.TemporaryDirectory() as d:
        scheduler.save_pretrained(d)
        return json.loads(Path(d, "scheduler_config.json").read_text())


def scheduler_cases(pipe):
    """Yields configs of every scheduler class, each with the fields of the DDIMScheduler made from it."""
    pndm = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
                set_alpha_to_one=False, clip_sample=False, trained_betas=None, num_train_timesteps=1000)
    for name in (f"{s}Scheduler" for s in SCHEDULERS):
        theirs = scheduler_class(name)
        config = saved_config(theirs.from_config(diffusers.PNDMScheduler.from_config(pndm).config))
        whole = {k: v for k, v in config.items() if not k.startswith("_")}
        for fields in (
            whole, {**whole, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True, "prediction_type": "sample",
                    "beta_schedule": "linear"},
            saved_config(theirs()),
            {},
            {"clip_sample": True, "set_alpha_to_one": False, "steps_offset": 0, "clip_sample_range": 2.0},
            {"clip_sample": False, "set_alpha_to_one": True, "steps_offset": 5},
            {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "skip_prk_steps": True,
             "num_train_timesteps": 500, "prediction_type": "v_prediction", "timestep_spacing": "leading"},
            {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9, "timestep_spacing": "linspace"},
        ):
            config = {"_class_name": name, **{k: v for k, v in fields.items() if not k.startswith("_")}}
            with tempfile.TemporaryDirectory() as d:
                Path(d, "scheduler_config.json").write_text(json.dumps(config))
                c = converted_to_ddim(theirs.from_pretrained(d), pipe).config
            yield json.dumps(config), " ".join(str(v) for v in (
                c.num_train_timesteps, c.beta_start, c.beta_end, c.beta_schedule, c.prediction_type, c.steps_offset,
                int(c.set_alpha_to_one), int(c.clip_sample), c.clip_sample_range, c.timestep_spacing,
                int(c.rescale_betas_zero_snr), int(c.thresholding), c.dynamic_thresholding_ratio, c.sample_max_value))


def tokenizer_cases():
    """Yields tokenizer_config.json, special_tokens_map.json, and the padding token and length that they
    result in."""
    base = {"model_max_length": 32, "tokenizer_class": "CLIPTokenizer"}
    end = "<|endoftext|>"
    added = {"__type": "AddedToken", "content": "!", "lstrip": False}
    for config, tokens in (
        (base, None), ({**base, "pad_token": "!"}, None), (base, {"pad_token": "!"}),
        ({**base, "pad_token": end}, {"pad_token": "!"}), ({**base, "pad_token": "!"}, {"pad_token": end}),
        ({**base, "pad_token": added}, None), ({**base, "pad_token": end}, {"pad_token": {"content": "!"}}),
        ({**base, "pad_token": end, "added_tokens_decoder": {}}, {"pad_token": "!"}),
        ({**base, "pad_token": None}, {"pad_token": "!"}),
    ):
        with tempfile.TemporaryDirectory() as d:
            for name in ("vocab.json", "merges.txt"):
                shutil.copy(MODEL / "tokenizer" / name, d)
            Path(d, "tokenizer_config.json").write_text(json.dumps(config))
            if tokens is not None:
                Path(d, "special_tokens_map.json").write_text(json.dumps(tokens))
            t = CLIPTokenizer.from_pretrained(d)
        yield json.dumps(config), "" if tokens is None else json.dumps(tokens), f"{t.pad_token} {t.model_max_length}"


def main():
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    torch.manual_seed(SEED)
    versions = " ".join(f"{n} {importlib.metadata.version(n)}" for n in ("safetensors", "diffusers", "transformers"))
    lines = ["\t".join(("made by", f"golden/files.py, seed {SEED}", versions))]
    for header, size in headers():
        if "\t" not in header and "\n" not in header and header not in STRICTER.values():
            lines.append("\t".join(("header", "accept" if accepts(header, size) else "refuse", str(size), header)))
    for header in STRICTER.values():
        size = 4 if "[0,4]" in header else 0
        assert accepts(header, size)
        lines.append("\t".join(("header", "stricter", str(size), header)))
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(MODEL, safety_checker=None)
    lines += ["\t".join(("scheduler", *case)) for case in scheduler_cases(pipe)]
    lines += ["\t".join(("tokenizer", *case)) for case in tokenizer_cases()]
    (HERE / "files.txt").write_text("\n".join(lines) + "\n")

    x = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6.0e-8, float("inf")])
    save_file({"f32": x, "f16": x.half(), "bf16": x.bfloat16(), "f64": x.double(), "i64": torch.arange(3) - 1,
               "i32": torch.arange(3, dtype=torch.int32) - 1, "u8": torch.arange(3, dtype=torch.uint8),
               "bool": torch.tensor([True]), "scalar": torch.tensor(3.0), "empty": torch.zeros(0, 4)},
              HERE / "files.safetensors", metadata={"script": "files.py"})
    learned = torch.randn(2, 8)
    save_file({"<grum>": learned}, HERE / "embedding.safetensors", metadata={"format": "pt"})
    for name in ("files.safetensors", "embedding.safetensors"):
        os.chmod(HERE / name, 0o644)
    assert torch.equal(load((HERE / "embedding.safetensors").read_bytes())["<grum>"], learned)


if __name__ == "__main__":
    main()
