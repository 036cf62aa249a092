"""Freeze-FC: the generator's mapping network stays as it was in the source.

The training step of Kwong, Huang and Liao, "Unsupervised Image-to-Image Translation via Pre-trained StyleGAN2 Network"
(IEEE TMM 2021, arXiv 2010.05713), section 3; without the layer swap that follows it there (that is `ui2i`). In the
authors' code it has no effect: the parameters frozen are those of the average, and the loop turns on the gradients of
the whole generator afterwards. FixNoise's code, whose baseline this is, freezes them in the trained generator only, so
that the evaluated one moves; here w_avg stays as well. As there, the path-length penalty is off.
"""

from collections.abc import Iterable

from torch import nn

from benchmark.api import Field, Method, Nets, TrainConfig


class FreezeFC(Method):
    """Fine-tuning in the source's space of styles."""

    name = "freezefc"
    title = "Freeze-FC"
    paper = "Kwong et al., UI2I via Pre-trained StyleGAN2, TMM 2021"
    code_licence = "CC BY-NC-SA 4.0"
    version = 2
    path_length: bool = Field(False, description="keep the suite's path-length penalty")

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train if self.path_length else train.model_copy(update={"pl_weight": 0.0})

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [p for name, p in nets.g.mapping.named_parameters() if not name.startswith("miner.")]
