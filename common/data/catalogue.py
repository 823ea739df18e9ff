"""The data sets that have a name: what they hold, where they come from, where they may lie."""

import os
from dataclasses import dataclass
from pathlib import Path

from common.data import published
from common.data.published import Published
from common.errors import explained


@dataclass(frozen=True)
class Description:
    """One data set.

    Args:
        title: its name in publications.
        folders: where it may lie below the data root, in order of preference.
        holds: what a complete folder holds, in words.
        published: counts that a check compares.
        origin: publication, and where the authors offer it.
        terms: for which use, and how it is asked for.
        licence: as far as one is stated.
        download: False where the authors have withdrawn it or we draw it ourselves.
        papers_version: the release that the papers' numbers are on, where there are several.
    """

    title: str
    folders: tuple[str, ...]
    holds: str
    published: Published
    origin: str
    terms: str
    licence: str
    download: bool = True
    papers_version: str = ""


def _below(tops: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """top/name for all, top itself, and the names directly below the data root."""
    return (*(f"{top}/{name}" for top in tops for name in names), *tops, *names)


_MARKET_PARTS = "bounding_box_train/, query/ and bounding_box_test/ with images"
_RESEARCH = "academic research only"
_NO_LICENCE = "none stated; the authors' terms apply"


def _vehicleid(test_size: int) -> Description:
    return Description(
        title=f"VehicleID, test list of {test_size} identities",
        folders=_below(("vehicleid",), ("VehicleID", "VehicleID_V1.0")),
        holds="image/<name>.jpg and train_test_split/ with train_list.txt and "
        f"test_list_{test_size}.txt",
        published=published.vehicleid(test_size),
        origin="Liu et al., Deep Relative Distance Learning, CVPR 2016; offered on request on the "
        "PKU VehicleID page of Peking University's multimedia learning group",
        terms=f"{_RESEARCH}, by a signed agreement",
        licence=_NO_LICENCE,
    )


def _celebreid(title: str) -> Description:
    return Description(
        title=title,
        folders=_below(("celebreid",), ("CelebReID", "Celeb-reID")),
        holds="train/, query/ and gallery/ with images named like 12_3_0.jpg",
        published=published.CELEBREID,
        origin="Huang et al., Celebrities-ReID, IJCNN 2019; offered on the GitHub page "
        "Huang-3/Celeb-reID",
        terms=f"{_RESEARCH}; the password of the archive is asked for by mail",
        licence=_NO_LICENCE,
    )


def _synthetic(name: str, title: str) -> Description:
    return Description(
        title=title,
        folders=(name,),
        holds=f"{_MARKET_PARTS} named like 0002_c1s1_000451_00.jpg",
        published=published.NONE,
        origin="drawn by this project: tools data synth",
        terms="free",
        licence="that of this project",
        download=False,
    )


DATASETS: dict[str, Description] = {
    "market1501": Description(
        title="Market-1501",
        folders=_below(("market1501",), ("Market-1501-v15.09.15",)),
        holds=f"{_MARKET_PARTS} named like 0002_c1s1_000451_03.jpg",
        published=published.MARKET1501,
        origin="Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015; offered "
        "on the Market-1501 page of its first author",
        terms=_RESEARCH,
        licence=_NO_LICENCE,
    ),
    "dukemtmcreid": Description(
        title="DukeMTMC-reID",
        folders=_below(("dukemtmcreid", "duke", "dukemtmc"), ("DukeMTMC-reID", "DukeMTMC")),
        holds=f"{_MARKET_PARTS} named like 0001_c2_f0046182.jpg",
        published=published.DUKEMTMCREID,
        origin="Ristani et al., ECCV 2016 workshops, and Zheng et al., ICCV 2017; withdrawn by its "
        "authors in 2019, because people were filmed on a campus without having agreed. No "
        "download is offered here",
        terms="withdrawn; think before you use a copy that you still have, and prefer another set",
        licence="withdrawn",
        download=False,
    ),
    "msmt17": Description(
        title="MSMT17",
        folders=_below(("msmt17",), ("MSMT17_V1", "MSMT17_V2", "MSMT17")),
        holds="list_train.txt, list_val.txt, list_query.txt and list_gallery.txt beside train/ and "
        "test/ (V1) or mask_train_v2/ and mask_test_v2/ (V2); or converted, "
        f"{_MARKET_PARTS} named <identity>_c<camera>...jpg",
        published=published.MSMT17,
        origin="Wei et al., Person Transfer GAN, CVPR 2018; offered on request on the MSMT17 page "
        "of Peking University. V2 has masked faces; the papers' numbers are on V1",
        terms=f"{_RESEARCH}, by a signed agreement",
        licence=_NO_LICENCE,
        papers_version="V1",
    ),
    "personx": Description(
        title="PersonX",
        folders=_below(("personx",), ("PersonX", "subset1")),
        holds=f"{_MARKET_PARTS} named <identity>_c<camera>...jpg, cameras 3, 4, 8, 10, 11, 12",
        published=published.PERSONX,
        origin="Sun and Zheng, Dissecting Person Re-identification from the Viewpoint of "
        "Viewpoint, CVPR 2019; offered on the paper's GitHub page. Rendered people",
        terms=_RESEARCH,
        licence=_NO_LICENCE,
    ),
    "veri": Description(
        title="VeRi-776",
        folders=_below(("veri",), ("VeRi", "VeRi_with_plate")),
        holds="image_train/, image_query/ and image_test/ with images named like "
        "0002_c002_00030600_0.jpg",
        published=published.VERI,
        origin="Liu et al., ECCV 2016; offered on request on the VeRi page of its first author",
        terms=f"{_RESEARCH}, asked for by mail",
        licence=_NO_LICENCE,
    ),
    "vehicleid": _vehicleid(800),
    "vehicleid-1600": _vehicleid(1600),
    "vehicleid-2400": _vehicleid(2400),
    "vehiclex": Description(
        title="VehicleX, training part",
        folders=_below(("vehiclex",), ("AIC20_ReID_Simulation",)),
        holds="image_train/ with images named like 0001_c006_1.jpg",
        published=published.VEHICLEX,
        origin="Yao et al., Simulating Content Consistent Vehicle Datasets, ECCV 2020; offered as "
        "the simulated part of the AI City Challenge 2020, track 2. Rendered vehicles",
        terms="as the challenge's agreement says",
        licence=_NO_LICENCE,
    ),
    "celebreid": _celebreid("Celeb-reID, cameras by the leading digit"),
    "celebreid-unique": _celebreid("Celeb-reID, every image its own camera"),
    "synthetic": _synthetic("synthetic", "synthetic figures"),
    "synthetic-b": _synthetic("synthetic-b", "synthetic figures, second domain"),
}


def own_name(folder: Path) -> str:
    """The data set's name of a folder of own images: the folder's, but never that of a known set.

    What is compared by name (published counts, papers' results, recorded runs) is that of the
    known set, so `data/market1501` given as an own folder is `market1501-own`.
    """
    name = folder.resolve().name
    return f"{name}-own" if name in DATASETS else name


def is_own_folder(name: str) -> bool:
    """Whether a folder is meant, not a data set; a known name is always the data set's.

    No name, as of a shell variable that is not set, is not the working directory.
    """
    if not name or name in DATASETS:
        return False
    with explained(f"{name} cannot be read"):
        return os.sep in name or Path(name).is_dir()
