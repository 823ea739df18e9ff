"""Weights for an encoder: the file that a recipe needs, and whether a file fits."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights

from common.backbones.network import Encoder
from common.backbones.network_file import NetworkFile, read_network
from common.backbones.trunks import find_trunk
from common.errors import UserError, shortened
from common.recipe import EncoderSettings
from common.recipe_text import from_home

IBN_ADDRESS = "https://github.com/XingangPan/IBN-Net"
IBN_FILES = {"resnet_ibn50a": "resnet50_ibn_a", "resnet_ibn101a": "resnet101_ibn_a"}
CONNECT_SECONDS = 15


def require_weights(settings: EncoderSettings, *, download: bool = True) -> Path | None:
    """The file that the encoder's initial weights come from; None for random ones.

    Cheap enough for the very start of a run. The ImageNet file of torchvision (the V1 weights,
    as in all papers) is downloaded by torchvision's own means where it is not cached.

    Args:
        download: False only looks on the disk: None also stands for a file of torchvision's.

    Raises:
        UserError: an unknown architecture, one without ImageNet weights, or a file that is
            missing and cannot be had, with its name, its official address and where to put it.
    """
    find_trunk(settings.arch)
    if settings.weights == "random":
        return None
    if settings.weights != "imagenet":
        return _own_file(settings.weights)
    if settings.arch == "tiny":
        raise UserError(
            "tiny has no ImageNet weights. Set encoder.weights=random, or name a file with "
            "--weights-init FILE."
        )
    if settings.arch in IBN_FILES:
        return _ibn_file(settings.arch)
    return _torchvision_file(settings.arch) if download else None


def weights_folder() -> Path:
    """Where torchvision keeps downloaded weights; moves with the variable TORCH_HOME."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def cached_weights(arch: str) -> Path | None:
    """The file of ImageNet weights that `require_weights` finds in the cache; None without one.

    Others with such a name, as torchvision's V2 weights or a part of a download, do not count.
    """
    if arch not in IBN_FILES:
        places = [_torchvision_place(arch)[1]]
    else:
        folder, stem = weights_folder(), IBN_FILES[arch]
        places = [folder / f"{stem}.pth.tar", *sorted(folder.glob(f"{stem}-*.pth"))]
    return next((path for path in places if path.is_file()), None)


def load_initial(encoder: Encoder, path: Path, domains: int = 1) -> None:
    """Start from a file: a trunk's weights (the rest keeps its own), or a whole encoder's.

    A file with a batch norm per domain splits the encoder, if that many are wanted.

    Raises:
        UserError: the file's network is another one, with the tensors that do not fit.
    """
    file = read_network(path)
    if not file.info.stem_relu:
        raise UserError(
            f"{path} comes from a network without a ReLU in its stem. It can be tested, but not "
            "trained further here; choose other initial weights."
        )
    if domains == 2 and file.info.domains == 2:
        encoder.split_domains()
    _load(encoder, file)


def load_trained(encoder: Encoder, path: Path) -> None:
    """Load a whole trained encoder: a published checkpoint of a method's authors, or ours.

    `describe_network` tells beforehand which encoder to build. A network whose stem has no
    ReLU loses it here too, or its features would be others.

    Raises:
        UserError: the file's network is another one, with the tensors that do not fit.
    """
    file = read_network(path)
    if not file.info.trained:
        raise UserError(
            f"{path} holds a {file.info.arch} without a neck: initial weights, not a trained "
            "encoder. Name a checkpoint of a training run."
        )
    _load(encoder, file)
    if not file.info.stem_relu:
        encoder.trunk.relu = nn.Identity()


def _load(encoder: Encoder, file: NetworkFile) -> None:
    """Copy the tensors, every one of them into a place of its name and shape."""
    _require_same_network(encoder, file)
    expected = encoder.state_dict()
    if not file.info.trained:
        expected = {name: t for name, t in expected.items() if name.startswith("trunk.")}
    require_fit(file.path, file.tensors, expected)
    encoder.load_state_dict(file.tensors, strict=file.info.trained)


def require_fit(path: Path, given: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Every given tensor has a place of its name and shape, and every place a finite tensor.

    Raises:
        UserError: with the names of those that have none.
    """
    problems = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in expected
            if name in given and given[name].shape != expected[name].shape
        ],
        "not finite": [name for name, tensor in given.items() if not tensor.isfinite().all()],
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{kind}: {shortened(names, 12)}" for kind, names in problems.items() if names
        )
        raise UserError(f"{path} does not fit the network of the recipe. {listed}.")


def _require_same_network(encoder: Encoder, file: NetworkFile) -> None:
    """Name the setting that differs, before any list of tensors."""
    info, path, settings = file.info, file.path, encoder.settings
    if info.arch != settings.arch:
        raise UserError(
            f"{path} holds a {info.arch}, the encoder is a {settings.arch}. "
            f"Set encoder.arch={info.arch}, or choose another file."
        )
    if not info.trained:
        return
    _require_same_head(file, settings)
    if info.domains != encoder.domains:
        raise UserError(
            f"{path} has {info.domains} batch norm(s) per layer, one for each domain; the encoder "
            f"has {encoder.domains}. Build it with domains={info.domains}."
        )


def _require_same_head(file: NetworkFile, settings: EncoderSettings) -> None:
    """Name what differs between trunk and neck."""
    info = file.info
    parts = settings.parts if settings.pooling == "parts" else 1
    pooling = {"gem": "gem", "parts": "parts" if parts > 1 else None}.get(settings.pooling)
    if info.pooling != pooling:
        theirs = info.pooling or "avg or max"
        raise UserError(
            f"{file.path} was trained with {theirs} pooling, the encoder has {settings.pooling}. "
            f"Set encoder.pooling={theirs}."
        )
    if pooling == "parts" and info.parts != parts:
        raise UserError(
            f"{file.path} was trained with {info.parts} parts, the encoder has {parts}. "
            f"Set encoder.parts={info.parts}."
        )
    if info.embedding != settings.embedding:
        raise UserError(
            f"{file.path} was trained with an embedding of {info.embedding}, the encoder has one "
            f"of {settings.embedding} (0 for none). Set encoder.embedding={info.embedding}."
        )


def _own_file(name: str) -> Path:
    path = from_home(name)
    if not path.is_file():
        raise UserError(
            f"there is no weight file {name!r}. encoder.weights is a path, imagenet or random."
        )
    return path


def _ibn_file(arch: str) -> Path:
    """The published file is not offered for download by any program, so it must be put there."""
    if found := cached_weights(arch):
        return found
    raise UserError(
        f"the initial weights of {arch} are missing: {IBN_FILES[arch]}.pth.tar, published at "
        f"{IBN_ADDRESS}. Put it into {weights_folder()}, or name a file with --weights-init FILE."
    )


def _torchvision_file(arch: str) -> Path:
    url, path = _torchvision_place(arch)
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _patience(CONNECT_SECONDS):
            digits = path.stem.rpartition("-")[2]  # the first digits of the file's SHA-256
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digits, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:
        raise UserError(
            f"the initial weights of {arch} are missing and could not be downloaded ({error}). "
            f"Get {path.name} from {url} and put it into {path.parent}, or name a file with "
            "--weights-init FILE."
        ) from None
    return path


def _torchvision_place(arch: str) -> tuple[str, Path]:
    """The official address of the V1 file, and its place in the cache."""
    url: str = get_model_weights(arch)["IMAGENET1K_V1"].url
    return url, weights_folder() / url.rpartition("/")[2]


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up on a silent network; torch's download has no such setting of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def digest_of(network: nn.Module) -> str:
    """16 hex digits of the sha256 over names and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
