"""What an epoch's iterations see: planned on the host, loaded ahead, sliced per process."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from common.data.augment import draw_batch
from common.data.images import ImageSource, Request
from common.data.sampler import identity_batches, images_per_pass
from common.errors import UserError
from common.method import Method
from common.recipe import Recipe, Sampling
from common.streams import Streams
from common.team import Team
from common.transfer import on_device
from common.types import Batch, PseudoLabels

LEAST_RECALL = 0.95  # both of a pair must list each other, so every miss costs twice


@dataclass(frozen=True)
class DomainImages:
    """Training images of one domain with their cameras.

    Args:
        images: source of pixels, N images.
        cams: (N,) int64.
    """

    images: ImageSource
    cams: np.ndarray


def require_usable(pseudo: PseudoLabels, sampling: Sampling, epoch: int) -> None:
    """Stop with a reason where the labels cannot fill one batch.

    Raises:
        UserError: with epoch, counts, eps and what to try. Nothing is changed silently.
    """
    per_pass = images_per_pass(pseudo.labels, sampling.instances)
    if per_pass >= sampling.batch_size:
        return
    filled = f"which fill {per_pass} of the {sampling.batch_size} images of a batch"
    raise unusable(pseudo, epoch, filled, "a smaller sampling.batch_size, ")


def unusable(pseudo: PseudoLabels, epoch: int, why: str, also: str = "") -> UserError:
    """What is said of labels that cannot be trained on: epoch, settings, counts, what to try."""
    said = ", ".join(f"{name} {value:g}" for name, value in pseudo.details.items())
    eps, similarity = ("smaller", "larger") if _giant(pseudo) else ("larger", "smaller")
    return UserError(
        f"epoch {epoch + 1}: the clustering ({said}) gave {pseudo.num_clusters} clusters and "
        f"{pseudo.num_outliers} outliers, {why}. Try a {eps} clustering.eps (InfoMap: a "
        f"{similarity} similarity), {also}or better initial weights (encoder.weights)."
    )


def giant_cluster(pseudo: PseudoLabels) -> str | None:
    """A warning where one cluster holds more than half of the images."""
    giant, images = _giant(pseudo), len(pseudo.labels)
    if not giant or images < 100:
        return None
    return (
        f"one cluster holds {giant} of {images} images: eps is probably too large for these "
        "features. Try a smaller clustering.eps."
    )


def _giant(pseudo: PseudoLabels) -> int:
    """Size of a cluster of more than half of the images, 0 without one."""
    largest = int(np.bincount(pseudo.labels[pseudo.labels >= 0]).max(initial=0))
    return largest if 2 * largest > len(pseudo.labels) else 0


def low_recall(pseudo: PseudoLabels) -> str | None:
    """A warning where an approximate search missed enough neighbours to change the labels."""
    recall = pseudo.details.get("recall", 1.0)
    if recall >= LEAST_RECALL:
        return None
    return (
        f"the approximate search found {recall:.1%} of the neighbours; below {LEAST_RECALL:.0%} "
        'labels change grossly. Raise clustering.search.share, or set "clustering.search=Exact()".'
    )


class EpochBatches:
    """The batches of one domain in one epoch, endless, this rank's share, on the device.

    Args:
        domain: the images.
        labels: (N,) labels to sample by; negative ones are left out.
        recipe: sampling and augmentation.
        streams: the run's generators; `name` prefixes the ones used here.
        team: every rank draws the whole batch and loads its slice.
        method: which images the views show; None shows each image once.
        iterations: number of batches.
    """

    def __init__(
        self,
        domain: DomainImages,
        labels: np.ndarray,
        recipe: Recipe,
        streams: Streams,
        team: Team,
        name: str,
        method: Method | None,
        iterations: int,
    ) -> None:
        self.domain = domain
        self.labels = labels
        self.recipe = recipe
        self.streams = streams
        self.team = team
        self.name = name
        self.method = method
        self.iterations = iterations
        self.seen: list[np.ndarray] = []

    def __iter__(self) -> Iterator[Batch]:
        on = self.team.device
        for number, views in enumerate(self.domain.images.batches(self._requests())):
            indices = self.seen[number]
            labels = self.labels[indices]
            shares = (on_device(self.team.share(values), on) for values in (indices, labels))
            own_indices, own_labels = shares
            yield Batch(views, own_indices, own_labels, indices, labels)

    def _requests(self) -> Iterator[Request]:
        """Plans; the image source takes them some batches ahead of the training."""
        batches = identity_batches(
            self.labels, self.domain.cams, self.recipe.sampling, self.streams[f"{self.name}-ids"]
        )
        for indices in islice(batches, self.iterations):
            yield self._request(indices)

    def _request(self, indices: np.ndarray) -> Request:
        shown = indices[:, None]
        if self.method is not None:
            shown = self.method.view_indices(indices, self.streams[f"{self.name}-views"])
        encoder = self.recipe.encoder
        draws = tuple(
            draw_batch(
                self.streams[f"{self.name}-augment"],
                len(indices),
                encoder.height,
                encoder.width,
                self.recipe.augment,
            )
            for _ in range(shown.shape[1])
        )
        mine = self.team.share(np.arange(len(indices)))
        self.seen.append(indices)
        return Request(shown[mine], tuple(draw.take(mine) for draw in draws))
