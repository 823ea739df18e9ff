"""Encoders: networks from images to unit vectors, and their weights."""

from common.backbones.encoder import Encoder, build_encoder

__all__ = ["Encoder", "build_encoder"]
