"""Encoders: networks from images to unit vectors, and their weights."""

from common.backbones.checkpoint import CheckpointInfo, describe_checkpoint
from common.backbones.encoder import Encoder, build_encoder
from common.backbones.weights import load_published, require_weights

__all__ = [
    "CheckpointInfo",
    "Encoder",
    "build_encoder",
    "describe_checkpoint",
    "load_published",
    "require_weights",
]
