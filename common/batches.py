"""What an epoch's iterations see: planned on the host, loaded ahead, sliced per process."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from common.data.augment import draw_batch
from common.data.request import Request
from common.data.sampler import identity_batches, iterations_of
from common.job import Job
from common.method import Method
from common.transfer import on_device
from common.types import Batch, Domain


class EpochBatches:
    """The batches of one domain in one epoch, this rank's share, on the device.

    Every rank draws the whole batch and loads its slice.

    Args:
        method: which images the views show; its recipe says how to sample and to augment.
        job: the images, the team, and the run's generators.
        domain: whose images; the generators used here bear its name.
        labels: (N,) labels to sample by; negative ones are left out.
        iterations: number of batches.

    Attributes:
        seen: image indices of every batch that was planned so far, of all ranks.
    """

    def __init__(
        self, method: Method, job: Job, domain: Domain, labels: np.ndarray, iterations: int
    ) -> None:
        self.method = method
        self.recipe = method.recipe
        self.streams = job.streams
        self.team = job.team
        self.domain = domain
        self.shown = job.images_of(domain)
        self.labels = labels
        self.iterations = iterations
        self.seen: list[np.ndarray] = []

    def __iter__(self) -> Iterator[Batch]:
        on = self.team.device
        for number, views in enumerate(self.shown.images.batches(self._requests())):
            indices = self.seen[number]
            labels = self.labels[indices]
            shares = (on_device(self.team.share(values), on) for values in (indices, labels))
            own_indices, own_labels = shares
            yield Batch(views, own_indices, own_labels, indices, labels)

    def _requests(self) -> Iterator[Request]:
        """Plans; the image source may take them some batches ahead of the training."""
        batches = identity_batches(
            self.labels, self.shown.cams, self.recipe.sampling, self.streams[f"{self.domain}-ids"]
        )
        for indices in islice(batches, self.iterations):
            yield self._request(indices)

    def _request(self, indices: np.ndarray) -> Request:
        shown = self.method.view_indices(indices, self.streams[f"{self.domain}-views"])
        encoder = self.recipe.encoder
        draws = tuple(
            draw_batch(
                self.streams[f"{self.domain}-augment"],
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


class DomainBatches:
    """Target batches, each with a source batch where there is a source domain."""

    def __init__(self, target: EpochBatches, source: EpochBatches | None) -> None:
        self.target = target
        self.source = source
        self.iterations = target.iterations

    def __iter__(self) -> Iterator[tuple[Batch, Batch | None]]:
        if self.source is None:
            return ((batch, None) for batch in self.target)
        return zip(self.target, self.source, strict=True)

    def files(self, iteration: int) -> list[str]:
        """Names of the images of one iteration that was planned, of all ranks and domains."""
        domains = [self.target] if self.source is None else [self.target, self.source]
        return [path for d in domains for path in d.shown.paths[d.seen[iteration]]]


def domain_batches(method: Method, job: Job, labels: np.ndarray) -> DomainBatches:
    """The batches of an epoch whose target images have these labels."""
    count = iterations_of(method.recipe.sampling, labels)
    target = EpochBatches(method, job, "target", labels, count)
    if job.source_pids is None:
        return DomainBatches(target, None)
    return DomainBatches(target, EpochBatches(method, job, "source", job.source_pids, count))
