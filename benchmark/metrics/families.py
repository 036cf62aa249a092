"""Metrics that come in one form for each network: how each form is called and described."""

from __future__ import annotations

from benchmark.metrics.base import Kind, MetricInfo

NEIGHBOURS = 5
"""k of precision, recall, density and coverage."""
CENTRES = 10
"""Training images around which intra-LPIPS gathers generated ones, as in few-shot tables."""


def neighbours(network: str, words: str, needs: str) -> list[MetricInfo]:
    """Precision, recall (Kynkäänniemi et al. 2019), density, coverage (Naeem et al. 2020)."""
    kinds: tuple[Kind, ...] = ("precision", "recall", "density", "coverage")
    return [
        MetricInfo(f"{kind}_{network}", f"{kind}, k={NEIGHBOURS}, {words}", kind, network, needs, "higher")
        for kind in kinds
    ]


def memorisation(network: str, words: str, needs: str) -> list[MetricInfo]:
    """Distance to training images against held-out images' own; authenticity (Alaa et al. 2022)."""
    nearer = "share of images nearer to a training image than the 5 % quantile of held-out images"
    own = "share of images that are no near copies of a training image; yardstick: held-out images' own, in the note"
    return [
        MetricInfo(
            f"memorisation_{network}",
            f"{nearer}; 0.05 without memorisation; {words}",
            "memorisation",
            network,
            needs,
        ),
        MetricInfo(
            f"authenticity_{network}", f"authenticity, {own}; {words}", "authenticity", network, needs, "higher"
        ),
    ]


def intra(network: str, words: str, needs: str) -> MetricInfo:
    """Ojha et al. 2021 (CDC), but with empty clusters counted as 0 instead of dropped."""
    title = f"mean {words} within {CENTRES} clusters around training images, empty ones counted as 0"
    return MetricInfo(f"intra_{network}", title, "intra", network, needs, "higher")


def balanced(network: str, words: str, needs: str) -> MetricInfo:
    """Seo et al. 2023 (LFS-GAN), B-LPIPS: intra-LPIPS that lopsided clusters lower."""
    title = f"mean {words} within {CENTRES} clusters around training images, weighted by the balance of their sizes"
    return MetricInfo(f"intra_balanced_{network}", title, "intra_balanced", network, needs, "higher")


def path_length(network: str, words: str, needs: str) -> MetricInfo:
    """Karras et al. 2019, as in StyleGAN2."""
    title = f"perceptual path length in w, {words}"
    return MetricInfo(f"ppl_{network}", title, "path_length", network, needs)


def mind(name: str, network: str, words: str, needs: str) -> MetricInfo:
    """Berthet et al. 2026."""
    return MetricInfo(name, f"MIND (sliced Wasserstein), {words}", "mind", network, needs)


def vendi(network: str, words: str, needs: str) -> MetricInfo:
    """Friedman and Dieng 2023."""
    title = f"Vendi score, effective number of different images, {words}"
    return MetricInfo(f"vendi_{network}", title, "vendi", network, needs, "higher")


def legacy(network: str, words: str, needs: str) -> list[MetricInfo]:
    """The distance to the source that FixNoise published, kept for comparison with that paper."""
    flaws = "as published with Fix the Noise, flawed: uniform z, independent noise in both networks"
    stem = "legacy_uniform_z_independent_noise"
    return [
        MetricInfo(f"{stem}_{network}", f"{words} to the source, {flaws}", "legacy_consistency", network, needs),
        MetricInfo(
            f"{stem}_face_crop_{network}",
            f"{words} to the source, {flaws}, a face's place cut out",
            "legacy_consistency_face",
            network,
            needs,
        ),
    ]


def picture_distance(network: str, words: str, needs: str) -> MetricInfo:
    """How much of a picture its translation keeps."""
    title = f"{words} of translated pictures to the pictures"
    return MetricInfo(f"picture_distance_{network}", title, "picture_distance", network, needs)


def picture_kid(network: str, words: str, needs: str) -> MetricInfo:
    """Bińkowski et al. 2018, of translated pictures."""
    return MetricInfo(f"picture_kid_{network}", f"KID of translated pictures, {words}", "picture_kid", network, needs)
