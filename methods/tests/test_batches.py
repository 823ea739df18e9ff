"""What the iterations of an epoch see."""

from dataclasses import replace

import torch

from common.batches import domain_batches
from common.data.transform import ERASED
from methods import METHODS
from methods.small_runs import small_data, small_job, small_recipe


def test_boxes_are_erased_at_every_height_and_width_of_the_images(tmp_path):
    recipe, data = small_recipe(METHODS["hhcl"].find("synthetic")), small_data()
    recipe = replace(recipe, augment=replace(recipe.augment, erase=1))
    method, job = small_job(recipe, tmp_path, data)
    batches = domain_batches(method, job, data.dataset.train.pids)
    views = torch.cat([batch.views[0] for batch, _ in batches])
    erased = (views == torch.tensor(ERASED).view(3, 1, 1)).all(dim=1).any(dim=0)
    assert erased.shape == (32, 16)
    assert erased.any(dim=1).all()
    assert erased.any(dim=0).all()
