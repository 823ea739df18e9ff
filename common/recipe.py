"""The recipe of a run: every value that decides its result, as typed, frozen data.

A recipe is printed before the run, stored with it, and read back by evaluation and resume;
`common/recipe_text.py` writes and reads it.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from common.errors import UserError
from common.ranges import require_ordered, require_range
from common.schedules import Constant, Schedule

Pooling = Literal["avg", "max", "gem", "parts"]
Precision = Literal["exact", "fast"]


@dataclass(frozen=True)
class EncoderSettings:
    """The network: trunk, pooling, BN neck, unit-length output.

    Args:
        arch: resnet18 .. resnet152, resnet_ibn50a, resnet_ibn101a, mobilenet_v2 or tiny.
        pooling: avg, max, gem (one learnable exponent, started at 3) or parts (average of
            `parts` horizontal stripes, concatenated).
        parts: stripes of pooling "parts", 1 to 64; no effect otherwise.
        embedding: size of a linear layer before the neck, at most 65,536; 0 for none, as in all
            papers.
        dropout: probability after normalization, in [0, 1); 0 in all papers.
        height, width: image size in pixels, each 1 to 1,024.
        weights: initial weights: "imagenet" (torchvision's V1 file or the IBN-a file), "random",
            or the path of a .pth, .safetensors or .npz file.
    """

    arch: str = "resnet50"
    pooling: Pooling = "avg"
    parts: int = 4
    embedding: int = 0
    dropout: float = 0.0
    height: int = 256
    width: int = 128
    weights: str = "imagenet"

    def __post_init__(self) -> None:
        require_range(self, "[1, 1024]", "height", "width", group="encoder")
        require_range(self, "[1, 64]", "parts", group="encoder")
        require_range(self, "[0, 65536]", "embedding", group="encoder")
        require_range(self, "[0, 1)", "dropout", group="encoder")


@dataclass(frozen=True)
class Augment:
    """The training transform after resizing: flip, pad and crop, normalize, erase.

    Args:
        flip: probability of a horizontal flip, in [0, 1].
        pad: black pixels added on all sides before the random crop back to size; at most 256.
        erase: probability of random erasing, in [0, 1].
        erase_area: range of the erased share of the image, in (0, 1].
        erase_ratio: range of the erased box's height / width, drawn uniformly; above 0.
    """

    flip: float = 0.5
    pad: int = 10
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_ratio: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "flip", "erase", group="augment")
        require_range(self, "[0, 256]", "pad", group="augment")
        require_ordered(self, "erase_area", "erase_ratio", group="augment")
        if self.erase_area[1] > 1:
            raise UserError(f"augment.erase_area={self.erase_area}: a share is 1 at most.")


@dataclass(frozen=True)
class Sampling:
    """How batches are drawn: P identities with K images each.

    Args:
        batch_size: B = P x K images per iteration, over all processes; >= 1.
        instances: K >= 1; 0 draws plain shuffled batches.
        iterations: steps per epoch, at most 1,000,000; 0 means one pass of the sampler.
        cameras: prefer images of other cameras than the anchor's.
    """

    batch_size: int = 256
    instances: int = 16
    iterations: int = 200
    cameras: bool = True

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "batch_size", group="sampling")
        require_range(self, "[0, inf)", "instances", group="sampling")
        require_range(self, "[0, 1000000]", "iterations", group="sampling")


@dataclass(frozen=True)
class Exact:
    """Neighbours by an exact search: the same on every machine, at every size."""


@dataclass(frozen=True)
class Approximate:
    """Neighbours by an inverted file of faiss: some are missed. No paper uses it.

    Args:
        share: of the cells around which the images are grouped, looked at for each image; in
            (0, 1], 1 finds all. The log tells the recall.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        require_range(self, "(0, 1]", "share", group="clustering.search")


Search = Exact | Approximate


@dataclass(frozen=True)
class Dbscan:
    """DBSCAN on the k-reciprocal Jaccard distance.

    Args:
        eps: radius by epoch, in (0, 1).
        min_samples: neighbours that make a core point, itself included; >= 1.
        k1: neighbours of the reciprocal sets, the point itself included; 2 to 1,000.
        k2: neighbours of the query expansion, k1 at most; 1 leaves it out.
        center_cameras: subtract the mean feature of each camera first. No paper uses it.
        search: how neighbours are found.
    """

    eps: Schedule = Constant(0.6)
    min_samples: int = 4
    k1: int = 30
    k2: int = 6
    center_cameras: bool = False
    search: Search = Exact()

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "min_samples", "k2", group="clustering")
        require_range(self, "[2, 1000]", "k1", group="clustering")
        if self.k2 > self.k1:
            raise UserError(
                f"clustering.k2 is {self.k2}, more than k1 = {self.k1}. "
                "The query expansion averages over the first k2 of the k1 neighbours."
            )


@dataclass(frozen=True)
class InfoMap:
    """InfoMap on the directed cosine neighbour graph (needs the extra `infomap`).

    Args:
        similarity: an edge needs at least this cosine similarity, in [0, 1].
        k1: neighbours per image, itself included; 2 to 1,000.
        k2: modules of at most this size become outliers; >= 0.
        trials: runs of Infomap of which the best is taken; 1 to 1,000.
        seed: of Infomap's own generator; below 2^32.
        search: how neighbours are found.
    """

    similarity: float = 0.5
    k1: int = 15
    k2: int = 4
    trials: int = 1
    seed: int = 123
    search: Search = Exact()

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "similarity", group="clustering")
        require_range(self, "[2, 1000]", "k1", group="clustering")
        require_range(self, "[0, inf)", "k2", group="clustering")
        require_range(self, f"[0, {2**32 - 1}]", "seed", group="clustering")
        require_range(self, "[1, 1000]", "trials", group="clustering")


Clustering = Dbscan | InfoMap
NAMES = ("method", "dataset", "source", "variant")  # they say which recipe it is
DESCRIPTION = (*NAMES, "paper")  # what is not a setting


PaperScores = tuple[float, float, float, float]
"""mAP and CMC at rank 1, 5 and 10 as published, in percent: the first fields of `PaperResult`."""


@dataclass(frozen=True)
class PaperResult:
    """What was published, in percent; None where nothing was.

    Args:
        source: where the numbers stand, e.g. "README of the released code".
        settings: where the settings of this recipe come from, and what is inferred.
        compares: which of our two numbers is comparable: the best evaluated epoch (the
            released scripts select on the test set) or the last one.
    """

    map: float | None = None
    rank1: float | None = None
    rank5: float | None = None
    rank10: float | None = None
    source: str = "not published"
    settings: str = ""
    compares: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class Recipe:
    """One run of one method on one data set.

    Args:
        method, dataset: names, e.g. "hhcl", "market1501".
        settings: the method's own frozen dataclass.
        source: labelled source data set of a two-domain run, else "".
        variant: "" for the method's main form, else the name in `--variant`.
        lr: Adam's rate, >= 0; `lr_factor` multiplies it by epoch.
        weight_decay: of Adam, >= 0, added to the gradient, for all trainable tensors.
        epochs: clusterings, each followed by `sampling.iterations` steps; 1 to 10,000.
        bn_chunks: slices of the batch that batch norm treats apart, as the papers' GPUs did; >= 1.
        eval_every: epochs between tests, >= 1; the last epoch is always tested.
        seed: of every random stream of the run; below 2^32.
        supervised: train on the target's true identities instead of clusters: an upper bound.
        precision: "exact" is float32 with TF32 off; "fast" may differ in rounding.
    """

    method: str
    dataset: str
    settings: Any
    source: str = ""
    variant: str = ""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    augment: Augment = field(default_factory=Augment)
    sampling: Sampling = field(default_factory=Sampling)
    clustering: Clustering = field(default_factory=Dbscan)
    lr: float = 3.5e-4
    lr_factor: Schedule = Constant(1.0)
    weight_decay: float = 5e-4
    epochs: int = 50
    bn_chunks: int = 4
    eval_every: int = 10
    seed: int = 1
    supervised: bool = False
    precision: Precision = "exact"
    paper: PaperResult = field(default_factory=PaperResult)

    def __post_init__(self) -> None:
        require_range(self, "[0, inf)", "lr", "weight_decay", group="")
        require_range(self, "[1, inf)", "bn_chunks", "eval_every", group="")
        require_range(self, "[1, 10000]", "epochs", group="")
        require_range(self, f"[0, {2**32 - 1}]", "seed", group="")
        if not all(0 <= factor < math.inf for factor in self._course(self.lr_factor)):
            raise UserError(
                f"lr_factor={self.lr_factor}: must be finite and not negative in every epoch."
            )
        if isinstance(self.clustering, Dbscan):
            radii = self._course(self.clustering.eps)
            if not all(0 < eps < 1 for eps in radii):
                raise UserError(
                    f"clustering.eps={self.clustering.eps}: must lie in (0, 1) in every epoch."
                )

    def _course(self, schedule: Schedule) -> list[float]:
        """Its values in all epochs; infinity alone where one of them overflows."""
        try:
            return [schedule(epoch) for epoch in range(self.epochs)]
        except OverflowError:
            return [math.inf]

    def steps(self, images: int) -> int:
        """Training steps of a whole run; where an epoch is a pass over the images, over all."""
        sampling = self.sampling
        return self.epochs * (sampling.iterations or images // sampling.batch_size)

    def due(self, epoch: int) -> bool:
        """Whether a test follows this epoch (counted from 0)."""
        return (epoch + 1) % self.eval_every == 0 or epoch + 1 == self.epochs


def chunks_per_process(bn_chunks: int, processes: int) -> int:
    """Groups of each process, at least 1: the processes share the recipe's groups."""
    return max(bn_chunks // processes, 1)
