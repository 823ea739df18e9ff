"""Named random generators of a run, saved and restored together.

One seed gives every use of chance its own stream, so that drawing one more number for the
augmentation does not move the sampler. Nothing in the project draws from a global generator.
"""

import hashlib
import random
from typing import Any

import numpy as np
import torch


class Stream:
    """The three generators that one consumer draws from.

    The released code of all seven methods mixes three global generators (torch, Python,
    NumPy's legacy one); a consumer that must replay it needs all three, independent of every
    other consumer.

    Args:
        seed: used for each of the three; below 2^32.
    """

    def __init__(self, seed: int) -> None:
        self.torch = torch.Generator().manual_seed(seed)
        self.python = random.Random(seed)
        self.numpy = np.random.RandomState(seed)

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and numbers, safe to load with `weights_only=True`."""
        version, words, gauss = self.python.getstate()
        kind, keys, position, has_gauss, cached = self.numpy.get_state(legacy=True)
        words_of_numpy = torch.from_numpy(np.asarray(keys, dtype=np.int64))
        return {
            "torch": self.torch.get_state(),
            "python": [version, torch.tensor(words, dtype=torch.int64), gauss],
            "numpy": [kind, words_of_numpy, position, has_gauss, cached],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`.

        Raises:
            LookupError, TypeError, ValueError: it is none.
        """
        try:
            self.torch.set_state(state["torch"])
        except RuntimeError as error:  # torch's word for a value that does not fit
            raise ValueError(error) from None
        version, words, gauss = state["python"]
        self.python.setstate((version, tuple(words.tolist()), gauss))
        kind, keys, position, has_gauss, cached = state["numpy"]
        self.numpy.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))


class Streams:
    """All generators of a run by name; the same seed and name give the same numbers.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}

    def __getitem__(self, name: str) -> Stream:
        if name not in self._streams:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            self._streams[name] = Stream(int.from_bytes(digest[:4], "little"))
        return self._streams[name]

    def state_dict(self) -> dict[str, Any]:
        """The state of every stream that was asked for so far, by name."""
        return {name: stream.state_dict() for name, stream in self._streams.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`; errors as in `Stream.load_state_dict`."""
        for name, stream in state.items():
            self[name].load_state_dict(stream)
