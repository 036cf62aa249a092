"""Pictures of an adapted generator: files, a grid, and the images that an evaluation measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from benchmark.api import Control
from benchmark.api.returned import noise_of
from benchmark.config import EvalConfig
from benchmark.errors import DataError
from benchmark.metrics.sampling import Sampler
from benchmark.report.figures.grids import read_strip, slug
from benchmark.results import ResultStore, RunRecord
from benchmark.system.hardware import device_name
from benchmark.training.determinism import pinned
from benchmark.use.adapted import Adapted
from benchmark.use.pictures import require_place, write_grid, write_picture

CPU = "CPU "
"""Names of devices in records begin so where it was no GPU."""
AT_ONCE = 64
"""Seeds whose images are in memory together, where each has a file of its own."""
MOST_THREADS = 1024
"""That a record, which may be somebody else's, can ask for."""


def default_folder(net: Adapted, source: str | None = None) -> Path:
    """Where pictures go if nobody says; `source` is the name of a source that belongs to no run."""
    domain = f"-{net.record.domain}" if net.record else ""
    return Path("pictures") / slug(source or f"{net.method.name}{domain}")


def reals_folder(out: Path) -> Path:
    """Where real images go beside pictures in the folder `out`, which can be measured as it is."""
    return Path(f"{out if out.name.strip('.') else out.resolve()}-reals")


def write_pictures(
    net: Adapted,
    seeds: Sequence[int],
    controls: Sequence[Control],
    out: Path,
    psi: float = 1.0,
    noise: str = "method",
    label: int | None = None,
    reals: np.ndarray | None = None,
) -> int:
    """A PNG for each seed and control into the folder `out`; or, if `out` ends in .png, all of them as one grid.

    A row of the grid is a value of the control; the first row shows `reals`, uint8 [N, 3, R, R], if there are any,
    which otherwise go to `reals_folder`. Gives the number of images of the generator.
    """

    def draw(some: Sequence[int]) -> dict[Control, np.ndarray]:
        return {control: net.pictures(some, control, psi, noise, label) for control in controls}

    if out.suffix.lower() == ".png":
        require_place(out)
        return write_images(net, draw(seeds), seeds, out, reals)
    for begin in range(0, len(seeds), AT_ONCE):
        some = seeds[begin : begin + AT_ONCE]
        write_files(draw(some), some, out)
    write_reals(reals, len(seeds), out)
    return len(seeds) * len(controls)


def write_images(
    net: Adapted,
    drawn: Mapping[Control, np.ndarray],
    seeds: Sequence[int],
    out: Path,
    reals: np.ndarray | None = None,
    kind: str = "seed",
) -> int:
    """Images by value of the control, uint8 [N, 3, R, R] each, as `write_pictures` writes them.

    Names of files begin with `kind`.
    """
    if out.suffix.lower() == ".png":
        shown = () if reals is None else reals[: len(seeds)]
        rows = [(label_of(net, control), [*images]) for control, images in drawn.items()]
        write_grid(out, [*([("real images", [*shown])] if len(shown) else []), *rows])
    else:
        write_files(drawn, seeds, out, kind)
        write_reals(reals, len(seeds), out)
    return sum(map(len, drawn.values()))


def write_files(drawn: Mapping[Control, np.ndarray], seeds: Sequence[int], out: Path, kind: str = "seed") -> None:
    """A PNG for each seed and control."""
    for control, images in drawn.items():
        value = "" if len(drawn) == 1 else f"-{control}"
        for seed, image in zip(seeds, images, strict=True):
            write_picture(out / f"{kind}{seed:04d}{value}.png", image)


def write_reals(reals: np.ndarray | None, most: int, out: Path) -> None:
    """A PNG for each real image, of so many at most, beside the folder `out` of pictures."""
    for i, image in enumerate(() if reals is None else reals[:most]):
        write_picture(reals_folder(out) / f"real{i:04d}.png", image)


def label_of(net: Adapted, control: Control) -> str:
    """What a row of images is called."""
    return net.title if control is None else f"{net.title}, {net.method.control_name} {control}"


def evaluated_images(net: Adapted, count: int, control: Control = None) -> np.ndarray:
    """uint8 [count, 3, R, R], the first images that the evaluation of the record measured, with its number of threads.

    They are the same bit for bit where `unlike` names nothing. Raises DataError for a network without a record, or
    where the evaluation drew fewer, or drew on a GPU: its random noise is another, and all networks here are on the
    CPU.
    """
    record = net.record
    if record is None:
        raise DataError("a source that belongs to no run was not evaluated.")
    try:
        cfg = EvalConfig.model_validate(record.settings.get("eval"))
    except ValidationError:
        said = "does not say how it was evaluated, in words of this version"
        raise DataError(f"record {record.record_key} {said}.") from None
    device = str(record.environment.get("device", CPU))
    if not device.startswith(CPU):
        raise DataError(
            f"record {record.record_key[:12]} was measured on {device}, whose random noise a CPU does not draw; leave "
            "out --evaluated, or look at the strips in samples/."
        )
    if control not in net.method.controls:
        raise DataError(
            f"nothing was measured at {net.method.control_name} {control}: choose one of {net.method.controls}."
        )
    if count > cfg.pairs:
        raise DataError(f"{count} images asked for; of the evaluation the first {cfg.pairs} can be drawn again.")
    streams = (record.source_sha256, record.domain_digest, record.seed)
    with threads_of(record):
        g, sampler = net.generator(control), Sampler(net.source, cfg, streams)
        return sampler.pairs(g, lambda n, rng: noise_of(net.method, g, n, control, rng))[:count]


@contextmanager
def threads_of(record: RunRecord) -> Iterator[None]:
    """As many of PyTorch's threads as measured the record, where it says so; as before afterwards.

    A sum over another number of threads is rounded in another order.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads_in(record) or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_in(record: RunRecord) -> int | None:
    """How many threads measured the record; None where it names no usable number."""
    found = record.environment.get("threads")
    return found if isinstance(found, int) and 1 <= found <= MOST_THREADS else None


def unlike(record: RunRecord) -> list[str]:
    """How the record was measured in another way than this process computes, so that single grey levels may differ."""
    said, train = record.environment, record.settings.get("train")
    held = isinstance(train, Mapping) and train.get("deterministic") is True
    ways = {
        f"on {said.get('device')}": said.get("device") != device_name("cpu"),
        f"by PyTorch {said.get('torch')}": said.get("torch") != torch.__version__,
        f"with {said.get('threads')} threads": threads_in(record) is None,
        "with the pinned kernels of train.deterministic": held and not pinned(),
    }
    return [way for way, differs in ways.items() if differs]


def real_images(out: Path, domain: str) -> np.ndarray:
    """uint8 [N, 3, R, R], the first held-out images of a domain, from the strip that a run keeps of them.

    Raises DataError where the folder has none.
    """
    what = "real images"
    for record in ResultStore(out).read_all()[0]:
        if record.domain == domain and what in record.references:
            with suppress(ValueError, OSError):  # that file is gone, or no strip: another record may have one
                strip = read_strip(out, record, record.references[what], enlarge=False)
                pixels = np.asarray(strip.convert("RGB")).transpose(2, 0, 1)
                px = pixels.shape[1]
                return np.stack([pixels[:, :, x : x + px] for x in range(0, pixels.shape[2] - px + 1, px)])
    raise DataError(f"{out} keeps no real images of {domain}; run the suite with its source row, or leave out --reals.")
