"""Dropout whose masks a run can repeat: drawn for the whole batch, from a stream of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.team import ALONE, Team
from common.transfer import on_device


class Dropout(nn.Module):
    """Zero every number of a training batch with some probability; rows have unit length again.

    The memories of Cluster Contrast's released code and of those that grew from it normalize what
    is left; those of SpCL and HDCPD do not, and that is not followed. All papers have 0.

    Masks are drawn on the host, so that the device is not waited for and any device gets the
    same ones. Every process draws those of the whole batch and takes its rows.

    Args:
        probability: in [0, 1); with 0 nothing is drawn.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.generator = torch.Generator()
        self.team = ALONE

    def draw_from(self, generator: torch.Generator, team: Team) -> None:
        """Take masks from a run's generator; the batch is that of all its processes."""
        self.generator, self.team = generator, team

    def forward(self, rows: Tensor) -> Tensor:
        """(B, D) unit rows of this process, in batch order, to unit rows."""
        if not self.training or not self.probability:
            return rows
        count, width = rows.shape
        drawn = torch.rand(count * self.team.size, width, generator=self.generator)
        first = self.team.rank * count
        kept = drawn[first : first + count] >= self.probability
        return F.normalize(rows * on_device(kept, rows.device), dim=1)
