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
    near many points (hubs); a falling spectrum. Drawn a few rows at a time; the noise of each
    image on the device itself, as one core takes half a minute for a million. So other devices get
    the same persons, cameras and qualities, but other noise.
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
    own = generator if device == "cpu" else torch.Generator(device).manual_seed(seed)
    drawn = (centers, identity, shifts, camera, quality, spectrum)
    centers, identity, shifts, camera, quality, spectrum = (part.to(device) for part in drawn)
    features = torch.empty(size, dim, device=device)
    for rows in torch.arange(size, device=device).split(CHUNK):
        noise = quality[rows, None] * torch.randn(len(rows), dim, generator=own, device=device)
        image = centers[identity[rows]] + shifts[camera[rows]] + noise
        features[rows] = F.normalize(spectrum * image, dim=1)
    return features
