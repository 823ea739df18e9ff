"""The run, epoch by epoch, and the inner loop. Both call hooks and know no method."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from common.arithmetic import compiling, set_arithmetic
from common.backbones.weights import digest_of
from common.batches import DomainBatches, domain_batches
from common.clustering import label_progress
from common.errors import TrainingStopped
from common.evaluator.extract import extract
from common.evaluator.testing import evaluate_dataset
from common.job import Job
from common.label_checks import (
    collapsed,
    giant_cluster,
    low_recall,
    noise_alone,
    require_usable,
)
from common.method import Method
from common.optimizer import make_optimizer, minimize, set_rate
from common.progress import Progress, Scores, restore, save, tensors_of
from common.saver import Saver
from common.types import Domain, PseudoLabels


@compiling()
def train(method: Method, job: Job, *, resume: bool = False) -> Progress:
    """Run all epochs of the method's recipe, or those that remain.

    Raises:
        UserError: weights that differ between the processes, a network that cannot be compiled,
            labels that cannot fill a batch, a loss that is not finite, a full disk. The last
            completed epoch's checkpoint stays intact.
    """
    recipe = method.recipe
    set_arithmetic(recipe.precision)
    if method.encoder.compiled:
        text = "compiling the network in its first steps, which take a minute or two"
        job.observer({"event": "stage", "text": text})
    optimizer = make_optimizer(method)
    progress = restore(method, optimizer, job) if resume else Progress()
    if job.team.size > 1:
        job.team.require_same(digest_of(method.encoder), "the weights to start from are")
    if not resume:
        if job.team.first:
            job.run.clear_log()
        method.begin_training(lambda domain: features_of(method, job, domain))
        progress.start = _tested(method, job, progress, -1)
    pseudo: PseudoLabels | None = None
    with Saver(job.run, beside=job.team.device.type != "cpu") as saver:
        for epoch in range(progress.epoch + 1, recipe.epochs):
            pseudo = _epoch(method, job, optimizer, progress, epoch)
            save(saver, method, job, optimizer, progress, pseudo)
    return progress


def _epoch(
    method: Method, job: Job, optimizer: Optimizer, progress: Progress, epoch: int
) -> PseudoLabels:
    """Features, labels, training, test; one event for the log."""
    recipe, seconds = method.recipe, dict[str, float]()
    pseudo = _labels(method, job, progress, epoch, seconds)
    with progress.spending("training", seconds):
        set_rate(optimizer, recipe.lr_factor(epoch))
        batches = domain_batches(method, job, pseudo.labels)
        losses = train_epoch(method, batches, optimizer, job, epoch, progress.steps)
        _require_finite_weights(method, epoch)
    progress.steps += batches.iterations
    progress.clusters.append(pseudo.num_clusters)
    progress.outliers.append(pseudo.num_outliers)
    if job.test is not None and recipe.due(epoch):
        with progress.spending("test", seconds):
            progress.last = _tested(method, job, progress, epoch)
    progress.epoch = epoch
    event = {
        "event": "epoch",
        "epoch": epoch,
        "epochs": recipe.epochs,
        "losses": losses,
        "clusters": pseudo.num_clusters,
        "outliers": pseudo.num_outliers,
        **pseudo.details,
        **method.watched(),
        "lr": optimizer.param_groups[0]["lr"],
        "seconds": seconds,
        "remaining": progress.remaining(recipe.epochs),
    }
    job.tell(event)
    return pseudo


def _labels(
    method: Method, job: Job, progress: Progress, epoch: int, seconds: dict[str, float]
) -> PseudoLabels:
    """Labels of an epoch that can be trained on; the memory stands on them, doubts are told."""
    with progress.spending("features", seconds):
        features = method.clustering_features(lambda domain: features_of(method, job, domain))
    _warn(job, epoch, collapsed(features))

    def tell(what: str, done: int, total: int) -> None:
        job.ticks(f"epoch {epoch + 1}: {what}")(done, total)

    with progress.spending("clustering", seconds), label_progress(tell):
        job.observer({"event": "stage", "text": f"epoch {epoch + 1}: clustering"})
        pseudo = method.assign(features, epoch)
        require_usable(pseudo, method.recipe.sampling, epoch)
        method.begin_epoch(epoch, features, pseudo)
    for doubt in (noise_alone, giant_cluster, low_recall):
        _warn(job, epoch, doubt(pseudo))
    return pseudo


def _warn(job: Job, epoch: int, doubt: str | None) -> None:
    """Tell and log a doubt about an epoch, if there is one."""
    if doubt:
        job.tell({"event": "warning", "epoch": epoch, "text": f"epoch {epoch + 1}: {doubt}"})


def train_epoch(
    method: Method,
    batches: DomainBatches,
    optimizer: Optimizer,
    job: Job,
    epoch: int,
    steps: int = 0,
) -> dict[str, float]:
    """Run the batches of one epoch, after `steps` ones, and return the mean of each loss term.

    The sums are read once, at the end: no iteration waits for the device.

    Raises:
        TrainingStopped: a loss that is not finite, with iteration, files and what to do.
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
    _require_finite(values, names, batches, epoch)
    return dict(zip(names, values.double().mean(dim=0).tolist(), strict=True))


def features_of(method: Method, job: Job, domain: Domain) -> Tensor:
    """Extraction of one domain's training images, as `Extract` promises."""
    images = job.images_of(domain).images
    return extract(method.encoder, images, job.team, progress=job.ticks("features"))


def test(method: Method, job: Job, epoch: int) -> Scores | None:
    """Scores of the better of the method's networks; None without a test part.

    Every network's scores are logged.
    """
    if job.test is None:
        return None
    results = []
    for name, encoder in method.evaluated().items():
        features = extract(encoder, job.test, job.team, progress=job.ticks("test features"))
        found = evaluate_dataset(features, job.dataset, team=job.team)
        scores: Scores = {**found.scores(), "epoch": epoch, "network": name}
        job.tell({"event": "test", **scores})
        results.append(scores)
    return max(results, key=lambda scores: float(scores["map"]))


def _tested(method: Method, job: Job, progress: Progress, epoch: int) -> Scores | None:
    """Test, and note where the result is the best so far."""
    scores = test(method, job, epoch)
    if scores is None or epoch < 0:
        return scores
    if progress.best is None or scores["map"] > progress.best["map"]:
        progress.best = scores
    return scores


def _require_finite(values: Tensor, names: list[str], batches: DomainBatches, epoch: int) -> None:
    bad = (~torch.isfinite(values)).nonzero()
    if len(bad) == 0:
        return
    iteration, term = bad[0].tolist()
    files = batches.files(iteration)
    raise TrainingStopped(
        f"loss {names[term]} is {values[iteration, term]} in epoch {epoch + 1}, iteration "
        f"{iteration + 1}; {_saved(epoch)}. Compare the learning rate with the recipe's, use "
        f"precision exact, and look at the images of that batch: {', '.join(files)}."
    )


def _require_finite_weights(method: Method, epoch: int) -> None:
    """What the last iteration wrote shows in no loss of this epoch; nor may it be saved."""
    state = tensors_of(method.state_dict())
    # By the extremes, which NaN spoils too: `isfinite` copies a bank of all images twice.
    finite = torch.stack([_extremes(value).isfinite().all() for value in state.values()]).tolist()
    bad = [name for name, good in zip(state, finite, strict=True) if not good]
    if bad:
        raise TrainingStopped(
            f"{len(bad)} of {len(state)} tensors are not finite after epoch {epoch + 1}, the first "
            f"of them {bad[0]}; {_saved(epoch)}. Compare the learning rate with the recipe's, and "
            "use precision exact."
        )


def _extremes(value: Tensor) -> Tensor:
    """Least and largest number of a tensor; nothing of an empty one."""
    return torch.stack(torch.aminmax(value)) if value.numel() else value


def _saved(epoch: int) -> str:
    """What can be resumed of a run that stops in this epoch."""
    return f"epoch {epoch} is saved in last.pt" if epoch else "no epoch was completed"
