"""Courses of the published training logs, to compare a run with."""

from common.spec import Curve

# (epoch, clusters, outliers, contrast, distillation, student mAP, teacher mAP in percent)
Line = tuple[int, int, int | None, float, float, float | None, float | None]


def _run(lines: tuple[Line, ...]) -> Curve:
    """The better of student and teacher is what a test counts."""
    tested = [(line[0], max(line[5], line[6]) / 100) for line in lines if line[5] and line[6]]
    return {
        "map": tested,
        "clusters": [(line[0], line[1]) for line in lines],
        "outliers": [(line[0], line[2]) for line in lines if line[2] is not None],
        "contrast": [(line[0], line[3]) for line in lines],
        "distill": [(line[0], line[4]) for line in lines],
    }


MARKET1501: tuple[Line, ...] = (
    (0, 198, 11409, 5.551, 0.052, 5.1, 6.3),
    (1, 244, 11165, 2.529, 0.054, 7.5, 7.3),
    (4, 527, 8513, 3.34, 0.027, 11.7, 11.6),
    (9, 738, 4784, 4.401, 0.021, 30.4, 22.2),
    (14, 743, 2818, 4.828, 0.02, 49.5, 37.3),
    (19, 720, 1710, 4.905, 0.02, 58.5, 51.5),
    (24, 672, 1199, 4.616, 0.022, 65.4, 64.1),
    (29, 663, 857, 4.392, 0.022, 70.1, 72.0),
    (30, 657, 780, 4.243, 0.024, 75.4, 73.1),
    (39, 658, 426, 3.387, 0.019, 78.9, 78.1),
    (49, 647, 280, 3.083, 0.02, 79.5, 80.1),
    (59, 648, 187, 2.655, 0.019, 79.8, 80.8),
    (63, 637, 186, 2.625, 0.018, 80.0, 81.0),
    (69, 645, 168, 2.466, 0.016, 79.9, 80.6),
)
DUKEMTMCREID: tuple[Line, ...] = (
    (0, 514, 8578, 7.165, 0.014, None, None),
    (4, 734, 5057, 5.239, 0.023, 12.2, 9.2),
    (9, 785, 2586, 5.479, 0.021, 28.4, 18.8),
    (19, 773, 901, 5.303, 0.02, 51.5, 44.8),
    (29, 732, 555, 4.86, 0.022, 57.9, 59.5),
    (34, 706, 336, 4.274, 0.022, 65.4, 63.0),
    (49, 697, 196, 3.818, 0.023, 67.0, 67.7),
    (64, 687, 121, 3.396, 0.022, 68.3, 69.0),
    (69, 685, 98, 3.246, 0.02, 68.3, 68.8),
)
DUKE_TO_MARKET: tuple[Line, ...] = (
    (0, 195, 11419, 5.68, 0.05, 6.7, 8.4),
    (4, 638, 7382, 3.68, 0.02, 19.8, 17.7),
    (9, 806, 3410, 4.65, 0.02, 44.2, 33.9),
    (19, 668, 1066, 4.57, 0.02, 71.0, 65.6),
    (29, 650, 511, 3.99, 0.02, 76.6, 79.8),
    (30, 646, 499, 3.79, 0.02, 80.8, 80.4),
    (39, 648, 261, 2.94, 0.02, 82.6, 83.0),
    (60, 632, 117, 2.26, 0.02, 83.0, 83.9),
    (69, 634, 109, 2.12, 0.01, 82.8, 83.5),
)
MARKET1501_CC: tuple[Line, ...] = (
    (0, 91, None, 2.8, 0.284, None, None),
    (1, 319, None, 3.67, 0.086, None, None),
    (4, 620, None, 3.19, 0.059, 11.7, 10.9),
    (9, 723, None, 2.93, 0.059, 19.9, 17.0),
    (19, 799, None, 2.83, 0.056, 45.1, 39.3),
    (29, 781, None, 2.64, 0.055, 58.9, 63.4),
    (39, 740, None, 2.52, 0.054, 66.4, 74.0),
    (44, 704, None, 1.94, 0.051, 78.8, 77.3),
    (59, 691, None, 1.69, 0.049, 82.6, 81.9),
    (79, 700, None, 1.46, 0.047, 84.0, 84.4),
    (119, 700, None, 1.3, 0.046, 84.5, 84.5),
)
DUKEMTMCREID_CC: tuple[Line, ...] = (
    (0, 514, None, 5.87, 0.062, None, None),
    (1, 613, None, 3.98, 0.062, None, None),
    (4, 868, None, 3.33, 0.071, 14.9, 12.8),
    (9, 864, None, 3.36, 0.057, 32.8, 27.3),
    (19, 764, None, 3.19, 0.049, 52.8, 54.8),
    (29, 713, None, 3.11, 0.048, 59.9, 65.8),
    (39, 716, None, 2.86, 0.049, 61.7, 69.3),
    (44, 709, None, 2.25, 0.047, 70.0, 69.9),
    (59, 704, None, 1.99, 0.046, 72.3, 72.4),
    (79, 703, None, 1.77, 0.045, 72.9, 73.5),
    (109, 702, None, 1.56, 0.044, 73.2, 73.2),
)
PERSONX_CC: tuple[Line, ...] = (
    (0, 105, None, 4.01, 0.263, None, None),
    (1, 55, None, 1.85, 0.4, None, None),
    (4, 139, None, 2.79, 0.205, 44.1, 30.9),
    (9, 329, None, 2.54, 0.076, 75.5, 68.8),
    (19, 368, None, 1.85, 0.061, 83.6, 87.3),
    (29, 375, None, 1.56, 0.057, 82.9, 89.0),
    (39, 380, None, 1.34, 0.055, 82.9, 89.5),
    (44, 385, None, 0.78, 0.048, 87.9, 88.7),
    (59, 388, None, 0.58, 0.045, 88.1, 88.6),
    (79, 390, None, 0.49, 0.043, 88.5, 88.5),
    (109, 390, None, 0.36, 0.041, 88.5, 88.5),
)

# (epoch, contrast, distillation) of the source
SOURCE_LOSSES = (
    (0, 8.14, 0.04),
    (4, 3.05, 0.04),
    (9, 2.25, 0.04),
    (19, 1.45, 0.04),
    (29, 1.18, 0.03),
    (30, 0.97, 0.03),
    (39, 0.63, 0.03),
    (60, 0.48, 0.02),
    (69, 0.49, 0.02),
)

CURVES: dict[tuple[str, str, str], Curve] = {
    ("market1501", "", ""): _run(MARKET1501),
    ("dukemtmcreid", "", ""): _run(DUKEMTMCREID),
    ("market1501", "dukemtmcreid", ""): {
        **_run(DUKE_TO_MARKET),
        "source contrast": [(line[0], line[1]) for line in SOURCE_LOSSES],
        "source distill": [(line[0], line[2]) for line in SOURCE_LOSSES],
    },
    ("market1501", "", "cluster-contrast"): _run(MARKET1501_CC),
    ("dukemtmcreid", "", "cluster-contrast"): _run(DUKEMTMCREID_CC),
    ("personx", "", "cluster-contrast"): _run(PERSONX_CC),
}
