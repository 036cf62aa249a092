"""The hooks of methods, by what they do to a composition."""

EXCLUSIVE = {
    "finalize": "make the generator that is evaluated",
    "noise": "choose the noise of evaluated images",
    "controls": "have a control",
    "lr_scale": "scale the learning rates",
    "resting": "train in stages",
    "latents": "choose the latents of fakes",
    "judge": "judge images",
    "augment": "choose what D sees of them",
    "truncation": "truncate the fakes",
    "training": "re-use another method's training",
}
"""Hooks of which a composition can have one, and what two of them would both do."""

OF_JUDGEMENT = ("judge", "discriminator_loss", "latents", "augment", "truncation")
"""Hooks about what D judges, without effect where a part of the composition trains without an adversary."""

TRAINING_HOOKS = (
    "warm_up",
    "prepare",
    "frozen",
    "generator_loss",
    "discriminator_loss",
    "lr_scale",
    "settings",
    "resting",
    "latents",
    "judge",
    "augment",
    "truncation",
    "adversarial",
    "after_step",
)
"""Hooks that change weights; a method without any of them trains like plain fine-tuning."""

EFFECTS = (*TRAINING_HOOKS, "training", "finalize", "noise", "controls")
"""Hooks in which two methods give different results."""
HOOKS = ("check", *EFFECTS)
