"""A run folder stays whole through kills, full disks and hostile files."""

import io
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from common.errors import UserError
from common.run import RunDir, load_checkpoint, write_atomically

MAPS = Path("/proc/self/maps")


def test_nothing_is_overwritten(tmp_path):
    first, second = RunDir.create(tmp_path, "run"), RunDir.create(tmp_path, "run")
    assert (first.path.name, second.path.name) == ("run", "run-2")


def test_a_folder_that_cannot_be_made_is_told_and_so_are_too_many_of_a_name(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/run: Not a directory. Choose another --runs-root\."):
        RunDir.create(tmp_path / "file", "run")

    def there(path, **options):
        raise FileExistsError

    monkeypatch.setattr(Path, "mkdir", there)
    with pytest.raises(UserError, match=r"holds 9,999 runs named run\. Choose another --name\."):
        RunDir.create(tmp_path, "run")


def test_a_standard_name_that_no_file_system_takes_is_refused_before_any_work(tmp_path):
    with pytest.raises(UserError, match="shorter name with --name"):
        RunDir.require_place(tmp_path, "", "ü" * 101)
    RunDir.require_place(tmp_path, "mine", "ü" * 101)
    RunDir.require_place(tmp_path, "", "crops\udcff")


@pytest.mark.parametrize("name", [".", "..", "a/b", "a\\b", "a\nb", "n" * 201])
def test_a_chosen_name_that_is_no_plain_file_name_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="write a plain file name of at most 200 bytes"):
        RunDir.require_place(tmp_path, name)
    RunDir.require_place(tmp_path, "n" * 200)


HOLD = """
import os, sys, time
from pathlib import Path
from unittest.mock import Mock

sys.modules["torch"] = Mock()  # takes seconds to load, and a lock needs none of it
from common.run import RunDir

with RunDir(Path(sys.argv[1])).held():
    if not os.fork():  # a worker, which outlives the run
        time.sleep(10)
        os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_a_folder_belongs_to_one_process_until_that_is_killed(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], **pipes) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="another process trains in"), RunDir(tmp_path).held():
            pass
        holder.kill()
    with RunDir(tmp_path).held():
        pass


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    run = RunDir(tmp_path)
    run.save("last.pt", {"epoch": 3, "weights": torch.arange(4.0), "names": ["a", None, 0.5]})
    state = run.load("last.pt")
    assert state["epoch"] == 3
    assert state["names"] == ["a", None, 0.5]
    assert torch.equal(state["weights"], torch.arange(4.0))


@pytest.mark.skipif(not MAPS.exists(), reason="the system does not list what is mapped")
def test_the_tensors_of_a_checkpoint_stay_in_its_file(tmp_path):
    run = RunDir(tmp_path)
    run.save("last.pt", {"bank": torch.zeros(1000, 100)})
    state = run.load("last.pt")
    assert str(tmp_path / "last.pt") in MAPS.read_text()
    del state
    assert str(tmp_path / "last.pt") not in MAPS.read_text()


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    write_atomically(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_old_one_and_no_part(tmp_path):
    resource = pytest.importorskip("resource")
    run = RunDir(tmp_path)
    run.save("last.pt", {"epoch": 3})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(UserError, match=r"write .*last\.pt: File too large\. .*move the run"):
            run.save("last.pt", {"epoch": 4, "bank": torch.zeros(1 << 18)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run.load("last.pt")["epoch"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_ctrl_c_while_a_checkpoint_is_written_stays_that_and_leaves_no_part(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    run.save("last.pt", {"epoch": 3})

    class Stopped(io.FileIO):
        def write(self, data):
            if self.tell():
                raise KeyboardInterrupt
            return super().write(data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode: Stopped(path, mode))
        with pytest.raises(KeyboardInterrupt):
            run.save("last.pt", {"epoch": 4, "bank": torch.zeros(1 << 18)})
    assert run.load("last.pt")["epoch"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.skipif(sys.platform == "win32", reason="syncs no folders")
def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one_and_its_name_after(
    tmp_path, monkeypatch
):
    path, synced = tmp_path / "last.pt", []
    write_atomically(path, b"old")

    def sync(handle):
        status = os.fstat(handle)
        what = "folder" if stat.S_ISDIR(status.st_mode) else status.st_size
        synced.append((what, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", sync)
    write_atomically(path, b"newer")
    assert synced == [(5, b"old"), ("folder", b"newer")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no disk that is always full")
def test_a_log_on_a_full_disk_is_told_in_a_sentence(tmp_path):
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"log\.jsonl: No space left .* can be resumed"):
        RunDir(tmp_path).log({"event": "epoch", "epoch": 0})


def test_a_line_of_the_log_is_on_the_disk_before_the_checkpoint_of_its_epoch(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    RunDir(tmp_path).log({"event": "epoch", "epoch": 0})
    assert sizes == [(tmp_path / "log.jsonl").stat().st_size]


def test_what_is_said_of_a_failed_write_holds_for_a_finished_run_and_for_a_folder_that_is_gone(
    tmp_path, monkeypatch
):
    with pytest.raises(UserError, match=r"gone is no longer there, so log\.jsonl could not"):
        RunDir(tmp_path / "gone").log({})

    def full(handle):
        raise OSError(28, "No space left on device")

    page = tmp_path / "report" / "index.html"
    page.parent.mkdir()
    (tmp_path / "result.json").touch()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="`tools report` writes its page again"):
        write_atomically(page, b"new")


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_flipped_bit_is_found(tmp_path, where):
    run = RunDir(tmp_path)
    run.save("last.pt", {"weights": torch.rand(4000)})
    data = bytearray((tmp_path / "last.pt").read_bytes())
    data[int(len(data) * where)] ^= 4
    (tmp_path / "last.pt").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        run.load("last.pt")


def test_a_truncated_checkpoint_is_refused(tmp_path):
    run = RunDir(tmp_path)
    run.save("last.pt", {"weights": torch.rand(400)})
    data = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(data[:-200])
    with pytest.raises(UserError, match="no checkpoint that can be read"):
        run.load("last.pt")


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    plain, archive = tmp_path / "plain.pt", tmp_path / "archive.pt"
    plain.write_bytes(pickle.dumps(Bomb()))
    torch.save({"format": 1, "x": Bomb()}, archive)
    for path in (plain, archive):
        with pytest.raises(UserError, match="no checkpoint that can be read safely"):
            load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


def test_another_format_and_foreign_files_are_refused(tmp_path):
    torch.save({"format": 99}, tmp_path / "new.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(UserError, match="format 99"):
        load_checkpoint(tmp_path / "new.pt")
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        load_checkpoint(tmp_path / "foreign.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as file:
        file.writestr("hello", "there")
    with pytest.raises(UserError):
        load_checkpoint(tmp_path / "zip.pt")


def test_what_a_killed_process_left_half_written_is_removed_by_the_next(tmp_path):
    for name in (".last.pt.123.part", "last.pt"):
        (tmp_path / name).write_bytes(b"x")
    with RunDir(tmp_path).held():
        assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "lock"]


@pytest.mark.parametrize(
    "rest",
    [b'{"event": "epo', b"\xff\0\0\n", b"3\n", b"[" * 100_000],
    ids=["a torn line", "bytes of no text", "no object", "nested too deeply"],
)
def test_what_is_no_line_of_the_log_is_left_out(tmp_path, rest):
    run = RunDir(tmp_path)
    event = {"event": "warning", "epoch": 0, "text": "noise"}
    run.log(event)
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(rest)
    assert run.events() == [event]


def test_a_line_of_the_log_of_no_epoch_that_there_can_be_is_told(tmp_path):
    RunDir(tmp_path).log({"event": "another", "epoch": "last"})
    with pytest.raises(UserError, match="line 1: epoch is 'last'"):
        RunDir(tmp_path).rewind_log(0)


def test_rewinding_drops_the_lines_of_later_epochs(tmp_path):
    run = RunDir(tmp_path)
    assert run.events() == []
    for epoch in (-1, 0, 1, 2):
        run.log({"event": "warning", "epoch": epoch, "text": "noise"})
    run.rewind_log(1)
    assert [event["epoch"] for event in run.events()] == [-1, 0, 1]


def test_a_folder_without_a_recipe_is_no_run(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        RunDir.open(tmp_path)


def test_a_checkpoint_before_the_first_epoch_does_not_exist(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="Let it train on, or resume it"):
        RunDir.open(tmp_path).load("last.pt")
