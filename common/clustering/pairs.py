"""Distances of the close pairs of a point set; every other pair is farther apart."""

from dataclasses import dataclass

import numpy as np

SUM_SLACK = 1e-5  # of the least shared weight, for float32 rounding
LEAST_SUM = 1e-30  # below any sum of weights


@dataclass(frozen=True)
class Pairs:
    """All pairs of N points whose distance is at most some limit.

    Args:
        num_points: N.
        first, second: (P,) int32 with first < second, in any order.
        distance: (P,) float32.
    """

    num_points: int
    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray

    def within(self, eps: float) -> "Pairs":
        """Pairs with distance <= eps; eps is rounded to float32, as NumPy does beside float32."""
        near = self.distance <= np.float32(eps)
        if near.all():
            return self
        return Pairs(self.num_points, self.first[near], self.second[near], self.distance[near])

    def dense(self, elsewhere: float) -> np.ndarray:
        """(N, N) float32: 0 on the diagonal, `elsewhere` for pairs that are not listed."""
        matrix = np.full((self.num_points, self.num_points), elsewhere, np.float32)
        np.fill_diagonal(matrix, 0)
        matrix[self.first, self.second] = self.distance
        matrix[self.second, self.first] = self.distance
        return matrix


def least_shared(max_distance: float) -> float:
    """The t of a pair within the distance is at least 2 (1 - D) / (2 - D), less a slack."""
    return max(2 * (1 - max_distance) / (2 - max_distance) - SUM_SLACK, LEAST_SUM)
