"""MineGAN: a small network in front of the latent looks for what the source can already do of the target.

Wang, Gonzalez-Garcia, Berga, Herranz, Khan and van de Weijer, "MineGAN: Effective Knowledge Transfer from GANs to
Target Domains with Few Images" (CVPR 2020, arXiv 1912.05270). First the miner M trains, with the
discriminator, in G(M(z)) with G frozen; then everything does. A `mine_kimg` as long as the
training is the paper's MineGAN without fine-tuning. The miner is shipped with the generator.

The paper leaves M's shape to the GAN and has no StyleGAN2. Here M is z + MLP(z), the identity at first, in front of
the mapping network and of z's normalisation, so that training begins at the source and not at a random function of it;
the authors' code for StyleGAN starts a linear, ReLU, linear one at random. It mines for 100 steps, here 0.8 kimg.
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
    toy_fields = (("mine_kimg", 0.008),)
    layers: int = Field(2, ge=1, description="layers of the miner")
    mine_kimg: float = Field(0.8, ge=0, description="length of the first stage, part of train.kimg: G is frozen")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())  # what is mined is what is evaluated
        miner = build(lambda: Miner(nets.cfg.z_dim, self.layers), rng)
        for g in (nets.g, nets.g_ema):
            g.add_miner(copy.deepcopy(miner))

    def resting(self, turn: Turn) -> Iterable[nn.Parameter]:
        g = turn.nets.g
        miner = g.mapping.miner
        assert miner is not None
        return all_but(g, miner.parameters()) if turn.images_seen < self.mine_kimg * 1000 else ()
