"""Figures as inline SVG whose colours follow the page, in light and in dark.

Matplotlib knows fixed colours only. Each figure is drawn with placeholder colours, which become
the page's CSS variables afterwards. Figures are made without pyplot, so no global state.
"""

import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tools.report.markup import Html, element, join

INK, MUTED, GRID = "#0a0a01", "#0a0a02", "#0a0a03"
SERIES = ("#0a0a11", "#0a0a12", "#0a0a13", "#0a0a14", "#0a0a15", "#0a0a16")
REFERENCE = MUTED
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--rule"} | {
    color: f"--series-{number}" for number, color in enumerate(SERIES, start=1)
}
DASHES = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 1)), (0, (8, 3)))
DASH_NAMES = ("solid", "dashed", "dotted", "dashed", "dotted", "dashed")
SIZE = (3.4, 2.1)  # inches; the page scales the drawing to its column
FEW = 15  # values that are marked one by one
OPTIONS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Line:
    """Values over epochs completed; a reference is drawn thin and grey."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    reference: bool = False


def line_chart(title: str, lines: Sequence[Line]) -> Html:
    """Curves over the epochs completed, from zero where the values come near it."""
    with mpl.rc_context(OPTIONS):
        figure, axes = _canvas()
        for number, line in enumerate(_by_weight(lines)):
            color = REFERENCE if line.reference else SERIES[number % len(SERIES)]
            axes.plot(
                line.x,
                line.y,
                color=color,
                linewidth=1.0 if line.reference else 1.6,
                linestyle=(0, (1, 1.2)) if line.reference else DASHES[number % len(DASHES)],
                marker="o" if len(line.x) <= FEW and not line.reference else None,
                markersize=3,
            )
        values = [value for line in lines for value in line.y]
        if min(values) >= 0 and min(values) < 0.6 * max(values):
            axes.set_ylim(bottom=0)
        if all(isinstance(value, int) for value in values):  # counts
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        if max(values) < 0.01 or max(values) >= 1000:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        _epochs_below(axes)
        return _captioned(title, _key(lines), _svg(figure, _spoken(title, lines)))


def stacked_chart(title: str, lines: Sequence[Line]) -> Html:
    """Shares of each epoch on top of each other; all lines have the same x, one epoch apart."""
    with mpl.rc_context(OPTIONS):
        figure, axes = _canvas()
        x = np.asarray(lines[0].x)
        edges = np.append(x - 0.5, x[-1] + 0.5)
        base = np.zeros(len(x))
        for number, line in enumerate(lines):
            top = base + np.asarray(line.y)
            axes.stairs(top, edges, baseline=base, fill=True, color=SERIES[number % len(SERIES)])
            base = top
        _epochs_below(axes)
        return _captioned(
            title, _key(lines, filled=len(lines)), _svg(figure, _spoken(title, lines))
        )


def size_chart(title: str, sizes: dict[str, np.ndarray], unit: str) -> Html:
    """Histograms, the first one filled: how many clusters or identities have how many images."""
    with mpl.rc_context(OPTIONS):
        figure, axes = _canvas()
        largest = max(int(found.max()) for found in sizes.values())
        edges = np.linspace(0.5, largest + 0.5, min(largest, 30) + 1)
        lines = []
        for number, (name, found) in enumerate(sizes.items()):
            counts, _ = np.histogram(found, edges)
            axes.stairs(
                counts,
                edges,
                color=SERIES[number],
                linewidth=1.6,
                linestyle=DASHES[number],
                fill=number == 0,
            )
            lines.append(Line(name, [], []))
        axes.set_xlabel(unit, color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        spoken = f"{title}: " + "; ".join(
            f"{name}: {len(found)}, of {found.min()} to {found.max()} images, median "
            f"{np.median(found):g}"
            for name, found in sizes.items()
        )
        return _captioned(title, _key(lines, filled=1), _svg(figure, spoken))


def scatter_chart(
    title: str, note: str, plane: np.ndarray, colors: np.ndarray, hollow: np.ndarray
) -> Html:
    """Points of a feature map; its axes mean nothing and are not drawn.

    Args:
        plane: (n, 2) in [-1, 1].
        colors: (n, 3) in [0, 1].
        hollow: (n,) points drawn as small grey crosses.
    """
    with mpl.rc_context(OPTIONS):
        figure, axes = _canvas(size=(4.6, 4.6))
        axes.set_axis_off()
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
        size = float(np.clip(16000 / max(len(plane), 1), 8, 30))
        axes.scatter(
            plane[hollow, 0],
            plane[hollow, 1],
            s=size,
            c="#999999",
            marker="x",
            lw=0.6,
            rasterized=True,
        )
        axes.scatter(
            plane[~hollow, 0], plane[~hollow, 1], s=size, c=colors[~hollow], lw=0, rasterized=True
        )
        return _captioned(title, Html(element("span", note)), _svg(figure, f"{title}. {note}"))


def _canvas(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=160, layout="constrained")
    figure.patch.set_alpha(0)
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, pad=3)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return figure, axes


def _epochs_below(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=MUTED)


def _svg(figure: Figure, spoken: str) -> Html:
    """The figure's `<svg>` element, scalable, themed, with ids that are unique on the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="[^"]+"', text)
    body = text[text.index(">") + 1 :]
    body = _unique_ids(re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL))
    for color, variable in VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    label = element("title", spoken)
    return Html(f'<svg role="img" {view.group() if view else ""}>{label}{body.strip()}')


def _unique_ids(body: str) -> str:
    """Drop ids nobody refers to, and tell the others apart from those of other figures."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    prefix = f"f{zlib.crc32(body.encode()):08x}-"
    body = re.sub(
        r' id="([^"]+)"',
        lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "",
        body,
    )
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", body)


def _by_weight(lines: Sequence[Line]) -> list[Line]:
    """References last, so that their presence does not shift the colours."""
    return sorted(lines, key=lambda line: line.reference)


def _key(lines: Sequence[Line], filled: int = 0) -> Html:
    """Names beside samples of their line, of the first `filled` of their area; none for one."""
    if len(lines) < 2:
        return Html("")
    entries = []
    for number, line in enumerate(_by_weight(lines)):
        color = "--muted" if line.reference else f"--series-{number % len(SERIES) + 1}"
        dash = "dotted" if line.reference else DASH_NAMES[number % len(DASHES)]
        shape = "filled" if number < filled else dash
        sample = element("i", css=f"sample {shape}", attributes={"style": f"color:var({color})"})
        entries.append(element("span", sample, line.name))
    return join(entries)


def _captioned(title: str, key: Html, svg: Html) -> Html:
    caption = element("figcaption", element("b", title), element("span", key, css="key"))
    return element("figure", caption, svg, css="chart")


def _spoken(title: str, lines: Sequence[Line]) -> str:
    """The chart in words, for those who cannot see it."""
    return f"{title} by epoch: " + "; ".join(
        f"{line.name} from {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in lines
    )
