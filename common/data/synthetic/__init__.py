"""Pedestrians drawn on the spot: a data set that needs no download.

People with constant bodies, clothes and bags walk past cameras that differ in direction,
background, colour, noise and sharpness. The files have the layout and names of Market-1501.
"""

from common.data.synthetic.dataset import is_complete, lost_images, version, write_synthetic
from common.data.synthetic.settings import SYNTHETIC_SETS, SyntheticSettings
from common.data.synthetic.strength import STRENGTHS

__all__ = [
    "STRENGTHS",
    "SYNTHETIC_SETS",
    "SyntheticSettings",
    "is_complete",
    "lost_images",
    "version",
    "write_synthetic",
]
