"""Building the encoder of a recipe."""

import torch

from common.backbones.network import Encoder
from common.backbones.weights import load_initial, require_weights
from common.errors import UserError
from common.recipe import EncoderSettings

__all__ = ["Encoder", "build_encoder", "require_size"]


def build_encoder(
    settings: EncoderSettings, bn_chunks: int = 1, domains: int = 1, seed: int = 1
) -> Encoder:
    """An encoder with its initial weights; the same seed gives the same one.

    Torch's global generator is left as it was.

    Args:
        settings: the recipe's `encoder`.
        bn_chunks: parts of a batch that batch norm treats apart; per process.
        domains: 2 for a batch norm per domain, both starting as copies.
        seed: for all random weights.

    Raises:
        UserError: an unknown architecture, or weights that are missing or do not fit.
    """
    if domains not in (1, 2):
        raise ValueError(f"domains is {domains}; there are one or two")
    path = require_weights(settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = Encoder(settings, bn_chunks)
    if path is not None:
        load_initial(encoder, path, domains)
    if domains == 2:
        encoder.split_domains()
    return encoder


def require_size(settings: EncoderSettings) -> None:
    """Stop where the network cannot take images of the recipe's size; nothing is computed.

    Raises:
        UserError: a feature map would have too few rows or columns.
    """
    with torch.device("meta"):
        encoder = Encoder(settings)
        images = torch.empty(2, 3, settings.height, settings.width)  # the least of a chunk
    try:
        encoder.pool(encoder.trunk(images))
    except (ValueError, RuntimeError):
        raise UserError(
            f"{settings.arch} cannot take images of {settings.height} x {settings.width} pixels. "
            "Choose a larger encoder.height or encoder.width."
        ) from None
