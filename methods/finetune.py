"""Plain fine-tuning: all weights of G and D start from the source and train with the normal objective.

Wang et al., "Transferring GANs" (ECCV 2018); on StyleGAN2 as in Karras et al. 2020 (arXiv 2006.06676), section 4.2.
"""

from benchmark.api import Method


class Finetune(Method):
    """The baseline that every method has to beat."""

    name = "finetune"
    title = "Fine-tuning"
    paper = "Wang et al., Transferring GANs, ECCV 2018"
