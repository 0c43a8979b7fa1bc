"""Compares goldens that were made anew with those of the repository: python golden/compare.py NEW [OLD], two folders like this one.

Texts, pictures and integers have to be the same. A float may differ by the error that is recorded beside it: PyTorch's own fp32 error
("torch:NAME"), or, for the training runs and the pictures, how far PyTorch is from itself with another number of threads
("CASE/threads"). What has no such record may differ by one rounding. Prints what differs at all, and ends with status 1 where
something differs by more.
"""
import os
import sys

import torch
from safetensors import safe_open

from common import HERE, relative_error

ROUNDING = 2.0**-23


def allowed(metadata, name):
    """The error that is recorded for a tensor."""
    errors = [ROUNDING]
    if f"torch:{name}" in metadata:
        errors.append(float(metadata[f"torch:{name}"]))
    threads = metadata.get(name.split("/")[0] + "/threads", "")
    errors += [float(word) for word in threads.replace(",", " ").split() if "e" in word or "." in word]
    return max(errors)


def compare_tensors(new, old, path):
    """Yields a line for each tensor that differs, and whether it differs by more than is recorded."""
    a, b = safe_open(new, "pt"), safe_open(old, "pt")
    metadata = b.metadata() or {}
    for name in sorted(set(a.keys()) ^ set(b.keys())):
        yield f"{path}: {name} is only in one of the two", True
    for name in sorted(set(a.keys()) & set(b.keys())):
        x, y = a.get_tensor(name), b.get_tensor(name)
        if x.shape != y.shape or x.dtype != y.dtype:
            yield f"{path}: {name} has another shape or type", True
        elif not torch.equal(x, y):
            error = relative_error(x, y) if x.dtype.is_floating_point else float("inf")
            yield f"{path}: {name} differs by {error:.1e}, recorded {allowed(metadata, name):.1e}", error > allowed(metadata, name)


def compare(new, old):
    for folder, _, files in sorted(os.walk(old)):
        for file in sorted(files):
            b = os.path.join(folder, file)
            path = os.path.relpath(b, old)
            a = os.path.join(new, path)
            if not os.path.exists(a):
                yield f"{path}: is not there", True
            elif file.endswith(".safetensors"):
                yield from compare_tensors(a, b, path)
            elif open(a, "rb").read() != open(b, "rb").read():
                yield f"{path}: has other bytes", True


def main():
    new, old = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else HERE
    worse = 0
    for line, bad in compare(new, old):
        worse += bad
        print("FAIL " if bad else "ok   ", line)
    print(f"{worse} differ by more than is recorded")
    sys.exit(worse > 0)


main()
