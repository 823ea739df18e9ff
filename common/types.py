"""The values that pass between the parts: data sets, batches, pseudo-labels, results.

Letters for shapes, the same everywhere: B batch, V views, N images, C clusters, D features,
M rows of a memory bank, S source identities, Q queries, G gallery images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:  # so that data sets can be read without PyTorch, which takes seconds to load
    from torch import Tensor

Domain = Literal["target", "source"]
SPLITS = ("train", "query", "gallery")
"""The parts of a `Dataset` by the names of its fields."""

Tick = Callable[[int, int], None]
"""Told how far a long work is: what is done, and all there is."""

ScoringProtocol = Literal["market1501", "vehicleid"]


@dataclass(frozen=True)
class Samples:
    """The images of one split, in the order that fixes every image's *index* for ever.

    Args:
        paths: (N,) object array of absolute file names, sorted by the name relative to the
            data set's folder as a plain string.
        pids: (N,) int64 identities; -1 where they are unknown.
        cams: (N,) int64 cameras from 0.
    """

    paths: np.ndarray
    pids: np.ndarray
    cams: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, index: np.ndarray | slice) -> Samples:
        """The samples at `index`: positions, a mask or a slice."""
        return Samples(self.paths[index], self.pids[index], self.cams[index])

    def join(self, other: Samples) -> Samples:
        """These samples followed by the others."""
        return Samples(
            np.concatenate([self.paths, other.paths]),
            np.concatenate([self.pids, other.pids]),
            np.concatenate([self.cams, other.cams]),
        )

    @property
    def num_ids(self) -> int:
        """Identities that are known."""
        return len(np.unique(self.pids[self.pids >= 0]))

    @property
    def num_cams(self) -> int:
        return len(np.unique(self.cams))


@dataclass(frozen=True)
class Dataset:
    """A data set as read from disk.

    `train.pids` are 0..S-1 without gaps where the set may serve as a labelled source. Those of a
    target are learned from by a supervised run alone, and shown in reports. `query` and `gallery`
    are empty for sets without a test part; a set of protocol "vehicleid" keeps all test images in
    `gallery`, because the evaluator draws its query and gallery parts anew ten times.

    Args:
        name: lower-case name, as on the command line.
        root: the folder that was read.
        version: e.g. "V1" or "V2" of MSMT17; empty where there is one version only.
        camera_rule: how cameras were found, for the record, e.g. "file name" or "none".
        cam_names: of each camera, as file names, folders or lists have it; to be shown. Empty where
            nothing names them.
        unnamed: images in the folder that its list of images leaves out.
        unread: names of images there of kinds that are not read.
    """

    name: str
    root: str
    train: Samples
    query: Samples
    gallery: Samples
    version: str = ""
    protocol: ScoringProtocol = "market1501"
    camera_rule: str = "file name"
    cam_names: tuple[str, ...] = ()
    unnamed: int = 0
    unread: tuple[str, ...] = ()

    @property
    def has_test(self) -> bool:
        return len(self.gallery) > 0


@dataclass(frozen=True)
class TrainData:
    """All that a method may know of the data.

    Args:
        num_images: N, target training images.
        cams: (N,) int64 cameras of the target images.
        source_pids: identity of every source image, 0..S-1, or None without a source domain.
        num_source_ids: S, 0 without a source domain.
        target_pids: true identities 0..C-1 of the target; given to a supervised run only.
    """

    num_images: int
    cams: np.ndarray
    source_pids: np.ndarray | None = None
    num_source_ids: int = 0
    target_pids: np.ndarray | None = None


@dataclass(frozen=True)
class PseudoLabels:
    """Clusters of one epoch.

    Args:
        labels: (N,) int64; 0..C-1, -1 for an outlier. Numbers may have gaps only where a
            method says so (SpCL dissolves clusters without renumbering).
        details: numbers worth a log line, e.g. {"eps": 0.6}.
    """

    labels: np.ndarray
    details: dict[str, float] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Size of a table indexed by label: largest label + 1."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def num_clusters(self) -> int:
        """Number of labels that at least two images carry."""
        counts = np.bincount(self.labels[self.labels >= 0])
        return int((counts >= 2).sum())

    @property
    def num_outliers(self) -> int:
        """Images without a label, or alone with theirs."""
        counts = np.bincount(self.labels[self.labels >= 0])
        return int((self.labels < 0).sum() + (counts == 1).sum())

    def outliers_as_clusters(self) -> PseudoLabels:
        """Every outlier becomes a class of its own: C, C + 1, ... in image order."""
        labels = self.labels.copy()
        outliers = labels < 0
        labels[outliers] = self.num_classes + np.arange(outliers.sum())
        return replace(self, labels=labels)


@dataclass(frozen=True)
class Batch:
    """One domain's share of an iteration, on the device, and the whole of it by name.

    Args:
        views: V tensors (B, 3, H, W), normalized.
        indices: (B,) int64 image indices of the first view.
        labels: (B,) int64 pseudo-labels (target) or identities (source).
        all_indices, all_labels: the same of all R ranks' shares, (R * B,) in batch order, on the
            host: what a memory plans its update by.
    """

    views: tuple[Tensor, ...]
    indices: Tensor
    labels: Tensor
    all_indices: np.ndarray
    all_labels: np.ndarray

    def seen(self, embeddings: Tensor, source: MemoryUpdate | None = None) -> MemoryUpdate:
        """What the memory gets to see of this batch: embeddings (B, D) of the first view."""
        return MemoryUpdate(embeddings.detach(), self.all_labels, self.all_indices, source)


@dataclass(frozen=True)
class MemoryUpdate:
    """What a memory bank gets to see of an iteration, gathered from all ranks in batch order.

    Args:
        embeddings: (B, D) detached, unit length; a rank's share until `Team.gather`.
        labels: (B,) int64 on the host, of all ranks from the start.
        indices: (B,) int64 on the host, of all ranks from the start.
        source: the same for the source domain, or None.
    """

    embeddings: Tensor
    labels: np.ndarray
    indices: np.ndarray
    source: MemoryUpdate | None = None


@dataclass(frozen=True)
class Step:
    """What a training step returns; the loop minimizes the sum of the losses."""

    losses: dict[str, Tensor]
    update: MemoryUpdate


@dataclass(frozen=True)
class Retrieval:
    """Result of an evaluation; fractions in [0, 1].

    Args:
        map: mean average precision.
        cmc: (R,) share of valid queries whose first match stands at rank <= r + 1.
        num_valid: queries with at least one match left; the mean is over these.
    """

    map: float
    cmc: np.ndarray
    num_valid: int

    def rank(self, k: int) -> float:
        """CMC@k; the last known value where the gallery has fewer than k images."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def scores(self) -> dict[str, float]:
        """The four numbers that papers print."""
        return {"map": self.map, **{f"rank{k}": self.rank(k) for k in (1, 5, 10)}}


Extract = Callable[[Domain], "Tensor"]
"""Features (N, D) of a domain in index order: unit length, no gradient, evaluation mode."""
