"""Fine-tuning with adaptive augmentation: TGAN + ADA of few-shot tables, whatever the suite does for the others.

Wang et al., "Transferring GANs" (ECCV 2018), with the augmentation of Karras et al., "Training Generative Adversarial
Networks with Limited Data" (NeurIPS 2020, arXiv 2006.06676), section 4.2. `pipe` puts another in ADA's place: apa is
Jiang et al., "Deceive D: Adaptive Pseudo Augmentation" (NeurIPS 2021, arXiv 2111.06849), diffaug Zhao et al.,
"Differentiable Augmentation" (NeurIPS 2020, arXiv 2006.10738). Target and speed are the suite's `train.ada_target` and
`train.ada_kimg`, for APA too, which has the same controller. As a part of a composition it augments for the others.
"""

from typing import Literal

from benchmark.api import Field, Method


class FinetuneAugmented(Method):
    """The baseline, augmented."""

    name = "finetune_augmented"
    title = "Fine-tuning + augmentation (TGAN + ADA)"
    paper = "Karras et al., Training GANs with Limited Data, NeurIPS 2020"
    code_licence = "NVIDIA Source Code License-NC"
    toy_fields = (("pipe", "diffaug"),)  # the probability of the adaptive ones is still 0 after two steps
    pipe: Literal["ada", "apa", "diffaug"] = Field("ada", description="what D sees: see train.augment")

    @property
    def augment(self) -> Literal["ada", "apa", "diffaug"]:  # type: ignore[override]
        return self.pipe
