"""MineGAN: a small network in front of the latent looks for what the source can already do of the target.

Wang, Gonzalez-Garcia, Berga, Herranz, Khan and van de Weijer, "MineGAN: Effective Knowledge Transfer from GANs to
Target Domains with Few Images" (CVPR 2020, arXiv 1912.05270). As in the authors' code for StyleGAN2 a miner in front of
z and one for the constant train with the discriminator for 1,000 steps while G is frozen; then everything does. That
code's miner for the constant sees no z: it makes one map for all images, so here the constant itself trains. A
`mine_steps` as long as the training is the paper's MineGAN without fine-tuning. The miner is shipped with G.

Unlike that code, whose miners start at random, M is z + MLP(z), the identity at first, with as many layers, and the
constant is the source's: training begins at the source and not at a random function of it. Both have averages.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Miner, Nets, Turn, all_but, build


class MineGAN(Method):
    """Mining the latent space, then fine-tuning together with the miner."""

    name = "minegan"
    title = "MineGAN"
    paper = "Wang et al., MineGAN, CVPR 2020"
    code_licence = "MIT"
    version = 2
    toy_fields = (("mine_steps", 1),)
    layers: int = Field(2, ge=1, description="layers of the miner")
    mine_steps: int = Field(1000, ge=0, description="length of the first stage, part of train.kimg: G is frozen")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())  # what is mined is what is evaluated
        miner = build(lambda: Miner(nets.cfg.z_dim, self.layers), rng)
        for g in (nets.g, nets.g_ema):
            g.add_miner(copy.deepcopy(miner))

    def resting(self, turn: Turn) -> Iterable[nn.Parameter]:
        g = turn.nets.g
        miner = g.mapping.miner
        assert miner is not None
        mines = [*miner.parameters(), g.synthesis.blocks[4].const]
        return all_but(g, mines) if turn.index < self.mine_steps else ()
