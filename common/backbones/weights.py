"""Weight files: where a recipe's initial weights lie, and reading tensors without running code."""

import pickle
import re
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import get_model_weights

from common.errors import UserError
from common.recipe import EncoderSettings

IBN_ADDRESS = "https://github.com/XingangPan/IBN-Net"
IBN_FILES = {"resnet_ibn50a": "resnet50_ibn_a", "resnet_ibn101a": "resnet101_ibn_a"}
CONNECT_SECONDS = 15
TORCH_SUFFIXES = (".pth", ".pt", ".tar")


def require_weights(settings: EncoderSettings) -> Path | None:
    """The file that the encoder's initial weights come from; None for random ones.

    Cheap enough for the very start of a run. The ImageNet file of torchvision (the V1 weights,
    as in all papers) is downloaded by torchvision's own means where it is not cached. The
    encoder `tiny` has no ImageNet weights: for it, "imagenet" means random.

    Raises:
        UserError: a file that is missing and cannot be had, with its name, its official
            address and where to put it.
    """
    if settings.weights == "random" or (settings.weights, settings.arch) == ("imagenet", "tiny"):
        return None
    if settings.weights != "imagenet":
        return _own_file(settings.weights)
    if settings.arch in IBN_FILES:
        return _ibn_file(settings.arch)
    return _torchvision_file(settings.arch)


def weights_folder() -> Path:
    """Where torchvision keeps downloaded weights; moves with the variable TORCH_HOME."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .pth, .pt, .tar, .safetensors or .npz file, on the CPU.

    In a torch file they are the whole content, or stand under `state_dict` (published
    checkpoints, which keep an epoch and a score beside them) or `encoder` (ours). The prefix
    `module.` of data parallelism is dropped.

    Raises:
        UserError: a file that is damaged, of another kind, or holds more than tensors.
    """
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    elif path.suffix == ".npz":
        content = _read_npz(path)
    elif path.suffix in TORCH_SUFFIXES:
        content = _read_torch(path)
    else:
        raise UserError(
            f"{path}: weights are read from .pth, .pt, .tar, .safetensors and .npz files only."
        )
    for key in ("state_dict", "encoder"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no named tensors. Choose a file with a network's weights.")
    if others := [str(key) for key, value in content.items() if not isinstance(value, Tensor)]:
        raise UserError(
            f"{path} is not a file of weights: {', '.join(others[:5])} are not tensors. "
            "Use best.pt of a run folder, a published checkpoint, or a plain state dict."
        )
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _own_file(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(
            f"there is no weight file {name!r}. encoder.weights is a path, imagenet or random."
        )
    return path


def _ibn_file(arch: str) -> Path:
    """The published file is not offered for download by any program, so it must be put there."""
    folder, stem = weights_folder(), IBN_FILES[arch]
    candidates = [folder / f"{stem}.pth.tar", *sorted(folder.glob(f"{stem}-*.pth"))]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UserError(
            f"the initial weights of {arch} are missing: {stem}.pth.tar, published at "
            f"{IBN_ADDRESS}. Put it into {folder}, or name a file with encoder.weights=PATH."
        )
    return found


def _torchvision_file(arch: str) -> Path:
    try:
        url = get_model_weights(arch)["IMAGENET1K_V1"].url
    except (ValueError, KeyError):
        raise UserError(
            f"there are no ImageNet weights for {arch!r}. Name a file with encoder.weights=PATH, "
            "or train from encoder.weights=random."
        ) from None
    path = weights_folder() / url.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _patience(CONNECT_SECONDS):
            digits = path.stem.rpartition("-")[2]  # the first digits of the file's SHA-256
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digits, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the initial weights of {arch} are missing and could not be downloaded ({error}). "
            f"Get {path.name} from {url} and put it into {path.parent}, or name a file with "
            "encoder.weights=PATH."
        ) from None
    return path


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up on a silent network; torch's download has no such setting of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {asked[1]}" if asked else "it is not a plain torch file"
        raise UserError(
            f"{path} was refused: {reason}; reading it could run a program. Weights are read from "
            "files of tensors and plain values only."
        ) from None
    except Exception as error:  # zip, tar and torch each raise their own kinds
        raise _damaged(path, error) from None


def _numpy_scalars() -> list[Any]:
    """What unpickles a NumPy number: published checkpoints keep their best mAP as one."""
    rebuild = np.float64(0).__reduce__()[0]
    return [
        (rebuild, "numpy.core.multiarray.scalar"),
        (rebuild, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32")),
    ]


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from None


def _read_npz(path: Path) -> Any:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key]) for key in file.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read as weights ({type(error).__name__}: {error}). It may be damaged "
        "or of another kind: delete it and get it again."
    )
