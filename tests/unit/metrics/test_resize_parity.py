"""What a metric called `fid` or `kid` shows to Inception is what clean-fid shows it, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.metrics.networks.features import Inception, images_to_features
from benchmark.metrics.networks.resizing import clean_resize
from benchmark.metrics.networks.torchvision_guard import declare_missing_operators
from benchmark.metrics.sampling import to_uint8


def generated(n: int, px: int) -> torch.Tensor:
    """Images as a generator gives them: float32 about [-1, 1] and beyond, values between two levels included."""
    x = torch.randn(n, 3, px, px, generator=torch.Generator().manual_seed(px)) * 0.7
    x[0, 0] = torch.linspace(-1.3, 1.3, px * px).view(px, px)
    x[0, 1, 0] = (torch.arange(px) + 0.5) / 127.5 - 1  # exactly half-way
    return x


@pytest.mark.parametrize("px", [8, 64, 256, 299, 300, 512])
def test_resizing_is_clean_fids_bit_for_bit(px: int) -> None:
    declare_missing_operators()
    from cleanfid.resize import build_resizer

    images, resizer = to_uint8(generated(2, px)), build_resizer("clean")
    ours = clean_resize(torch.from_numpy(images), 299).numpy()
    theirs = np.stack([resizer(image.transpose(1, 2, 0)).transpose(2, 0, 1) for image in images])
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)
    assert ours.min() == 0 and ours.max() == 255 and (px == 299 or (ours % 1 != 0).any())  # clipped and not rounded


class Recorder(torch.nn.Module):
    """In the place of Inception's layers: a few numbers that change when any pixel does, and the input itself."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return x.double().flatten(1)[:, :2048].float()


class Detector(torch.nn.Module):
    """As clean-fid reaches into the published file: `.layers`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_inception_sees_what_clean_fid_shows_it_from_a_folder_of_png(tmp_path: Path) -> None:
    """Quantised to 8 bits, written as PNG, read, resized and scaled by clean-fid; and by us without the files."""
    declare_missing_operators()
    from cleanfid.fid import get_folder_features
    from cleanfid.inception_torchscript import InceptionV3W

    detector = tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(Detector()).save(str(detector))
    images = to_uint8(generated(5, 48))
    folder = tmp_path / "png"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i}.png")

    theirs = InceptionV3W(str(tmp_path), download=False, resize_inside=False)
    theirs.layers = Recorder()
    expected = get_folder_features(
        str(folder), theirs, num_workers=0, batch_size=2, device=torch.device("cpu"), mode="clean", verbose=False
    )
    ours = Inception(detector)
    ours.net.layers = Recorder()
    found = images_to_features(ours, images, "cpu", 2, lambda n: None)

    np.testing.assert_array_equal(found, expected)
    for a, b in zip(ours.net.layers.seen, theirs.layers.seen, strict=True):
        assert torch.equal(a, b)
    assert sum(len(x) for x in theirs.layers.seen) == 5


def test_quantising_is_what_clean_fids_readme_asks_of_a_generator() -> None:
    """It takes 0..255 in 8 bits of a generator: rounded to the nearest level, halves to the even one, and clipped."""
    x = generated(1, 64)
    levels = np.clip(np.rint(x.numpy().astype(np.float32) * np.float32(127.5) + np.float32(127.5)), 0, 255)
    np.testing.assert_array_equal(to_uint8(x), levels.astype(np.uint8))
