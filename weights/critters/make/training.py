# SPDX-License-Identifier: MIT
"""What the trainings of the three networks share: the loop, and the state with which it survives a kill.

A run that was killed goes on where its state was saved last, with the same random numbers. So on one machine
it ends with the same bits as a run that was never killed, as long as its length is given in steps. A length
in minutes counts those of all parts of the run, and how many steps they are differs from time to time."""
import copy
import math
import os
import random
import time

import torch

from files import written

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Average:
    """An exponential moving average of a module's weights, which follows faster at the beginning."""

    def __init__(self, module, decay):
        self.module, self.decay = copy.deepcopy(module).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, module, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        for mean, p in zip(self.module.parameters(), module.parameters()):
            mean.lerp_(p.detach(), 1 - decay)


class Run:
    """One training: modules, which are averaged, and an optimizer, and how far it has come."""

    def __init__(self, path, plan, modules, groups, seed):
        """path is the state's. groups are lists of parameters, each with the factor of its learning rate."""
        torch.manual_seed(seed + 1)
        self.path, self.plan, self.modules = path, plan, modules
        self.averages = [Average(module, plan.average) for module in modules]
        self.optimizer = torch.optim.AdamW(
            [{"params": parameters, "scale": scale} for parameters, scale in groups],
            lr=plan.lr, betas=plan.betas, weight_decay=plan.weight_decay,
        )  # fmt: skip
        self.random = random.Random(seed)
        self.step, self.seconds = 0, 0.0

    def progress(self):
        """Returns which part of the training is done, 0 to 1."""
        if self.plan.steps:
            return min(1, self.step / self.plan.steps)
        return min(1, self.seconds / (60 * self.plan.minutes))

    def rate(self):
        """Returns the learning rate of the next step."""
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return self.plan.lr * min(1, (self.step + 1) / self.plan.warmup) * (0.02 + 0.98 * cosine)

    def save(self):
        state = {
            "modules": [module.state_dict() for module in self.modules],
            "averages": [average.module.state_dict() for average in self.averages],
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "random": self.random.getstate(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if DEVICE == "cuda" else None,
        }
        with written(self.path) as new:
            try:
                torch.save(state, new)
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                raise OSError(f"{new} cannot be written; is the disk full? ({reason})") from None

    def load(self):
        """Goes on from the saved state, if there is one."""
        if not os.path.exists(self.path):
            return
        try:
            state = torch.load(self.path, map_location="cpu")
        except Exception as error:  # whatever a damaged file makes the library say
            reason = str(error).splitlines()[0]
            raise ValueError(f"{self.path} cannot be read; remove it to begin anew ({reason})") from None
        for module, saved in zip(self.modules, state["modules"]):
            module.load_state_dict(saved)
        for average, saved in zip(self.averages, state["averages"]):
            average.module.load_state_dict(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.random.setstate(state["random"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and DEVICE == "cuda":
            torch.cuda.set_rng_state(state["cuda"])
        print(f"  goes on after step {self.step} and {self.seconds / 60:.1f} minutes", flush=True)

    def train(self, loss_of, clipped):
        """Trains to the end and returns the averaged modules. loss_of(random numbers) returns the loss of a
        new batch, and the gradient of the parameters in clipped is scaled to a norm of at most 1."""
        for module in self.modules:
            module.train()
        self.load()
        clipped, mean, saved, reported = list(clipped), None, time.time(), time.time()
        while self.progress() < 1:
            start, rate = time.time(), self.rate()
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            loss = loss_of(self.random)
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss of step {self.step + 1} is not finite: lower the learning rate"
                )
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(clipped, 1.0)
            self.optimizer.step()
            self.step += 1
            for average, module in zip(self.averages, self.modules):
                average.update(module, self.step)
            mean = value if mean is None else 0.98 * mean + 0.02 * value
            now = time.time()
            self.seconds += now - start
            if now - reported >= self.plan.report or self.progress() == 1:
                reported = now
                minutes = self.seconds / 60
                print(f"  [{minutes:6.1f} min] step {self.step} loss {mean:.4f} rate {rate:.1e}", flush=True)
            if now - saved >= self.plan.save:
                saved = now
                self.save()
        return [average.module for average in self.averages]


def autocast(plan):
    """Returns the context in which the networks of a stage compute."""
    return torch.autocast(DEVICE, torch.bfloat16, enabled=plan.bf16)


def picture_batch(pictures):
    """Returns uint8 pictures [B, H, W, 3] as a tensor [B, 3, H, W] of values from 0 to 255 on the device."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().to(DEVICE)
