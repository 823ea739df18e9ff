"""Independent random streams: what is drawn depends on its own name and on nothing else."""

from typing import Literal

import numpy as np

Part = Literal["a", "b"]
Kind = Literal["identity", "visits", "camera", "image", "passer"]

_PARTS = {"a": 0, "b": 1}
_KINDS = {"identity": 0, "visits": 1, "camera": 2, "image": 3, "passer": 4}


def stream(seed: int, part: Part, kind: Kind, *numbers: int) -> np.random.Generator:
    """The generator of one thing, e.g. of image 2 of identity 7 seen by camera 3.

    Streams of different names are independent, so neither the number of processes nor the
    number of things drawn before can change an image.

    Args:
        seed: of the whole set, >= 0.
        part: "a" and "b" share nothing but the drawing code.
        kind: what is drawn; "passer" are the people at the side, who have no identity.
        numbers: position within the kind; always the same count for a kind.
    """
    return np.random.default_rng([seed, _PARTS[part], _KINDS[kind], *numbers])
