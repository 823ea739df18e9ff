"""What a run needs besides the method: images, processes, generators, a place to write."""

from dataclasses import dataclass

import numpy as np

from common.data.request import ImageSource
from common.run import Event, Observer, RunDir, ticks
from common.streams import Streams
from common.team import Team
from common.types import Dataset, Domain, Tick


@dataclass(frozen=True)
class DomainImages:
    """Training images of one domain with their cameras and file names.

    Args:
        images: source of pixels, N images.
        cams: (N,) int64.
        paths: (N,) object array, to name images in a message.
    """

    images: ImageSource
    cams: np.ndarray
    paths: np.ndarray


@dataclass
class Job:
    """What a run needs besides the method.

    Args:
        dataset: the target; its train identities are never read here.
        train: target training images.
        test: query images followed by gallery images, or None without a test part.
        source: images of the labelled source domain, or None.
        source_pids: (N,) int64 identities of the source images, 0..S-1; None without a source.
        streams: the run's generators, saved with it.
        team: the processes of the run.
        run: where to write; only rank 0 does.
        observer: receives every event; rank 0's only.
    """

    dataset: Dataset
    train: DomainImages
    test: ImageSource | None
    source: DomainImages | None
    source_pids: np.ndarray | None
    streams: Streams
    team: Team
    run: RunDir
    observer: Observer

    def images_of(self, domain: Domain) -> DomainImages:
        """Training images of a domain."""
        if domain == "target":
            return self.train
        if self.source is None:
            raise RuntimeError("source images are asked for, but the run has no source domain")
        return self.source

    def tell(self, event: Event) -> None:
        """Show an event, and keep it in the log."""
        self.observer(event)
        if self.team.first:
            self.run.log(event)

    def ticks(self, what: str) -> Tick:
        """A progress callback that shows how far `what` is."""
        return ticks(self.observer, what)
