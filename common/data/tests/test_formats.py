"""No reader of images starts another program, whatever a file holds."""

import ast
from pathlib import Path

import pytest
from PIL import EpsImagePlugin

import common
from common.data.thumbnails import thumbnail
from common.data.transform import read_image
from common.errors import UserError

ROOT = Path(common.__path__[0]).parent
DRAWING = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """A PostScript file that is named like a photograph."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript"))
    (tmp_path / "a.jpg").write_bytes(DRAWING)
    return str(tmp_path / "a.jpg")


def test_a_drawing_named_like_a_photograph_is_never_run(drawing):
    assert thumbnail(drawing, (64, 128)) is None
    with pytest.raises(UserError, match="cannot be read as an image"):
        read_image(drawing, 256, 128)


def test_every_call_that_opens_an_image_names_the_formats():
    files = [
        path for room in ("common", "methods", "tools") for path in (ROOT / room).rglob("*.py")
    ]
    calls = [
        (path.name, ast.unparse(node))
        for path in files
        if "tests" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert len(calls) >= 3
    assert [call for call in calls if "formats=FORMATS" not in call[1]] == []
