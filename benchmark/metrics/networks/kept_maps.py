"""Feature maps of pictures that are compared again: those of the source, of right answers, of the control before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

from benchmark.metrics.base import Images

LIMIT = 512 << 20
"""Bytes of maps that one network keeps. Six sets of 100 pictures of 64 px in ST-LPIPS, as many as a control compares,
take 480 MB."""


class KeptMaps:
    """The maps of one network by the content of the batch that they were made of, up to `limit` bytes.

    What was not asked for the longest leaves first. Batches of equal content get equal maps, so scores do not depend on
    what is kept.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit, self.size = limit, 0
        self._maps: OrderedDict[bytes, list[Tensor]] = OrderedDict()

    def get(self, images: Images, make: Callable[[Images], list[Tensor]]) -> list[Tensor]:
        """The maps of uint8 `images` [n, 3, R, R]; `make` makes them where they are not kept."""
        content = hashlib.blake2b(images.tobytes(), digest_size=32, key=repr(images.shape).encode()).digest()
        if content in self._maps:
            self._maps.move_to_end(content)
            return self._maps[content]
        found = make(images)
        if _bytes(found) <= self.limit:
            self._maps[content] = found
            self.size += _bytes(found)
        while self.size > self.limit:
            self.size -= _bytes(self._maps.popitem(last=False)[1])
        return found


def _bytes(maps: list[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for x in maps)
