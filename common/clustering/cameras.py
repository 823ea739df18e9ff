"""Removal of what the images of one camera have in common."""

import numpy as np
import torch
from torch import Tensor

from common.clustering.similarity import unit_rows

BLOCK = 4096  # rows at once: a copy of all features takes gigabytes
LEAST_NORM = 1e-4  # of a difference that still has a direction


def centered_by_camera(features: Tensor, cams: np.ndarray | None) -> Tensor:
    """Features (N, D) minus the mean feature of their camera, of unit length again.

    Backgrounds and colours of a camera pull its images together. No paper here uses it. An image
    that equals its camera's mean, as the only image of a camera does, keeps its feature.

    Raises:
        ValueError: there are no cameras (N,).
    """
    if cams is None or len(cams) != len(features):
        raise ValueError("center_cameras needs the camera of every image.")
    _, inverse, counts = np.unique(cams, return_inverse=True, return_counts=True)
    camera = torch.as_tensor(inverse, device=features.device)
    images = torch.as_tensor(counts, device=features.device)
    # In float64, so that the order in which a GPU adds does not show after rounding.
    sums = features.new_zeros(len(counts), features.shape[1], dtype=torch.float64)
    for rows, cams_of in zip(features.split(BLOCK), camera.split(BLOCK), strict=True):
        sums.index_add_(0, cams_of, rows.double())
    means = (sums / images[:, None]).float()
    centered = torch.empty_like(features)
    parts = (features.split(BLOCK), camera.split(BLOCK), centered.split(BLOCK))
    for rows, cams_of, out in zip(*parts, strict=True):
        rest = rows - means[cams_of]
        alike = torch.linalg.vector_norm(rest, dim=1) < LEAST_NORM
        out.copy_(torch.where(alike[:, None], rows, unit_rows(rest)))
    return centered
