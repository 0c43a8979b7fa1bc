# SPDX-License-Identifier: MIT
"""Compares newly made golden files with those of the repository:

    python golden/compare.py NEW [OLD]

NEW and OLD are folders like this one, and OLD is this one by default. The script prints one line for each
difference. Those that are not allowed come last and begin with FAIL, and then the exit status is 1.

Both folders must have the same files, tensors and metadata, and texts, picture files and integers must be
equal. Floating-point numbers may differ, because another processor adds in another order and so rounds
differently. The bound is MARGIN times the error that OLD records for the tensor: that of PyTorch's own fp32
computation ("torch:NAME"), or the difference between two runs with different numbers of threads
("CASE/threads"). A tensor without a record may differ by MARGIN roundings, and an 8-bit value of a generated
picture by 1, as in tests/commands/test_picture.c.
"""
import os
import sys

import torch
from safetensors import safe_open

from common import HERE, relative_error

# A recorded error is one sample of the errors that rounding can cause, and another processor gives another.
# Up to 4 times the record has been seen.
MARGIN = 10
ROUNDING = 2.0**-23
# The frequencies of the timestep embedding are exponentials in fp32, also in a float64 run. MKL's differ in
# the last bit between processors, and the sine of an angle near 1000 differs 1000 times as much.
BOUNDS = {"forward/unet.time_embedding.linear_1": 1000 * ROUNDING}


def data_files(folder):
    """Returns the paths, relative to the folder, of all files that the golden scripts write into it."""
    paths = []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f != "__pycache__" and not f.startswith(".")]
        paths += [os.path.relpath(os.path.join(place, f), folder) for f in files]
    return {p for p in paths if not p.endswith((".py", ".sh", ".md")) and p != "requirements.txt"}


def measured(key):
    """Tells whether a metadata value is a measurement or describes the processor, and so may differ."""
    return key.startswith(("torch:", "bf16:")) or key.endswith(("/threads", "/distance")) or key == "cpu_capability"


def recorded_error(metadata, name):
    """Returns the error that is recorded for a tensor, or 0. Of "CASE/threads" it is the first number, which
    belongs to the learned vectors of a training run or to the latents of a generated picture."""
    threads = metadata.get(name.split("/")[0] + "/threads", "0")
    return float(metadata.get(f"torch:{name}", threads.split()[0]))


def difference(name, new, old, metadata):
    """Returns the difference of two tensors of the same shape and type, and its bound."""
    if not old.dtype.is_floating_point:
        return float("inf"), 0
    if name.endswith("/pictures"):  # 8-bit values
        return (new - old).abs().max().item(), 1
    error = relative_error(new, old)
    distance = metadata.get(name.removesuffix("/end") + "/distance")
    if distance:  # learned vectors, whose record is relative to the distance that they travelled
        error = (new - old).abs().max().item() / float(distance)
    return error, BOUNDS.get(name, MARGIN * max(recorded_error(metadata, name), ROUNDING))


def compare_safetensors(new, old, more_metadata):
    """Yields (text, whether it is allowed) for each difference between two files."""
    with safe_open(new, "pt") as a, safe_open(old, "pt") as b:
        new_metadata, metadata = a.metadata() or {}, b.metadata() or {}
        for key in sorted(new_metadata.keys() | metadata.keys()):
            same = key in new_metadata and key in metadata and (measured(key) or new_metadata[key] == metadata[key])
            if not same:
                yield f'the metadata under "{key}" differ', False
        for name in sorted(set(a.keys()) ^ set(b.keys())):
            yield f"{name} is only in {'NEW' if name in a.keys() else 'OLD'}", False
        for name in sorted(set(a.keys()) & set(b.keys())):
            x, y = a.get_tensor(name), b.get_tensor(name)
            if x.shape != y.shape or x.dtype != y.dtype:
                yield f"{name} has another shape or type", False
            elif not torch.equal(x, y):
                error, bound = difference(name, x, y, {**metadata, **more_metadata})
                yield f"{name} differs by {error:.1e}, bound {bound:.1e}", error <= bound  # false for NaN


def compare_folders(new, old):
    """Yields (text, whether it is allowed) for each difference between two folders."""
    new_paths, old_paths = data_files(new), data_files(old)
    with safe_open(os.path.join(old, "loop.safetensors"), "pt") as f:
        runs = f.metadata()
    for path in sorted(new_paths | old_paths):
        a, b = os.path.join(new, path), os.path.join(old, path)
        if path not in new_paths or path not in old_paths:
            yield f"{path} is only in {'NEW' if path in new_paths else 'OLD'}", False
        elif path.endswith(".safetensors"):
            # The word was learned in a run that loop.safetensors records.
            word = {"<zog>/threads": runs["vectors/threads"], "<zog>/distance": runs["vectors/distance"]}
            more = word if path == "word.safetensors" else {}
            yield from ((f"{path}: {text}", allowed) for text, allowed in compare_safetensors(a, b, more))
        else:
            with open(a, "rb") as f, open(b, "rb") as g:
                if f.read() != g.read():
                    yield f"{path} has other bytes", False


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python golden/compare.py NEW [OLD]")
    new, old = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else HERE
    if not os.path.isdir(new):
        sys.exit(f"{new} is not a folder")
    differences = sorted(compare_folders(new, old), key=lambda d: not d[1])  # failures come last
    for text, allowed in differences:
        print("ok   " if allowed else "FAIL ", text)
    failures = sum(not allowed for _, allowed in differences)
    print(f"{len(differences)} differences, {failures} of them not allowed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
