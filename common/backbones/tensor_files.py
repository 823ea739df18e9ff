"""Reading named tensors from files, without running any code that a file may hold."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from common.errors import UserError

TORCH_SUFFIXES = (".pth", ".pt", ".tar")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .pth, .pt, .tar, .safetensors or .npz file, on the CPU.

    In a torch file they are the whole content, or stand under `state_dict` (published
    checkpoints, which keep an epoch and a score beside them) or where a run puts its encoder. The
    prefix `module.` of data parallelism is dropped.

    Raises:
        UserError: a file that is damaged, of another kind, or holds more than tensors.
    """
    content = _read(path)
    if isinstance(content, dict):
        under_key = content.get("state_dict")
        content = under_key if isinstance(under_key, dict) else encoder_state(content)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no named tensors. Choose a file with a network's weights.")
    if others := [str(key) for key, value in content.items() if not _is_plain(value)]:
        raise UserError(
            f"{path} is not a file of weights: {', '.join(others[:5])} are not tensors of numbers. "
            "Use best.pt or last.pt of a run folder, a published checkpoint, or a plain state dict."
        )
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _is_plain(value: Any) -> bool:
    """A dense tensor of real numbers on the CPU, none of which stands for several elements."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_nested or value.is_complex())
        and not (value.is_floating_point() and value.itemsize == 1)  # float8 has no arithmetic
        and value.nbytes <= value.untyped_storage().nbytes()
    )


def encoder_state(content: dict[str, Any]) -> dict[str, Any]:
    """The encoder's tensors of a run's best.pt or last.pt; any other content as it is."""
    if isinstance(encoder := content.get("encoder"), dict):
        return encoder
    if not isinstance(model := content.get("model"), dict):
        return content
    prefix = "encoder."
    own = {k.removeprefix(prefix): v for k, v in model.items() if str(k).startswith(prefix)}
    return own or content


def method_of(path: Path) -> str:
    """The method whose run wrote a checkpoint of ours; "" for any other file.

    Raises:
        UserError: as `read_tensors`.
    """
    content = _read(path)
    ours = isinstance(content, dict) and "format" in content
    return str(content.get("method", "")) if ours else ""


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {key: torch.from_numpy(file[key]) for key in file.files}
        if path.suffix in TORCH_SUFFIXES:
            with torch.serialization.safe_globals(_numpy_scalars()):
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asked[1]}" if asked else "it is not a plain torch file"
        raise UserError(
            f"{path} was refused: {reason}; reading it could run a program. Weights are read from "
            "files of tensors and plain values only."
        ) from None
    except Exception as error:  # zip, tar, NumPy, torch and the like each raise their own kinds
        raise UserError(
            f"{path} cannot be read as weights ({type(error).__name__}: {error}). It may be "
            "damaged or of another kind: delete it and get it again."
        ) from None
    raise UserError(
        f"{path}: weights are read from .pth, .pt, .tar, .safetensors and .npz files only."
    )


def _numpy_scalars() -> list[Any]:
    """What unpickles a NumPy number: published checkpoints keep their best mAP as one."""
    rebuild = np.float64(0).__reduce__()[0]
    return [
        (rebuild, "numpy.core.multiarray.scalar"),
        (rebuild, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32")),
    ]
