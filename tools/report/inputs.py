"""What a report is made of."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from common.recipe import Recipe
from common.run import Event
from common.types import Samples


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page shows; what is None or empty is left out of it.

    Args:
        recipe: the settings of the run; its `paper` holds the published numbers in percent.
        events: lines of the log: "epoch", "test" (epoch -1 is the untrained network), "warning".
        result: content of `result.json`: `start`, `last`, `best` as fractions. Optional:
            `references`, a list of {"name", "map", "rank1"} as fractions, and
            `reference_curve`, the authors' log as {name: [[epoch, value], ...]} with epochs from
            0. The names are those of the run's own log: map and rank1 (fractions), clusters,
            outliers, the terms of the loss, and what the method watches, such as temperature.
        environment: versions, devices, data set; `changes` by the user as "NAME=VALUE", and
            `deviations` from the recipe as sentences.
        train: N training images.
        train_features: (n, D) of those that the map shows, see `mapped_images`.
        labels: (N,) pseudo-labels of the last epoch, -1 for an outlier.
        truth: (N,) identities of the training images, -1 where unknown; only shown.
        query, gallery: the test part, each with its features.
        cam_names: of the cameras; without them their numbers from 0 are shown.
    """

    recipe: Recipe
    events: list[Event]
    result: dict[str, Any]
    environment: dict[str, Any]
    train: Samples
    train_features: np.ndarray | None = None
    labels: np.ndarray | None = None
    truth: np.ndarray | None = None
    query: Samples | None = None
    query_features: np.ndarray | None = None
    gallery: Samples | None = None
    gallery_features: np.ndarray | None = None
    cam_names: tuple[str, ...] = ()

    @property
    def epochs(self) -> list[Event]:
        """One event per completed epoch, ascending; the later of two lines counts."""
        found = {event["epoch"]: event for event in self.events if event["event"] == "epoch"}
        return [found[epoch] for epoch in sorted(found)]

    @property
    def tests(self) -> dict[str, list[Event]]:
        """Test events by network, ascending by epoch; the later of two lines counts."""
        networks: dict[str, dict[int, Event]] = {}
        for event in self.events:
            if event["event"] == "test":
                networks.setdefault(event["network"], {})[event["epoch"]] = event
        return {name: [found[e] for e in sorted(found)] for name, found in networks.items()}

    @property
    def warnings(self) -> list[str]:
        return [str(event["text"]) for event in self.events if event["event"] == "warning"]
