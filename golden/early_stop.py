# SPDX-License-Identifier: MIT
"""Writes golden/early_stop.safetensors: when the rule of DVAR (arXiv 2302.04841) ends a run, and the loss that
it watches.

Voronov et al. end a run when np.var(history[-window:]) / np.var(history) < eps, where history holds a loss
without random choices, and has at least `window` elements. For each list of losses CASE the file has
"CASE.losses" [n], "CASE.ratios" [n], which is this quotient after each loss (1 before there are `window` of
them), and in the metadata "CASE.window", "CASE.threshold" and "CASE.stop", the number of losses after which the
rule ends the run, or 0.

"critters/loss" [1] is this loss for the word "critter" as `ti train --stop auto` computes it: the mean of all
squared errors of the noise predictions at 8 points. Point i is picture i % pictures (the mean of its posterior)
at the middle of the i-th of 8 equal parts of the noise schedule, with template i * templates // 8. One generator
makes the noise in this order. "critters/options" are the options of `ti train`.
"""
import os
import shlex
import sys

import numpy as np
import torch

from common import HERE, Golden
from grid import SEED, fixed_loss
from loop import OBJECT, parse

POINTS = 8
OPTIONS = "--images weights/critters/concepts/grum --init critter --batch 4"


class Rule:
    """The authors' rule: `ratio` is the quotient after the last loss, and `stopped` says whether it was ever below
    the threshold."""

    def __init__(self, threshold, window):
        self.threshold, self.window, self.history, self.ratio, self.stopped = threshold, window, [], 1.0, False

    def add(self, loss):
        self.history.append(loss)
        if len(self.history) >= self.window:
            self.ratio = float(np.var(self.history[-self.window :]) / np.var(self.history))
        self.stopped = self.stopped or self.ratio < self.threshold


def record(golden, name, losses, threshold, window):
    rule, ratios, stop = Rule(threshold, window), [], 0
    for i, loss in enumerate(losses):
        rule.add(loss)
        ratios.append(rule.ratio)
        if rule.stopped and not stop:
            stop = i + 1
    golden.put(f"{name}.losses", torch.tensor(losses, dtype=torch.float64))
    golden.put(f"{name}.ratios", torch.tensor(ratios, dtype=torch.float64))
    for key, value in (("window", window), ("threshold", threshold), ("stop", stop)):
        golden.meta(f"{name}.{key}", value)
    print(name, "stops after", stop, "of", len(losses))


def lists(golden):
    g = np.random.default_rng(5)
    falling = 0.15 + 0.05 * np.exp(-np.arange(200) / 12)
    record(golden, "smooth", falling.tolist(), 0.15, 31)
    record(golden, "noisy", (falling + 0.002 * g.standard_normal(200)).tolist(), 0.15, 20)
    record(golden, "stepwise", (0.2 - 0.01 * (np.arange(60) // 10)).tolist(), 0.15, 12)
    record(golden, "no trend", (0.1 + 0.01 * g.standard_normal(100)).tolist(), 0.15, 30)
    record(golden, "straight", (0.3 - 0.001 * np.arange(80)).tolist(), 0.05, 10)
    record(golden, "short", [0.16, 0.157, 0.1562], 0.15, 2)
    record(golden, "too short", [0.16, 0.157, 0.1562], 0.15, 4)


def deterministic_loss(a, dtype):
    return fixed_loss(
        a, dtype, lambda pictures: [(i % pictures, i, POINTS, OBJECT[i * len(OBJECT) // POINTS]) for i in range(POINTS)]
    )


def main():
    os.chdir(os.path.join(HERE, ".."))
    torch.set_grad_enabled(False)
    golden = Golden(__file__, SEED)
    golden.meta("numpy", np.__version__)
    lists(golden)
    results = [deterministic_loss(parse(shlex.split(OPTIONS + " --token none")), d) for d in (torch.float64, torch.float32)]
    golden.meta("critters/options", OPTIONS)
    golden.result("critters/loss", *results)
    golden.save(sys.argv[1] if len(sys.argv) > 1 else "early_stop.safetensors")


if __name__ == "__main__":
    main()
