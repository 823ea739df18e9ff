"""VehicleID: one folder of images, identities in list files, no cameras."""

from pathlib import Path

from common.data.scan import Row, jpegs, lines_of, relabelled, samples_of
from common.errors import UserError, counted, shortened
from common.types import Dataset


def missing_parts(folder: Path, test_size: int) -> list[str]:
    """What a complete set with this test list has and this folder lacks."""
    lists = [f"train_test_split/{file}" for file in _lists(test_size)]
    missing = [] if (folder / "image").is_dir() else ["image/"]
    return missing + [file for file in lists if not (folder / file).is_file()]


def read_vehicleid(name: str, folder: Path, test_size: int) -> Dataset:
    """All images of one test list go to the gallery; the evaluator draws queries from them.

    The released loaders draw one gallery image per identity when they start, and their
    evaluator cannot score the result, because every camera is 0.

    Args:
        test_size: identities of the test list: 800, 1600 or 2400.

    Raises:
        UserError: malformed list lines, or listed images that are not there.
    """
    there = set(jpegs(folder / "image"))
    problems: list[str] = []
    train, test = (
        samples_of(folder, _rows(folder / "train_test_split" / file, there, problems))
        for file in _lists(test_size)
    )
    if problems:
        raise UserError(
            f"{name} at {folder} is damaged, {counted(len(problems), 'line')} of its lists cannot "
            f"be used: {shortened(problems)}. Unpack the data set again."
        )
    return Dataset(
        name,
        str(folder),
        relabelled(train),
        query=samples_of(folder, []),
        gallery=test,
        version=f"test {test_size}",
        protocol="vehicleid",
        camera_rule="one for all",
    )


def _lists(test_size: int) -> tuple[str, str]:
    return "train_list.txt", f"test_list_{test_size}.txt"


def _rows(file: Path, there: set[str], problems: list[str]) -> list[Row]:
    rows = []
    for number, line in enumerate(lines_of(file), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or not fields[1].isdecimal():
            problems.append(f"{file.name} line {number} ({line[:60]}) is not <image> <identity>")
        elif f"{fields[0]}.jpg" not in there:
            problems.append(f"image/{fields[0]}.jpg is listed, but not there")
        else:
            rows.append((f"image/{fields[0]}.jpg", int(fields[1]), 0))
    return rows
