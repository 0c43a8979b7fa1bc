# SPDX-License-Identifier: MIT
"""Learned words in the files of other programs: writes one file of each kind with the programs' own functions, or
in their layout where they cannot be installed, and records the rows that ti has to read.

Writes words/, which also has a checkpoint and a model's folder as torch.save writes them, and words.safetensors, whose
tensor "FILE/TOKEN" [n, 24] is a word of words/FILE in fp32 and whose
metadata has the messages of the files that are to be refused. The layouts of A1111, kohya's scripts, OneTrainer
and the paper's own code are written down here from what those programs save; diffusers' and torch's are saved by
these themselves.

    words.py                 writes the files
    words.py check TI        the other direction: TI, the program, writes a word for every tool, and diffusers, torch and
                             the rules of the other programs, which are written down in words_rules.py, read it
"""
import argparse
import base64
import json
import os
import re
import shutil
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import load_file, save_file

from common import HERE, Golden

WIDTH = 24
FOLDER = os.path.join(HERE, "words")
OLD = {"_use_new_zipfile_serialization": False}


def rows(n, seed):
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed)) / 8


def a1111(vectors, name="grum"):
    """What A1111's Embedding.save passes to torch.save."""
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": vectors},
        "name": name,
        "step": 500,
        "sd_checkpoint": "cc6cb27103",
        "sd_checkpoint_name": "v1-5-pruned-emaonly",
    }


def a1111_png(path, data):
    """A1111's caption_image_overlay and insert_image_data_embed aside, this is how it saves a word in a picture."""
    data = dict(data, string_to_param={k: {"TORCHTENSOR": v.numpy().tolist()} for k, v in data["string_to_param"].items()})
    info = PngImagePlugin.PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(json.dumps(data).encode()).decode())
    Image.new("RGB", (8, 8), (40, 90, 200)).save(path, "PNG", pnginfo=info)


class Command:
    """Pickles as a call of os.system."""

    def __reduce__(self):
        return os.system, ("echo a file of weights has run a program",)


def deflate(source, target):
    """Packs a file of torch.save anew, with compression."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)


class Words:
    def __init__(self):
        self.golden = Golden(__file__, 24)

    def add(self, file, words, save):
        """Saves a file with save(path), and records its words, {token: rows}."""
        path = os.path.join(FOLDER, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        save(path)
        for token, vectors in words.items():
            self.golden.put(f"{file}/{token}", vectors.detach().float().reshape(-1, WIDTH))

    def torch(self, file, words, data, **options):
        self.add(file, words, lambda path: save(data, path, **options))

    def refused(self, file, save, message):
        save(os.path.join(FOLDER, file))
        self.golden.metadata[f"refused:{file}"] = message


def without_source(obj):
    """Stands for the function by which torch adds a class's source text to a file of the old format."""
    return ["class ParameterDict(Module): ..."], 1, "container.py"


def stable_keys(path):
    """In the old format the key of a storage is its address in memory. Here it becomes the storage's number, so that
    the file depends on its content alone."""
    with open(path, "rb") as f:
        data = f.read()
    keys = sorted(set(re.findall(rb"X[\x0a-\x0f]\0\0\0(\d{10,15})", data)))
    for i, key in enumerate(keys):
        data = data.replace(key, b"%0*d" % (len(key), i))
    with open(path, "wb") as f:
        f.write(data)


def save(data, path, **options):
    torch.save(data, path, **options)
    if options == OLD:
        stable_keys(path)


def parameters(words):
    return torch.nn.ParameterDict({k: torch.nn.Parameter(v) for k, v in words.items()})


def add_readable(w):
    one, two, three = rows(1, 1), rows(2, 2), rows(3, 3)
    torch.serialization.get_source_lines_and_file = without_source
    w.add("diffusers.safetensors", {"<grum>": two}, lambda p: save_file({"<grum>": two}, p, {"format": "pt"}))
    w.torch("diffusers.bin", {"<grum>": two}, {"<grum>": two})
    w.torch("concept/learned_embeds.bin", {"<cat-toy>": one}, {"<cat-toy>": one[0]})
    w.torch("concept_old.bin", {"<cat-toy>": one}, {"<cat-toy>": one[0]}, **OLD)
    w.torch("a1111.pt", {"a1111": two}, a1111(two))
    w.torch("a1111_old.pt", {"a1111_old": three}, a1111(three.clone().requires_grad_()), **OLD)
    w.torch("a1111_step.pt", {"a1111_step": one}, dict(a1111(one), step=np.int64(7)))
    w.add("a1111.png", {"grum": two}, lambda p: a1111_png(p, a1111(two)))
    paper = {"*": one, "<style>": three}
    for name, options in (("paper.pt", {}), ("paper_old.pt", OLD)):
        stem = name[:-3]
        w.torch(name, {stem: one, "<style>": three},
                {"string_to_token": {k: torch.tensor(265) for k in paper}, "string_to_param": parameters(paper)}, **options)  # fmt: skip
    kohya = {"modelspec.sai_model_spec": "1.0.1", "modelspec.architecture": "stable-diffusion-v1/textual-inversion", "modelspec.title": "grum"}
    w.add("kohya.safetensors", {"kohya": two}, lambda p: save_file({"emb_params": two}, p, kohya))
    w.torch("kohya.pt", {"kohya": two}, {"emb_params": two})
    w.add("onetrainer.safetensors", {"onetrainer": two}, lambda p: save_file({"emp_params": two}, p))
    w.torch("protocol4.pt", {"<p4>": two}, {"<p4>": two}, pickle_protocol=4)
    for name, dtype in (("half", torch.float16), ("bfloat16", torch.bfloat16), ("double", torch.float64)):
        w.torch(f"{name}.pt", {f"<{name}>": two.to(dtype)}, {f"<{name}>": two.to(dtype)})
        w.torch(f"{name}_old.pt", {f"<{name}>": two.to(dtype)}, {f"<{name}>": two.to(dtype)}, **OLD)
    columns = rows(WIDTH, 4)[:, :2].contiguous().t()
    w.torch("columns.pt", {"<columns>": columns}, {"<columns>": columns})
    w.torch("columns_old.pt", {"<columns>": columns}, {"<columns>": columns}, **OLD)
    for name, options in (("shared.bin", {}), ("shared_old.bin", OLD)):
        w.torch(name, {"<a>": three[:1], "<b>": three[1:]}, {"<a>": three[:1], "<b>": three[1:]}, **options)
    attributed = torch.nn.Parameter(one)
    attributed.note = 1
    w.torch("parameter.bin", {"<p>": one, "<q>": one}, {"<p>": torch.nn.Parameter(one), "<q>": attributed})
    w.add("deflated.pt", {"<grum>": two}, lambda p: deflate(os.path.join(FOLDER, "diffusers.bin"), p))


def add_refused(w):
    two, xl = rows(2, 2), {"clip_l": rows(2, 5), "clip_g": torch.zeros(2, 40)}
    layers = "IN01 IN02 IN04 IN05 IN07 IN08 MID OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11".split()
    w.refused("sdxl.safetensors", lambda p: save_file(xl, p), "is an embedding for Stable Diffusion XL or 3")
    w.refused("sdxl.pt", lambda p: torch.save(xl, p), "is an embedding for Stable Diffusion XL or 3")
    w.refused("layers.pt", lambda p: torch.save({k: two[0, :2].clone() for k in layers}, p), "is a per-layer word")
    out = {"emp_params": two, "emp_params_out": two + 1}
    w.refused("output.safetensors", lambda p: save_file(out, p), "is added after the text encoder")
    system = f'names "{os.system.__module__}.system"'
    w.refused("program.pt", lambda p: torch.save({"<x>": two, "y": Command()}, p), system)
    w.refused("program_old.pt", lambda p: save({"<x>": two, "y": Command()}, p, **OLD), system)
    w.refused("module.pt", lambda p: torch.save(torch.nn.Linear(2, 2), p), 'names "torch.nn.modules.linear.Linear"')
    w.refused("list.pt", lambda p: torch.save([two], p), "holds no dictionary of tensors")


def lightning(w):
    """A checkpoint as PyTorch Lightning saves it, with the state of an optimizer and of a callback, whose class
    cannot be imported where it is read."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    callback = type("ModelCheckpoint", (), {"__module__": module.__name__, "__qualname__": "ModelCheckpoint"})
    module.ModelCheckpoint = callback
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[module.__name__] = module
    tensors = {"model.a.weight": rows(2, 6), "model.a.bias": rows(1, 7)[0], "model.half": rows(1, 8).half()}
    state = OrderedDict(tensors)
    state._metadata = OrderedDict(version=1)
    state["model.columns"] = rows(2, 9).t()
    state["model.callback"] = callback()
    data = {
        "epoch": 3,
        "global_step": np.int64(470000),
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {callback: {"best_model_score": torch.tensor(0.5), "monitor": "val/loss"}},
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": rows(2, 10)}}, "param_groups": [{"lr": 1e-4}]}],
        "hyper_parameters": argparse.Namespace(ignore_keys=["x"]),
    }
    for name, options in (("lightning.ckpt", {}), ("lightning_old.ckpt", OLD)):
        save(data, os.path.join(FOLDER, name), **options)
    for name, tensor in tensors.items():
        w.golden.put(f"tensor:{name}", tensor.float())


def pickled_model():
    """The weights of models/narrow as the files of older models: a zip file, shards, and the format before 1.6."""
    for part, name in (("text_encoder", "model"), ("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model")):
        weights = load_file(os.path.join(HERE, "models", "narrow", part, f"{name}.fp16.safetensors"))
        folder = os.path.join(FOLDER, "narrow", part)
        os.makedirs(folder)
        name = {"model": "pytorch_model"}.get(name, name)
        if part == "unet":
            half = {k: i % 2 for i, k in enumerate(weights)}
            files = [f"{name}-0000{i + 1}-of-00002.bin" for i in range(2)]
            for i, file in enumerate(files):
                torch.save({k: v for k, v in weights.items() if half[k] == i}, os.path.join(folder, file))
            with open(os.path.join(folder, f"{name}.bin.index.json"), "w") as f:
                json.dump({"metadata": {}, "weight_map": {k: files[i] for k, i in half.items()}}, f)
        else:
            save(weights, os.path.join(folder, f"{name}.bin"), **(OLD if part == "vae" else {}))


def main():
    if sys.argv[1:2] == ["check"]:
        from words_rules import check

        return check(sys.argv[2])
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    w = Words()
    add_readable(w)
    with open(os.path.join(FOLDER, "concept", "token_identifier.txt"), "w") as f:
        f.write("<cat-toy>")
    add_refused(w)
    lightning(w)
    pickled_model()
    w.golden.save("words.safetensors")


if __name__ == "__main__":
    sys.exit(main())
