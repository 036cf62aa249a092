"""The pictures that a target's list names, from all over the web: what does not exist any more is noted as dead.

Nothing else is: a refusal or a web page may be a network, a quota or a busy site that stands in the way for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark.domains.assets import RemoteFile
from benchmark.domains.pictures.faces import read_face_list
from benchmark.errors import DataError
from benchmark.fetch.download import silent
from benchmark.fetch.from_disk import PICTURES
from benchmark.fetch.http import require_public
from benchmark.fetch.limits import Gone
from benchmark.fetch.raw import RawFiles, each
from benchmark.fetch.verify import raw_files
from benchmark.system.progress import Advance

IN_A_ROW = 20
"""Images that fail in a row, for whatever reason, before the rest is left alone."""
EVERY = 200
"""Pictures after which the lock is written."""


def get_listed(raw: RawFiles, listed: Path) -> None:
    """Download the pictures that `listed` names. DataError, when all is tried or too many failed, where some lack."""
    wanted = {face.raw_name: face.image_url for face in read_face_list(listed).values()}
    here = {name for name in raw_files(raw.folder) if name in raw.files}
    todo = [name for name in wanted if name not in raw.dead and f"{PICTURES}/{name}" not in here]
    with raw.stage(f"fetch {len(todo)} pictures of {raw.card.name}", len(todo)) as advance:
        visits = _Visits(replace(raw, stage=silent), wanted, f"{listed.name} lists", advance)
        each(visits.get, todo, raw.line)
    visits.require_all()


@dataclass
class _Visits:
    """Requests for pictures, in several threads, and what came of them."""

    raw: RawFiles
    wanted: dict[str, str]
    said: str
    advance: Advance
    later: list[DataError] = field(default_factory=list)
    """Failures that the next attempt may not have."""
    stopped: DataError | None = None
    """The failure after which nothing more was asked for."""
    row: int = 0
    done: int = 0

    def get(self, name: str) -> None:
        """Download one picture and note it, or why it did not come."""
        error = self._failure(name)
        with self.raw.mutex:
            if isinstance(error, Gone):
                self.raw.dead[name] = str(error).removeprefix(f"{self.wanted[name]}: ")
            elif error:
                self.later.append(error)
            self.row = self.row + 1 if error else 0
            self.done += 1
            self.advance(1)
            if self.row >= IN_A_ROW:
                self.stopped = self.stopped or error
                self.raw.line.stopped.set()
            elif self.done % EVERY == 0:
                self.raw.save()

    def _failure(self, name: str) -> DataError | None:
        try:
            if not self.raw.line.local:
                require_public(self.wanted[name], self.said)
            self.raw.get(RemoteFile(name=f"{PICTURES}/{name}", url=self.wanted[name]))
        except DataError as error:
            return error
        return None

    def require_all(self) -> None:
        """DataError where a picture lacks that may be there."""
        if self.stopped:
            raise DataError(
                f"{self.raw.card.name}: {IN_A_ROW} images in a row could not be downloaded, the last: {self.stopped}; "
                "does the network, a login or the site stand in the way? Run the same command again to go on"
            )
        if self.later:
            raise DataError(
                f"{self.raw.card.name}: {len(self.later)} of {len(self.wanted)} images could not be downloaded this "
                f"time, the first: {self.later[0]}; run the same command again to retry them, or prepare the set "
                "without them"
            )
