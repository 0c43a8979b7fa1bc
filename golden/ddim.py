# SPDX-License-Identifier: MIT
"""Writes golden/ddim.safetensors: DDIM sampling with every kind of scheduler_config.json. For each CONFIG in
CONFIGS it has

    CONFIG/alphas_cumprod    alphas_cumprod of DDIMScheduler and DDPMScheduler, in fp32 as in the reference
    CONFIG/timesteps/N       the timesteps of N steps. For some N, spacing "trailing" makes N + 1 of them; the
                             last one, -1, is left out
    CONFIG/chain/ETA         [6, 60], the sample after each of 6 calls of DDIMScheduler.step, which start from
                             the tensor `x` with the network outputs `outputs` and the noise `noise`
    CONFIG/noised, velocity  [3, 60], DDPMScheduler.add_noise and get_velocity of `x` and the first noise, at
                             the timesteps NOISED

The metadata key "CONFIG/config" holds the config file. It is saved and read back by the scheduler class that
it names, and this scheduler is put into a StableDiffusionPipeline and converted with
DDIMScheduler.from_config.

In addition the file has pictures as golden/picture.py records them. Each is generated with a model of
golden/models ("CASE/model"), whose scheduler config is replaced by one of CONFIGS ("CASE/scheduler").
"""
import json
import os
import shlex
import shutil
import tempfile

import torch
from diffusers import DDPMScheduler, PNDMScheduler, StableDiffusionPipeline

import picture
from common import CRITTERS, HERE, Golden, both, normal, relative_error
from files import converted_to_ddim, saved_config, scheduler_class

SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
          set_alpha_to_one=False, clip_sample=False, trained_betas=None, num_train_timesteps=1000)  # fmt: skip
ZERO = dict(timestep_spacing="trailing", rescale_betas_zero_snr=True)
# For each name the scheduler class, and the fields in which the config differs from that of Stable Diffusion
# 1.x converted to the class. With False the config has only the fields in CLIPPED.
CONFIGS = {
    "euler": ("EulerDiscreteScheduler", {}),
    "ancestral": ("EulerAncestralDiscreteScheduler", dict(ZERO, prediction_type="v_prediction")),
    "dpm": ("DPMSolverMultistepScheduler", dict(beta_schedule="squaredcos_cap_v2", use_karras_sigmas=True)),
    "unipc": ("UniPCMultistepScheduler", dict(prediction_type="sample", set_alpha_to_one=True)),
    "deis": ("DEISMultistepScheduler", dict(thresholding=True, sample_max_value=1.5, dynamic_thresholding_ratio=0.93)),
    "lcm": ("LCMScheduler", dict(rescale_betas_zero_snr=True)),
    "tcd": ("TCDScheduler", dict(ZERO, prediction_type="sample", set_alpha_to_one=True, beta_schedule="linear")),
    "cosine_zero": ("DDIMScheduler", dict(ZERO, prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2")),
    "own_zero": ("DDPMScheduler", dict(rescale_betas_zero_snr=True, prediction_type="v_prediction", num_train_timesteps=50,
                                       trained_betas=[0.01 + 0.002 * (i % 9) for i in range(50)])),
    "short": ("HeunDiscreteScheduler", dict(num_train_timesteps=499, timestep_spacing="trailing")),
    "clipped": ("PNDMScheduler", False),
    "clipped_zero": ("DPMSolverSDEScheduler", False),
}  # fmt: skip
CLIPPED = {
    "clipped": dict(timestep_spacing="linspace", clip_sample_range=1.25),
    "clipped_zero": dict(ZERO, clip_sample_range=0.75, beta_start=0.001, beta_end=0.02),
}
STEPS = (1, 2, 3, 7, 30, 50, 61, 499, 999, 1000)
NOISED = (0, 0.5, 1)  # as fractions of the last timestep
CHAIN = 6
PICTURES = {
    "linspace": ("euler", "golden/models/narrow", "--prompt 'a cat' --sampler ddim --steps 11 --guidance 3 --seed 8 --eta 0.4"),
    "trailing": ("ancestral", "golden/models/linear", "--prompt 'a toy' --sampler ddim --steps 7 --guidance 2 --seed 9"),
    "sample": ("unipc", "golden/models/wide", "--prompt 'an animal' --sampler ddim --steps 5 --guidance 2 --seed 10"),
    "threshold": ("deis", "golden/models/narrow", "--prompt 'a cat' --sampler ddim --steps 6 --guidance 4 --seed 11 --count 2"),
}


def make_config(name):
    cls, fields = CONFIGS[name]
    theirs = scheduler_class(cls)
    if fields is False:  # DDIM clips the predicted sample only when the file has no clip_sample
        return {"_class_name": cls, **CLIPPED[name]}
    config = saved_config(theirs.from_config(PNDMScheduler.from_config(SD).config))
    return saved_config(theirs.from_config({**config, **fields}))


def read_config(config, pipe):
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/scheduler_config.json", "w") as f:
            json.dump(config, f)
        theirs = scheduler_class(config["_class_name"]).from_pretrained(d)
        return converted_to_ddim(theirs, pipe), DDPMScheduler.from_pretrained(d)


def put_timesteps(golden, name, ddim):
    c = ddim.config
    for n in STEPS:
        if n > c.num_train_timesteps:
            continue
        ddim.set_timesteps(n)
        t = ddim.timesteps
        if len(t) > n:
            assert c.timestep_spacing == "trailing" and len(t) == n + 1 and t[-1] == -1, (name, n)
            t = t[:n]
        if t[0] < c.num_train_timesteps:  # otherwise alphas_cumprod[t] raises IndexError
            golden.put(f"{name}/timesteps/{n}", t.int())


def chain(ddim, eta):
    """Returns a function that makes one DDIM step after another, for common.both."""
    def run(x, outputs, noise, abar):
        ddim.alphas_cumprod = abar
        ddim.final_alpha_cumprod = torch.ones_like(abar[0]) if ddim.config.set_alpha_to_one else abar[0]
        after = []
        for t, output, n in zip(ddim.timesteps, outputs, noise, strict=True):
            x = ddim.step(output[None], t, x[None], eta=eta, variance_noise=n[None]).prev_sample[0]
            after.append(x.flatten())
        return (torch.stack(after),)

    return run


def put_numbers(golden, name, ddim, ddpm, inputs):
    abar = ddim.alphas_cumprod.clone()
    assert torch.equal(abar, ddpm.alphas_cumprod)
    golden.put(f"{name}/alphas_cumprod", abar)
    put_timesteps(golden, name, ddim)
    ddim.set_timesteps(CHAIN)
    for eta in (0, 0.7):
        (f64,), (f32,) = both(chain(ddim, eta), [], (*inputs, abar))
        golden.result(f"{name}/chain/{eta}", f64, f32)
    t = torch.tensor([int(p * (len(abar) - 1)) for p in NOISED])

    def noised(x, _, noise, abar):
        ddpm.alphas_cumprod = abar
        x, noise = (v.flatten().expand(len(t), -1) for v in (x, noise[0]))
        return ddpm.add_noise(x, noise, t), ddpm.get_velocity(x, noise, t)

    for what, f64, f32 in zip(("noised", "velocity"), *both(noised, [], (*inputs, abar)), strict=True):
        golden.result(f"{name}/{what}", f64, f32)


def put_picture(golden, name, config, model, options):
    a = picture.parse(shlex.split(options))
    a.variant = "fp16" if "narrow" in model else None
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(model, f"{d}/model")
        with open(f"{d}/model/scheduler/scheduler_config.json", "w") as f:
            json.dump(config, f)
        with open(f"{d}/model/model_index.json") as f:
            index = json.load(f)
        index["scheduler"] = ["diffusers", config["_class_name"]]
        with open(f"{d}/model/model_index.json", "w") as f:
            json.dump(index, f)
        a.model = f"{d}/model"
        latents, images = picture.generate(a)
        a.threads = 1
        other, images_1 = picture.generate(a)
    pictures = picture.eight_bit(images)
    difference = (picture.eight_bit(images_1).int() - pictures.int()).abs().max().item()
    golden.meta(f"{name}/options", options)
    golden.meta(f"{name}/model", model)
    golden.meta(f"{name}/scheduler", json.dumps(config))
    golden.meta(f"{name}/threads", "%.1e %d" % (relative_error(other, latents), difference))
    golden.put(f"{name}/pictures", pictures.half())
    print(name, tuple(pictures.shape), f"std {pictures.float().std():.0f}", golden.metadata[f"{name}/threads"])


def main():
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 12)
    pipe = StableDiffusionPipeline.from_pretrained(CRITTERS, safety_checker=None)
    inputs = normal(4, 3, 5, seed=1), normal(CHAIN, 4, 3, 5, seed=2), normal(CHAIN, 4, 3, 5, seed=3)
    for name, tensor in zip(("x", "outputs", "noise"), inputs, strict=True):
        golden.put(name, tensor)
    configs = {name: make_config(name) for name in CONFIGS}
    for name, config in configs.items():
        golden.meta(f"{name}/config", json.dumps(config))
        put_numbers(golden, name, *read_config(config, pipe), inputs)
    for name, (config, model, options) in PICTURES.items():
        put_picture(golden, name, configs[config], model, options)
    golden.save("ddim.safetensors")


if __name__ == "__main__":
    main()
