"""Formulas of further metrics: sliced Wasserstein, Vendi score, CLIP's kernel distance, perceptual path length."""
