"""Encoders: networks from images to unit vectors, and their weights."""

from common.backbones.encoder import Encoder, build_encoder
from common.backbones.network_file import NetworkInfo, describe_network
from common.backbones.weights import load_trained, require_weights

__all__ = [
    "Encoder",
    "NetworkInfo",
    "build_encoder",
    "describe_network",
    "load_trained",
    "require_weights",
]
