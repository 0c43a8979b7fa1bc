# SPDX-License-Identifier: MIT
"""How other programs read a learned word, and whether they find in the files that ti writes what ti read.

diffusers and torch read for themselves. The rules of A1111, kohya's scripts and sd.cpp, which cannot be installed as
packages, are written down here from their behaviour: what they accept in a file, which tensor they take, and which
word their users write. `check` is called by words.py.
"""
import base64
import functools
import json
import os
import re
import struct
import subprocess
import tempfile
import zipfile

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from common import HERE

FOLDER = os.path.join(HERE, "words")


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def in_a1111(path):
    """A1111: .png by its text chunk, .safetensors, or .pt, whose members have fixed names and whose pickle may name only
    what torch's own reader of weights allows. The word is the file's stem, except in a picture, which holds its name."""
    ending = os.path.splitext(path)[1].lower()
    if ending == ".png":
        text = Image.open(path).text["sd-ti-embedding"]
        data = json.loads(base64.b64decode(text))
        (values,) = data["string_to_param"].values()
        return data["name"], torch.tensor(values["TORCHTENSOR"], dtype=torch.float32), data
    assert ending in (".pt", ".bin", ".safetensors"), ending
    if ending == ".safetensors":
        data = load_file(path)
    else:
        allowed = re.compile(r"[^/]+/(data/\d+|version|data\.pkl)$")
        assert all(allowed.match(name) for name in zipfile.ZipFile(path).namelist())
        assert zipfile.ZipFile(path).testzip() is None
        data = torch.load(path, map_location="cpu", weights_only=True)
    params = data.get("string_to_param", data)
    (vectors,) = params.values()
    return stem(path), vectors.float(), data


def in_kohya(path):
    """kohya's scripts: the first tensor of the file, or of string_to_param; the word is the stem."""
    data = load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)
    vectors = next(iter(data.get("string_to_param", data).values()))
    assert vectors.ndim == 2
    return stem(path), vectors


def in_sd_cpp(path, width):
    """sd.cpp: the bytes of the first tensor of the model's width, which have to be F32; the word is the stem in lower
    case, and is found anywhere in a prompt in lower case."""
    with open(path, "rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    entry = next(v for k, v in header.items() if k != "__metadata__" and v["shape"][-1] == width)
    assert entry["dtype"] == "F32"
    begin, end = entry["data_offsets"]
    return stem(path).lower(), torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(-1, width)


@functools.cache
def pipeline():
    folder = os.path.join(HERE, "models", "narrow")
    return StableDiffusionPipeline.from_pretrained(folder, variant="fp16", safety_checker=None).to(torch.float32)


def in_diffusers(path):
    """diffusers' own loader: the first token that it adds, and the rows of all in the table."""
    pipe = pipeline()
    before = len(pipe.tokenizer)
    pipe.load_textual_inversion(path)
    ids = range(before, len(pipe.tokenizer))
    token = pipe.tokenizer.convert_ids_to_tokens(before)
    rows = pipe.text_encoder.get_input_embeddings().weight.detach()[before : len(pipe.tokenizer)].clone()
    pipe.unload_textual_inversion()
    assert len(ids) == len(rows)
    return token, rows


def check_kohya_metadata(path, word):
    with safe_open(path, "pt") as f:
        metadata = f.metadata()
    assert metadata["modelspec.sai_model_spec"] == "1.0.1" and metadata["modelspec.title"] == word
    assert metadata["modelspec.architecture"] in ("stable-diffusion-v1/textual-inversion", "stable-diffusion-v2-768-v/textual-inversion")


def check(ti):
    sources = load_file(os.path.join(HERE, "words.safetensors"))
    files = [k.split("/")[0] for k in sources if k.count("/") == 1 and not k.startswith("tensor:")]
    names = [k for k in sources if k.count("/") == 1 and files.count(k.split("/")[0]) == 1]
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(names):
            rows, source = sources[name], os.path.join(FOLDER, name.split("/")[0])
            for target, file in (("diffusers", "x.safetensors"), ("a1111", "grum.pt"), ("a1111-png", "x.png"), ("kohya", "grum.safetensors"), ("sd.cpp", "<grum>.safetensors")):
                out = os.path.join(folder, str(i), target, file)
                os.makedirs(os.path.dirname(out))
                word = "<grum>" if target in ("diffusers", "sd.cpp") else "grum"
                subprocess.run([ti, "convert", source, "--to", target, "--out", out, "--word", word], check=True, capture_output=True)
                read = {"diffusers": in_diffusers, "kohya": in_kohya}.get(target)
                if target == "sd.cpp":
                    token, got = in_sd_cpp(out, rows.shape[1])
                elif read:
                    token, got = read(out)
                else:
                    token, got, data = in_a1111(out)
                    assert data["step"] is None and data["string_to_token"] == {"*": 265}
                assert token == word, (target, name, token)
                assert got.shape == rows.shape and torch.equal(got.float(), rows), (target, name)
                if target == "diffusers":  # A1111 reads diffusers' files as well
                    assert torch.equal(in_a1111(out)[1], rows)
                if target == "kohya":
                    check_kohya_metadata(out, "grum")
    print(f"{len(names)} words, each written for 5 programs, are read back with the same bits")
