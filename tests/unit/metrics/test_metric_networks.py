"""The measuring networks against their packages and against numbers on pictures drawn here."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from metric_pictures import pictures

from benchmark.metrics import Evaluator, Samples
from benchmark.metrics.formulas.frechet import features_to_gaussian, frechet_distance
from benchmark.metrics.networks.features import (
    EfficientNetLite0,
    FeatureNetwork,
    fingerprint,
    images_to_features,
    load_feature_network,
)
from benchmark.metrics.networks.perceptual import Lpips, PerceptualNetwork, images_to_distances, load_perceptual_network
from benchmark.metrics.networks.resizing import resize
from benchmark.metrics.networks.torchvision_guard import declare_missing_operators
from benchmark.metrics.networks.weight_files import OWN_NETWORKS, WEIGHT_FILES, locate


def mosaics(n: int, seed: int) -> np.ndarray:
    """Tiles of 8 px in random colours, uint8 [n, 3, 64, 64]: integers alone, so the same on every machine."""
    tiles = np.random.default_rng(seed).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
    return tiles.repeat(8, axis=2).repeat(8, axis=3)


def features(net: FeatureNetwork, images: np.ndarray, batch: int = 50) -> np.ndarray:
    return images_to_features(net, images, "cpu", batch, lambda _: None)


def distances(net: PerceptualNetwork, a: np.ndarray, b: np.ndarray, batch: int = 50) -> np.ndarray:
    return images_to_distances(net, a, {"other": b}, "cpu", batch, lambda _: None)["other"]


def path_of(key: str) -> Path:
    path = locate(WEIGHT_FILES[key], {}, Path("no-cache")).path
    assert path is not None
    return path


@pytest.fixture(scope="module")
def effnet() -> FeatureNetwork:
    return load_feature_network("effnetlite0_128", {"effnetlite0": path_of("effnetlite0")})


@pytest.fixture(scope="module")
def st_lpips() -> PerceptualNetwork:
    return load_perceptual_network("st_lpips_alex", {"st_lpips_alex": path_of("st_lpips_alex")})


def test_effnet_is_the_packages_network(effnet: FeatureNetwork) -> None:
    """Folding batch norm and padding changes rounding only; 128 px images are not resized."""
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0", image_size=128).eval()
    plain.load_state_dict(torch.load(path_of("effnetlite0"), weights_only=True))
    images = pictures(4, 128, seed=0)
    with torch.inference_mode():
        maps = plain.extract_features((torch.from_numpy(images).float() - 127) / 128)
    expected = maps.mean((2, 3)).numpy()
    assert np.abs(features(effnet, images) - expected).max() < 1e-4
    assert expected.shape == (4, EfficientNetLite0.dim)
    assert expected.std(axis=0).max() > 0.5


def test_features_do_not_depend_on_the_batch(effnet: FeatureNetwork) -> None:
    images = pictures(5, 64, seed=1)
    assert np.abs(features(effnet, images, batch=5) - features(effnet, images, batch=2)).max() < 1e-4


def test_resizing_is_clean_fids() -> None:
    declare_missing_operators()
    from cleanfid.resize import build_resizer

    images = np.random.default_rng(2).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    ours = resize(torch.from_numpy(images), 299).numpy()
    resizer = build_resizer("clean")
    theirs = np.stack([resizer(image.transpose(1, 2, 0)).transpose(2, 0, 1) for image in images])
    assert np.abs(ours - theirs).max() < 0.01


def test_st_lpips_regression(st_lpips: PerceptualNetwork) -> None:
    """Values of the network that gives the published 0.7777554988861084 for ShiftTolerant-LPIPS' example pair."""
    images = mosaics(4, seed=3)
    found = distances(st_lpips, images[:2], images[2:])
    assert found == pytest.approx([0.2922215, 0.4014764], abs=2e-5)
    assert distances(st_lpips, images[2:], images[:2], batch=1) == pytest.approx(found, abs=1e-5)
    assert distances(st_lpips, images, images) == pytest.approx(0, abs=1e-9)


def test_st_lpips_grows_with_the_change(st_lpips: PerceptualNetwork) -> None:
    images = pictures(3, 64, seed=4)
    noise = np.random.default_rng(5).normal(0, 1, images.shape)
    steps = [np.clip(images + scale * noise, 0, 255).astype(np.uint8) for scale in (5, 20, 60)]
    near, middle, far = (distances(st_lpips, images, step) for step in steps)
    assert (near < middle).all()
    assert (middle < far).all()


def test_st_lpips_takes_images_from_its_least_size_on(st_lpips: PerceptualNetwork) -> None:
    require_least_size(st_lpips)


def test_st_lpips_vgg_is_the_packages_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package imports what it does not declare; empty modules stand for these."""
    declare_missing_operators()
    for module, name in (("torchsummary", "summary"), ("IPython", "embed")):
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: None}))
    from stlpips_pytorch.stlpips import LPIPS

    theirs = LPIPS(net="vgg", variant="shift_tolerant", verbose=False)
    paths = {"st_lpips_vgg": path_of("st_lpips_vgg")}
    net = load_perceptual_network("st_lpips_vgg", paths)
    a, b = pictures(3, 64, seed=21), pictures(3, 64, seed=22)
    with torch.inference_mode():
        x, y = (torch.from_numpy(side) / 127.5 - 1 for side in (a, b))
        expected = theirs(x, y).flatten().numpy()
        last = theirs.net(theirs.scaling_layer(F.interpolate(x, size=128))).relu5_3.mean((2, 3)).numpy()
    assert distances(net, a, b) == pytest.approx(expected, rel=1e-4)
    assert expected.std() > 1e-3
    require_least_size(net)
    pooled = load_feature_network("st_vgg16", paths)
    twice = np.ascontiguousarray(a.repeat(2, axis=2).repeat(2, axis=3))  # nearest neighbours, as above
    assert features(pooled, twice) == pytest.approx(last, rel=1e-3, abs=1e-4)


def require_least_size(net: PerceptualNetwork) -> None:
    images = torch.from_numpy(pictures(1, net.least_px, seed=10))
    with torch.inference_mode():
        assert all(x.isfinite().all() for x in net.features(images))
        with pytest.raises(RuntimeError):
            net.features(images[..., :-1, :-1])


def test_features_are_kept_by_whose_network_made_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages may each have a class `Net` without parameters; marks of our networks are those of kept files."""

    def marked(name: str, package: str) -> str:
        made = type("Net", (FeatureNetwork,), {"dim": 3, "preprocessing": 1, "__module__": package})
        monkeypatch.setitem(OWN_NETWORKS, name, made)
        return fingerprint(name, load_feature_network(name, {}), [])

    marks = [marked("colour", "lab"), marked("colour", "other_lab"), marked("edges", "lab")]
    assert len(set(marks)) == 3 and marked("colour", "lab") == marks[0]
    ours = load_feature_network("randconv", {})
    weights = hashlib.sha256(b"".join(w.numpy().tobytes() for w in ours.state_dict().values())).hexdigest()
    assert fingerprint("randconv", ours, []) == f"RandConv/1/{weights}"
    assert fingerprint("randconv", ours, ["a", "b"]) == "RandConv/1/a/b"


ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VGG_WIDTHS = {
    0: 64,
    2: 64,
    5: 128,
    7: 128,
    10: 256,
    12: 256,
    14: 256,
    17: 512,
    19: 512,
    21: 512,
    24: 512,
    26: 512,
    28: 512,
}
VGG = {
    layer: (width, before, 3)
    for (layer, width), before in zip(VGG_WIDTHS.items(), [3, *VGG_WIDTHS.values()], strict=False)
}


@pytest.mark.parametrize(("name", "trunk", "shapes"), [("alex", "alexnet", ALEX), ("vgg", "vgg16", VGG)])
def test_lpips_in_two_parts_is_the_packages_own(
    name: str, trunk: str, shapes: dict[int, tuple[int, int, int]], tmp_path: Path
) -> None:
    """Random convolutions stand for torchvision's files."""
    rng, state = torch.Generator().manual_seed(1), {}
    for layer, (out, before, k) in shapes.items():
        scale = (2 / (before * k * k)) ** 0.5
        state[f"features.{layer}.weight"] = torch.randn(out, before, k, k, generator=rng) * scale
        state[f"features.{layer}.bias"] = torch.zeros(out)
    torch.save(state, tmp_path / "trunk.pth")
    paths = {trunk: tmp_path / "trunk.pth", f"lpips_{name}_heads": path_of(f"lpips_{name}_heads")}
    net = load_perceptual_network(f"lpips_{name}", paths)
    assert isinstance(net, Lpips)
    a, b = (torch.from_numpy(pictures(3, 40, seed=seed)) for seed in (11, 12))
    with torch.inference_mode():
        expected = net.net(a / 127.5 - 1, b / 127.5 - 1).flatten()
        maps = net.features(a), net.features(b)
        assert torch.allclose(net.distance(*maps), expected, rtol=1e-5)
        alone = net.distance(maps[0], [x[2:] for x in maps[1]])  # one image stands against all
    assert alone[2].item() == pytest.approx(expected[2].item(), rel=1e-5) and (alone[:2] != expected[:2]).all()
    require_least_size(net)


def save_checked(path: Path, state: object, key: str) -> dict[str, object]:
    """Save weights and return the list of files with this file's hash in the place of the published one."""
    torch.save(state, path)
    return checked(path, key)


def checked(path: Path, key: str) -> dict[str, object]:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {**WEIGHT_FILES, key: replace(WEIGHT_FILES[key], sha256=sha256)}


def test_lpips_is_the_published_formula_on_the_given_trunk(tmp_path: Path) -> None:
    """Random AlexNet weights stand for torchvision's file; the reference is written out from torchvision's layers."""
    declare_missing_operators()
    from torchvision.models import alexnet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trunk = alexnet(weights=None).eval()
    files = save_checked(tmp_path / "trunk.pth", trunk.state_dict(), "alexnet")
    images, sources = pictures(4, 64, seed=6), pictures(3, 64, seed=7)
    before = torch.random.get_rng_state()
    evaluator = Evaluator(["lpips_alex"], tmp_path, weights={"alexnet": tmp_path / "trunk.pth"}, files=files)
    score = evaluator(Samples(images, sources, sources), images, "digest").scores["lpips_alex"]
    assert torch.equal(before, torch.random.get_rng_state())

    heads = torch.load(path_of("lpips_alex_heads"), map_location="cpu", weights_only=True)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    maps: list[list[torch.Tensor]] = []
    with torch.inference_mode():
        for batch in (images[:3], sources):
            x, stages = (torch.from_numpy(batch) / 127.5 - 1 - shift[:, None, None]) / scale[:, None, None], []
            for i, layer in enumerate(trunk.features):
                x = layer(x)
                if i in (1, 4, 7, 9, 11):
                    stages.append(F.normalize(x, dim=1).clone())
            maps.append(stages)
        terms = [
            F.conv2d((a - b).square(), heads[f"lin{i}.model.1.weight"]).mean((1, 2, 3))
            for i, (a, b) in enumerate(zip(*maps, strict=True))
        ]
    expected = torch.stack(terms).sum(0)
    assert score.value == pytest.approx(expected.mean().item(), rel=1e-4)
    assert score.std_error == pytest.approx(expected.std().item() / 3**0.5, rel=1e-3)
    assert score.n == 3


class ScriptedLayers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(3 * 16, 2048)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.adaptive_avg_pool2d(x, 4).flatten(1))


class ScriptedDetector(torch.nn.Module):
    """Shaped like the published TorchScript file as far as clean-fid reaches into it: ``.layers``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = ScriptedLayers()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers((x - 128) / 128)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_fid_and_kid_go_through_clean_fid(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = ScriptedDetector()
    path = tmp_path / "renamed-by-the-user.pt"
    torch.jit.script(detector).save(str(path))
    files = checked(path, "inception")
    real, fake = pictures(6, 32, seed=8), pictures(5, 32, seed=9)
    evaluator = Evaluator(["fid", "kid"], tmp_path, weights={"inception": path}, files=files)
    scores = evaluator(Samples(fake, fake, fake), real, "digest").scores

    with torch.inference_mode():
        gaussians = [features_to_gaussian(detector(resize(torch.from_numpy(x), 299)).numpy()) for x in (fake, real)]
    assert scores["fid"].value == pytest.approx(frechet_distance(*gaussians), rel=1e-4)
    assert scores["kid"].interval is not None
    assert Evaluator(["fid"], tmp_path).missing["inception"].startswith("not available: needs inception-2015-12-05.pt")
