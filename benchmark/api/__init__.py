"""The names that a method file imports: the class to inherit, what its hooks receive, networks and helpers.

A method is one file in `methods/`, or a plug-in. It may rely on these names, and on nothing else of the engine.
"""

from pydantic import Field

from benchmark.api.backbones import STAGE_CHANNELS, ClipImages, EfficientNetLite0, Vgg16, held
from benchmark.api.extra import Extra, build
from benchmark.api.fisher import fisher_information
from benchmark.api.judgeable import feature_maps, judgeable
from benchmark.api.losses import adversarial_gradients, feature_matching
from benchmark.api.matches_source import MatchesSource
from benchmark.api.method import (
    Control,
    DiscriminatorStep,
    GeneratorStep,
    Method,
    Turn,
    copy_of,
    refuse,
    require_same_parts,
)
from benchmark.api.optimiser import Adam
from benchmark.api.relaxed_realism import RelaxedRealism
from benchmark.api.reparametrise import added, all_but, baked, plain, reparametrise
from benchmark.api.sizes import scaled_px
from benchmark.config import TrainConfig
from benchmark.errors import MethodError
from benchmark.stylegan2 import Discriminator, Generator, Nets, Noise
from benchmark.stylegan2.networks import Miner

__all__ = [
    "STAGE_CHANNELS",
    "Adam",
    "ClipImages",
    "Control",
    "Discriminator",
    "DiscriminatorStep",
    "EfficientNetLite0",
    "Extra",
    "Field",
    "Generator",
    "GeneratorStep",
    "MatchesSource",
    "Method",
    "MethodError",
    "Miner",
    "Nets",
    "Noise",
    "RelaxedRealism",
    "TrainConfig",
    "Turn",
    "Vgg16",
    "added",
    "adversarial_gradients",
    "all_but",
    "baked",
    "build",
    "copy_of",
    "feature_maps",
    "feature_matching",
    "fisher_information",
    "held",
    "judgeable",
    "plain",
    "refuse",
    "reparametrise",
    "require_same_parts",
    "scaled_px",
]
