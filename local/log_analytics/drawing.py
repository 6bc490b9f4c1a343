"""The workbook as one picture: its sections and charts, as Azure would show them side by side."""

from collections.abc import Iterator, Mapping, Sequence

from local.log_analytics.charts import FAINT, INK, Box, draw, words
from local.log_analytics.workbook import Part, Section
from local.log_analytics.workspace import Result

WIDTH = 1240
_EDGE, _GAP = 20, 12
_QUESTION, _TITLE = 40, 26
_HEIGHTS = {"tiles": 70}
_HEIGHT = 190
_WHOLE = 100


def draw_workbook(title: str, sections: Sequence[Section], results: Mapping[str, Result]) -> str:
    """The picture as the text of an SVG file; `results` are by the name of the query."""
    parts: list[str] = []
    y = float(_EDGE + 24)
    parts.append(words(_EDGE, y, title, size=20, bold=True))
    for section in sections:
        y += _QUESTION
        parts.append(words(_EDGE, y, section.question, size=15, bold=True))
        y += 12
        for row in _rows(section.parts):
            height = max(_HEIGHTS.get(part.kind, _HEIGHT) for part in row) + _TITLE + 10
            parts += _cards(row, results, y, height)
            y += height + _GAP
    whole = y + _EDGE - _GAP
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {whole:.0f}" '
                f'font-family="Segoe UI, Helvetica, Arial, sans-serif" fill="{INK}">'
            ),
            f'<rect width="{WIDTH}" height="{whole:.0f}" fill="white"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _rows(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Parts that stand beside each other: as many as their widths allow."""
    row: list[Part] = []
    for part in parts:
        if row and sum(each.width for each in row) + part.width > _WHOLE:
            yield row
            row = []
        row.append(part)
    if row:
        yield row


def _cards(
    row: Sequence[Part], results: Mapping[str, Result], y: float, height: float
) -> Iterator[str]:
    x = float(_EDGE)
    for part in row:
        width = (WIDTH - 2 * _EDGE) * part.width / _WHOLE
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - _GAP:.1f}" height="{height:.1f}" '
            f'rx="5" fill="none" stroke="{FAINT}"/>'
        )
        yield words(x + 10, y + 18, part.title, size=12, bold=True)
        inner = Box(x + 10, y + _TITLE, width - _GAP - 20, height - _TITLE - 8)
        yield from draw(part, results[part.name], inner)
        x += width
