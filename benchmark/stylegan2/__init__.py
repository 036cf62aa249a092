"""StyleGAN2: the one backbone of all methods."""

from benchmark.stylegan2.networks import Discriminator, Generator, Noise
from benchmark.stylegan2.weights import Nets, load, save

__all__ = ["Discriminator", "Generator", "Nets", "Noise", "load", "save"]
