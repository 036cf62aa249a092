"""A benchmark of StyleGAN2 transfer-learning methods.

    import benchmark

    results = benchmark.run(suite="smoke", settings={"train.kimg": 0.2})
    table = results.frame()                                   # one row per record and metric
    table = benchmark.load_results("results/runs/smoke")      # the same, of a run of any time
    print(benchmark.list_methods())                           # what run(methods=[...]) takes
    net = benchmark.load("results/runs/smoke", method="fixnoise", domain="toy-rings")
    images = net.generate(seeds=range(8), control=0.5)        # uint8 [8, 32, 32, 3]
    others = benchmark.evaluate("adapted.pkl", suite="smoke", domain="toy-rings")

Importing this costs next to nothing: torch, numpy and pandas are imported by the functions that need them.
What a method file imports is in `benchmark.api`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError, ConfigError
from benchmark.use.network import Network

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from benchmark.results import RunRecord

    __version__: str

__all__ = [
    "BenchmarkError",
    "Network",
    "Results",
    "__version__",
    "evaluate",
    "list_domains",
    "list_methods",
    "list_suites",
    "load",
    "load_results",
    "run",
]
DISTRIBUTION = "stylegan-transfer-benchmark"


@dataclass(frozen=True)
class Results:
    """What `run` gives back: the records in the order of the jobs, failed ones included, and the folder they lie in."""

    out: Path
    records: tuple[RunRecord, ...]

    @property
    def failed(self) -> tuple[RunRecord, ...]:
        """The records of jobs that did not end well; each has a `reason`."""
        return tuple(record for record in self.records if record.status != "done")

    def frame(self) -> pd.DataFrame:
        """The records as a table with the columns of `load_results`."""
        from benchmark.report.lines import frame

        return frame(self.records)


def run(
    methods: Sequence[str] | None = None,
    domains: Sequence[str | Path] | None = None,
    *,
    suite: str | Path = "avatars",
    source: str | None = None,
    seeds: Sequence[int] | None = None,
    settings: Mapping[str, object] | Sequence[str] = (),
    scale: float | None = None,
    plugins: Sequence[str | Path] = (),
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str | None = None,
    devices: str | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    fail_fast: bool = False,
    yes: bool = False,
    quiet: bool = False,
) -> Results:
    """Adapt the source to each domain with each method and measure: `python -m benchmark run` as a function.

    None means what the suite says. Finished records are kept: the same call goes on where it stopped. The tables,
    figures and the page are written into `out`, too.

    Args:
        methods: names (see `list_methods`); "a+b" is one method made of both, "a[field=1]" a variant.
        domains: names (see `list_domains`), or folders or ZIPs of images.
        suite: a suite's name (see `list_suites`) or a YAML file.
        source: name of the GAN to adapt.
        seeds: one repetition for each.
        settings: what to change, {"train.kimg": 8, "METHOD.FIELD": 0.1} or ["train.kimg=8", ...].
        scale: between 0 and 1; a rehearsal in which lengths and numbers of samples are this share.
        plugins: Python files or modules with methods of yours.
        out: folder for records, samples and tables; results/runs/SUITE by default.
        cache: folder for drawn domains, features and weights; BENCHMARK_CACHE or the user's cache folder by default.
        device: auto (as None), cpu, cuda or cuda:N.
        devices: instead of `device` and `jobs`: auto for one worker on each GPU, or names such as "cuda:0,cuda:2".
        threads: of the CPU; all cores by default.
        jobs: how many side by side, each in a process of its own; such a call has to stand below
            `if __name__ == "__main__":` in a script. None: one after the other in this process.
        fail_fast: stop at the first job that fails; otherwise the others go on and `Results.failed` names it.
        yes: begin although it takes hours on this CPU.
        quiet: print nothing.

    Raises BenchmarkError before anything was trained: for an unknown name, a wrong setting, a missing file.
    """
    from benchmark.system.startup import prepare_process, require_one_process

    _require_counts(threads=(threads, 1), jobs=(jobs, 0))
    prepare_process()  # before torch, as the command line does
    require_one_process()
    from rich.console import Console

    from benchmark.running.forecast import require_patience
    from benchmark.running.launch import Launch, placed, require_seats
    from benchmark.running.setup import Request, folder_name, prepare
    from benchmark.running.suite import run_suites
    from benchmark.system.places import RUNS, cache_folder

    named = None if domains is None else [str(domain) for domain in domains]
    overrides = {"source": source, "methods": methods, "domains": named, "seeds": seeds, "scale": scale}
    plain = tuple(map(str, plugins))
    device, gpus = placed(device, devices, jobs)
    launch = Launch(jobs if devices else jobs or 0, fail_fast=fail_fast, gpus=gpus)
    request = Request(str(suite), _texts(settings), overrides, device, cache_folder(cache), threads, plain)
    console, asked = Console(quiet=quiet), request.members()
    suites = [member.load()[0] for member in asked]
    require_seats(suites, device, launch)
    folder = Path(out or RUNS / folder_name(str(suite), [each.name for each in suites]))
    ready = [prepare(member, folder, console) for member in asked]
    if said := require_patience([(one.nets, one.jobs) for one in ready], folder, yes):
        console.print(f"note: {said}", markup=False)
    return Results(folder, tuple(run_suites(ready, console, launch=launch)))


def load(
    run: str | Path,
    method: str | None = None,
    domain: str | None = None,
    *,
    seed: int | None = None,
    plugins: Sequence[str | Path] = (),
    cache: str | Path | None = None,
) -> Network:
    """The generator that a run left: what the command `generate` draws with.

    Args:
        run: the results folder.
        method: its name, "source" for the untouched source; by default the only one.
        domain: by default the only one.
        seed: the repetition; by default the smallest.
        plugins: Python files or modules with methods of yours.
        cache: as of `run`, for imported sources.

    Raises BenchmarkError that names what the folder has, or says what is wrong with its weights.
    """
    from benchmark.system.startup import prepare_process

    prepare_process()
    from benchmark.system.hardware import prepare_torch
    from benchmark.system.places import cache_folder
    from benchmark.use.adapted import from_run, only_method

    prepare_torch()
    folder, texts = Path(run), tuple(map(str, plugins))
    return Network(from_run(folder, cache_folder(cache), method or only_method(folder), domain, seed, texts))


def evaluate(
    what: str | Path | Callable[[np.ndarray], np.ndarray],
    suite: str | Path = "avatars",
    domain: str | Path | None = None,
    *,
    name: str | None = None,
    like: str | None = None,
    pairs: str | Path | bool | None = None,
    seed: int | None = None,
    source: str | None = None,
    settings: Mapping[str, object] | Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    quiet: bool = False,
) -> Results:
    """Measure what this suite did not train, by its protocol: the command `evaluate` as a function.

    Args:
        what: a checkpoint (.pkl, .pt, .safetensors), a folder or ZIP of pictures, or a function that draws: latents
            float32 [n, z_dim] in, pictures uint8 [n, R, R, 3] out, at most `eval.batch` at a time.
        suite: by whose protocol; a name or a YAML file.
        domain: what it draws; by default the suite's only domain.
        name: what its row is called; by default the file's or the function's name.
        like: the method with whose noise and control a network is evaluated.
        pairs: for a folder, the folder of the source's pictures of the same names; for a function False, where it does
            not draw what the latents say.
        seed: of the latents; by default the suite's first.
        source, settings, plugins, out, cache, device, threads, quiet: as of `run`.

    Raises BenchmarkError for what does not fit.
    """
    from benchmark.system.startup import prepare_process

    _require_counts(threads=(threads, 1))
    prepare_process()
    from rich.console import Console

    from benchmark.running.setup import Request
    from benchmark.system.places import cache_folder
    from benchmark.use.outside import folder_beside, measure

    named = None if domain is None else [str(domain)]
    overrides, plain = {"source": source, "domains": named}, tuple(map(str, plugins))
    request = Request(str(suite), _texts(settings), overrides, device, cache_folder(cache), threads, plain)
    folder, thing = Path(out or folder_beside(request)), what if callable(what) else Path(what)
    beside = Path(pairs) if isinstance(pairs, str) else pairs
    return Results(folder, tuple(measure(thing, request, Console(quiet=quiet), folder, name, like, beside, seed)))


def load_results(path: str | Path) -> pd.DataFrame:
    """The records of a results folder as a table: one row per record and metric, with the columns of tables.csv.

    Values are as measured, in the metric's own unit; a record without metrics has one row, a failed one its `reason`.
    A file that is no record is left out with a warning. Raises BenchmarkError where there is no folder of records.
    """
    import warnings

    from benchmark.report.lines import frame
    from benchmark.results import ResultStore

    records, problems = ResultStore(Path(path)).read_all()
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return frame(records)


def list_methods(plugins: Sequence[str | Path] = ()) -> list[str]:
    """Names of the methods that `run` knows: the shelf's, those of `plugins`, those of installed packages."""
    from benchmark.registry import catalogue

    return [name for name in catalogue(tuple(map(str, plugins))) if " " not in name]


def list_domains() -> list[str]:
    """Names of the domains that can be drawn on any machine; folders and ZIPs of images are domains, too."""
    from benchmark.domains.cards import list_cards

    return list(list_cards())


def list_suites() -> list[str]:
    """Names of the suites, and of collections of suites, that come with the package."""
    from benchmark.suites import suite_names

    return suite_names()


def _require_counts(**given: tuple[int | None, int]) -> None:
    """ConfigError for a number, beside the least that it may be, that the command line would refuse, too."""
    for name, (value, least) in given.items():
        if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__") or value < least):
            raise ConfigError(f"{name}={value!r}: give a whole number, {least} or more, or leave it out.")


def _texts(settings: Mapping[str, object] | Sequence[str]) -> tuple[str, ...]:
    """As texts like "train.kimg=8"."""
    import json

    if isinstance(settings, str):
        return (settings,)
    if isinstance(settings, Mapping):
        return tuple(f"{name}={json.dumps(value)}" for name, value in settings.items())
    return tuple(settings)


def __getattr__(name: str) -> str:
    """`__version__`: finding it out takes longer than all the rest of this file."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0+unknown"
