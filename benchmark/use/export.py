"""Export of an adapted generator: a graph for ONNX or torch.export, or its weights; checked after it was written."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.api import Control
from benchmark.errors import BenchmarkError, WeightsError
from benchmark.sources.exporting import write_nets
from benchmark.stylegan2 import Discriminator, Nets
from benchmark.stylegan2.weights import digest_of
from benchmark.system.random_streams import generator
from benchmark.use.adapted import Adapted, latent
from benchmark.use.export_folder import CARD, FILES, refuse_others
from benchmark.use.exported import Graph, graph_of
from benchmark.use.model_card import card_text, listed_in, own_card
from benchmark.use.pictures import written

OPSET = 23
"""Of ONNX."""
LARGEST = 1e-3
"""Difference of two programs' images in [-1, 1]."""
SEEDS, PSI = (0, 1, 2), 0.7
"""Of the images that are compared."""
LAYOUTS = {"safetensors": "nvidia", "rosinality": "rosinality"}
"""Formats of weights: the names that their tensors have."""


def export_network(
    net: Adapted, control: Control, formats: Sequence[str], folder: Path, run: Path, cache: Path
) -> list[str]:
    """Write the files of `formats` (keys of FILES) and a model card into `folder`; a line about each.

    Files have their names only after what all of them give was compared, and the card, which says whose they are, has
    it first. Raises ConfigError or WeightsError where a format cannot hold this network, DataError where the folder
    cannot be written or holds something else.
    """
    if "onnx" in formats:
        needs("onnx", "onnxscript", "onnxruntime")
    digest = digest_of(net.generator(control).state_dict())
    before = own_card(folder / CARD, digest)
    refuse_others(folder, before)
    here = [kind for kind, name in FILES.items() if kind in formats or listed_in(before, folder / name)]
    text = card_text(net, control, {kind: FILES[kind] for kind in here}, digest, run, cache)
    said = []
    with ExitStack() as files:  # the last one that is entered gets its name first
        for kind in dict.fromkeys(formats):
            path = folder / FILES[kind]
            temporary = files.enter_context(written(path))
            said.append(f"{path}: {write(net, control, kind, temporary)}")
        files.enter_context(written(folder / CARD)).write_bytes(text.encode())
    return [*said, f"{folder / CARD}: the model card"]


def write(net: Adapted, control: Control, kind: str, path: Path) -> str:
    """Write the network as `kind` to `path` itself and compare it with what was meant; what was found, in words."""
    if kind in GRAPHS:
        graph = graph_of(net, control)
        GRAPHS[kind][0](graph, path)
        worst = compare(net, control, graph, GRAPHS[kind][1](path))
        return f"run again, images differ by at most {worst:.1e} of [-1, 1]"
    g = net.generator(control)
    with torch.device("meta"):
        d = Discriminator(g.cfg)  # has to be there, and is not written
    notes = write_nets(Nets(g, g, d), ("g_ema",), LAYOUTS[kind], path, net.title)
    return "; ".join(["read again, every tensor is the same", *notes])


@dataclass(frozen=True)
class Batch:
    """Inputs of a graph; all float32, the batch first."""

    z: Tensor
    psi: Tensor
    noise: list[Tensor]
    control: Tensor | None

    def named(self, graph: Graph) -> dict[str, np.ndarray]:
        """By the names of an ONNX file's inputs."""
        names = input_names(graph)
        values = [self.z, self.psi, *self.noise, *([] if self.control is None else [self.control])]
        return {name: value.numpy() for name, value in zip(names, values, strict=True)}

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As `Graph.forward` takes them."""
        return (self.z, self.psi, self.noise, *([] if self.control is None else [self.control]))


def input_names(graph: Graph) -> list[str]:
    """Names of an ONNX file's inputs: z, psi, noise_b4_conv1, ..., and control where it has one."""
    noise = [f"noise_{layer.replace('.', '_')}" for layer in graph.layers]
    return ["z", "psi", *noise, *(["control"] if graph.moves else [])]


def batch_of(graph: Graph, seeds: Sequence[int]) -> Batch:
    """Latents, noise maps and values of the control (from end to end) of these seeds, as `generate` draws them."""
    g = graph.g
    maps = [g.synthesis.random_noise(1, generator("generate", seed)) for seed in seeds]
    noise = [torch.cat([own[layer] for own in maps]) for layer in graph.layers]
    control = torch.linspace(graph.low, graph.high, len(seeds) + 1)[1:] if graph.moves else None
    z = torch.cat([latent(seed, g.cfg.z_dim) for seed in seeds])
    return Batch(z, torch.full((len(seeds),), PSI), noise, control)


def compare(net: Adapted, control: Control, graph: Graph, run: Callable[[Graph, Batch], Tensor]) -> float:
    """The largest difference of the exported program's images from those of `generate`; WeightsError above LARGEST."""
    batch = batch_of(graph, SEEDS)
    values = [control] * len(SEEDS) if batch.control is None else batch.control.tolist()
    expected = torch.cat([net.images([seed], value, PSI) for seed, value in zip(SEEDS, values, strict=True)])
    worst = float((run(graph, batch) - expected).abs().max())
    if not worst <= LARGEST:
        raise WeightsError(f"the exported program's images differ by {worst:.2g} from torch's; nothing was written.")
    return worst


def traced(graph: Graph) -> torch.export.ExportedProgram:
    """The graph with a free batch."""
    batch = torch.export.Dim("batch", min=1)
    given = batch_of(graph, SEEDS[:2]).arguments
    free: list[Any] = [[{0: batch} for _ in part] if isinstance(part, list) else {0: batch} for part in given]
    with quiet():
        return torch.export.export(graph, given, dynamic_shapes=tuple(free), strict=False)


def write_torch(graph: Graph, path: Path) -> None:
    """A file of `torch.export`."""
    with path.open("wb") as file:
        torch.export.save(traced(graph), file)


def reader_of_torch(path: Path) -> Callable[[Graph, Batch], Tensor]:
    """The program in a file of `torch.export`."""
    with path.open("rb") as file:
        program = torch.export.load(file).module()
    return lambda graph, batch: program(*batch.arguments)


def write_onnx(graph: Graph, path: Path) -> None:
    """A file of ONNX, all in one."""
    with quiet():
        program = torch.onnx.export(
            traced(graph),
            input_names=input_names(graph),
            output_names=["images"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)


def reader_of_onnx(path: Path) -> Callable[[Graph, Batch], Tensor]:
    """The program in a file of ONNX, in onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda graph, batch: torch.from_numpy(session.run(["images"], batch.named(graph))[0])


GRAPHS = {"torch": (write_torch, reader_of_torch), "onnx": (write_onnx, reader_of_onnx)}


def needs(*packages: str) -> None:
    """BenchmarkError where one of the packages of the extra `onnx` is missing."""
    from importlib.util import find_spec

    if missing := [name for name in packages if find_spec(name) is None]:
        raise BenchmarkError(
            f"--format onnx needs {', '.join(missing)}: pip install 'stylegan-transfer-benchmark[onnx]'."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters of PyTorch say of themselves."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in levels:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
