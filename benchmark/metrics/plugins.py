"""Metrics from installed packages: the entry points of the group `benchmark.metrics`. No torch here.

An entry point has the metric's name and names a `Metric`. It sees pooled features, of one of this package's networks or
of a network of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from benchmark.errors import ConfigError, as_line
from benchmark.metrics.base import STAND_IN, MetricInfo, Score, kind_words
from benchmark.metrics.networks.feature_cache import Features
from benchmark.metrics.networks.weight_files import NETWORK_FILES, OWN_NETWORKS, POOLING, declare_network
from benchmark.system.packages import Offer, offers

if TYPE_CHECKING:
    from benchmark.metrics.networks.features import FeatureNetwork

GROUP = "benchmark.metrics"

Formula = Callable[[Features, Features, Features | None], Score]
"""(generated [n, d], held-out [m, d], training [t, d] or None) -> score with n and, if there is one, standard error."""


@dataclass(frozen=True)
class Metric:
    """A metric of sets of images from outside.

    ``name`` ends with ``_`` and the network's name, as all names do. ``network`` is one of `POOLING`, or the name of an
    own one, which ``make_network`` makes: in eval mode, uint8 [n, 3, R, R] in, float32 [n, dim] out; ImportError
    with the reason where it is unavailable. Raise ``version`` whenever the numbers change: it is part of the keys.
    Several metrics may share an own network: give them the same function. The formula's arrays are read-only.
    ``unit`` is what values are counted in; "share" says that they lie in 0..1, "images" in 1..n.
    """

    name: str
    title: str
    network: str
    formula: Formula
    better: Literal["lower", "higher"] = "lower"
    unit: str = "features"
    version: int = 1
    needs: str = "nothing"
    make_network: Callable[[], FeatureNetwork] | None = None

    @property
    def info(self) -> MetricInfo:
        """How it is listed, read and keyed."""
        return MetricInfo(
            self.name, self.title, "own", self.network, self.needs, self.better, self.unit, self.version, self
        )

    def score(self, fakes: Features, real: Features, training: Features | None) -> Score:
        """The formula's score; where it fails, no value and the reason, so that other metrics keep theirs."""
        try:
            found = self.formula(fakes, real, training)
        except Exception as error:  # an outsider's formula may fail in any way
            return Score.missing(f"not available: {self.name} failed ({as_line(error)})")
        if not isinstance(found, Score):
            return Score.missing(f"not available: {self.name} gave {type(found).__name__} instead of a Score")
        return found


def package_metrics() -> dict[str, Offer]:
    """{name: offer} of installed packages; nothing is imported."""
    return offers(GROUP)


@cache
def package_metric(name: str) -> Metric:
    """The metric of this name; ConfigError where its package breaks the contract."""
    offer = package_metrics()[name]
    try:
        found = offer.load()
        if not isinstance(found, Metric):
            raise ConfigError(f"{name}: {offer.origin} offers {type(found).__name__}, not a Metric.")
        if why := unfit(found, name):
            raise ConfigError(f"{name}: {offer.origin} {why}.")
        if found.make_network is not None:
            declare_network(found.network, found.make_network)
    except ConfigError as error:
        raise ConfigError(f"metric {error}") from error
    return found


def unfit(metric: Metric, name: str) -> str | None:
    """Why a metric cannot be used under the entry point's name; None if it can."""
    if metric.name != name:
        return f"calls its metric {metric.name!r}; give the entry point that name"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or name.startswith(STAND_IN):
        return f"calls its metric {name!r}: small letters, digits and underscores, not beginning with {STAND_IN}"
    if not name.endswith(f"_{metric.network}"):
        return f"measures with {metric.network!r}: the metric's name must end with _{metric.network}"
    if (words := kind_words(name)) not in (None, "own", "unknown"):
        return f"calls its metric {name!r}: names that begin with {words}_ are those of this package"
    if metric.version < 1 or not metric.title:
        return "needs a title, and a version from 1 on"
    make = metric.make_network
    own = make is not None and (metric.network not in NETWORK_FILES or OWN_NETWORKS.get(metric.network) is make)
    of_another = make is None and metric.network in (*POOLING, *OWN_NETWORKS)
    if not (own or of_another):
        return f"names the network {metric.network!r}: give one of {', '.join(POOLING)}, or a new one and make_network"
    return None
