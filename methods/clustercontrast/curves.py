"""Course of the published training log, to compare a run with."""

from common.spec import Curve

# (epoch, clusters, mean loss, mAP in percent where tested)
LOG: tuple[tuple[int, int, float, float | None], ...] = (
    (0, 80, 1.426, None),
    (1, 286, 3.001, None),
    (2, 561, 3.168, None),
    (3, 669, 3.121, None),
    (4, 718, 3.105, None),
    (5, 738, 3.135, None),
    (6, 774, 3.106, None),
    (8, 799, 3.097, None),
    (9, 824, 3.048, 53.8),
    (10, 832, 3.036, None),
    (12, 823, 2.922, None),
    (14, 790, 2.913, None),
    (16, 752, 2.863, None),
    (18, 725, 2.812, None),
    (19, 718, 2.707, 76.9),
    (20, 710, 2.359, None),
    (21, 712, 2.222, None),
    (24, 716, 2.047, None),
    (29, 716, 1.871, 85.5),
    (30, 710, 1.843, None),
    (34, 711, 1.718, None),
    (39, 711, 1.611, 86.8),
    (40, 707, 1.5, None),
    (44, 710, 1.459, None),
    (49, 709, 1.428, 87.0),
)

CURVES: dict[tuple[str, str, str], Curve] = {
    ("market1501", "", "hard-ibn"): {
        "map": [(line[0], line[3] / 100) for line in LOG if line[3] is not None],
        "clusters": [(line[0], line[1]) for line in LOG],
        "contrast": [(line[0], line[2]) for line in LOG],
    }
}
