"""What of HDCPD's teacher follows the student: parameters, and statistics where asked."""

from dataclasses import replace

import pytest
import torch

from common.training import train
from methods import METHODS
from methods.small_runs import small_data, small_job, small_recipe


@pytest.mark.parametrize("variant", ["", "cluster-contrast"])
@pytest.mark.parametrize("buffers", [True, False])
def test_the_teachers_statistics_are_the_mean_of_the_students_where_asked(
    variant, buffers, tmp_path
):
    recipe = small_recipe(METHODS["hdcpd"].find("synthetic", "", variant))
    settings = replace(recipe.settings, teacher_start=0, teacher_buffers=buffers)
    encoder = replace(recipe.encoder, height=16, width=8, parts=2)
    augment = replace(recipe.augment, pad=1)
    recipe = replace(recipe, settings=settings, encoder=encoder, augment=augment, epochs=1)
    method, job = small_job(recipe, tmp_path, small_data(per_id=6, size=(16, 8)))
    students, after_step = [], method.after_step

    def watched(seen, iteration):
        students.append({n: t.clone() for n, t in method.encoder.named_buffers()})
        after_step(seen, iteration)

    method.after_step = watched
    train(method, job)
    means = {name: torch.stack([s[name] for s in students]).mean(dim=0) for name in students[0]}
    equal = [torch.allclose(t, means[n], rtol=1e-4) for n, t in method.teacher.named_buffers()]
    assert len(students) > 1
    assert set(equal) == {buffers}
