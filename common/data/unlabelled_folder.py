"""Own images without labels: every image below a folder, in any depth."""

import re
from pathlib import Path

from common.data.catalogue import own_name
from common.data.scan import (
    composed,
    files_below,
    is_image,
    is_unread,
    numbered,
    samples_of,
)
from common.errors import UserError, shortened
from common.types import Dataset

ONE_CAMERA = "none"
SUB_FOLDERS = "sub-folders"


def read_unlabelled_folder(folder: Path, cameras: str | None = None) -> Dataset:
    """Read a folder as a training set without identities and without a test part.

    Args:
        cameras: a regular expression with one group, searched in the name relative to the
            folder, e.g. "_c([0-9]+)"; "none" puts all images into one camera; None takes the
            first level of sub-folders, which is one camera where there is none.

    Raises:
        UserError: no images, a pattern that is none, or names that it does not fit.
    """
    files = files_below(folder)
    names = [name for name in files if is_image(name)]
    if not names:
        raise UserError(
            f"{folder} holds no images (jpg, jpeg, png, bmp, webp), not even in sub-folders. "
            "Name a folder of images, or one with a labels.csv."
        )
    if cameras is None:
        found = [name.partition("/")[0] if "/" in name else "" for name in names]
        rule = SUB_FOLDERS if len(set(found)) > 1 else ONE_CAMERA
    elif cameras == ONE_CAMERA:
        found, rule = [""] * len(names), ONE_CAMERA
    else:
        found, rule = _matched(folder, names, cameras), f"pattern {cameras}"
    texts = set(found)
    integers = all(text.isdecimal() for text in texts)
    integers = integers and len({int(text) for text in texts}) == len(texts)  # 1 is not 01
    keys: list[int | str] = [int(text) if integers else text for text in found]
    cams = numbered(keys)
    train = samples_of(folder, ((n, -1, cams[key]) for n, key in zip(names, keys, strict=True)))
    empty = samples_of(folder, [])
    text_of = dict(zip(keys, found, strict=True))
    return Dataset(
        own_name(folder),
        str(folder),
        train,
        empty,
        empty,
        camera_rule=rule,
        cam_names=tuple(text_of[key] or "." for key in cams) if rule != ONE_CAMERA else (),
        unread=tuple(filter(is_unread, files)),
    )


def _matched(folder: Path, names: list[str], cameras: str) -> list[str]:
    try:
        pattern = re.compile(cameras)
    except re.error as error:
        raise UserError(f"--cameras '{cameras}' is not a regular expression: {error}.") from None
    if pattern.groups != 1:
        raise UserError(
            f"--cameras '{cameras}' has {pattern.groups} groups. Put brackets around the one part "
            "that names the camera, e.g. '_c([0-9]+)'."
        )
    alike = re.compile(composed(cameras))  # for names that look as if they fitted
    matches = [pattern.search(name) or alike.search(composed(name)) for name in names]
    if bad := sorted(n for n, m in zip(names, matches, strict=True) if m is None or m[1] is None):
        raise UserError(
            f"--cameras '{cameras}' does not fit {len(bad):,} of {len(names):,} names in {folder}: "
            f"{shortened(bad)}. Change the expression, or move these files away."
        )
    return [match[1] for match in matches if match]
