"""A benchmark of StyleGAN2 transfer-learning methods."""
