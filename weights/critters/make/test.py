# SPDX-License-Identifier: MIT
"""Tests the scripts in this folder: python test.py. Ends with "N passed, N failed".

It compares what they draw and write with the embedded model that ships, makes everything once, tiny, and
again in a run that is killed many times. When the environment variable TI names the program, that opens the
tiny model, too.
"""
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED_FOLDER = os.path.dirname(HERE)
os.environ["PYTHONPATH"] = HERE  # for the process from which those that are killed are forked
os.environ.update(HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore", OMP_WAIT_POLICY="passive")

TOKENIZER_FILES = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")
# The SHA-256 of pictures 0 to 99, which the embedded model saw, and of a caption of each
PICTURES = "d81625f3168382aa3fb52f1e223d46a8a5b6344289ce4f8cbd93fae90a2aed41"
CAPTIONS = "8851048a8c60168f51c9c02472f48491b213bc26bcaeb1c07ad0837bf1fce499"

passed = failed = 0


def check(name, good, detail=""):
    """Prints a line about one check."""
    global passed, failed
    if good:
        passed += 1
        print(f"ok    {name}", flush=True)
    else:
        failed += 1
        print(f"FAIL  {name}: {detail}", flush=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def contents(folder):
    """Returns the SHA-256 of every file below a folder."""
    found = {}
    for at, _, files in os.walk(folder):
        for file in files:
            found[os.path.relpath(f"{at}/{file}", folder)] = sha256(read(f"{at}/{file}"))
    return found


# What ships


def test_world(work):
    """Pictures and vocabulary are those of the embedded model."""
    import numpy as np
    from PIL import Image

    import vocabulary
    import world

    for name, images in world.concepts().items():
        folder = f"{SHIPPED_FOLDER}/concepts/{name}"
        shipped = [np.asarray(Image.open(f"{folder}/{i + 1}.png")) for i in range(len(os.listdir(folder)))]
        same = len(shipped) == len(images) and all(np.array_equal(a, b) for a, b in zip(shipped, images))
        check(f"the pictures of {name} are those that ship", same, "they differ")
    shown = [world.shown(k) for k in range(100)]
    captions = "\n".join(world.caption(what, random.Random(k), 0.7, 0.2) for k, (what, _) in enumerate(shown))
    pictures = b"".join(world.draw(what, r).tobytes() for what, r in shown)
    check("pictures are those that the model saw", sha256(pictures) == PICTURES, "they differ")
    check("captions are those that it saw", sha256(captions.encode()) == CAPTIONS, "they differ")
    os.mkdir(f"{work}/tokenizer")
    vocabulary.write(f"{work}/tokenizer", 32)
    for folder in ("tokenizer", "clip"):
        for file in TOKENIZER_FILES:
            same = read(f"{work}/tokenizer/{file}") == read(f"{SHIPPED_FOLDER}/{folder}/{file}")
            check(f"{folder}/{file} is the one that ships", same, "its bytes differ")
    known = set(world.words()) | set(world.names())
    strange = [word for word in re.findall("[a-z]+", captions) if word not in known]
    check("every word of a caption is one token", not strange, strange[:3])


def test_settings(work):
    """The settings are those of the embedded model."""
    import torch

    import folder
    import train_clip
    import train_unet
    import train_vae
    from settings import SHIPPED

    with torch.device("meta"):
        both = train_unet.build(work, SHIPPED)
        written = {"vae": train_vae.build(SHIPPED), "unet": both.unet, "text_encoder": both.text}
        written["clip"] = train_clip.build(work, SHIPPED)
    free = {"_diffusers_version", "transformers_version", "dtype", "scaling_factor"}

    def values(path):
        return {key: value for key, value in json.loads(read(path)).items() if key not in free}

    for name, module in written.items():
        os.mkdir(f"{work}/{name}")
        folder.write_config(module, f"{work}/{name}")
        ours, theirs = values(f"{work}/{name}/config.json"), values(f"{SHIPPED_FOLDER}/{name}/config.json")
        differ = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        check(f"the settings make {name}/config.json", not differ, differ)
    for file, ours in {
        "scheduler/scheduler_config.json": folder.scheduler_config(SHIPPED),
        "clip/preprocessor_config.json": train_clip.preparation(SHIPPED),
        "model_index.json": {key: value for key, value in folder.index().items() if key not in free},
    }.items():
        check(f"{file} is the one that ships", ours == values(f"{SHIPPED_FOLDER}/{file}"), ours)
    wrong = folder.folder_faults(SHIPPED_FOLDER)
    check("the folder that ships has the right form", not wrong, wrong[:3])


# A tiny model, made anew


def command(*arguments, script=f"{HERE}/make.py"):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = [sys.executable, script, *arguments]
    return subprocess.run(words, capture_output=True, text=True, env=environment)


def test_whole(out):
    """One command makes everything."""
    done = command(out, "--tiny")
    check("make.py --tiny makes everything", done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:])
    import folder

    wrong = folder.folder_faults(f"{out}/model")
    check("the folder that it makes has the right form", not wrong, wrong[:3])
    left = [file for file in os.listdir(out) if file.endswith((".state", ".new"))]
    check("it leaves no state behind", not left, left)


def test_again(out):
    """What is there and whole stays, and what is not whole is made anew."""
    before = contents(out)
    with open(f"{out}/latents.npy", "rb+") as f:
        f.truncate(1000)
    os.remove(f"{out}/tokenizer/merges.txt")
    shutil.rmtree(f"{out}/model/unet")
    done = command(out, "--tiny")
    made = re.findall(r"^(\w+): made", done.stdout, re.M)
    right = made == ["vocabulary", "latents", "model"]
    check("it makes anew what is not whole", right, done.stdout + done.stderr)
    check("it makes the same files", contents(out) == before, "they differ")


def test_ti(out, work):
    """The program opens what was made."""
    ti = os.path.abspath(os.environ["TI"])
    model = ["--model", f"{out}/model"]
    drawing = [ti, "generate", *model, "--prompt", "a photo of a critter", "--out", f"{work}/1.png"]
    scoring = [ti, "evaluate", *model, "--images", f"{out}/model/concepts/grum", "--init", "critter"]
    scoring += ["--count", "1", "--steps", "2"]
    for name, words in {"draws with": drawing, "scores with": scoring}.items():
        done = subprocess.run(words, capture_output=True, text=True, cwd=work)
        check(f"ti {name} the tiny model", done.returncode == 0, done.stderr[-500:])


def test_other_world(work):
    """A world with other words and fewer species is made by the same command."""
    other = f"{work}/other"
    shutil.copytree(HERE, f"{other}/make", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(f"{SHIPPED_FOLDER}/defaults.json", other)
    text = read(f"{HERE}/world.py").decode()
    for old, new in {'"cyan"': '"turquoise"', '"zog"': '"blip"', "SPECIES = 800": "SPECIES = 50"}.items():
        assert old in text, old
        text = text.replace(old, new)
    with open(f"{other}/make/world.py", "w") as f:
        f.write(text)
    done = command(f"{other}/out", "--tiny", script=f"{other}/make/make.py")
    check("another world is made, too", done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:])
    vocabulary = json.loads(read(f"{other}/out/model/tokenizer/vocab.json"))
    changed = "turquoise</w>" in vocabulary and "cyan</w>" not in vocabulary
    check("its words are in its vocabulary", changed, len(vocabulary))
    check("its concepts are drawn", os.path.isfile(f"{other}/out/model/concepts/blip/1.png"), "no picture")


def damage(path, change):
    """Changes the tensors of a safetensors file."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors, next(name for name in sorted(tensors) if tensors[name].dim() == 2))
    save_file(tensors, path)


def damages():
    """Returns faults: the name, the file, what does the damage to it, and what has to be said."""
    unet, clip = "unet/diffusion_pytorch_model.safetensors", "clip/model.safetensors"

    def tensors(change):
        return lambda path: damage(path, change)

    def cut(path):
        os.truncate(path, os.path.getsize(path) // 2)

    def text(path):
        with open(path, "w") as f:
            f.write('{"a": ')

    def wider(path):
        config = json.loads(read(path))
        with open(path, "w") as f:
            json.dump({**config, "vocab_size": config["vocab_size"] + 1}, f)

    return [
        ("a value that is not finite", unet, tensors(lambda t, k: t[k][0].fill_(float("nan"))), "not finite"),
        ("a tensor that is missing", clip, tensors(lambda t, k: t.pop(k)), "no tensor"),
        ("a tensor too many", unet, tensors(lambda t, k: t.update(more=t[k].clone())), "more does not"),
        ("another shape", clip, tensors(lambda t, k: t.update({k: t[k][:1].clone()})), "not F16"),
        ("another type", unet, tensors(lambda t, k: t.update({k: t[k].float()})), "is F32"),
        ("weights that end too early", "vae/diffusion_pytorch_model.safetensors", cut, "vae"),
        ("a config that is no JSON", "text_encoder/config.json", text, "text_encoder/config.json"),
        ("another vocabulary", "text_encoder/config.json", wider, "vocab_size"),
        ("a scheduler that is no JSON", "scheduler/scheduler_config.json", text, "scheduler_config.json"),
        ("a picture that ends too early", "concepts/zog/1.png", cut, "zog/1.png"),
        ("a tokenizer without merges", "tokenizer/merges.txt", os.remove, "is not there"),
        ("a vocabulary that is no JSON", "clip/vocab.json", text, "clip"),
    ]  # fmt: skip


def test_form(out, work):
    """The check of the form finds every fault."""
    import folder

    for name, file, change, said in damages():
        copy = f"{work}/copy"
        shutil.copytree(f"{out}/model", copy)
        change(f"{copy}/{file}")
        wrong = folder.folder_faults(copy)
        check(f"it finds {name}", any(said in line for line in wrong), wrong)
        shutil.rmtree(copy)


def test_refusals(out, work):
    """What make.py does not do ends with one line."""
    odd, torn = f"{work}/odd", f"{work}/torn"
    for folder, file in ((odd, "made_with.json"), (torn, "vae.state")):
        shutil.copytree(out, folder)
        os.remove(f"{folder}/vae.safetensors")
        with open(f"{folder}/{file}", "w") as f:
            f.write("{")
    for name, arguments, said in (
        ("a record that is no JSON", [odd, "--tiny"], f"make.py: {odd}/made_with.json: "),
        ("a state that cannot be read", [torn, "--tiny"], f"make.py: {torn}/vae.state cannot be read"),
        ("two lengths", [f"{work}/no", "--minutes", "1,2"], '"1,2" is not three positive numbers'),
        ("too few pictures", [f"{work}/no", "--pictures", "1000"], "--pictures 1000: must be more than 1000"),
        ("a length of 0", [f"{work}/no", "--steps", "1,0,1"], '"1,0,1" is not three positive numbers'),
        ("other settings in the same folder", [out, "--steps", "1,1,1"], "was begun with other settings"),
        ("a file in place of the folder", [f"{out}/pictures.npy"], "make.py: "),
    ):
        done = command(*arguments)
        last = (done.stderr.splitlines() or [""])[-1]
        good = done.returncode != 0 and said in last and "Traceback" not in done.stderr
        check(f"it refuses {name}", good, done.stderr[-500:])
    check("it makes no folder then", not os.path.exists(f"{work}/no"), "there is one")


# A run that is killed


def run_and_die(out, saves, seconds):
    """Runs make.py --tiny. The process dies in the middle of a save, which is that of this number, and leaves
    half of the file; or it dies when it has computed for some seconds, wherever it is then."""
    import make

    rename, left = os.replace, [saves]

    def torn(new, path):
        left[0] -= 1
        if left[0] == 0:
            if os.path.isfile(new):
                os.truncate(new, os.path.getsize(new) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        rename(new, path)

    os.replace = torn
    signal.setitimer(signal.ITIMER_PROF, seconds)
    with open(os.devnull, "w") as sys.stdout:
        make.main([out, "--tiny"])


def test_kills(out, work):
    """A run that is killed many times, in the middle of saves and at any time, ends with the same bits."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train_vae", "train_unet", "train_clip", "folder"])
    killed, r, deaths, attempt, status = f"{work}/killed", random.Random(1), [], 0, None
    while status != 0 and attempt < 60:
        # A process lives the longer, the more there were, so that one comes to the end.
        lives = (2 + attempt // 6, 0) if attempt % 2 == 0 else (0, r.uniform(0, 1 + attempt / 5))
        process = context.Process(target=run_and_die, args=(killed, *lives))
        process.start()
        process.join()
        status, attempt = process.exitcode, attempt + 1
        if status not in (-signal.SIGKILL, -signal.SIGPROF):
            break
        deaths.append(status)
    saves, times = deaths.count(-signal.SIGKILL), deaths.count(-signal.SIGPROF)
    print(f"      killed {saves} times in the middle of a save, and {times} times otherwise")
    check("a run that is killed comes to its end", status == 0, f"exit status {status}")
    check("it was killed in the middle of many saves", saves >= 6, saves)
    check("it was killed at other times", times >= 4, times)
    ours, theirs = contents(killed), contents(out)
    differ = sorted(file for file in {**ours, **theirs} if ours.get(file) != theirs.get(file))
    check("it ends with the same bits as one that is not killed", not differ, differ[:5])


def main():
    start = time.time()
    with tempfile.TemporaryDirectory() as work:
        out = f"{work}/out"
        try:
            test_world(work)
            test_settings(work)
            test_whole(out)
            test_form(out, work)
            if os.environ.get("TI"):
                test_ti(out, work)
            test_again(out)
            test_refusals(out, work)
            test_other_world(work)
            test_kills(out, work)
        except Exception as error:
            check("the test itself", False, repr(error))
    print(f"      {time.time() - start:.0f} seconds")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
