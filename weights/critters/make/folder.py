# SPDX-License-Identifier: MIT
"""Writes the folder that ships, in Stable Diffusion 1.x's layout and names with weights in F16, and checks
the form of each of its files.

    python folder.py FOLDER            checks a folder, and prints what is wrong with it
"""
import json
import os
import shutil
import sys

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

import vocabulary
from files import read_json, write_json, written, written_folder
from settings import DEFAULTS

JSON_FILES = [
    "model_index.json", "defaults.json", "scheduler/scheduler_config.json", "clip/preprocessor_config.json",
]  # fmt: skip
DTYPES = {torch.float16: "F16", torch.float32: "F32"}


def save_tensors(path, tensors, **values):
    """Writes a safetensors file, whose metadata hold the values, or that the file comes from PyTorch. They
    are one text, since the library writes several in an order that changes."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with written(path) as new:
        try:
            save_file(tensors, new, metadata={"values": json.dumps(values)} if values else {"format": "pt"})
        except SafetensorError as error:
            raise OSError(f"{new}: {error}") from None


def load_tensors(path):
    with safe_open(path, "pt") as f:
        return {name: f.get_tensor(name) for name in f.keys()}


def load_values(path):
    with safe_open(path, "pt") as f:
        return json.loads((f.metadata() or {}).get("values", "{}"))


def expected(module, rename=str, dtype=torch.float16):
    """Returns the form of a module's weights, {name: (type, shape)}. Scalars are always F32."""
    weights = module.state_dict()
    return {rename(name): (DTYPES[dtype] if t.dim() else "F32", list(t.shape)) for name, t in weights.items()}


def form_faults(path, form):
    """Returns where a safetensors file differs from a form, and where its values are not finite."""
    try:
        with safe_open(path, "pt") as f:
            wrong = [f"{path}: no tensor {name}" for name in sorted(form.keys() - set(f.keys()))]
            wrong += [f"{path}: {name} does not belong there" for name in sorted(set(f.keys()) - form.keys())]
            for name in sorted(form.keys() & set(f.keys())):
                part = f.get_slice(name)
                found, (dtype, shape) = (part.get_dtype(), part.get_shape()), form[name]
                if found != (dtype, shape):
                    wrong.append(f"{path}: {name} is {found[0]} {found[1]}, not {dtype} {shape}")
                elif not f.get_tensor(name).isfinite().all():
                    wrong.append(f"{path}: {name} has a value that is not finite")
            return wrong
    except (SafetensorError, OSError) as error:
        return [f"{path}: {error}"]


def tensor_faults(path, build, settings, keys=()):
    """Returns what is wrong with a file of save_tensors for the module build(settings), in F32."""
    if not os.path.isfile(path):
        return [f"{path} is not there"]
    with torch.device("meta"):
        module = build(settings)
    wrong = form_faults(path, expected(module, dtype=torch.float32))
    return wrong or [f"{path}: no {key} in the metadata" for key in keys if key not in load_values(path)]


# The parts of the folder


def text_name(name):
    """Returns the name of a text encoder's weight as Stable Diffusion's files have it."""
    return name if name.startswith("text_model.") else "text_model." + name


def of_diffusers(model):
    return lambda folder: model.from_config(read_json(f"{folder}/config.json"))


def of_transformers(model, config):
    return lambda folder: model(config.from_pretrained(folder))


# The files of weights: the folder, the file, how its config makes the module, and the names of its weights
WEIGHTS = [
    ("vae", "diffusion_pytorch_model.safetensors", of_diffusers(AutoencoderKL), str),
    ("unet", "diffusion_pytorch_model.safetensors", of_diffusers(UNet2DConditionModel), str),
    ("text_encoder", "model.safetensors", of_transformers(CLIPTextModel, CLIPTextConfig), text_name),
    ("clip", "model.safetensors", of_transformers(CLIPModel, CLIPConfig), str),
]


def index():
    """Returns the content of model_index.json."""
    none = [None, None]
    return {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__,
        "feature_extractor": none, "requires_safety_checker": False, "safety_checker": none,
        "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }  # fmt: skip


def scheduler_config(settings):
    """Returns the content of scheduler_config.json: the class is that of Stable Diffusion's."""
    more = dict(
        _class_name="PNDMScheduler", prediction_type="epsilon", set_alpha_to_one=False, skip_prk_steps=True,
        timestep_spacing="leading", trained_betas=None,
    )  # fmt: skip
    return dict(sorted({**settings.scheduler, **more}.items()))


def write_config(module, folder):
    """Writes a module's config.json."""
    if isinstance(module, diffusers.ModelMixin):
        config = {key: value for key, value in dict(module.config).items() if key[0] != "_"}
        extra = {"_class_name": type(module).__name__, "_diffusers_version": diffusers.__version__}
        write_json(f"{folder}/config.json", {**config, **extra}, indent=2, sort_keys=True)
    else:
        module.config.architectures = [type(module).__name__]
        module.config.save_pretrained(folder)


def write(folder, modules, scheduler, tokenizer, preparation, concepts):
    """Writes a model's folder: modules by the names of their folders, two configs, the tokenizer's folder,
    and the pictures of concepts."""
    for name, file, _, rename in WEIGHTS:
        os.makedirs(f"{folder}/{name}")
        module = modules[name]
        write_config(module, f"{folder}/{name}")
        weights = {rename(key): t.half() if t.dim() else t for key, t in module.state_dict().items()}
        save_tensors(f"{folder}/{name}/{file}", weights)
    shutil.copytree(tokenizer, f"{folder}/tokenizer")
    for file in os.listdir(tokenizer):
        shutil.copyfile(f"{tokenizer}/{file}", f"{folder}/clip/{file}")
    write_json(f"{folder}/clip/preprocessor_config.json", preparation)
    os.makedirs(f"{folder}/scheduler")
    write_json(f"{folder}/scheduler/scheduler_config.json", scheduler)
    write_json(f"{folder}/model_index.json", index())
    shutil.copyfile(DEFAULTS, f"{folder}/defaults.json")
    for name, images in concepts.items():
        os.makedirs(f"{folder}/concepts/{name}")
        for i, image in enumerate(images):
            Image.fromarray(image).save(f"{folder}/concepts/{name}/{i + 1}.png", optimize=True)


def make(out, settings):
    """Makes OUT/model of what the other stages made."""
    import train_clip
    import train_unet
    import train_vae
    import world

    text, unet = train_unet.load(out, settings)
    vae, _ = train_vae.load(out, settings)
    modules = {"vae": vae, "unet": unet, "text_encoder": text, "clip": train_clip.load(out, settings)}
    with written_folder(f"{out}/model") as new:
        scheduler, preparation = scheduler_config(settings), train_clip.preparation(settings)
        write(new, modules, scheduler, f"{out}/tokenizer", preparation, world.concepts())
        wrong = folder_faults(new)
        if wrong:
            raise ValueError(wrong[0])


def faults(out, settings):
    return folder_faults(f"{out}/model")


def folder_faults(folder):
    """Returns what is wrong with a model's folder, a list of sentences: files that are missing or cannot be
    read, tensors whose names, shapes or types are not those of the config, values that are not finite, and
    vocabularies that do not fit."""
    if not os.path.isdir(folder):
        return [f"{folder} is not there"]
    needed = JSON_FILES + [
        f"{name}/{file}" for name, weights, _, _ in WEIGHTS for file in ("config.json", weights)
    ]
    wrong = [f"{folder}/{file} is not there" for file in needed if not os.path.isfile(f"{folder}/{file}")]
    wrong += vocabulary.folder_faults(f"{folder}/tokenizer") + vocabulary.folder_faults(f"{folder}/clip")
    wrong += picture_faults(f"{folder}/concepts")
    if wrong:
        return wrong
    for file in JSON_FILES:
        try:
            read_json(f"{folder}/{file}")
        except ValueError as error:
            wrong.append(str(error))
    for name, file, build, rename in WEIGHTS:
        try:
            with torch.device("meta"):
                module = build(f"{folder}/{name}")
        except Exception as error:  # whatever a config that is wrong makes the libraries say
            wrong.append(f"{folder}/{name}/config.json: {error}".splitlines()[0])
            continue
        wrong += form_faults(f"{folder}/{name}/{file}", expected(module, rename))
        if name in ("text_encoder", "clip"):
            tokenizer = "tokenizer" if name == "text_encoder" else "clip"
            config = module.config if name == "text_encoder" else module.config.text_config
            wrong += special_faults(f"{folder}/{tokenizer}/vocab.json", config)
    return wrong


def special_faults(path, config):
    """Returns where the numbers of tokens in a text encoder's config are not those of its vocabulary."""
    ids = read_json(path)
    start, end = ids[vocabulary.START], ids[vocabulary.END]
    form = {"vocab_size": len(ids), "bos_token_id": start, "eos_token_id": end}
    found = {key: getattr(config, key) for key in form}
    return [f"{path} asks for {key} {form[key]}, not {found[key]}" for key in form if found[key] != form[key]]


def picture_faults(folder):
    """Returns what is wrong with the pictures of concepts, which have 256x256 pixels."""
    wrong, count = [], 0
    for at, _, files in os.walk(folder):
        for file in sorted(files):
            count += 1
            try:
                with Image.open(f"{at}/{file}") as image:
                    if np.asarray(image).shape != (256, 256, 3):
                        wrong.append(f"{at}/{file} does not have 256x256 pixels in colour")
            except (OSError, SyntaxError) as error:
                wrong.append(f"{at}/{file}: {error}")
    return wrong if count else [f"{folder} holds no pictures"]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python folder.py FOLDER")
    wrong = folder_faults(sys.argv[1])
    print("\n".join(wrong) or f"{sys.argv[1]} has the form of a model")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
