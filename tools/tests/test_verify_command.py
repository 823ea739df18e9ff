"""`tools verify`: it passes on the stored cases and fails on whatever differs from them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import common
import methods
from common.errors import UserError
from common.reference import Check
from methods import METHODS
from tools.verify import KINDS, Kind, case_files, find_kind, verified, verify

HHCL = Path(methods.__path__[0]) / "hhcl/tests/reference"
INFOMAP = HHCL.parents[2] / "clustercontrast/tests/reference/clustercontrast_infomap.npz"
SHARED = Path(common.__path__[0]) / "tests/reference/common_erasing.npz"


def copied(tmp_path, source, name=None):
    tmp_path.mkdir(exist_ok=True)
    return Path(shutil.copy(source, tmp_path / (name or source.name)))


def perturbed(path, key, change):
    """The case again, with one array changed."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays[key] = change(arrays[key])
    np.savez(path, **arrays)


def first_entry_off_by(amount):
    def change(array):
        changed = array.copy()
        changed.flat[0] += amount
        return changed

    return change


def test_every_stored_case_is_found_once_and_every_method_has_some():
    # That each of them is met is tested in `methods/tests` and beside the shared layer's cases.
    folders = [Path(package.__path__[0]) for package in (common, methods)]
    stored = [path for folder in folders for path in folder.rglob("*.npz")]
    assert sorted(case_files(None)) == sorted(stored)
    assert {find_kind(path).owner for path in stored} == {"common", *METHODS}


@pytest.mark.parametrize(
    ("name", "key", "quantity"),
    [
        ("hhcl_cm", "memory", "memory"),
        ("hhcl_cmhybrid", "grad_x", "gradient"),
        ("hhcl_label_smooth", "loss_0", "loss 0"),
    ],
)
def test_a_changed_number_fails_and_is_named(tmp_path, name, key, quantity):
    path = copied(tmp_path, HHCL / f"{name}.npz")
    perturbed(path, key, first_entry_off_by(1e-3))
    (row,) = verify(reference=tmp_path)
    assert not row["passed"]
    assert row["quantity"] == quantity
    assert row["difference"] == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize(
    ("path", "key", "quantity"),
    [
        ("hhcl/tests/reference/hhcl_cm.npz", "batch_index", "cluster of the images"),
        ("spcl/tests/reference/spcl_memory_usl.npz", "labels_loose", "clusterings"),
    ],
)
def test_another_label_or_image_fails_where_no_number_depends_on_it(tmp_path, path, key, quantity):
    case = copied(tmp_path, Path(methods.__path__[0]) / path)
    perturbed(case, key, first_entry_off_by(1))
    (row,) = verify(reference=tmp_path)
    assert (row["passed"], row["quantity"]) == (False, quantity)


def test_a_change_within_the_tolerance_passes(tmp_path):
    path = copied(tmp_path, HHCL / "hhcl_cm.npz")
    perturbed(path, "memory", first_entry_off_by(1e-7))
    assert verify(reference=tmp_path)[0]["passed"]


def test_exit_code_is_1_when_a_case_fails_and_0_otherwise(tmp_path, call):
    path = copied(tmp_path, HHCL / "hhcl_cm.npz")
    good = call("verify", "--reference", tmp_path)
    assert (good.code, "passed" in good.out, "FAILED" in good.out) == (0, True, False)
    perturbed(path, "memory", first_entry_off_by(1.0))
    bad = call("verify", "--reference", tmp_path)
    assert bad.code == 1
    assert "FAILED" in bad.out
    assert "1 cases failed" in bad.out


def test_json_is_one_list_with_the_documented_keys(tmp_path, call):
    path = copied(tmp_path, HHCL / "hhcl_cm.npz")
    perturbed(path, "memory", lambda array: array[:, :1])
    called = call("verify", "--reference", tmp_path, "--json")
    (row,) = json.loads(called.out, parse_constant=pytest.fail)  # neither Infinity nor NaN
    assert called.code == 1
    assert row.keys() >= {"method", "case", "file", "difference", "tolerance", "passed"}
    assert (row["method"], row["case"], row["file"]) == ("hhcl", "hhcl_cm", str(path))
    assert row["difference"] is None
    assert row["passed"] is False


def test_a_file_of_an_unknown_kind_is_an_error_that_names_it(tmp_path, call):
    copied(tmp_path, HHCL / "hhcl_cm.npz")
    odd = copied(tmp_path, HHCL / "hhcl_cm.npz", "other_thing.npz")
    called = call("verify", "--reference", tmp_path, "--json")
    assert (called.code, called.out) == (2, "")
    assert str(odd) in called.err
    assert "hhcl_cmhybrid" in called.err


def test_cases_are_found_in_subfolders_and_recognized_by_the_beginning_of_the_name(tmp_path):
    copied(tmp_path / "deep", HHCL / "hhcl_cmhybrid.npz", "hhcl_cmhybrid_seed9.npz")
    (row,) = verify(reference=tmp_path)
    assert row["passed"]
    assert row["case"] == "hhcl_cmhybrid_seed9"


def test_the_longest_kind_wins():
    longer = next(
        kind.prefix
        for kind in KINDS
        for other in KINDS
        if kind.prefix.startswith(other.prefix) and kind.prefix != other.prefix
    )
    assert find_kind(Path(f"{longer}_x.npz")).prefix == longer


def test_no_kind_has_two_owners():
    prefixes = [kind.prefix for kind in KINDS]
    assert len(prefixes) == len(set(prefixes))


def test_a_case_whose_package_is_missing_is_left_out_and_says_what_to_install(
    tmp_path, call, monkeypatch
):
    monkeypatch.setattr("common.clustering.infomap.Infomap", None)  # as README's command leaves it
    copied(tmp_path, HHCL / "hhcl_cm.npz")
    copied(tmp_path, INFOMAP)
    called = call("verify", "--reference", tmp_path)
    assert called.code == 0
    assert "0 cases failed, 1 left out" in called.out
    assert "pip install" in called.out
    left_out, passed = json.loads(call("verify", "--reference", tmp_path, "--json").out)
    assert (left_out["case"], left_out["passed"], passed["passed"]) == (INFOMAP.stem, None, True)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_case_is_a_failed_row_and_not_a_crash(tmp_path, content):
    path = copied(tmp_path, HHCL / "hhcl_cm.npz")
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    (row,) = verify(reference=tmp_path)
    assert not row["passed"]
    assert row["error"].startswith(f"{path} is not a reference case")
    assert "pickle" not in row["error"]  # NumPy's advice on what it does not know
    assert row["difference"] is None


def test_a_runner_that_raises_or_compares_nothing_fails(tmp_path):
    path = copied(tmp_path, HHCL / "hhcl_cm.npz")

    def broken(case):
        raise KeyError("x")

    assert verified(path, Kind("hhcl_cm", "hhcl", broken))["error"] == "KeyError: 'x'"
    assert not verified(path, Kind("hhcl_cm", "hhcl", lambda case: []))["passed"]
    for asked, said in [
        (lambda case: case.tensor("x_9"), "the case has no array 'x_9'."),
        (lambda case: case.meta["modes"], "the case has no setting 'modes'."),
    ]:
        assert verified(path, Kind("hhcl_cm", "hhcl", asked))["error"] == said


def test_the_row_shows_the_quantity_nearest_to_failing(tmp_path):
    path = copied(tmp_path, HHCL / "hhcl_cm.npz")
    checks = [Check("far", 1e-3, 1.0), Check("near", 9e-7, 1e-6), Check("exact", 0.0, 0.0)]
    row = verified(path, Kind("hhcl_cm", "hhcl", lambda case: checks))
    assert (row["quantity"], row["passed"], row["checks"]) == ("near", True, 3)
    failed = verified(path, Kind("k", "m", lambda case: [*checks, Check("nan", float("nan"), 1.0)]))
    assert (failed["quantity"], failed["passed"]) == ("nan", False)


def test_a_method_s_name_selects_its_cases_and_they_pass():
    rows = verify("dccc")
    assert {row["method"] for row in rows} == {"dccc"}
    stored = (Path(methods.__path__[0]) / "dccc").rglob("*.npz")
    assert sorted(row["file"] for row in rows) == sorted(map(str, stored))
    assert all(row["passed"] and row["checks"] > 0 and not row["error"] for row in rows)


def test_the_name_common_selects_those_of_the_shared_layer(tmp_path):
    copied(tmp_path, HHCL / "hhcl_cm.npz")
    copied(tmp_path, SHARED)
    assert [(row["method"], row["passed"]) for row in verify("common", tmp_path)] == [
        ("common", True)
    ]


def test_wrong_names_and_empty_folders_are_errors(tmp_path):
    for name in ("hhlc", "HHCL"):
        with pytest.raises(UserError, match="Did you mean 'hhcl'"):
            verify(name)
    with pytest.raises(UserError, match="no reference cases"):
        verify(reference=tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        verify(reference=tmp_path / "missing")
    copied(tmp_path, HHCL / "hhcl_cm.npz")
    with pytest.raises(UserError, match="no reference cases of spcl"):
        verify("spcl", tmp_path)


def test_the_shipped_cases_lie_beside_the_tests():
    assert all(path.parent.name == "reference" for path in case_files(None))


def with_meta(path, changes, **arrays):
    """The case again, with other settings and arrays."""
    with np.load(path) as file:
        stored = {name: file[name] for name in file.files}
    meta = json.loads(str(stored.pop("meta"))) | changes
    np.savez(path, meta=json.dumps(meta), **(stored | arrays))


def decayed(rate, epochs, every):
    return np.array([rate * 0.1 ** (epoch // every) for epoch in range(epochs)])


def test_schedules_follow_the_settings_of_their_case(tmp_path):
    folder = Path(methods.__path__[0])
    names = ("hhcl", "dsgl", "spcl", "clustercontrast", "multiqueue")
    cases = {name: folder / f"{name}/tests/reference/{name}_schedule.npz" for name in names}
    paths = {name: copied(tmp_path, path) for name, path in cases.items()}
    with_meta(paths["hhcl"], {"dataset": "dukemtmcreid"}, eps=np.full(60, 0.6))
    with_meta(paths["dsgl"], {"dataset": "msmt17"}, eps=np.full(60, 0.7))
    lr = decayed(3.5e-4, 30, 10)
    with_meta(paths["spcl"], {"step_size": 10, "epochs": 30}, epoch=np.arange(30), lr=lr)
    with_meta(
        paths["clustercontrast"],
        {"step_size": 10, "epochs": 30, "eval_step": 20},
        lr=lr,
        temperature=np.full(30, 0.05),
        eval_epochs=np.array([19, 29]),
    )
    halved = {"base_lr": 1.75e-4, "temperature_lr_factor": 0.02, "epochs": 30, "step_size": 10}
    with_meta(paths["multiqueue"], halved, lr=lr / 2, lr_temperature=lr / 100)

    rows = verify(reference=tmp_path)

    assert len(rows) == 5
    assert [
        (row["case"], row["error"] or row["quantity"]) for row in rows if not row["passed"]
    ] == []


def test_a_schedule_of_an_unknown_data_set_fails_with_its_name(tmp_path):
    stored = copied(tmp_path, HHCL / "hhcl_schedule.npz")
    with_meta(stored, {"dataset": "nowhere"})
    (row,) = verify(reference=tmp_path)
    assert not row["passed"]
    assert "no recipe for nowhere" in row["error"]


def test_queues_may_be_stored_once_for_all_slots(tmp_path):
    folder = Path(methods.__path__[0]) / "multiqueue/tests/reference"
    stored = copied(tmp_path, folder / "multiqueue_q16.npz")
    with np.load(stored) as file:
        first = file["queue_init"][:, 0]
    with_meta(stored, {}, queue_init=first)
    assert verify(reference=tmp_path)[0]["passed"]
    with_meta(stored, {}, queue_init=2 * first)
    assert not verify(reference=tmp_path)[0]["passed"]


def test_the_update_rule_of_a_memory_is_told_by_the_kind_of_case(tmp_path):
    folder = Path(methods.__path__[0]) / "clustercontrast/tests/reference"
    stored = copied(tmp_path, folder / "clustercontrast_hard.npz", "clustercontrast_hard_b.npz")
    with_meta(stored, {"case": "hard_b"})
    assert verify(reference=tmp_path)[0]["passed"]
