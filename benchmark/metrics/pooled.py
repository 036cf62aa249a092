"""Scores of whole sets of images, from their pooled features."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import DataError
from benchmark.metrics.base import NO_TRAINING, Kind, MetricInfo, Score
from benchmark.metrics.families import NEIGHBOURS
from benchmark.metrics.formulas.clip_mmd import features_to_cmmd
from benchmark.metrics.formulas.fd_infinity import fd_with_std_error, features_to_fd_infinity
from benchmark.metrics.formulas.kid import AT_LEAST as KID_AT_LEAST
from benchmark.metrics.formulas.kid import features_to_kid
from benchmark.metrics.formulas.neighbours import features_to_prdc, nearest_training
from benchmark.metrics.formulas.sliced import features_to_mind
from benchmark.metrics.formulas.vendi import features_to_vendi
from benchmark.metrics.networks.feature_cache import Features

PRDC: tuple[Kind, ...] = ("precision", "recall", "density", "coverage")
MEMORISATION: tuple[Kind, ...] = ("memorisation", "authenticity")
"""These need features of the training images."""
COMPARE_TRAINING: tuple[Kind, ...] = (*MEMORISATION, "own")
"""Kinds whose formulas are given features of the training images."""
POOLED: tuple[Kind, ...] = ("kid", "fd", "fd_infinity", *PRDC, *MEMORISATION, "mind", "vendi", "cmmd", "own")
OF_PICTURES: tuple[Kind, ...] = ("picture_kid",)
"""Kinds that compare translated pictures with the held-out images."""


def features_to_scores(
    infos: Sequence[MetricInfo], fakes: Features, real: Features, training: Features | None = None
) -> dict[str, Score]:
    """{name: score} of the metrics that compare sets of features; n is the number of generated images.

    ``real`` is of held-out images; ``training`` of those that were trained on, for metrics that ask for them. All are
    as many as each of the metrics needs (sizes.py).
    """
    n = len(fakes)
    kinds = {info.kind for info in infos}
    found: dict[Kind, Score] = {}
    if "kid" in kinds:
        value, std_error = features_to_kid(fakes, real)
        found["kid"] = Score.measured(value, n, std_error)
    if "fd" in kinds:
        distance, std_error = fd_with_std_error(fakes, real)
        found["fd"] = Score.measured(distance, n, std_error)
    if "fd_infinity" in kinds:
        found["fd_infinity"] = _fd_infinity(fakes, real)
    if kinds.intersection(PRDC):
        values = vars(features_to_prdc(real, fakes, NEIGHBOURS))
        found |= {kind: Score.measured(values[kind], n) for kind in PRDC}
    if "mind" in kinds:
        found["mind"] = Score.measured(features_to_mind(fakes, real), n)
    if "vendi" in kinds:
        found["vendi"] = _vendi(fakes, real)
    if "cmmd" in kinds:
        found["cmmd"] = Score.measured(features_to_cmmd(fakes, real), n)
    if kinds.intersection(MEMORISATION):
        found |= _memorisation(fakes, real, training)
    held = [None if x is None else _read_only(x) for x in (fakes, real, training)]
    own = {info.name: info.own.score(*held) for info in infos if info.own is not None}  # type: ignore[arg-type]
    return {info.name: own[info.name] if info.own is not None else found[info.kind] for info in infos}


def picture_scores(infos: Sequence[MetricInfo], pictures: Features | str, real: Features) -> dict[str, Score]:
    """{name: score} of the kinds OF_PICTURES, from features of translated pictures or the reason why there are none."""
    if isinstance(pictures, str):
        return {info.name: Score.missing(pictures) for info in infos}
    if len(pictures) < KID_AT_LEAST:
        few = f"not available: needs {KID_AT_LEAST} translated pictures; there are {len(pictures)}"
        return {info.name: Score.missing(few) for info in infos}
    value, std_error = features_to_kid(pictures, real)
    return {info.name: Score.measured(value, len(pictures), std_error) for info in infos}


def _read_only(x: Features) -> Features:
    """The same numbers, which a formula of somebody else cannot change for the metrics after it."""
    view = x.view()
    view.flags.writeable = False
    return view


def _fd_infinity(fakes: Features, real: Features) -> Score:
    """A value only where FD is a straight line in 1/N: elsewhere the interval does not hold what it promises."""
    fit = features_to_fd_infinity(fakes, real, seed=0)
    if not fit.straight:
        return Score.missing("not available: FD is no straight line in 1/N at so few images; raise eval.samples")
    return Score(value=fit.value, n=len(fakes), std_error=fit.std_error, interval=fit.interval)


def _vendi(fakes: Features, real: Features) -> Score:
    """With what equal numbers of generated and of held-out images have, since the score grows with the number."""
    alike, value = min(len(fakes), len(real)), features_to_vendi(fakes)
    equal = value if alike == len(fakes) else features_to_vendi(fakes[:alike])
    own = f"held-out images' own {features_to_vendi(real[:alike]):.4g}, generated ones {equal:.4g}"
    return Score.measured(value, len(fakes), note=f"at N={alike}: {own}")


def _memorisation(fakes: Features, real: Features, training: Features | None) -> dict[Kind, Score]:
    """Both scores, each with the number that it has to be read beside; a set that is too small costs these alone."""
    if training is None:
        return dict.fromkeys(MEMORISATION, Score.missing(NO_TRAINING))
    try:
        found = nearest_training(fakes, training, real)
    except DataError as error:
        return dict.fromkeys(MEMORISATION, Score.missing(f"not available: {error}"))
    n = len(fakes)
    ratio = f"median distance to the nearest training image: {found.median_ratio:.3g} of held-out images' own"
    own = f"held-out images' own: {found.held_out_authenticity:.3g}"
    return {
        "memorisation": Score.measured(found.share_nearer, n, note=ratio),
        "authenticity": Score.measured(found.authenticity, n, note=own),
    }
