"""Thumbnails with captions, and frames that tell right from wrong without colour as well."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Literal

from common.data.thumbnails import thumbnail
from common.types import Samples
from tools.report.markup import Html, element, image

Mark = Literal["", "query", "right", "wrong", "other"]
SYMBOLS: dict[Mark, str] = {"right": "✓", "wrong": "✗", "other": "≠"}
SPOKEN: dict[Mark, str] = {
    "": "",
    "query": "query: ",
    "right": "right: ",
    "wrong": "wrong: ",
    "other": "another identity: ",
}


class Album:
    """The images of one split as captioned thumbnails.

    Args:
        samples: the split; identities are shown where they are known.
        box: (width, height) of a thumbnail in pixels.
        cam_names: of the cameras; without them their numbers are shown.
    """

    def __init__(
        self, samples: Samples, box: tuple[int, int], cam_names: Sequence[str] = ()
    ) -> None:
        self.samples = samples
        self.box = box
        self.cam_names = cam_names
        self.with_cams = samples.num_cams > 1

    def picture(self, index: int, mark: Mark = "") -> Html:
        """Image `index` with identity and camera below, framed as `mark` says."""
        caption = self.caption(index)
        path = str(self.samples.paths[index])
        name = "/".join(PurePath(path).parts[-2:])  # in sub-folders, names may repeat
        alt = f"{SPOKEN[mark]}{caption or name}"
        content = thumbnail(path, self.box)
        if content is None:
            shown = element("span", "not readable", css="missing")
        else:
            source = "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
            shown = image(source, alt, *self.box)
        parts = [shown]
        if symbol := SYMBOLS.get(mark):
            parts.append(element("span", symbol, css="badge", attributes={"aria-hidden": "true"}))
        if caption:
            parts.append(element("figcaption", caption))
        return element("figure", *parts, css=f"tile {mark}".strip(), attributes={"title": name})

    def strip(self, indices: Iterable[int], marks: Iterable[Mark]) -> Html:
        """Pictures side by side, wrapped where the page is narrow."""
        tiles = (self.picture(i, mark) for i, mark in zip(indices, marks, strict=True))
        return element("div", *tiles, css="strip")

    def caption(self, index: int) -> str:
        """Identity and camera of an image, as far as they are known and differ."""
        parts = []
        if self.samples.pids[index] >= 0:
            parts.append(f"id\u00a0{self.samples.pids[index]}")
        if self.with_cams:
            cam = int(self.samples.cams[index])
            name = self.cam_names[cam] if self.cam_names else str(cam)
            parts.append(name if name[:1].isalpha() else f"cam\u00a0{name}")  # not "cam cam1"
        return " · ".join(parts)
