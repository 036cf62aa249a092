"""Weight interpolation: fine-tune, then move in a straight line from the source's weights to the adapted ones.

Wang, Yu, Dong, Tang and Loy, "Deep Network Interpolation for Continuous Imagery Effect Transition" (CVPR 2019, arXiv
1811.10515), eq. 2, for all of the generator; for StyleGANs in Pinkney and Adler (2020, arXiv 2010.05334). Costs no
training of its own, but two sets of weights. Share 0 is the source, 1 the adapted generator.
"""

from typing import ClassVar, Literal

import torch
from benchmark.methods.finetune import Finetune
from benchmark.methods.freezed import FreezeD

from benchmark.api import Control, Field, Generator, Method, copy_of, require_same_parts


class WeightInterpolation(Method):
    """A control for a model that has none."""

    name = "weight_interpolation"
    title = "Weight interpolation"
    paper = "Wang et al., Deep Network Interpolation, CVPR 2019"
    control_name = "share"
    generators_kept = 2
    of: Literal["finetune", "freezed"] = Field(
        "finetune", description="the method whose result is the far end, with its defaults"
    )

    controls: ClassVar[tuple[Control, ...]] = (0.0, 0.25, 0.5, 0.75, 1.0)
    default_control: ClassVar[Control] = 0.5

    def training(self) -> Method:
        return {"finetune": Finetune, "freezed": FreezeD}[self.of]()

    @torch.no_grad()
    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        require_same_parts(self, source, adapted)
        mixed = copy_of(source)
        for tensor, end in zip(mixed.state_dict().values(), adapted.state_dict().values(), strict=True):
            tensor.lerp_(end, float(control or 0))
        return mixed
