"""The recipe of a run: every value that decides its result, as typed, frozen data.

A recipe is printed before the run, stored with it, and read back by evaluation and resume.
Changes come as `NAME=VALUE`, are read as the type of the value they replace, and an unknown
name is an error that suggests the nearest one.
"""

import ast
import dataclasses
import difflib
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from common.errors import UserError
from common.ranges import require_ordered, require_range
from common.schedules import Constant, Schedule

Pooling = Literal["avg", "max", "gem", "parts"]
Precision = Literal["exact", "fast"]


@dataclass(frozen=True)
class EncoderSettings:
    """The network: trunk, pooling, BN neck, unit-length output.

    Args:
        arch: resnet18 .. resnet152, resnet_ibn50a, resnet_ibn101a, mobilenet_v2 or tiny.
        pooling: avg, max, gem (one learnable exponent, started at 3) or parts (average of
            `parts` horizontal stripes, concatenated).
        parts: stripes of pooling "parts"; no effect otherwise.
        embedding: size of a linear layer before the neck; 0 for none, as in all papers.
        dropout: probability after normalization, in [0, 1); 0 in all papers.
        height, width: image size in pixels.
        weights: initial weights: "imagenet" (torchvision's V1 file or the IBN-a file), "random",
            or the path of a .pth, .safetensors or .npz file.
    """

    arch: str = "resnet50"
    pooling: Pooling = "avg"
    parts: int = 4
    embedding: int = 0
    dropout: float = 0.0
    height: int = 256
    width: int = 128
    weights: str = "imagenet"

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "parts", "height", "width", group="encoder")
        require_range(self, "[0, inf)", "embedding", group="encoder")
        require_range(self, "[0, 1)", "dropout", group="encoder")


@dataclass(frozen=True)
class Augment:
    """The training transform after resizing: flip, pad and crop, normalize, erase.

    Args:
        flip: probability of a horizontal flip.
        pad: black pixels added on all sides before the random crop back to size.
        erase: probability of random erasing.
        erase_area: range of the erased share of the image, in (0, 1].
        erase_ratio: range of the erased box's height / width, drawn uniformly.
    """

    flip: float = 0.5
    pad: int = 10
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_ratio: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        require_range(self, "[0, 1]", "flip", "erase", group="augment")
        require_range(self, "[0, inf)", "pad", group="augment")
        require_ordered(self, "erase_area", "erase_ratio", group="augment")
        if self.erase_area[1] > 1:
            raise UserError(f"augment.erase_area={self.erase_area}: a share is 1 at most.")


@dataclass(frozen=True)
class Sampling:
    """How batches are drawn: P identities with K images each.

    Args:
        batch_size: B = P x K images per iteration, over all processes.
        instances: K; 0 draws plain shuffled batches.
        iterations: steps per epoch; 0 means one pass of the sampler.
        cameras: prefer images of other cameras than the anchor's.
    """

    batch_size: int = 256
    instances: int = 16
    iterations: int = 200
    cameras: bool = True

    def __post_init__(self) -> None:
        require_range(self, "[1, inf)", "batch_size", group="sampling")
        require_range(self, "[0, inf)", "instances", "iterations", group="sampling")


@dataclass(frozen=True)
class Exact:
    """Neighbours by an exact search: the same on every machine, at every size."""


@dataclass(frozen=True)
class Approximate:
    """Neighbours by an inverted file of faiss: some are missed. No paper uses it.

    Args:
        share: of the cells around which the images are grouped, looked at for each image; in
            (0, 1], 1 finds all. The log tells the recall.
    """

    share: float = 0.1


Search = Exact | Approximate


@dataclass(frozen=True)
class Dbscan:
    """DBSCAN on the k-reciprocal Jaccard distance.

    Args:
        eps: radius by epoch, in (0, 1).
        min_samples: neighbours that make a core point, itself included.
        k1: neighbours of the reciprocal sets, the point itself included.
        k2: neighbours of the query expansion; 1 leaves it out.
        center_cameras: subtract the mean feature of each camera first. No paper uses it.
        search: how neighbours are found.
    """

    eps: Schedule = Constant(0.6)
    min_samples: int = 4
    k1: int = 30
    k2: int = 6
    center_cameras: bool = False
    search: Search = Exact()


@dataclass(frozen=True)
class InfoMap:
    """InfoMap on the directed cosine neighbour graph (needs the extra `infomap`).

    Args:
        similarity: an edge needs at least this cosine similarity, in [0, 1].
        k1: neighbours per image, itself included.
        k2: modules of at most this size become outliers.
        trials: runs of Infomap of which the best is taken.
        seed: of Infomap's own generator.
        search: how neighbours are found.
    """

    similarity: float = 0.5
    k1: int = 15
    k2: int = 4
    trials: int = 1
    seed: int = 123
    search: Search = Exact()


Clustering = Dbscan | InfoMap
NAMES = ("method", "dataset", "source", "variant")  # they say which recipe it is
DESCRIPTION = (*NAMES, "paper")  # what is not a setting


@dataclass(frozen=True)
class PaperResult:
    """What was published, in percent; None where nothing was.

    Args:
        source: where the numbers stand, e.g. "README of the released code".
        settings: where the settings of this recipe come from, and what is inferred.
        compares: which of our two numbers is comparable: the best evaluated epoch (the
            released scripts select on the test set) or the last one.
    """

    map: float | None = None
    rank1: float | None = None
    rank5: float | None = None
    rank10: float | None = None
    source: str = "not published"
    settings: str = ""
    compares: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class Recipe:
    """One run of one method on one data set.

    Args:
        method, dataset: names, e.g. "hhcl", "market1501".
        settings: the method's own frozen dataclass.
        source: labelled source data set of a two-domain run, else "".
        variant: "" for the method's main form, else the name in `--variant`.
        lr: Adam's rate; `lr_factor` multiplies it by epoch.
        weight_decay: of Adam, added to the gradient, for all trainable tensors.
        epochs: clusterings, each followed by `sampling.iterations` steps.
        bn_chunks: slices of the batch that batch norm treats apart, as the papers' GPUs did.
        eval_every: epochs between tests; the last epoch is always tested.
        seed: of every random stream of the run.
        supervised: train on the target's true identities instead of clusters: an upper bound.
        precision: "exact" is float32 with TF32 off; "fast" may differ in rounding.
    """

    method: str
    dataset: str
    settings: Any
    source: str = ""
    variant: str = ""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    augment: Augment = field(default_factory=Augment)
    sampling: Sampling = field(default_factory=Sampling)
    clustering: Clustering = field(default_factory=Dbscan)
    lr: float = 3.5e-4
    lr_factor: Schedule = Constant(1.0)
    weight_decay: float = 5e-4
    epochs: int = 50
    bn_chunks: int = 4
    eval_every: int = 10
    seed: int = 1
    supervised: bool = False
    precision: Precision = "exact"
    paper: PaperResult = field(default_factory=PaperResult)

    def __post_init__(self) -> None:
        require_range(self, "[0, inf)", "lr", "weight_decay", group="")
        require_range(self, "[1, inf)", "epochs", "bn_chunks", "eval_every", group="")
        require_range(self, f"[0, {2**32 - 1}]", "seed", group="")
        if isinstance(self.clustering, Dbscan):
            radii = [self.clustering.eps(epoch) for epoch in range(self.epochs)]
            if not all(0 < eps < 1 for eps in radii):
                raise UserError(
                    f"clustering.eps={self.clustering.eps}: must lie in (0, 1) in every epoch."
                )

    def steps(self, images: int) -> int:
        """Training steps of a whole run; where an epoch is a pass over the images, over all."""
        sampling = self.sampling
        return self.epochs * (sampling.iterations or images // sampling.batch_size)

    def due(self, epoch: int) -> bool:
        """Whether a test follows this epoch (counted from 0)."""
        return (epoch + 1) % self.eval_every == 0 or epoch + 1 == self.epochs


def to_plain(value: Any) -> Any:
    """Dataclasses to dicts with their class name under "kind", tuples to lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(hint: Any, value: Any) -> Any:
    """Inverse of `to_plain` for a value whose declared type is `hint`."""
    if isinstance(value, dict) and "kind" in value:
        kind = next((c for c in _classes(hint) if c.__name__ == value["kind"]), None)
        if kind is None:
            raise UserError(f"unknown kind of setting {value['kind']!r} in the stored recipe.")
        hints = typing.get_type_hints(kind)
        known = {f.name for f in dataclasses.fields(kind)}
        fields = {name: from_plain(hints[name], v) for name, v in value.items() if name in known}
        return kind(**fields)
    if isinstance(value, list):
        inner = next((a for a in typing.get_args(hint) if a is not Ellipsis), Any)
        return tuple(from_plain(inner, item) for item in value)
    return value


def to_json(recipe: Recipe) -> str:
    """The recipe as readable JSON."""
    return json.dumps(to_plain(recipe), indent=2)


def from_json(text: str, settings_class: type) -> Recipe:
    """Inverse of `to_json`; `settings_class` is the method's own dataclass."""
    plain = json.loads(text)
    settings = from_plain(settings_class, plain.pop("settings"))
    plain["settings"] = None
    recipe: Recipe = from_plain(Recipe, plain)
    return dataclasses.replace(recipe, settings=settings)


def parse_changes(texts: list[str]) -> dict[str, str]:
    """["a.b=1"] to {"a.b": "1"}."""
    changes = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UserError(f"{text!r} is not a change. Write NAME=VALUE, e.g. clustering.k1=20.")
        changes[name.strip()] = value.strip()
    return changes


def override(recipe: Recipe, changes: dict[str, str]) -> Recipe:
    """The recipe with the named values replaced.

    Raises:
        UserError: a name that the recipe does not have or that is not to be set, or a value of
            another type.
    """
    for name, text in changes.items():
        if name.split(".")[0] in DESCRIPTION:
            raise UserError(
                f"{name!r} says which published run this is; it is not a setting. Choose another "
                "run by METHOD, DATASET, --source and --variant."
            )
        recipe = _replaced(recipe, name.split("."), text, name)
    return recipe


def flatten(recipe: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted names to values, in order of declaration.

    `--set` accepts them, except those of `DESCRIPTION`.
    """
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(recipe):
        value = getattr(recipe, f.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{f.name}.")
        else:
            flat[prefix + f.name] = value
    return flat


def _replaced(owner: Any, path: list[str], text: str, full: str) -> Any:
    names = [f.name for f in dataclasses.fields(owner)]
    if path[0] not in names:
        near = difflib.get_close_matches(path[0], names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known here: {', '.join(names)}."
        raise UserError(f"no setting {full!r} in this recipe.{hint}")
    old = getattr(owner, path[0])
    if dataclasses.is_dataclass(old):
        if len(path) > 1:
            return dataclasses.replace(owner, **{path[0]: _replaced(old, path[1:], text, full)})
        if text.endswith(")") or not dataclasses.fields(old):  # a kind, e.g. LinearEps(start=0.6)
            hint = typing.get_type_hints(type(owner))[path[0]]
            return dataclasses.replace(owner, **{path[0]: _called(text, hint, full)})
        hint = typing.get_type_hints(type(owner))[path[0]]
        if Constant in _classes(hint):  # eps=0.5 is short for eps=Constant(value=0.5)
            constant = Constant(_parsed(text, float, full))
            return dataclasses.replace(owner, **{path[0]: constant})
        parts = ", ".join(f.name for f in dataclasses.fields(old))
        raise UserError(f"{full!r} is a group of settings. Name one of: {parts}.")
    if len(path) > 1:
        raise UserError(f"no setting {full!r} in this recipe: {path[0]!r} is a single value.")
    hint = typing.get_type_hints(type(owner))[path[0]]
    return dataclasses.replace(owner, **{path[0]: _parsed(text, hint, full)})


def _parsed(text: str, hint: Any, name: str) -> Any:
    """`text` read as a value of type `hint`."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if text not in map(str, choices):
            raise UserError(f"{name}={text}: choose one of {', '.join(map(str, choices))}.")
        return next(choice for choice in choices if str(choice) == text)
    if origin is tuple:
        kinds, parts = typing.get_args(hint), [part for part in text.split(",") if part]
        if Ellipsis not in kinds and len(parts) != len(kinds):
            raise UserError(f"{name}={text}: write {len(kinds)} values with a comma between them.")
        return tuple(_parsed(part, kinds[0], name) for part in parts)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name}={text}: write true or false.")
        return text.lower() == "true"
    try:
        return hint(text)
    except ValueError:
        raise UserError(f"{name}={text}: expected a value of type {hint.__name__}.") from None


def _called(text: str, hint: Any, name: str) -> Any:
    """A dataclass written as a call with literal keywords, e.g. StepDecay(every=20)."""
    kinds = {c.__name__: c for c in _classes(hint)}
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise ValueError("not a call with keywords")
        kind = kinds[call.func.id]
        hints = typing.get_type_hints(kind)
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return kind(**{key: _checked(value, hints[key]) for key, value in keywords.items()})
    except (KeyError, TypeError, ValueError, SyntaxError):
        raise UserError(
            f"{name}={text}: write one of {', '.join(sorted(kinds))} with its settings by name, "
            "e.g. LinearEps(start=0.6)."
        ) from None


def _checked(value: Any, hint: Any) -> Any:
    """A literal of the declared type; a whole number also stands for a float."""
    if typing.get_origin(hint) is tuple:
        return tuple(_checked(part, typing.get_args(hint)[0]) for part in value)
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is not hint:
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value


def _classes(hint: Any) -> list[type]:
    """Dataclasses that a type hint admits."""
    if isinstance(hint, type):
        return [hint]
    return [c for arg in typing.get_args(hint) for c in _classes(arg)]
