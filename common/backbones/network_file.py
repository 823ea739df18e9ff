"""Networks in files, under whatever names: torchvision's, the published checkpoints', or ours."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from common.backbones.tensor_files import read_tensors
from common.backbones.trunks import TRUNKS
from common.errors import UserError
from common.recipe import Pooling

# Blocks per stage, bottleneck blocks, IBN-a.
RESNETS: dict[tuple[tuple[int, ...], bool, bool], str] = {
    ((2, 2, 2, 2), False, False): "resnet18",
    ((3, 4, 6, 3), False, False): "resnet34",
    ((3, 4, 6, 3), True, False): "resnet50",
    ((3, 4, 23, 3), True, False): "resnet101",
    ((3, 8, 36, 3), True, False): "resnet152",
    ((3, 4, 6, 3), True, True): "resnet_ibn50a",
    ((3, 4, 23, 3), True, True): "resnet_ibn101a",
}
HEADS = ("fc.", "classifier.")  # ImageNet classifiers, of no use here


@dataclass(frozen=True)
class NetworkInfo:
    """What a file's tensors tell about the network they came from.

    Args:
        arch: as in `EncoderSettings`.
        trained: it has a neck, so it is a whole encoder; else a trunk, as ImageNet files hold.
        pooling: "gem" or "parts"; None where it cannot be told (avg and max have no tensors).
        parts: stripes of pooling "parts", else 1.
        embedding: size of the linear layer before the neck, 0 without one.
        domains: 2 with a batch norm per domain, else 1.
        stem_relu: whether the stem has a ReLU. Some of the published networks have none.
    """

    arch: str
    trained: bool
    pooling: Pooling | None = None
    parts: int = 1
    embedding: int = 0
    domains: int = 1
    stem_relu: bool = True


@dataclass(frozen=True)
class NetworkFile:
    """A file's network: description, and tensors under the names of `Encoder`."""

    path: Path
    info: NetworkInfo
    tensors: dict[str, Tensor]


def describe_network(path: Path) -> NetworkInfo:
    """What kind of network a file holds, so that a matching encoder can be built.

    Raises:
        UserError: unreadable, unsafe, or not a network of ours.
    """
    return read_network(path).info


def read_network(path: Path) -> NetworkFile:
    """Read a file and translate its names; names without a translation stay as they are.

    Raises:
        UserError: unreadable, unsafe, or not a network of ours.
    """
    tensors = {
        name: tensor
        for name, tensor in read_tensors(path).items()
        if not name.endswith("num_batches_tracked")
    }
    stem_relu = True
    if any(name.startswith("base.") for name in tensors):
        stages = 4 if any(name.startswith("base.7.") for name in tensors) else 3
        stem_relu = stages == 4
        tensors = {_from_published(name, stages): tensor for name, tensor in tensors.items()}
    elif not any(name.startswith("trunk.") for name in tensors):
        tensors = {
            f"trunk.{name}": tensor
            for name, tensor in tensors.items()
            if not name.startswith(HEADS)
        }
    return NetworkFile(path, _describe(path, tensors, stem_relu), tensors)


def _from_published(name: str, stages: int) -> str:
    """A name of the released codes to ours.

    Their trunk `base` is a numbered sequence: convolution 0, norm 1, then perhaps a ReLU,
    max pooling, and the four stages, the first of which has number `stages`.
    """
    numbers = {"0": "conv1", "1": "bn1"} | {str(stages + i): f"layer{i + 1}" for i in range(4)}
    head, _, rest = name.partition(".")
    if head == "base":
        number, _, inner = rest.partition(".")
        name = f"trunk.{numbers[number]}.{inner}" if number in numbers else name
    elif head in ("gap", "feat", "feat_bn"):
        name = {"gap": "pool", "feat": "embedding", "feat_bn": "neck"}[head] + f".{rest}"
    return name.replace(".BN_S.", ".source.").replace(".BN_T.", ".target.")


def _describe(path: Path, tensors: dict[str, Tensor], stem_relu: bool) -> NetworkInfo:
    arch = _arch(tensors)
    if arch is None:
        raise UserError(
            f"{path} holds no network known here: its tensors are "
            f"{', '.join(list(tensors)[:4])}, ... Known: {', '.join(TRUNKS)}."
        )
    domains = 2 if any(".target." in name for name in tensors) else 1
    neck = tensors.get("neck.target.weight" if domains == 2 else "neck.weight")
    if neck is None:
        return NetworkInfo(arch, trained=False, domains=domains, stem_relu=stem_relu)
    linear = tensors.get("embedding.weight")
    if neck.dim() != 1 or (linear is not None and linear.dim() != 2):
        raise UserError(
            f"{path} is no encoder: its neck and embedding do not have the shapes of one."
        )
    pooled = len(neck) if linear is None else linear.shape[1]
    parts = pooled // TRUNKS[arch].channels
    pooling: Pooling | None = "gem" if "pool.p" in tensors else "parts" if parts > 1 else None
    embedding = 0 if linear is None else len(linear)
    return NetworkInfo(arch, True, pooling, parts, embedding, domains, stem_relu)


def _arch(tensors: dict[str, Tensor]) -> str | None:
    """The architecture by its tensors, or None."""
    if "trunk.features.18.0.weight" in tensors:
        return "mobilenet_v2"
    stem = tensors.get("trunk.conv1.weight")
    if stem is None:
        return None
    if tuple(stem.shape) == (16, 3, 5, 5):
        return "tiny"
    blocks = {tuple(name.split(".")[1:3]) for name in tensors if name.startswith("trunk.layer")}
    counts = tuple(sum(stage == f"layer{i}" for stage, _ in blocks) for i in range(1, 5))
    bottleneck = "trunk.layer1.0.conv3.weight" in tensors
    ibn = any(".bn1.IN." in name for name in tensors)
    return RESNETS.get((counts, bottleneck, ibn))
