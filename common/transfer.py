"""From the host to the device of a run without waiting for it."""

import numpy as np
import torch
from torch import Tensor


def on_device(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Host values on the device; the host goes on at once.

    A GPU copies from pinned memory while the host works; from other memory the host would wait
    until everything before the copy is done.
    """
    tensor = torch.as_tensor(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
