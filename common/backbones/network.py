"""The encoder of every method: trunk, pooling, BN neck, unit-length output."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.arithmetic import has_fast_bfloat16
from common.backbones.batchnorm import (
    BatchNorm,
    DomainBatchNorm,
    Grouping,
    deinterleave,
    interleave,
    keep_domain,
    split_domains,
)
from common.backbones.dropout import Dropout
from common.backbones.pooling import build_pooling
from common.backbones.relu import use_own_relus
from common.backbones.trunks import find_trunk
from common.errors import UserError
from common.recipe import EncoderSettings, Precision
from common.types import Domain

EXTRACTED_AT_ONCE = 256  # images in a batch of an extraction; another number may round otherwise
COMPILED_KINDS = 32  # of calls in a run: networks x training or not x domains
COMPILER_OPTIONS: dict[str, Any] = {
    "triton.cudagraphs": True,  # as in torch's mode "reduce-overhead"
    "realize_reads_threshold": 2,  # what two passes read is written once, not formed in both
}


def pooled(trunk: nn.Module, pool: nn.Module, images: Tensor) -> Tensor:
    """A row of each image; a function of its own because that is what gets compiled."""
    rows: Tensor = pool(trunk(images))
    return rows


@functools.cache
def compiled_rows() -> Callable[[nn.Module, nn.Module, Tensor], Tensor]:
    """`pooled`, compiled by `torch.compile` for every kind of call when it first comes.

    Elementwise passes are fused and, on a GPU, a call is replayed as one graph, so that the host
    keeps up. Every number of images is compiled apart. Whatever cannot be compiled raises: running
    parts without would be slow and say nothing.
    """
    torch._dynamo.config.recompile_limit = COMPILED_KINDS
    return torch.compile(pooled, fullgraph=True, dynamic=False, options=COMPILER_OPTIONS)


class Encoder(nn.Module):
    """Images to unit vectors, in training and in evaluation alike.

        z = normalize(neck(embedding(pool(trunk(images)))))

    The neck is a batch norm whose bias stays 0: it is not trained, except with two domains
    (`DomainBatchNorm`). The embedding, a linear layer, is the identity in all papers. Dropout, 0
    in all papers, comes after normalization, and what is left has unit length again.

    Args:
        settings: architecture, pooling, sizes; `weights` is not read here.
        bn_chunks: parts of a training batch that batch norm treats apart (`batchnorm.py`);
            `grouping.chunks` changes it later. With several processes: each one's share.

    Attributes:
        num_features: D.
        trunk_in_bfloat16: compute the trunk in bfloat16 where that is safe; pooling, neck,
            statistics and output stay float32. Rounding differs; off unless asked for.
        channels_last: maps lie in memory by position, then channel.
        compiled: run trunk and pooling compiled, in training and on full batches of an extraction.
            Rounding differs, and the first steps take a minute or two; off unless asked for.
    """

    def __init__(self, settings: EncoderSettings, bn_chunks: int = 1) -> None:
        super().__init__()
        if bn_chunks < 1:
            raise UserError(f"bn_chunks is {bn_chunks}. Choose at least 1.")
        self.settings = settings
        self.grouping = Grouping(bn_chunks)
        self.trunk_in_bfloat16 = False
        self.compiled = False
        trunk = find_trunk(settings.arch)
        self.trunk = trunk.build(self.grouping)
        use_own_relus(self.trunk)
        self.lay_out(channels_last=True)  # where it is built, on the CPU: see `place_on`
        self.pool, vectors = build_pooling(settings.pooling, settings.parts)
        pooled = trunk.channels * vectors
        self.embedding = _embedding(pooled, settings.embedding)
        self.num_features = settings.embedding or pooled
        self.neck = BatchNorm(self.num_features, grouping=self.grouping)
        self.neck.bias.requires_grad_(False)
        self.dropout = Dropout(settings.dropout)

    def lay_out(self, *, channels_last: bool) -> None:
        """Choose the memory layout of weights and maps: another order of sums, same numbers."""
        self.channels_last = self.grouping.consecutive = channels_last
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.trunk.to(memory_format=layout)

    def place_on(self, device: torch.device, precision: Precision = "exact") -> Self:
        """Move to the device, in the number format and memory layout that are fastest there.

        Precision "fast" means bfloat16 where its products are faster than those of float32, and
        changes nothing elsewhere: emulated bfloat16 would be slower. Channels-last is what fast
        kernels for bfloat16 read, and faster on a CPU for every network; in float32 on a GPU
        channels-first gives batch norm all its groups in one call.
        """
        self.trunk_in_bfloat16 = precision == "fast" and has_fast_bfloat16(device)
        self.lay_out(channels_last=self.trunk_in_bfloat16 or device.type == "cpu")
        return self.to(device)

    @property
    def domains(self) -> int:
        """2 with a batch norm per domain, else 1."""
        return 2 if isinstance(self.neck, DomainBatchNorm) else 1

    def split_domains(self) -> None:
        """Give every batch norm a copy for the source domain, once."""
        if self.domains == 1:
            split_domains(self)

    def keep_domain(self, domain: Domain) -> None:
        """Leave each layer the batch norm of one domain: how a network is tested on its source."""
        keep_domain(self, domain)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalized images of the target, or the only domain, to (B, D) unit rows.

        Raises:
            UserError: a training batch too small for its chunks.
        """
        return self._encode([images], ("target",))[0]

    def forward_domains(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both domains' images in one pass, each through its own batch norm.

        Numerically, the layout of G GPUs that each get a part of the source batch, then as
        many target images.

        Args:
            source, target: (B, 3, H, W) each; in training B is divisible by the chunks.

        Returns:
            (B, D) unit rows of the source and of the target.

        Raises:
            UserError: unequal batches, not divisible by the chunks, or too small for them.
            ValueError: the encoder has one domain.
        """
        if self.domains == 1:
            raise ValueError("forward_domains needs an encoder with a batch norm per domain")
        zs, zt = self._encode([source, target], ("source", "target"))
        return zs, zt

    def _encode(self, batches: Sequence[Tensor], domains: tuple[Domain, ...]) -> tuple[Tensor, ...]:
        chunks = self.grouping.chunks if self.training else 1
        _require_equal_shares([len(batch) for batch in batches], chunks)
        if self.training:
            require_pairs(len(batches[0]), chunks)
        self.grouping.domains = domains
        images = self._arranged(batches, chunks)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.trunk_in_bfloat16):
            often = self.training or len(images) == EXTRACTED_AT_ONCE
            compute = compiled_rows() if self.compiled and often else pooled
            rows = compute(self.trunk, self.pool, images)
        # An outer autocast may have made the embedding bfloat16; lengths are float32.
        embedded = self.neck(self.embedding(rows).to(rows.dtype))
        z = F.normalize(embedded, dim=1)
        count = len(domains)
        apart = z.chunk(count) if self.grouping.consecutive else deinterleave(z, chunks, count)
        return tuple(self.dropout(rows) for rows in apart)

    def _arranged(self, batches: Sequence[Tensor], chunks: int) -> Tensor:
        """The images of all domains in one tensor, in the order that batch norm expects."""
        if not self.grouping.consecutive:
            return interleave(batches, chunks)
        return torch.cat(list(batches)).contiguous(memory_format=torch.channels_last)


def _embedding(inputs: int, outputs: int) -> nn.Module:
    """A linear layer (Kaiming, fan out, bias 0), or nothing for no outputs."""
    if outputs == 0:
        return nn.Identity()
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    nn.init.zeros_(layer.bias)
    return layer


def _require_equal_shares(sizes: list[int], chunks: int) -> None:
    """As many images of each domain in every chunk; one domain alone may be cut unevenly."""
    if len(sizes) > 1 and (len(set(sizes)) > 1 or sizes[0] % chunks):
        raise UserError(
            f"{sizes[0]} source and {sizes[1]} target images do not give each of {chunks} chunks "
            "as many of both. Choose sampling.batch_size as a multiple of bn_chunks."
        )


def require_pairs(size: int, chunks: int) -> None:
    """At least two images in every chunk of ceil(B / G), the last and smallest one included.

    Raises:
        UserError: a chunk of one image, which batch norm cannot normalize.
    """
    chunk = -(-size // chunks)
    if min(chunk, (size - 1) % chunk + 1) < 2:
        raise UserError(
            f"a batch of {size} images in {chunks} chunks leaves a chunk of one image, which "
            "batch norm cannot normalize. Choose a larger batch or a smaller bn_chunks."
        )
