"""How many identities, images and cameras the publications of the data sets name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Images and identities of one split; None where no number is published."""

    images: int | None
    ids: int | None


@dataclass(frozen=True)
class Published:
    """Published counts of a set.

    Args:
        train, query, gallery: None for a split that the set does not have, or has no numbers of.
        cameras: over all splits, or None.
        note: what is doubtful about the numbers; shown beside a difference.
    """

    train: Counts | None = None
    query: Counts | None = None
    gallery: Counts | None = None
    cameras: int | None = None
    note: str = ""


MARKET1501 = Published(
    Counts(12_936, 751),
    Counts(3_368, 750),
    Counts(15_913, 751),  # 750 and the distractors, identity 0
    cameras=6,
)
DUKEMTMCREID = Published(Counts(16_522, 702), Counts(2_228, 702), Counts(17_661, 1_110), cameras=8)
MSMT17 = Published(Counts(32_621, 1_041), Counts(11_659, 3_060), Counts(82_161, 3_060), cameras=15)
PERSONX = Published(Counts(9_840, 410), Counts(5_136, 856), Counts(30_816, 856), cameras=6)
VERI = Published(
    Counts(37_778, 576),
    Counts(1_678, 200),
    Counts(11_579, 200),
    cameras=20,
    note="the release with plates is said to have 575 identities and 37,746 images for training",
)
VEHICLEX = Published(Counts(192_150, 1_362), note="the published number of images is not verified")
CELEBREID = Published(Counts(20_208, 632), Counts(2_972, 420), Counts(11_006, 420))
NONE = Published()


def vehicleid(test_size: int) -> Published:
    """Counts with one of the test lists, which name identities only."""
    return Published(
        Counts(113_346, 13_164),
        gallery=Counts(None, test_size),
        note="the published number of images is not verified",
    )
