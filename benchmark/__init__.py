"""The engine of a benchmark of StyleGAN2 transfer-learning methods."""
