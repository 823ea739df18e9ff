"""What file names of the sets laid out like Market-1501 may say."""

import pytest

from common.data import market_layout as layout
from common.errors import UserError

SETS = {  # rule, form of the names, first and last identity, cameras as the released loaders number
    "market1501": (layout.MARKET1501, "{:04d}_c{}s1_000451_03.jpg", (0, 1501), range(1, 7)),
    "dukemtmcreid": (layout.DUKEMTMCREID, "{:04d}_c{}_f0046182.jpg", (1, 7140), range(1, 9)),
    "msmt17": (layout.MSMT17, "{:04d}_c{}_0015.jpg", (0, 3059), range(1, 16)),
    "personx": (layout.PERSONX, "{:04d}_c{}s07_00001.jpg", (1, 1266), (3, 4, 8, 10, 11, 12)),
    "veri": (layout.VERI, "{:04d}_c{:03d}_00030600_0.jpg", (0, 776), range(1, 21)),
    "vehiclex": (layout.VEHICLEX, "{:04d}_c{:03d}_1.jpg", (1, 1362), range(6, 37)),
}
BEYOND = {
    "market1501": ("1502_c1_", "0005_c0_", "0005_c7_", "portrait"),
    "dukemtmcreid": ("0000_c1_", "0001_c0_", "0001_c9_"),
    "msmt17": ("3060_c1_", "0000_c0_", "0000_c16_"),
    "personx": ("0001_c2_", "0001_c5_", "0001_c13_"),
    "veri": ("0777_c001_", "0002_c000_", "0002_c021_"),
    "vehiclex": ("0000_c006_", "1363_c006_", "0001_c005_", "0001_c037_"),
}


def read(folder, name, *names):
    rule = SETS[name][0]
    for part in rule.parts:
        (folder / part).mkdir()
        for image in names:
            (folder / part / image).touch()
    return layout.read_market_layout(name, folder, rule)


@pytest.mark.parametrize("name", SETS)
def test_all_identities_and_cameras_of_a_set_are_read_and_cameras_counted_from_0(tmp_path, name):
    _, form, pids, cams = SETS[name]
    stored = {form.format(pid, cam): n for n, cam in enumerate(cams) for pid in pids}
    train = read(tmp_path, name, *stored).train
    found = (path.rpartition("/")[2] for path in train.paths)
    assert dict(zip(found, train.cams.tolist(), strict=True)) == stored
    assert train.num_ids == 2


@pytest.mark.parametrize(
    ("name", "bad"), [(name, f"{start}1.jpg") for name in BEYOND for start in BEYOND[name]]
)
def test_names_beyond_those_of_a_set_are_refused(tmp_path, name, bad):
    _, form, pids, cams = SETS[name]
    with pytest.raises(UserError, match=f"are not <identity>_c<camera>.*{bad}"):
        read(tmp_path, name, form.format(pids[0], cams[0]), bad)
