"""Settings for a source and images that no suite was tuned to: derived from their size and number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.config import DomainConfig, NetConfig, Suite
from benchmark.domains.assets import list_targets, target_folder
from benchmark.domains.cards import list_cards
from benchmark.domains.packaged import images_at
from benchmark.domains.pictures.images import count_pictures
from benchmark.domains.prepared import read_provenance
from benchmark.registry import find_method

FULL_PX = 256
"""From this resolution on a training is as long as published ones; below it is shorter, as its images are smaller."""
WIDE = 512
"""Channels for which papers state their weights of losses; with fewer, a suite's `narrow_fields` count."""
DRAWN = {"own": DomainConfig().train + DomainConfig().test, "fewshot": 10}
"""Images of a domain that can draw any number, where nobody asked for one."""


def derived_settings(suite: Suite, shape: NetConfig, cache: Path, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The sections that follow from the source's networks and the images; of several domains the smallest counts.

    Numbers of the split that the suite states count as well.
    """
    assert suite.derived is not None
    split, given = suite.split, suite.split.model_fields_set
    found = [of for name in suite.domains if (of := counted(name, shape.resolution, split.filter, cache))]
    images, held_out = min(found, default=(DRAWN[suite.derived], None), key=lambda of: of[0])
    if not found and given >= {"train", "test"}:
        images = split.train + split.test
    images = max(images, 1)  # none is told with its reason when the domain is loaded
    if "test" in given:
        held_out = min(split.test, images - 1)
    most = split.train if "train" in given else None
    fields = suite.fields
    if shape.channels(4) < WIDE:
        fields = {
            name: fields.get(name, {}) | suite.narrow_fields.get(name, {}) for name in fields | suite.narrow_fields
        }
    sections = derived(suite.derived, shape.resolution, images, held_out, most)
    steps = sections["train"]["kimg"] * 1000 / sections["train"]["batch"]
    for name, shares in suite.step_shares.items():
        own = find_method(name, plugins)().model_dump() | fields.get(name, {})
        shorter = {field: n for field, share in shares.items() if (n := max(round(share * steps), 1)) < own[field]}
        fields = {**fields, name: fields.get(name, {}) | shorter}
    return sections | {"fields": fields}


def counted(name: str, resolution: int, resized: str, cache: Path) -> tuple[int, int | None] | None:
    """(images, how many of them are held out where that is fixed) of a domain; None where any number can be drawn.

    A data set that is not prepared has the numbers of its card.
    """
    targets = list_targets("target")
    if name in targets:
        card = targets[name]
        note = read_provenance(target_folder(cache, name).prepared(resolution, resized))
        if note is not None:
            return len(note.images), note.count("test")
        shots = card.few_shot.shots if card.few_shot else None
        return (shots, 0) if shots else (card.count, None) if card.count else None
    path = None if name in list_cards() else images_at(name)
    return None if path is None else (count_pictures(path, resolution), None)


def derived(
    kind: str, resolution: int, images: int, held_out: int | None = None, most: int | None = None
) -> dict[str, Any]:
    """The sections of a suite that is derived as `kind`, own or fewshot, for a source of `resolution` px and `images`.

    Of these, `held_out` are not trained on: by default a third and at most 1,000; with fewshot none. Of the others at
    most `most` train.

    - batch, learning rate, R1 and average as in stylegan2-ada-pytorch's configuration `auto` for one GPU, above all
      gamma = 0.0002 resolution^2 / batch (Karras et al. 2020, arXiv 2006.06676);
    - own: half as many kimg as there are training images, 20 to 1,000 (that repository's advice for transfer; for
      FixNoise it is 2,000 on 1,336 images); fewshot: 10 kimg, between AdAM's 6 and CDC's 20. Less below 256 px, by the
      area of an image;
    - ADA, faster in a shorter training, and flips: both serve small sets;
    - metrics that such a number of images can carry.
    """
    few = kind == "fewshot"
    test = 0 if few else min(1000, images // 3) if held_out is None else held_out
    area, trained = min(1.0, (resolution / FULL_PX) ** 2), min(images - test, most or images)
    whole = 10.0 if few else min(max(trained / 2, 20.0), 1000.0)
    kimg = float(f"{max(whole * area, 1.0):.3g}")
    batch = 4 if few else max(4, min(4096 // resolution, 32))
    rate = 0.002 if resolution >= 1024 else 0.0025
    train = {
        "kimg": kimg,
        "batch": batch,
        "lr_g": rate,
        "lr_d": rate,
        "r1_gamma": 0.0002 * resolution**2 / batch,
        "pl_weight": 2.0 if resolution >= 128 else 0.0,
        "ema_kimg": min(batch * 10 / 32, kimg / 4),
        "augment": "ada",
        "ada_kimg": min(100.0, kimg / 5),
        "mirror": True,
        "tick_kimg": max(kimg / 100, batch / 1000),
        "snapshot_kimg": [kimg / 4, kimg / 2, kimg * 3 / 4] if test else [],
    }
    samples = 5000 if test >= 1000 and resolution >= 128 else 1000
    measured = {"metrics": metrics(test), "samples": samples, "pairs": 200}
    if test:
        measured |= {"curve_metrics": ["kid_effnetlite0_128"]}
    return {
        "resolution": resolution,
        "split": {"train": trained, "test": test},
        "train": train,
        "eval": measured,
    }


def possible_metrics(kind: str) -> list[str]:
    """All that a suite that is derived as `kind` may measure."""
    return metrics(0 if kind == "fewshot" else 1000)


def metrics(held_out: int) -> list[str]:
    """What so many held-out images can carry; without any only diversity and the way from the source."""
    if not held_out:
        return ["intra_st_lpips_alex", "consistency_st_lpips_alex", "distance_averaged_l1", "lpips_vgg"]
    found = ["kid_effnetlite0_128", "consistency_st_lpips_alex", "distance_averaged_l1", "memorisation_effnetlite0_128"]
    if held_out >= 100:
        found += ["precision_effnetlite0_128", "recall_effnetlite0_128", "kid", "lpips_vgg"]
    return [*found, "fid"] if held_out >= 500 else found
