"""What a mean teacher sees, when it follows the student, and that it labels nothing."""

from dataclasses import replace

import pytest
import torch

from common import training
from common.batches import domain_batches
from methods import METHODS
from methods.small_runs import small_data, small_job, small_recipe

AVERAGE = (0.999, 0, 1 / 2, 2 / 3, 3 / 4, 4 / 5)  # shares kept after each step, if it starts at 1


def made(folder, method, source="", variant=""):
    """Method and job of a small run whose teacher starts at step 1, and its images."""
    recipe = small_recipe(METHODS[method].find("synthetic", source, variant))
    recipe = replace(recipe, settings=replace(recipe.settings, teacher_start=1))
    data = small_data()
    return *small_job(recipe, folder, data), data


def test_a_teacher_sees_the_student_s_images_by_a_draw_of_its_own(tmp_path):
    method, job, data = made(tmp_path, "dccc")
    batch, _ = next(iter(domain_batches(method, job, data.dataset.train.pids)))
    student, teacher = batch.views
    assert student.shape == teacher.shape
    assert not (student == teacher).flatten(1).all(dim=1).any()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (("hdcpd", "synthetic-b"), AVERAGE),
        (("hdcpd", "", "cluster-contrast"), AVERAGE),
        (("dccc",), AVERAGE),
        (("dccc", "", "plain-loss"), (1,) * len(AVERAGE)),
    ],
    ids=["hdcpd-two-domains", "hdcpd-clusters", "dccc", "dccc-plain-loss"],
)
def test_a_teacher_starts_as_the_student_and_follows_each_of_its_steps_in_training_mode(
    names, kept, tmp_path
):
    method, job, _ = made(tmp_path, *names)
    compute, pairs = method.training_step, []

    def note():
        networks = (method.encoder, method.teacher)
        pairs.append([[p.detach().clone() for p in n.parameters()] for n in networks])

    def watched(batch, source=None):
        assert method.teacher.training
        note()
        return compute(batch, source)

    method.training_step, job.test = watched, None
    training.train(method, job)
    note()
    (expected, teacher), *later = pairs
    assert all(map(torch.equal, expected, teacher))
    for share, (student, teacher) in zip(kept, later, strict=True):
        expected = [share * e + (1 - share) * s for e, s in zip(expected, student, strict=True)]
        torch.testing.assert_close(teacher, expected, rtol=0, atol=1e-6)


def test_the_features_that_are_clustered_are_the_student_s(tmp_path, monkeypatch):
    method, job, _ = made(tmp_path, "hdcpd", "synthetic-b")
    seen, extract = [], training.extract

    def watched(network, *given, **named):
        seen.append(network)
        return extract(network, *given, **named)

    monkeypatch.setattr(training, "extract", watched)
    for domain in ("source", "target"):
        training.features_of(method, job, domain)
    assert seen == [method.encoder] * 2
