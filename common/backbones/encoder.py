"""The encoder of every method: trunk, pooling, BN neck, unit-length output."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.batchnorm import (
    BatchNorm,
    DomainBatchNorm,
    Grouping,
    deinterleave,
    interleave,
    split_domains,
)
from common.backbones.checkpoint import Checkpoint, read_checkpoint
from common.backbones.pooling import build_pooling
from common.backbones.trunks import find_trunk
from common.backbones.weights import require_weights
from common.errors import UserError
from common.recipe import EncoderSettings
from common.types import Domain


class Encoder(nn.Module):
    """Images to unit vectors, in training and in evaluation alike.

        z = normalize(neck(embedding(pool(trunk(images)))))

    The neck is a batch norm whose bias stays 0: it is not trained. The embedding, a linear
    layer, is the identity in all papers. Dropout, 0 in all papers, comes after normalization
    and draws from torch's global generator; with it, outputs in training are not of unit length.

    Args:
        settings: architecture, pooling, sizes; `weights` is not read here.
        bn_chunks: parts of a training batch that batch norm treats apart (`batchnorm.py`);
            `grouping.chunks` changes it later. With several processes: each one's share.

    Attributes:
        num_features: D.
        domain: whose batch norm `forward` uses after `split_domains`.
    """

    def __init__(self, settings: EncoderSettings, bn_chunks: int = 1) -> None:
        super().__init__()
        if bn_chunks < 1:
            raise UserError(f"bn_chunks is {bn_chunks}. Choose at least 1.")
        self.settings = settings
        self.grouping = Grouping(bn_chunks)
        self.domain: Domain = "target"
        trunk = find_trunk(settings.arch)
        self.trunk = trunk.build(self.grouping)
        self.pool, vectors = build_pooling(settings.pooling, settings.parts)
        pooled = trunk.channels * vectors
        self.embedding = _embedding(pooled, settings.embedding)
        self.num_features = settings.embedding or pooled
        self.neck = BatchNorm(self.num_features, grouping=self.grouping)
        self.neck.bias.requires_grad_(False)
        self.dropout = nn.Dropout(settings.dropout)

    @property
    def domains(self) -> int:
        """2 with a batch norm per domain, else 1."""
        return 2 if isinstance(self.neck, DomainBatchNorm) else 1

    def split_domains(self) -> None:
        """Give every batch norm a copy for the source domain, once."""
        if self.domains == 1:
            split_domains(self)

    def use_domain(self, domain: Domain) -> None:
        """Which domain's batch norm `forward` uses; the target's unless told otherwise."""
        self.domain = domain

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalized images of one domain to (B, D) unit rows.

        Raises:
            UserError: a training batch too small for its chunks.
        """
        return self._encode([images], (self.domain,))[0]

    def forward_domains(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both domains' images in one pass, each through its own batch norm.

        Numerically, the layout of G GPUs that each get a part of the source batch, then as
        many target images.

        Args:
            source, target: (B, 3, H, W) each; in training B divides by the chunks.

        Returns:
            (B, D) unit rows of the source and of the target.

        Raises:
            UserError: unequal batches, or not divisible by the chunks.
        """
        if self.domains == 1:
            raise ValueError("forward_domains needs an encoder with a batch norm per domain")
        zs, zt = self._encode([source, target], ("source", "target"))
        return zs, zt

    def _encode(self, batches: Sequence[Tensor], domains: tuple[Domain, ...]) -> tuple[Tensor, ...]:
        chunks = self.grouping.chunks if self.training else 1
        if self.training:
            _require_rows([len(batch) for batch in batches], chunks)
        self.grouping.domains = domains
        rows = self.pool(self.trunk(interleave(batches, chunks)))
        # Autocast may have made the embedding bfloat16; statistics and lengths are float32.
        embedded = self.neck(self.embedding(rows).to(rows.dtype))
        z = self.dropout(F.normalize(embedded, dim=1))
        return deinterleave(z, chunks, len(domains))


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


def load_initial(encoder: Encoder, path: Path, domains: int = 1) -> None:
    """Start from a file: a trunk's weights (the rest keeps its own), or a whole encoder's.

    A file with a batch norm per domain splits the encoder, if that many are wanted.

    Raises:
        UserError: the file's network is another one, with the tensors that do not fit.
    """
    checkpoint = read_checkpoint(path)
    if not checkpoint.info.stem_relu:
        raise UserError(
            f"{path} comes from a network without a ReLU in its stem. It can be tested, but not "
            "trained further here; choose other initial weights."
        )
    if domains == 2 and checkpoint.info.domains == 2:
        encoder.split_domains()
    _load(encoder, checkpoint)


def load_published(encoder: Encoder, path: Path) -> None:
    """Load a whole trained encoder: a published checkpoint of a method's authors, or ours.

    `describe_checkpoint` tells beforehand which encoder to build. A network whose stem has no
    ReLU loses it here too, or its features would be others.

    Raises:
        UserError: the file's network is another one, with the tensors that do not fit.
    """
    checkpoint = read_checkpoint(path)
    if not checkpoint.info.trained:
        raise UserError(
            f"{path} holds a {checkpoint.info.arch} without a neck: initial weights, not a trained "
            "encoder. Name a checkpoint of a training run."
        )
    _load(encoder, checkpoint)
    if not checkpoint.info.stem_relu:
        encoder.trunk.relu = nn.Identity()


def _load(encoder: Encoder, checkpoint: Checkpoint) -> None:
    """Copy the tensors, every one of them into a place of its name and shape."""
    _require_same_network(encoder, checkpoint)
    expected = encoder.state_dict()
    if not checkpoint.info.trained:
        expected = {name: t for name, t in expected.items() if name.startswith("trunk.")}
    given = checkpoint.tensors
    problems = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in expected
            if name in given and given[name].shape != expected[name].shape
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{kind}: {_some(names)}" for kind, names in problems.items() if names)
        raise UserError(f"{checkpoint.path} does not fit the encoder. {listed}.")
    encoder.load_state_dict(given, strict=checkpoint.info.trained)


def _require_same_network(encoder: Encoder, checkpoint: Checkpoint) -> None:
    """Name the setting that differs, before any list of tensors."""
    info, path, settings = checkpoint.info, checkpoint.path, encoder.settings
    if info.arch != settings.arch:
        raise UserError(
            f"{path} holds a {info.arch}, the encoder is a {settings.arch}. "
            f"Set encoder.arch={info.arch}, or choose another file."
        )
    if not info.trained:
        return
    if (info.pooling == "gem") != (settings.pooling == "gem"):
        theirs = "gem" if info.pooling == "gem" else info.pooling or "avg or max"
        raise UserError(
            f"{path} was trained with {theirs} pooling, the encoder has {settings.pooling}. "
            f"Set encoder.pooling={theirs}."
        )
    if info.domains != encoder.domains:
        raise UserError(
            f"{path} has {info.domains} batch norm(s) per layer, one for each domain; the encoder "
            f"has {encoder.domains}. Build it with domains={info.domains}."
        )


def _some(names: list[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _embedding(inputs: int, outputs: int) -> nn.Module:
    """A linear layer (Kaiming, fan out, bias 0), or nothing for no outputs."""
    if outputs == 0:
        return nn.Identity()
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    nn.init.zeros_(layer.bias)
    return layer


def _require_rows(sizes: list[int], chunks: int) -> None:
    """Chunks of at least two images, the same number from each domain."""
    first = sizes[0]
    if len(sizes) > 1 and (any(size != first for size in sizes) or first % chunks):
        raise UserError(
            f"{' source and '.join(map(str, sizes))} target images do not give each of {chunks} "
            "chunks as many of both. Choose sampling.batch_size as a multiple of bn_chunks."
        )
    size = -(-first // chunks)
    if min(size, (first - 1) % size + 1) < 2:
        raise UserError(
            f"a batch of {first} images in {chunks} chunks leaves a chunk of one image, which "
            "batch norm cannot normalize. Choose a larger batch or a smaller bn_chunks."
        )
