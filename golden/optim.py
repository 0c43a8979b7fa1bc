# SPDX-License-Identifier: MIT
"""Writes golden/optim.safetensors: torch's AdamW, and the learning rates of diffusers' get_scheduler.
"""
import sys

import torch
from diffusers.optimization import get_scheduler

from common import Golden, relative_error

golden = Golden("golden/optim.py", 5)
generator = torch.Generator().manual_seed(5)

STEPS, COUNT = 12, 256


def adamw(name, lr, **options):
    """Records p, m and v after each step of AdamW, and the error of p against the same in float64. The
    gradients have many orders of magnitude, and some are 0. The learning rate changes from step to step."""
    p = torch.nn.Parameter(torch.randn(COUNT, generator=generator) * 0.1)
    exact = torch.nn.Parameter(p.detach().double())
    optimizer, exact_optimizer = (torch.optim.AdamW([x], lr=lr, **options) for x in (p, exact))
    golden.put(f"{name}.start", p.detach().clone())
    grads, ps, ms, vs, exacts, rates = [], [], [], [], [], []
    for step in range(STEPS):
        p.grad = torch.randn(COUNT, generator=generator) * 10 ** torch.randn(COUNT, generator=generator)
        p.grad[step::17] = 0
        optimizer.param_groups[0]["lr"] = rate = lr * (1 + step % 3)
        optimizer.step()
        exact.grad = p.grad.double()
        exact_optimizer.param_groups[0]["lr"] = rate
        exact_optimizer.step()
        exacts.append(exact.detach().clone())
        state = optimizer.state[p]
        for kept, x in zip((grads, ps, ms, vs), (p.grad, p, state["exp_avg"], state["exp_avg_sq"])):
            kept.append(x.detach().clone())
        rates.append(rate)
    for key, kept in zip(("grad", "p", "m", "v"), (grads, ps, ms, vs)):
        golden.put(f"{name}.{key}", torch.stack(kept))
    golden.meta(f"torch:{name}.p", "%.1e" % relative_error(torch.stack(ps), torch.stack(exacts)))
    golden.meta(f"{name}.lr", " ".join(map(repr, rates)))


adamw("adamw", 5e-3)
adamw("adamw.decay", 4e-2, weight_decay=0.3)
adamw("adamw.other", 1e-3, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.0)


def schedule(kind, lr, warmup, steps, cycles):
    """Records the learning rates of the steps 0 ... steps + 4 as text with all digits of a double."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    options = dict(num_warmup_steps=warmup, num_training_steps=steps, num_cycles=cycles)
    scheduler = get_scheduler(kind, optimizer, **options)
    rates = []
    for _ in range(steps + 5):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    golden.meta(f"schedule.{kind}.{warmup}.{steps}.{cycles}", " ".join(repr(x) for x in [lr, *rates]))


for kind in ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"):
    schedule(kind, 5e-4, 0, 20, 1)
    schedule(kind, 0.04, 7, 40, 3)
    schedule(kind, 1e-3, 30, 20, 2)  # the run ends during the warm-up

golden.save(sys.argv[1] if len(sys.argv) > 1 else "optim.safetensors")
