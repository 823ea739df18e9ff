"""Drawn features that cluster like those of re-identification."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CAMERAS = 6
CHUNK = 256  # rows drawn at once: leaves little freed memory behind


def reid_like_features(size: int, dim: int, seed: int = 0, device: str = "cpu") -> Tensor:
    """(N, D) unit rows that cluster like re-identification features.

    Identities of 5 to 40 images in random order, many of them of similar looks; a shift per
    camera; images of unequal quality, so that some lie far from their identity and some are
    near many points (hubs); a falling spectrum. Drawn on the CPU a few rows at a time, so that
    all devices get the same ones.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    images = rng.integers(5, 41, size)
    count = int(np.searchsorted(images.cumsum(), size)) + 1
    identity = torch.from_numpy(rng.permutation(np.repeat(np.arange(count), images[:count])[:size]))
    camera = torch.from_numpy(rng.integers(0, CAMERAS, size))
    look = torch.from_numpy(rng.integers(0, 2 + count // 20, count))
    spectrum = (1 + torch.arange(dim) / 16) ** -0.6
    looks = 0.6 * torch.randn(2 + count // 20, dim, generator=generator)
    centers = torch.randn(count, dim, generator=generator) + looks[look]
    shifts = 0.4 * torch.randn(CAMERAS, dim, generator=generator)
    quality = torch.from_numpy(rng.lognormal(np.log(2.2), 0.35, size)).float()
    features = torch.empty(size, dim, device=device)
    for rows in torch.arange(size).split(CHUNK):
        noise = quality[rows, None] * torch.randn(len(rows), dim, generator=generator)
        drawn = centers[identity[rows]] + shifts[camera[rows]] + noise
        features[int(rows[0]) : int(rows[-1]) + 1] = F.normalize(spectrum * drawn, dim=1)
    return features
