"""How the stored cases of sampling and erasing are run."""

import random
import re
import sys

import numpy as np

from common.data.augment import NO_BOX, draw_erasing_box
from common.data.sampler import declared_length, identity_pass
from common.recipe import Augment
from common.reference import Case, Check, equal
from common.streams import Stream


def run_sampler(case: Case) -> list[Check]:
    """Consecutive passes of both samplers and their declared lengths, exactly."""
    stored = case.arrays
    labels, cams = stored["pids"], stored["cams"]
    checks = []
    for key in stored:
        if kind := re.fullmatch(r"(cam|nocam)_k(\d+)_len", key):
            name, instances = kind[1], int(kind[2])
            stream = Stream(case.meta["seed"])
            checks.append(equal(key, declared_length(labels, instances), stored[key]))
            for number in range(case.count(f"{name}_k{instances}_pass")):
                ours = identity_pass(labels, cams, instances, name == "cam", stream)
                pass_key = f"{name}_k{instances}_pass{number}"
                checks.append(equal(pass_key, ours, stored[pass_key]))
    return checks


def run_sampler_replay(case: Case) -> list[Check]:
    """Single passes of both samplers, the generators seeded with base_seed + s before pass s."""
    stored, instances = case.arrays, case.meta["num_instances"]
    labels, cams = stored["pids"], stored["camids"]
    checks = []
    for name in ("cam", "nocam"):
        for number in range(case.count(f"{name}_order_")):
            stream = Stream(case.meta["base_seed"] + number)
            ours = identity_pass(labels, cams, instances, name == "cam", stream)
            key = f"{name}_order_{number}"
            checks.append(equal(key, ours, stored[key]))
        length = declared_length(labels, instances)
        checks.append(equal(f"{name}_len", length, stored[f"{name}_len"]))
    return checks


def run_erasing(case: Case) -> list[Check]:
    """The box that follows each seed of Python's generator, exactly."""
    meta, usual = case.meta, Augment()
    low, high = meta.get("sl", usual.erase_area[0]), meta.get("sh", usual.erase_area[1])
    flattest = meta.get("r1", usual.erase_ratio[0])
    # A share of 0 is no setting; one too small to change a sum draws the same boxes.
    augment = Augment(
        erase=meta.get("probability", usual.erase),
        erase_area=(low or sys.float_info.min, high),
        erase_ratio=(flattest, 1 / flattest),
    )
    boxes = []
    for seed in case.arrays["seeds"].tolist():
        box = draw_erasing_box(random.Random(seed), meta["height"], meta["width"], augment)
        boxes.append((1, *box) if box else (0, *NO_BOX))
    return [equal("boxes", np.array(boxes), case.arrays["boxes"])]


CASES = {"common_sampler": run_sampler, "common_erasing": run_erasing}
