"""The run, epoch by epoch, and the inner loop. Both call hooks and know no method."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from common.arithmetic import set_arithmetic
from common.backbones.weights import require_fit
from common.batches import DomainImages, EpochBatches, giant_cluster, low_recall, require_usable
from common.data.images import ImageSource
from common.data.sampler import iterations_of
from common.errors import UserError
from common.evaluator.extract import extract
from common.evaluator.testing import evaluate_dataset
from common.method import Method
from common.recipe import Recipe
from common.run import Event, Observer, RunDir
from common.streams import Streams
from common.team import Team
from common.types import Batch, Dataset, Domain, PseudoLabels, Step

Scores = dict[str, Any]


@dataclass
class Job:
    """What a run needs besides the method.

    Args:
        dataset: the target; its train identities are never read here.
        train: target training images.
        test: query images followed by gallery images, or None without a test part.
        source: labelled source images with their identities, or None.
        run: where to write; only rank 0 does.
        observer: receives every event; rank 0's only.
    """

    dataset: Dataset
    train: DomainImages
    test: ImageSource | None
    source: DomainImages | None
    source_pids: np.ndarray | None
    streams: Streams
    team: Team
    run: RunDir
    observer: Observer


@dataclass
class Progress:
    """How far a run is: what goes into `result.json` and the checkpoint beside the weights."""

    epoch: int = -1  # last completed one
    start: Scores | None = None
    last: Scores | None = None
    best: Scores | None = None
    steps: int = 0  # iterations of all epochs
    seconds: dict[str, float] = field(default_factory=dict)
    clusters: list[int] = field(default_factory=list)
    outliers: list[int] = field(default_factory=list)

    def spend(self, part: str, since: float) -> float:
        """Book the time since `since` under `part`; returns it."""
        took = time.perf_counter() - since
        self.seconds[part] = self.seconds.get(part, 0.0) + took
        return took


def train(method: Method, job: Job, *, resume: bool = False) -> Progress:
    """Run all epochs of the method's recipe, or those that remain.

    Raises:
        UserError: labels that cannot fill a batch, a loss that is not finite, a full disk. The
            last completed epoch's checkpoint stays intact.
    """
    recipe = method.recipe
    set_arithmetic(recipe.precision)
    optimizer = make_optimizer(method)
    progress = Progress()
    if resume:
        progress = restore(method, optimizer, job)
    else:
        if job.team.first:
            job.run.clear_log()
        method.begin_training(lambda domain: features_of(method, job, domain))
        progress.start = _tested(method, job, progress, -1)
    pseudo: PseudoLabels | None = None
    for epoch in range(progress.epoch + 1, recipe.epochs):
        pseudo = _epoch(method, job, optimizer, progress, epoch)
        _save(method, job, optimizer, progress, pseudo)
    return progress


def _epoch(
    method: Method, job: Job, optimizer: Optimizer, progress: Progress, epoch: int
) -> PseudoLabels:
    """Features, labels, training, test; one event for the log."""
    recipe = method.recipe
    parts = {}
    since = time.perf_counter()
    features = method.clustering_features(lambda domain: features_of(method, job, domain))
    parts["features"] = progress.spend("features", since)

    since = time.perf_counter()
    job.observer({"event": "stage", "text": f"epoch {epoch + 1}: clustering"})
    pseudo = method.assign(features, epoch)
    require_usable(pseudo, recipe.sampling, epoch)
    method.begin_epoch(epoch, features, pseudo)
    parts["clustering"] = progress.spend("clustering", since)
    for warning in filter(None, (giant_cluster(pseudo), low_recall(pseudo))):
        _tell(job, {"event": "warning", "epoch": epoch, "text": f"epoch {epoch + 1}: {warning}"})

    since = time.perf_counter()
    set_rate(optimizer, recipe.lr_factor(epoch))
    batches = _domain_batches(method, job, pseudo.labels)
    losses = train_epoch(method, batches, optimizer, job, epoch, progress.steps)
    _require_finite_weights(method, epoch)
    progress.steps += batches.iterations
    parts["training"] = progress.spend("training", since)

    progress.clusters.append(pseudo.num_clusters)
    progress.outliers.append(pseudo.num_outliers)
    if recipe.due(epoch):
        since = time.perf_counter()
        progress.last = _tested(method, job, progress, epoch)
        parts["test"] = progress.spend("test", since)
    progress.epoch = epoch
    remaining = _remaining(progress, recipe)
    _tell(
        job,
        {
            "event": "epoch",
            "epoch": epoch,
            "epochs": recipe.epochs,
            "losses": losses,
            "clusters": pseudo.num_clusters,
            "outliers": pseudo.num_outliers,
            **pseudo.details,
            **method.watched(),
            "lr": optimizer.param_groups[0]["lr"],
            "seconds": parts,
            "remaining": remaining,
        },
    )
    return pseudo


def train_epoch(
    method: Method,
    batches: "DomainBatches",
    optimizer: Optimizer,
    job: Job,
    epoch: int,
    steps: int = 0,
) -> dict[str, float]:
    """Run the batches of one epoch, after `steps` ones, and return the mean of each loss term.

    The sums are read once, at the end: no iteration waits for the device.

    Raises:
        UserError: a loss that is not finite, with iteration, files and what to do.
    """
    method.train()
    learnable = [p for group in optimizer.param_groups for p in group["params"]]
    history: list[Tensor] = []
    names: list[str] = []
    for iteration, (batch, source) in enumerate(batches):
        step = method.training_step(batch, source)
        minimize(step, optimizer, learnable, job.team)
        method.after_step(job.team.gather(step.update), steps + iteration)
        names = list(step.losses)
        history.append(torch.stack([loss.detach().float() for loss in step.losses.values()]))
        job.observer(
            {
                "event": "progress",
                "what": "training",
                "epoch": epoch,
                "done": iteration + 1,
                "total": batches.iterations,
            }
        )
    values = job.team.average(torch.stack(history)).cpu()
    _require_finite(values, names, batches, job, epoch)
    return dict(zip(names, values.double().mean(dim=0).tolist(), strict=True))


def minimize(step: Step, optimizer: Optimizer, learnable: list[Tensor], team: Team) -> None:
    """One step of the optimizer on the sum of the losses, gradients averaged over the ranks."""
    torch.stack(list(step.losses.values())).sum().backward()
    team.average_gradients(learnable)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)  # a replayed graph may write the next ones there


class DomainBatches:
    """Target batches, each with a source batch where there is a source domain."""

    def __init__(self, target: EpochBatches, source: EpochBatches | None) -> None:
        self.target = target
        self.source = source
        self.iterations = target.iterations

    def __iter__(self) -> Iterator[tuple[Batch, Batch | None]]:
        if self.source is None:
            return ((batch, None) for batch in self.target)
        return zip(self.target, self.source, strict=True)


def _domain_batches(method: Method, job: Job, labels: np.ndarray) -> DomainBatches:
    recipe, streams, team = method.recipe, job.streams, job.team
    count = iterations_of(recipe.sampling, labels)
    target = EpochBatches(job.train, labels, recipe, streams, team, "target", method, count)
    if job.source is None or job.source_pids is None:
        return DomainBatches(target, None)
    source = EpochBatches(
        job.source, job.source_pids, recipe, streams, team, "source", method, count
    )
    return DomainBatches(target, source)


def make_optimizer(method: Method) -> Adam:
    """Adam with coupled weight decay on all trainable tensors; groups keep their base rate.

    Precision "fast" takes the fused form: all tensors in one pass, rounded otherwise.
    """
    recipe = method.recipe
    encoder = [p for p in method.encoder.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": encoder, "lr": recipe.lr, "weight_decay": recipe.weight_decay}
    ]
    for extra in method.extra_parameters():
        groups.append(
            {"params": extra.parameters, "lr": extra.lr, "weight_decay": extra.weight_decay}
        )
    for group in groups:
        group["base_lr"] = group["lr"]
    return Adam(groups, betas=(0.9, 0.999), eps=1e-8, fused=recipe.precision == "fast")


def set_rate(optimizer: Optimizer, factor: float) -> None:
    """Every group: its own base rate times the factor of the epoch."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def features_of(method: Method, job: Job, domain: Domain) -> Tensor:
    """Extraction of one domain's training images, as `Extract` promises."""
    images = job.train.images if domain == "target" else _source_images(job)
    return extract(method.encoder, images, job.team, progress=_ticks(job, "features"))


def test(method: Method, job: Job, epoch: int) -> Scores | None:
    """Scores of the better of the method's networks; None without a test part.

    Every network's scores are logged.
    """
    if job.test is None:
        return None
    results = []
    for name, encoder in method.evaluated().items():
        features = extract(encoder, job.test, job.team, progress=_ticks(job, "test features"))
        found = evaluate_dataset(features, job.dataset, team=job.team)
        scores: Scores = {**found.scores(), "epoch": epoch, "network": name}
        _tell(job, {"event": "test", **scores})
        results.append(scores)
    return max(results, key=lambda scores: float(scores["map"]))


def _tested(method: Method, job: Job, progress: Progress, epoch: int) -> Scores | None:
    """Test, and keep the weights where the result is the best so far."""
    scores = test(method, job, epoch)
    if scores is None or epoch < 0:
        return scores
    if progress.best is None or scores["map"] > progress.best["map"]:
        progress.best = scores
        if job.team.first:
            network = method.evaluated()[scores["network"]]
            job.run.save(
                "best.pt", {"encoder": network.state_dict(), **_identity(method), **scores}
            )
    return scores


def _save(
    method: Method, job: Job, optimizer: Optimizer, progress: Progress, pseudo: PseudoLabels
) -> None:
    """The checkpoint from which the run continues exactly; rank 0's."""
    if not job.team.first:
        return
    state = {
        **_identity(method),
        "progress": {**vars(progress)},
        "model": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "streams": job.streams.state_dict(),
        "labels": torch.from_numpy(pseudo.labels),
    }
    job.run.save("last.pt", state)


def restore(method: Method, optimizer: Optimizer, job: Job) -> Progress:
    """Load the last checkpoint into method, optimizer and streams.

    Raises:
        UserError: the checkpoint belongs to another method or architecture, or is not whole.
    """
    state = job.team.together(lambda: job.run.load("last.pt"))
    for name, expected in _identity(method).items():
        if state.get(name) != expected:
            raise UserError(
                f"last.pt holds {name} {state.get(name)!r}, the recipe says {expected!r}: "
                "the folder's files do not belong together."
            )
    with job.run.reading("last.pt"):
        expected, model = _tensors(method.state_dict()), state["model"]
        require_fit(job.run.path / "last.pt", _tensors(model), expected)
        method.load_state_dict(model)
        optimizer.load_state_dict(state["optimizer"])
        job.streams.load_state_dict(state["streams"])
        progress = Progress(**state["progress"])
    if job.team.first:
        job.run.rewind_log(progress.epoch)
    return progress


def _identity(method: Method) -> dict[str, Any]:
    return {"method": method.recipe.method, "arch": method.recipe.encoder.arch}


def _require_finite(
    values: Tensor, names: list[str], batches: DomainBatches, job: Job, epoch: int
) -> None:
    bad = (~torch.isfinite(values)).nonzero()
    if len(bad) == 0:
        return
    iteration, term = bad[0].tolist()
    files = job.dataset.train.paths[batches.target.seen[iteration]]
    raise UserError(
        f"loss {names[term]} is {values[iteration, term]} in epoch {epoch + 1}, iteration "
        f"{iteration + 1}; {_saved(epoch)}. Compare the learning rate with the recipe's, use "
        f"precision exact, and look at the images of that batch: {', '.join(map(str, files))}."
    )


def _require_finite_weights(method: Method, epoch: int) -> None:
    """What the last iteration wrote shows in no loss of this epoch; nor may it be saved."""
    state = _tensors(method.state_dict())
    finite = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
    bad = [name for name, good in zip(state, finite, strict=True) if not good]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(state)} tensors are not finite after epoch {epoch + 1}, the first "
            f"of them {bad[0]}; {_saved(epoch)}. Compare the learning rate with the recipe's, and "
            "use precision exact."
        )


def _tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    """A state without what a method keeps beside its tensors."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _saved(epoch: int) -> str:
    """What can be resumed of a run that stops in this epoch."""
    return f"epoch {epoch} is saved in last.pt" if epoch else "no epoch was completed"


def _remaining(progress: Progress, recipe: Recipe) -> float:
    done = progress.epoch + 1
    return sum(progress.seconds.values()) / done * (recipe.epochs - done)


def _source_images(job: Job) -> ImageSource:
    if job.source is None:
        raise RuntimeError("a method asked for source features, but the run has no source domain")
    return job.source.images


def _ticks(job: Job, what: str) -> Any:
    return lambda done, total: job.observer(
        {"event": "progress", "what": what, "done": done, "total": total}
    )


def _tell(job: Job, event: Event) -> None:
    """Show an event, and keep it in the log."""
    job.observer(event)
    if job.team.first and math.isfinite(event.get("map", 0.0)):
        job.run.log(event)
