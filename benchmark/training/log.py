"""The log of a training: one line of JSON per tick, and TensorBoard's files on request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import ConfigError
from benchmark.system.files import write_atomic
from benchmark.system.folder import Folder
from benchmark.training.state import Tick

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TrainingLog:
    """Writes ticks to `path` (JSON lines) and, with `board`, to a folder that TensorBoard shows.

    Scalars are plotted over images seen, so that runs with different batch sizes can be laid over each other.
    """

    def __init__(self, path: Path, board: Path | None = None) -> None:
        write_atomic(path, b"")  # over whatever has the name: a link is replaced, not followed
        self.path = path
        self.writer = open_board(board) if board else None

    def extend(self, ticks: Iterable[Tick]) -> None:
        """Append ticks."""
        with Folder(self.path.parent).append(self.path.name) as file:
            for tick in ticks:
                file.write(f"{json.dumps(vars(tick))}\n".encode())
                if self.writer:
                    scalars = {f"loss/{name}": value for name, value in tick.losses.items()}
                    scalars |= {"timing/seconds_per_kimg": tick.seconds_per_kimg, "augment/p": tick.ada_p}
                    for name, value in scalars.items():
                        self.writer.add_scalar(name, value, tick.images)

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self.writer:
            self.writer.close()


def open_board(folder: Path) -> SummaryWriter:
    """A writer that forgets what an interrupted run wrote there; ConfigError where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "--log tensorboard: the package tensorboard is not installed. "
            "Run: pip install 'stylegan-transfer-benchmark[tensorboard]'"
        ) from None
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink(missing_ok=True)
    return SummaryWriter(str(folder))
