"""Fine-tuning with adaptive augmentation: TGAN + ADA of few-shot tables, whatever the suite does for the others.

Wang et al., "Transferring GANs" (ECCV 2018), with the augmentation of Karras et al., "Training Generative Adversarial
Networks with Limited Data" (NeurIPS 2020, arXiv 2006.06676), section 4.2. `pipe` puts another in ADA's place: apa is
Jiang et al., "Deceive D: Adaptive Pseudo Augmentation" (NeurIPS 2021, arXiv 2111.06849), diffaug Zhao et al.,
"Differentiable Augmentation" (NeurIPS 2020, arXiv 2006.10738). Target and speed are the suite's `train.ada_target` and
`train.ada_kimg`, for APA too, which has the same controller; `ada_kimg` is for trainings so short that at the suite's
speed the probability could not leave 0. As a part of a composition it augments for the others.
"""

from typing import Literal

from benchmark.api import Field, Method, TrainConfig


class FinetuneAugmented(Method):
    """The baseline, augmented."""

    name = "finetune_augmented"
    title = "Fine-tuning + augmentation (TGAN + ADA)"
    paper = "Karras et al., Training GANs with Limited Data, NeurIPS 2020"
    code_licence = "NVIDIA Source Code License-NC"
    toy_fields = (("pipe", "diffaug"),)  # the probability of the adaptive ones is still 0 after two steps
    pipe: Literal["ada", "apa", "diffaug"] = Field("ada", description="what D sees: see train.augment")
    ada_kimg: float | None = Field(None, gt=0, description="kimg in which the probability can go from 0 to 1, if given")

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train.model_copy(update={"ada_kimg": self.ada_kimg}) if self.ada_kimg else train

    @property
    def augment(self) -> Literal["ada", "apa", "diffaug"]:  # type: ignore[override]
        return self.pipe
