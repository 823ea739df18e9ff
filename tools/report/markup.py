"""HTML elements whose content is escaped unless it is markup already."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


class Html(str):
    """Finished markup. Any other string is escaped when it is put into an element."""


def element(
    name: str, *content: str, css: str = "", attributes: Mapping[str, str] | None = None
) -> Html:
    """`<name class=css attributes>content</name>`."""
    return Html(f"<{name}{_attributes(css, attributes)}>{join(content)}</{name}>")


def image(source: str, alt: str, width: int, height: int) -> Html:
    """An `<img>` that is decoded when it comes into view."""
    found = {"src": source, "alt": alt, "width": str(width), "height": str(height)}
    return Html(f"<img{_attributes('', found | {'loading': 'lazy'})}>")


def join(parts: Iterable[str]) -> Html:
    """Markup and text one after the other, text escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], css: str = "") -> Html:
    """A table with a caption; the first cell of each row is its heading.

    One with columns may be wider than the page, so the keyboard can reach and scroll it.

    Args:
        head: column headings; empty for a table without a heading row.
        rows: cells, text or markup.
    """
    parts = [element("caption", caption)]
    if head:
        cells = [element("th", cell, attributes={"scope": "col"}) for cell in head]
        parts.append(element("thead", element("tr", *cells)))
    body = [
        element(
            "tr",
            element("th", row[0], attributes={"scope": "row"}),
            *(element("td", cell) for cell in row[1:]),
        )
        for row in rows
    ]
    parts.append(element("tbody", *body))
    reached = {"tabindex": "0", "role": "region", "aria-label": caption} if head else {}
    return element("div", element("table", *parts, css=css), css="scroll", attributes=reached)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Named numbers side by side, as a description list."""
    items = (element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    return element("dl", *items, css="facts")


def _attributes(css: str, attributes: Mapping[str, str] | None) -> str:
    found = ({"class": css} if css else {}) | dict(attributes or {})
    return "".join(f' {name}="{escape(value)}"' for name, value in found.items())
