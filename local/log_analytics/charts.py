"""Single charts as SVG: over time, by category, as a ring, as tiles."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Self
from xml.sax.saxutils import escape

from local.log_analytics.workbook import Part
from local.log_analytics.workspace import Result

COLOURS: Final = (
    *("#2f6fb2", "#e08a1e", "#3c9d5b", "#c23b4b", "#7b5ea7"),
    *("#8a6d4b", "#d46aa7", "#6b7680", "#a9a420", "#2aa0b5"),
)
INK, FAINT = "#24292f", "#d7dce1"
_TIME: Final = "TimeGenerated"
_LEGEND_ROW = 16
_AXIS_LEFT, _AXIS_BELOW = 46, 18
_MOST_CATEGORIES = 10
_CHARACTER = 6.2
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels from the left and from above."""

    x: float
    y: float
    width: float
    height: float


type Series = Mapping[str, Sequence[tuple[datetime, float]]]


def draw(part: Part, result: Result, box: Box) -> Iterator[str]:
    """The SVG elements of a part's picture; nothing to draw is said in words.

    Raises:
        KeyError: There is no such kind of picture.
    """
    if not any(value is not None for row in result for value in row.values()):
        yield words(box.x + box.width / 2, box.y + box.height / 2, "nothing", anchor="middle")
        return
    match part.kind:
        case "tiles":
            yield from _tiles(result, box)
        case "categories":
            yield from _categories(result, box)
        case "pie":
            yield from _ring(result, box)
        case "line" | "area" | "bars":
            yield from _over_time(part, result, box)
        case _:
            message = f"no such kind of picture: {part.kind}"
            raise KeyError(message)


def words(
    x: float, y: float, text: str, *, size: float = 11, anchor: str = "start", bold: bool = False
) -> str:
    """A line of text; `y` is its base line."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"{weight}>'
        f"{escape(text)}</text>"
    )


def number(value: float) -> str:
    """A number as people read it."""
    if abs(value) >= _MANY:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value % 1 else f"{value:.0f}"


def series_of(result: Result, names: Mapping[str, str]) -> Series:
    """Lines by name: each column of numbers is one, or each value of the column of texts."""
    text = next((name for name, value in result[0].items() if isinstance(value, str)), None)
    found: dict[str, list[tuple[datetime, float]]] = {}
    for row in result:
        for column, value in row.items():
            if column in (_TIME, text):
                continue
            name = row[text] if text else names.get(column, column)
            points = found.setdefault(name, [])
            if value is not None:
                points.append((row[_TIME], float(value)))
    return found


def _over_time(part: Part, result: Result, box: Box) -> Iterator[str]:
    series = series_of(result, part.names)
    rows = _legend_rows(list(series), box.width)
    plot = Box(
        box.x + _AXIS_LEFT,
        box.y + 6,
        box.width - _AXIS_LEFT - 8,
        box.height - _AXIS_BELOW - 6 - rows * _LEGEND_ROW,
    )
    times = sorted({at for points in series.values() for at, _ in points})
    stacked = part.kind in {"area", "bars"}
    bands = _stack(series, times) if stacked else {}
    most = (
        max((top for band in bands.values() for _, top in band), default=0.0)
        if stacked
        else max((value for points in series.values() for _, value in points), default=0.0)
    )
    top = _round_up(most)
    scale = _Scale.of(times, plot)
    yield from _axes(plot, scale, top)

    def y(value: float) -> float:
        return plot.y + plot.height * (1 - value / top)

    for colour, name in zip(_colours(), series, strict=False):
        if part.kind == "line":
            points = " ".join(
                f"{scale.middle(at):.1f},{y(value):.1f}" for at, value in series[name]
            )
            yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        elif part.kind == "area":
            band = list(zip(map(scale.middle, times), bands[name], strict=True))
            above = [f"{at:.1f},{y(high):.1f}" for at, (_, high) in band]
            below = [f"{at:.1f},{y(low):.1f}" for at, (low, _) in band]
            outline = " ".join([*above, *reversed(below)])
            yield f'<polygon points="{outline}" fill="{colour}" fill-opacity="0.75"/>'
        else:
            for at, (low, high) in zip(times, bands[name], strict=True):
                if high > low:
                    yield (
                        f'<rect x="{scale.middle(at) - 0.4 * scale.step:.1f}" y="{y(high):.1f}" '
                        f'width="{0.8 * scale.step:.1f}" height="{y(low) - y(high):.1f}" '
                        f'fill="{colour}"/>'
                    )
    yield from _legend(list(series), Box(box.x, plot.y + plot.height + _AXIS_BELOW, box.width, 0))


def _stack(series: Series, times: Sequence[datetime]) -> dict[str, list[tuple[float, float]]]:
    """For each series its band at each time: from the sum of those before it to its own top."""
    ground = [0.0] * len(times)
    bands = {}
    for name, points in series.items():
        values = dict(points)
        tops = [low + values.get(at, 0.0) for at, low in zip(times, ground, strict=True)]
        bands[name] = list(zip(ground, tops, strict=True))
        ground = tops
    return bands


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where instants stand: each is the beginning of a step of time, `step` pixels wide."""

    first: datetime
    steps: int
    beat: timedelta
    left: float
    step: float

    @classmethod
    def of(cls, times: Sequence[datetime], plot: Box) -> Self:
        """The scale of some instants in their order; what is missing among them keeps its place."""
        beat = min((later - at for at, later in pairwise(times)), default=timedelta(minutes=1))
        steps = (times[-1] - times[0]) // beat + 1
        return cls(times[0], steps, beat, plot.x, plot.width / steps)

    def middle(self, at: datetime) -> float:
        """Pixels from the left to the middle of an instant's step."""
        return self.left + ((at - self.first) / self.beat + 0.5) * self.step


def _axes(plot: Box, scale: _Scale, top: float) -> Iterator[str]:
    for part in range(5):
        level = plot.y + plot.height * (1 - part / 4)
        yield (
            f'<line x1="{plot.x:.1f}" x2="{plot.x + plot.width:.1f}" y1="{level:.1f}" '
            f'y2="{level:.1f}" stroke="{FAINT}"/>'
        )
        yield words(plot.x - 5, level + 4, number(top * part / 4), size=10, anchor="end")
    for part in range(5):
        at = scale.first + round((scale.steps - 1) * part / 4) * scale.beat
        below = plot.y + plot.height + 13
        yield words(scale.middle(at), below, f"{at:%H:%M}", size=10, anchor="middle")


def _round_up(value: float) -> float:
    """The next number that divides well into four."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _colours() -> Iterator[str]:
    while True:
        yield from COLOURS


def _legend_places(names: Sequence[str], width: float) -> Iterator[tuple[float, int]]:
    x, row = 0.0, 0
    for name in names:
        wide = 18 + _CHARACTER * len(name) + 12
        if x and x + wide > width:
            x, row = 0.0, row + 1
        yield x, row
        x += wide


def _legend_rows(names: Sequence[str], width: float) -> int:
    return max((row for _, row in _legend_places(names, width)), default=-1) + 1


def _legend(names: Sequence[str], box: Box) -> Iterator[str]:
    places = _legend_places(names, box.width)
    for colour, name, (x, row) in zip(_colours(), names, places, strict=False):
        y = box.y + row * _LEGEND_ROW + 4
        yield (
            f'<rect x="{box.x + x:.1f}" y="{y:.1f}" width="10" height="10" rx="2" fill="{colour}"/>'
        )
        yield words(box.x + x + 14, y + 9, name)


def _labelled(result: Result) -> list[tuple[str, float]]:
    """Text and number of each row, the largest first; what is beyond ten together as `others`."""
    found = []
    for row in result:
        text = next(value for value in row.values() if isinstance(value, str))
        value: Any = next(each for each in row.values() if isinstance(each, int | float))
        found.append((text, float(value)))
    found.sort(key=lambda each: -each[1])
    rest = sum(value for _, value in found[_MOST_CATEGORIES:])
    return [*found[:_MOST_CATEGORIES], *([("others", rest)] if rest else [])]


def _categories(result: Result, box: Box) -> Iterator[str]:
    found = _labelled(result)
    height = min((box.height - 6) / len(found), 24)
    longest = max(len(text) for text, _ in found)
    left = min(12 + _CHARACTER * longest, box.width * 0.65)
    fits = int((left - 8) / _CHARACTER)
    room = box.width - left - 50
    most = max(value for _, value in found) or 1.0
    for row, (colour, (text, value)) in enumerate(zip(_colours(), found, strict=False)):
        y = box.y + 4 + row * height
        wide = max(room * value / most, 1)
        shown = text if len(text) <= fits else f"{text[: fits - 1]}…"
        yield words(box.x + left - 6, y + height * 0.68, shown, anchor="end")
        yield (
            f'<rect x="{box.x + left:.1f}" y="{y + 2:.1f}" width="{wide:.1f}" '
            f'height="{height - 4:.1f}" rx="2" fill="{colour}"/>'
        )
        yield words(box.x + left + wide + 5, y + height * 0.68, number(value))


def _ring(result: Result, box: Box) -> Iterator[str]:
    found = [(text, value) for text, value in _labelled(result) if value > 0]
    whole = sum(value for _, value in found)
    radius = min(box.height, box.width * 0.45) / 2 - 8
    x, y = box.x + radius + 8, box.y + box.height / 2
    round_ = 2 * math.pi * radius * 0.8
    turned = 0.0
    for row, (colour, (text, value)) in enumerate(zip(_colours(), found, strict=False)):
        length = round_ * value / whole
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius * 0.8:.1f}" fill="none" '
            f'stroke="{colour}" stroke-width="{radius * 0.4:.1f}" '
            f'stroke-dasharray="{length:.2f} {round_ - length:.2f}" '
            f'stroke-dashoffset="{-turned:.2f}" transform="rotate(-90 {x:.1f} {y:.1f})"/>'
        )
        turned += length
        line = box.y + 20 + row * _LEGEND_ROW
        left = x + radius + 14
        yield (
            f'<rect x="{left:.1f}" y="{line - 9:.1f}" width="10" height="10" rx="2" '
            f'fill="{colour}"/>'
        )
        yield words(left + 14, line, f"{text}: {number(value)}")


def _tiles(result: Result, box: Box) -> Iterator[str]:
    width = box.width / len(result)
    for place, row in enumerate(result):
        x = box.x + place * width
        value = "none" if row["value"] is None else f"{number(row['value'])} {row['unit']}".strip()
        yield (
            f'<rect x="{x + 3:.1f}" y="{box.y:.1f}" width="{width - 6:.1f}" '
            f'height="{box.height:.1f}" rx="4" fill="#f4f6f8" stroke="{FAINT}"/>'
        )
        middle = x + width / 2
        yield words(middle, box.y + 34, value, size=22, anchor="middle", bold=True)
        yield words(middle, box.y + 54, row["what"], size=10, anchor="middle")
