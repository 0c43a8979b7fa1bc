# SPDX-License-Identifier: MIT
"""Writes golden/samplers.safetensors: diffusers' scheduler classes with every kind of scheduler_config.json, each
config read by the class that it names and by every other class that `ti generate --sampler` knows.

The metadata key "configs" holds the config files by name, and "cases" has one line for each case: the name of the
sampler, the config, whether it was converted (`X.from_config(pipeline.scheduler.config)`, as with --sampler) or is
the pipeline's own, what --karras says, the sizes below, and for each N in STEPS whether the class can draw in N
steps: "+" yes, "-" it raises an error or computes NaN. The pipeline is a StableDiffusionPipeline, which changes some
fields. For case number I there are

    I/timesteps   of all N that are possible, one after another; of N = 1000 only every STRIDE-th
    I/sigmas      the same for sigmas, if the class has them, each with the one after the last step
    I/chain       [2, 24], the sample after the 5th and the last evaluation of a run of CHAIN steps, whose model is
                  e = `model` + 0.1 x, and whose noise comes from a generator with seed 7
    I/sums        the sums of timesteps and sigmas of N = 1000, in float64
"""
import json
import os
import tempfile

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.schedulers import AysSchedules

from common import CRITTERS, HERE, Golden, normal
from files import saved_config, scheduler_class

CLASSES = {
    "ddim": "DDIMScheduler", "pndm": "PNDMScheduler", "euler": "EulerDiscreteScheduler", "lcm": "LCMScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler", "dpm++2m": "DPMSolverMultistepScheduler",
    "dpm++2m-sde": "DPMSolverMultistepScheduler",
}  # fmt: skip
ALGORITHMS = {"dpm++2m": "dpmsolver++", "dpm++2m-sde": "sde-dpmsolver++"}
STEPS = (1, 7, 20, 50, 1000)
STRIDE, CHAIN, KEPT = 29, 10, 5

SD1 = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
           set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, trained_betas=None, clip_sample=False)  # fmt: skip
ZERO = dict(timestep_spacing="trailing", rescale_betas_zero_snr=True, prediction_type="v_prediction")
# The fields in which a config differs from that of Stable Diffusion 1.x. Each is saved by the class, so that the file
# has all its fields.
SAVED = {
    "saved-pndm": ("pndm", {}),
    "saved-ddim": ("ddim", {}),
    "saved-euler": ("euler", {}),
    "saved-ancestral": ("euler-a", {}),
    "saved-dpm": ("dpm++2m", {}),
    "saved-lcm": ("lcm", {}),
    "zero": ("ddim", ZERO),
    "sample": ("dpm++2m", dict(prediction_type="sample")),
    "pndm-linspace": ("pndm", dict(timestep_spacing="linspace", set_alpha_to_one=True)),
    "pndm-trailing": ("pndm", dict(timestep_spacing="trailing", prediction_type="v_prediction")),
    "runge-kutta": ("pndm", dict(skip_prk_steps=False)),
    "runge-kutta-v": ("pndm", dict(skip_prk_steps=False, prediction_type="v_prediction", timestep_spacing="linspace")),
    "euler-karras": ("euler", dict(use_karras_sigmas=True)),
    "euler-karras-v": ("euler", dict(use_karras_sigmas=True, prediction_type="v_prediction", timestep_spacing="leading")),
    "euler-exponential": ("euler", dict(use_exponential_sigmas=True, final_sigmas_type="sigma_min")),
    "euler-log": ("euler", dict(interpolation_type="log_linear")),
    "euler-log-karras": ("euler", dict(interpolation_type="log_linear", use_karras_sigmas=True, timestep_spacing="trailing")),
    "euler-ends": ("euler", dict(use_karras_sigmas=True, sigma_min=0.05, sigma_max=12.5)),
    "euler-continuous": ("euler", dict(ZERO, timestep_type="continuous")),
    "euler-sample": ("euler", dict(prediction_type="sample", timestep_spacing="leading")),
    "ancestral-zero": ("euler-a", ZERO),
    "ancestral-leading": ("euler-a", dict(timestep_spacing="leading")),
    "dpm-karras": ("dpm++2m", dict(use_karras_sigmas=True)),
    "dpm-cosine": ("dpm++2m", dict(use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2")),
    "dpm-clipped": ("dpm++2m", dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1, timestep_spacing="trailing")),
    "dpm-clipped-lead": ("dpm++2m", dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1, timestep_spacing="leading")),
    "dpm-exponential": ("dpm++2m", dict(use_exponential_sigmas=True, euler_at_final=True, final_sigmas_type="sigma_min")),
    "dpm-lu": ("dpm++2m", dict(use_lu_lambdas=True, timestep_spacing="trailing")),
    "dpm-1": ("dpm++2m", dict(solver_order=1, timestep_spacing="leading", prediction_type="v_prediction")),
    "dpm-3": ("dpm++2m", dict(solver_order=3)),
    "dpm-3-final": ("dpm++2m", dict(solver_order=3, lower_order_final=False, final_sigmas_type="sigma_min")),
    "dpm-heun": ("dpm++2m", dict(solver_type="heun", lower_order_final=False, use_karras_sigmas=True)),
    "dpm-heun-final": ("dpm++2m", dict(solver_type="heun", lower_order_final=False, final_sigmas_type="sigma_min")),
    "dpm-threshold": ("dpm++2m", dict(thresholding=True, sample_max_value=1.5, dynamic_thresholding_ratio=0.9)),
    "dpm-zero": ("dpm++2m", ZERO),
    "sde": ("dpm++2m", dict(algorithm_type="sde-dpmsolver++", use_karras_sigmas=True)),
    "lcm-100": ("lcm", dict(original_inference_steps=100, timestep_scaling=5.0, prediction_type="v_prediction")),
    "lcm-clip": ("lcm", dict(thresholding=True, sample_max_value=2.0, set_alpha_to_one=False)),
}  # fmt: skip
# Files as they are, for which defaults decide.
FILES = {
    "sd1": dict(SD1, _class_name="PNDMScheduler"),
    "sd2": dict(SD1, _class_name="DDIMScheduler", prediction_type="v_prediction"),
    **{f"empty-{name}": dict(_class_name=cls) for name, cls in CLASSES.items() if name != "dpm++2m-sde"},
    "offset": dict(_class_name="EulerDiscreteScheduler", steps_offset=0, clip_sample=True, timestep_spacing="leading"),
    "short": dict(SD1, _class_name="DPMSolverMultistepScheduler", num_train_timesteps=130, beta_schedule="linear"),
    "hidden": dict(SD1, _class_name="PNDMScheduler", use_karras_sigmas=True, sigma_min=0.04, sigma_max=11.0),
}  # fmt: skip


def make_configs():
    configs = dict(FILES)
    for name, (sampler, fields) in SAVED.items():
        cls = scheduler_class(CLASSES[sampler])
        configs[name] = saved_config(cls.from_config(SD1, **fields))
    return configs


def exact_sqrt(x):
    """The square root, correctly rounded. torch's, in fp32, comes from MKL, whose last bit differs among machines; the
    rescaling to zero SNR makes 5e-6 of that."""
    return x.double().pow(0.5).to(x.dtype)


def read_config(config, parts):
    """Returns the scheduler of a pipeline whose folder has this scheduler_config.json."""
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/scheduler_config.json", "w") as f:
            json.dump(config, f)
        theirs = scheduler_class(config["_class_name"]).from_pretrained(d)
    return StableDiffusionPipeline(**parts, scheduler=theirs, safety_checker=None, feature_extractor=None,
                                   requires_safety_checker=False).scheduler  # fmt: skip


def convert(scheduler, sampler, karras):
    fields = {"algorithm_type": ALGORITHMS[sampler]} if sampler in ALGORITHMS else {}
    if karras is not None:
        fields["use_karras_sigmas"] = karras
    return scheduler_class(CLASSES[sampler]).from_config(scheduler.config, **fields)


def run(scheduler, steps, model):
    """Sets the timesteps and makes all steps on the model. Returns the timesteps, the sigmas (or None), and the samples
    after some evaluations; raises ValueError where a result is not finite."""
    if steps == "ays":
        scheduler.set_timesteps(timesteps=AysSchedules["StableDiffusionTimesteps"])
    else:
        scheduler.set_timesteps(steps)
    timesteps, sigmas = scheduler.timesteps.clone(), None
    # Classes without a sigma for each step have none, or the noise schedule's.
    if hasattr(scheduler, "sigmas"):
        sigmas = scheduler.sigmas[: len(timesteps) + 1].clone()
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(1, 4, 2, 3, generator=generator) * scheduler.init_noise_sigma
    more = {} if isinstance(scheduler, (diffusers.PNDMScheduler,)) else {"generator": generator}
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    kept = []
    for k, t in enumerate(timesteps):
        output = model + 0.1 * scheduler.scale_model_input(x, t)
        x = scheduler.step(output, t, x, **more).prev_sample
        if k + 1 in (KEPT, len(timesteps)):
            kept.append(x.flatten())
    if not x.isfinite().all():
        raise ValueError("not finite")
    return timesteps.float(), sigmas, kept


def put_case(golden, i, scheduler, model):
    """Returns for each N whether the class can draw in so many steps."""
    timesteps, sigmas, verdicts = [], [], ""
    for n in STEPS:
        try:
            if n > scheduler.config.num_train_timesteps:
                raise ValueError("more steps than timesteps")
            t, s, _ = run(scheduler, n, model)
        except (ValueError, IndexError, NotImplementedError, RuntimeError):
            verdicts += "-"
            continue
        verdicts += "+"
        if n == max(STEPS):
            golden.put(f"{i}/sums", torch.stack([t.double().sum(), s.double().sum() if s is not None else torch.tensor(0.0).double()]))
            t, s = t[::STRIDE], s[::STRIDE] if s is not None else None
        timesteps.append(t)
        if s is not None:
            sigmas.append(s)
    if timesteps:
        golden.put(f"{i}/timesteps", torch.cat(timesteps))
    if sigmas:
        golden.put(f"{i}/sigmas", torch.cat(sigmas))
    try:
        golden.put(f"{i}/chain", torch.stack(run(scheduler, CHAIN, model)[2]))
    except (ValueError, IndexError, NotImplementedError):
        verdicts += "-"
    else:
        verdicts += "+"
    return verdicts


def main():
    os.chdir(os.path.join(HERE, ".."))
    golden = Golden(__file__, 7)
    torch.Tensor.sqrt = exact_sqrt
    pipe = StableDiffusionPipeline.from_pretrained(CRITTERS, safety_checker=None)
    parts = {k: getattr(pipe, k) for k in ("vae", "text_encoder", "tokenizer", "unet")}
    model = normal(1, 4, 2, 3, seed=1)
    golden.put("model", model.flatten())
    configs = make_configs()
    golden.meta("configs", "\n".join(f"{name} {json.dumps(c)}" for name, c in configs.items()))
    lines = []
    for name, config in configs.items():
        scheduler = read_config(config, parts)
        own = [s for s, cls in CLASSES.items() if cls == config["_class_name"]
               and ALGORITHMS.get(s) in (None, config.get("algorithm_type", "dpmsolver++"))]  # fmt: skip
        runs = [(s, "converted", None) for s in CLASSES] + [(s, "own", None) for s in own]
        if name in ("sd1", "euler-karras", "dpm-karras", "sd2", "euler-exponential"):
            runs += [(s, "converted", k) for s in ("euler", "dpm++2m", "dpm++2m-sde") for k in (True, False)
                     if not (k and "exponential" in name)]  # fmt: skip
        for sampler, way, karras in runs:
            try:
                used = scheduler if way == "own" else convert(scheduler, sampler, karras)
                verdicts = put_case(golden, len(lines), used, model)
            except ValueError as e:  # the class refuses the config itself
                print(name, sampler, e)
                verdicts = "-" * (len(STEPS) + 1)
            option = "file" if karras is None else "on" if karras else "off"
            lines.append(f"{sampler} {name} {way} {option} {verdicts}")
    golden.meta("cases", "\n".join(lines))
    t, s, kept = run(convert(read_config(configs["sd1"], parts), "dpm++2m", None), "ays", model)
    for what, tensor in (("timesteps", t), ("sigmas", s), ("chain", torch.stack(kept))):
        golden.put(f"ays/{what}", tensor)
    golden.save("samplers.safetensors")
    print(len(lines), "cases")


if __name__ == "__main__":
    main()
