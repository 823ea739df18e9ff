"""What a run says and keeps when data, labels, losses or the disk go wrong."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common import training
from common.backbones.weights import digest_of
from common.errors import TrainingStopped, UserError
from common.label_checks import collapsed, giant_cluster
from common.run import RunDir
from common.saver import Saver
from common.schedules import LinearEps
from common.team import Team
from common.training import features_of, train
from common.types import PseudoLabels
from methods import METHODS
from methods.small_runs import IDS, PER_ID, run_small, small_data, small_job, small_recipe

RECIPE = small_recipe(METHODS["hhcl"].find("synthetic"))
ONE_EPOCH = replace(RECIPE, epochs=1)


def with_labels(labels, folder, recipe=ONE_EPOCH):
    method, job = small_job(recipe, folder, small_data())
    method.assign = lambda features, epoch: PseudoLabels(labels, {"eps": 0.6})
    heard = []
    job.observer = heard.append
    return method, job, heard


def test_all_noise_stops_with_epoch_eps_and_counts(tmp_path):
    method, job, _ = with_labels(np.full(IDS * PER_ID, -1), tmp_path)
    with pytest.raises(TrainingStopped, match=r"epoch 1: .*eps 0.6.* 0 clusters and 96 outliers"):
        train(method, job)


@pytest.mark.parametrize("source", ["", "synthetic-b"])
def test_noise_alone_stops_also_where_outliers_are_classes(tmp_path, monkeypatch, source):
    recipe = METHODS["hdcpd"].find("synthetic", source)
    method, job = small_job(small_recipe(recipe), tmp_path, small_data())
    noise = PseudoLabels(np.full(IDS * PER_ID, -1), {"eps": 0.6})
    monkeypatch.setattr("common.method.cluster", lambda *given: noise)
    with pytest.raises(
        TrainingStopped, match=r"epoch 1: .*eps 0.6.* 0 clusters.* 96 outliers, none"
    ):
        train(method, job)


@pytest.mark.parametrize("first", [0, 1])
def test_spcl_stops_on_noise_alone_in_the_first_epoch_and_warns_of_it_later(tmp_path, first):
    method, job = small_job(small_recipe(METHODS["spcl"].find("synthetic")), tmp_path, small_data())
    noise = PseudoLabels(np.full(IDS * PER_ID, -1), {"eps": 0.6})
    pairs = PseudoLabels(np.arange(IDS * PER_ID) // PER_ID, {"eps": 0.6})
    found = iter([[pairs] * 3] * first + [[noise] * 3])
    method.clusterings = lambda *given: next(found)
    said = r"epoch {}: .*eps 0.6.* 0 clusters and 96 outliers.* larger clustering.eps"
    if first == 0:
        with pytest.raises(TrainingStopped, match=said.format(1)):
            train(method, job)
    else:
        train(method, job)
        (warning,) = [e["text"] for e in job.run.events() if e["event"] == "warning"]
        assert re.match(said.format(2), warning)


def test_dsgl_stops_with_epoch_eps_and_counts_where_two_clusters_are_found(tmp_path):
    recipe = small_recipe(METHODS["dsgl"].find("synthetic"))
    recipe = replace(recipe, sampling=replace(recipe.sampling, batch_size=8))
    method, job, _ = with_labels(np.arange(IDS * PER_ID) % 2, tmp_path, recipe)
    with pytest.raises(TrainingStopped, match=r"epoch 1: .*eps 0.6.* 2 clusters.* 0 outliers, but"):
        train(method, job)


@pytest.mark.parametrize("before", [0, 1])
def test_too_few_clusters_for_a_batch_propose_a_larger_eps_and_the_page_if_there_is_one(
    tmp_path, before
):
    labels = np.full(IDS * PER_ID, -1)
    labels[:8] = np.repeat([0, 1], 4)
    method, job, _ = with_labels(labels, tmp_path, replace(RECIPE, epochs=before + 1))
    found = iter([np.arange(IDS * PER_ID) // PER_ID] * before + [labels])
    method.assign = lambda features, epoch: PseudoLabels(next(found))
    page = [r" `tools report RUN` shows the clusters of epoch 1\."] * before
    said = r"2 clusters .* 8 of the 16 images.*larger clustering.eps .*FILE\)\."
    with pytest.raises(TrainingStopped, match="".join([said, *page, "$"])):
        train(method, job)


@pytest.mark.parametrize(("count", "said"), [(1, "1 cluster and 0 outl"), (3, "3 clusters and 0")])
def test_few_clusters_without_outliers_propose_a_smaller_eps_and_k1(tmp_path, count, said):
    method, job, _ = with_labels(np.arange(IDS * PER_ID) % count, tmp_path)
    with pytest.raises(
        UserError, match=rf"{said}.*smaller clustering.eps .*a smaller clustering.k1"
    ):
        train(method, job)


def test_one_giant_cluster_is_warned_of():
    labels = np.zeros(200, np.int64)
    labels[:90] = np.arange(90) // 10 + 1
    said = giant_cluster(PseudoLabels(labels))
    assert "one cluster holds 110 of 200 images" in said
    assert "(InfoMap: a larger similarity)" in said
    assert giant_cluster(PseudoLabels(np.arange(200) // 100)) is None


def test_the_warning_of_a_giant_cluster_is_heard_and_logged(tmp_path, monkeypatch):
    monkeypatch.setattr("common.training.giant_cluster", lambda pseudo: "too large")
    method, job, heard = with_labels(np.arange(IDS * PER_ID) // PER_ID, tmp_path)
    train(method, job)
    assert {"event": "warning", "epoch": 0, "text": "epoch 1: too large"} in heard
    assert {"event": "warning", "epoch": 0, "text": "epoch 1: too large"} in RunDir(
        tmp_path
    ).events()


def test_features_that_are_nearly_equal_are_warned_of_before_they_are_clustered(tmp_path):
    method, job, heard = with_labels(np.arange(IDS * PER_ID) // PER_ID, tmp_path)
    extracted = method.clustering_features(lambda domain: features_of(method, job, domain))
    alike = F.normalize(extracted[:1] + 1e-3 * extracted, dim=1)
    method.clustering_features = lambda extract: alike
    train(method, job)
    told = [e["text"] for e in heard if e.get("text")]
    (place,) = [n for n, text in enumerate(told) if "features of all images are nearly" in text]
    assert "epoch 1: clustering" not in told[:place]
    assert collapsed(extracted) is None


def test_an_epoch_without_a_test_part_spends_no_seconds_on_it(tmp_path):
    method, job, _ = with_labels(np.arange(IDS * PER_ID) // PER_ID, tmp_path)
    train(method, replace(job, test=None))
    (epoch,) = [e for e in RunDir(tmp_path).events() if e["event"] == "epoch"]
    assert epoch["seconds"].keys() == {"features", "clustering", "training"}


def test_a_low_recall_is_logged_and_warned_of(tmp_path):
    method, job, _ = with_labels(np.arange(IDS * PER_ID) // PER_ID, tmp_path)
    assign = method.assign
    method.assign = lambda *given: replace(assign(*given), details={"recall": 0.5})
    train(method, job)
    events = RunDir(tmp_path).events()
    warnings = [e["text"] for e in events if e["event"] == "warning"]
    assert [e["recall"] for e in events if e["event"] == "epoch"] == [0.5]
    assert "epoch 1: the approximate search found 50.0% of the neighbours" in warnings[0]


def test_the_eps_of_the_recipe_is_used_and_logged_in_every_epoch(tmp_path):
    falling = replace(RECIPE, clustering=replace(RECIPE.clustering, eps=LinearEps(0.6, step=0.1)))
    run_small(falling, tmp_path, small_data())
    logged = [e["eps"] for e in RunDir(tmp_path).events() if e["event"] == "epoch"]
    assert logged == pytest.approx([0.5, 0.4])


def test_a_loss_that_is_not_finite_names_iteration_files_and_the_saved_epoch(tmp_path):
    method, job = small_job(RECIPE, tmp_path, small_data())
    step, seen = method.training_step, []

    def poisoned(batch, source=None):
        found = step(batch, source)
        seen.append(batch.all_indices)
        if len(seen) == 5:  # second epoch, second iteration
            found.losses["hard"] = found.losses["hard"] * float("nan")
        return found

    method.training_step = poisoned
    with pytest.raises(TrainingStopped) as caught:
        train(method, job)
    said = str(caught.value)
    assert "loss hard is nan in epoch 2, iteration 2" in said
    assert "epoch 1 is saved in last.pt" in said
    assert said.endswith(f"of that batch: {', '.join(job.train.paths[seen[4]])}.")
    assert RunDir(tmp_path).load("last.pt")["progress"]["epoch"] == 0


def test_a_loss_that_is_not_finite_names_the_files_of_both_domains(tmp_path):
    recipe = small_recipe(next(r for r in METHODS["spcl"].recipes if r.source))
    method, job = small_job(recipe, tmp_path, small_data())
    for name, shown in (("target", job.train), ("source", job.source)):
        shown.paths[:] = [f"{name}/{path}" for path in shown.paths]
    step = method.training_step

    def poisoned(batch, source=None):
        found = step(batch, source)
        first = next(iter(found.losses))
        found.losses[first] = found.losses[first] * float("nan")
        return found

    method.training_step = poisoned
    with pytest.raises(TrainingStopped) as caught:
        train(method, job)
    for name in ("target", "source"):
        assert str(caught.value).count(f"{name}/") == recipe.sampling.batch_size


def test_weights_that_are_not_finite_after_the_last_iteration_are_not_saved(tmp_path):
    method, job = small_job(RECIPE, tmp_path, small_data())
    update = method.after_step

    def broken(seen, iteration):
        update(seen, iteration)
        if iteration == 2 * RECIPE.sampling.iterations - 1:  # the last one of the second epoch
            next(method.encoder.parameters()).data.fill_(torch.inf)

    method.after_step = broken
    with pytest.raises(TrainingStopped, match=r"not finite after epoch 2.*1 is saved in last.pt"):
        train(method, job)
    saved = RunDir(tmp_path).load("last.pt")
    assert saved["progress"]["epoch"] == 0
    assert all(value.isfinite().all() for value in saved["model"].values())


def test_iterations_and_clusters_are_counted_through_where_epochs_differ(tmp_path):
    recipe = replace(RECIPE, epochs=4, sampling=replace(RECIPE.sampling, iterations=0))
    identities = (12, 4, 8, 12)  # by epoch; two fill a batch
    counted = []

    def run(epochs, resume):
        method, job = small_job(replace(recipe, epochs=epochs), tmp_path, small_data())
        update = method.after_step
        method.after_step = lambda seen, n: (counted.append(n), update(seen, n))

        def assign(features, epoch):
            labels = np.arange(IDS * PER_ID) // PER_ID
            return PseudoLabels(np.where(labels < identities[epoch], labels, -1), {"eps": 0.6})

        method.assign = assign
        return train(method, job, resume=resume)

    run(2, resume=False)
    progress = run(4, resume=True)
    assert (progress.clusters, progress.outliers) == ([12, 4, 8, 12], [0, 64, 32, 0])
    assert counted == list(range(len(counted)))
    assert len(counted) == 3 + 1 + 2 + 3


@pytest.mark.parametrize("beside", [False, True])
def test_a_full_disk_keeps_the_epoch_before(tmp_path, monkeypatch, beside):
    monkeypatch.setattr(training, "Saver", lambda run, **given: Saver(run, beside))
    run_small(ONE_EPOCH, tmp_path, small_data())
    before = (tmp_path / "last.pt").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device.*can be resumed"):
        run_small(RECIPE, tmp_path, small_data(), resume=True)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_best_pt_is_of_the_best_epoch_also_where_a_run_is_killed_between_the_checkpoints(
    tmp_path, monkeypatch
):
    class Killed(Exception):
        pass

    def die(run, name, state):
        if name == "best.pt":
            raise Killed
        save(run, name, state)

    save = RunDir.save
    monkeypatch.setattr(RunDir, "save", die)
    with pytest.raises(Killed):
        run_small(ONE_EPOCH, tmp_path / "killed", small_data())
    monkeypatch.undo()
    run_small(ONE_EPOCH, tmp_path / "killed", small_data(), resume=True)
    run_small(ONE_EPOCH, tmp_path / "whole", small_data())

    killed, whole = (RunDir(tmp_path / name).load("best.pt") for name in ("killed", "whole"))
    assert killed["epoch"] == RunDir(tmp_path / "killed").load("last.pt")["progress"]["epoch"] == 0
    assert killed["map"] == whole["map"]
    for name, value in whole["encoder"].items():
        assert torch.equal(value, killed["encoder"][name]), name


def test_a_run_that_begins_anew_has_no_lines_of_the_attempt_before(tmp_path):
    method, job, _ = with_labels(np.full(IDS * PER_ID, -1), tmp_path)
    with pytest.raises(TrainingStopped, match="gave 0 clusters"):
        train(method, job)
    assert [event["epoch"] for event in job.run.events()] == [-1]

    run_small(ONE_EPOCH, tmp_path, small_data())
    assert [e["epoch"] for e in job.run.events() if e["event"] == "test"] == [-1, 0]


@pytest.mark.parametrize(
    ("name", "said"), [("method", "method 'spcl'"), ("arch", "arch 'resnet50'")]
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, name, said):
    run_small(ONE_EPOCH, tmp_path, small_data())
    state = RunDir(tmp_path).load("last.pt")
    state[name] = {"method": "spcl", "arch": "resnet50"}[name]
    state.pop("format")
    RunDir(tmp_path).save("last.pt", state)
    with pytest.raises(UserError, match=said):
        run_small(RECIPE, tmp_path, small_data(), resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_weights_are_compared_between_the_processes_before_the_first_epoch(
    tmp_path, monkeypatch, resume
):
    trained = run_small(ONE_EPOCH, tmp_path, small_data())
    method, job = small_job(RECIPE, tmp_path, small_data())
    expected = digest_of((trained if resume else method).encoder)
    job.team = Team(size=2)
    monkeypatch.setattr(Team, "together", lambda team, compute: compute())

    def differ(team, found, what):
        raise UserError(f"{what} {found}")

    monkeypatch.setattr(Team, "require_same", differ)
    with pytest.raises(UserError, match=f"the weights to start from are {expected}"):
        train(method, job, resume=resume)


def test_clusters_of_one_image_each_can_be_trained_on(tmp_path):
    method, job, _ = with_labels(np.arange(IDS * PER_ID), tmp_path)
    train(method, job)  # singletons fill batches by themselves
    assert torch.isfinite(next(method.parameters())).all()
