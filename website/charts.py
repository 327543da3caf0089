"""Drawings as SVG inside the page: they take its colours, also dark ones, and need no script."""

from collections.abc import Sequence
from html import escape

from website.results import Curve, Group, Score

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 200, 44, 10, 12, 26
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2")
MOST_LINES = len(DASHES)  # more rows than that are drawn one by one


def scores(lines: Sequence[Score], low: float, high: float) -> str:
    """One strip a row: a dot for each seed, a bar for the interquartile mean, a band for its interval."""
    return '<div class="strips">' + "".join(_strip(line, low, high) for line in lines) + "</div>"


def score_range(groups: Sequence[Group]) -> tuple[float, float]:
    """One axis for all strips of a page, so that they may be compared."""
    values = [value for group in groups for line in group.scores for value in line.seeds]
    return min([-0.1, *values]) - 0.03, max([1.1, *values]) + 0.03


def _strip(line: Score, low: float, high: float) -> str:
    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    marks = "".join(
        f'<line class="{name}" x1="{place(at)}" x2="{place(at)}" y1="0" y2="100%"/>'
        for name, at in (("random", 0.0), ("expert", 1.0))
    )
    if line.interval is not None:
        start, end = line.interval
        width = f"{max(100 * (end - start) / (high - low), 0.3):.2f}%"
        marks += f'<rect class="band" x="{place(start)}" y="5" width="{width}" height="14"/>'
    marks += "".join(f'<circle cx="{place(value)}" cy="12" r="3.5"/>' for value in line.seeds)
    marks += f'<line class="mean" x1="{place(line.iqm)}" x2="{place(line.iqm)}" y1="1" y2="23"/>'
    said = f"{line.label}: normalised IQM {line.text}, {len(line.seeds)} seeds"
    return (
        f'<span class="what">{escape(line.label)}</span>'
        f'<svg role="img" aria-label="{escape(said)}" height="24" width="100%">{marks}</svg>'
        f'<span class="much">{escape(line.text)}</span>'
    )


def curves(group: Group) -> list[tuple[str, str]]:
    """(caption, SVG) of the returns while training: one drawing, or one a row where there are many."""
    lines = group.curves
    if not lines:
        return []
    if len(lines) <= MOST_LINES:
        return [(group.name, _curves(lines, group))]
    return [(line.label, _curves([line], group)) for line in lines]


def legend(lines: Sequence[Curve]) -> str:
    """Names beside the line that stands for each."""
    entries = (
        f'<li><svg width="28" height="10" aria-hidden="true"><line x1="0" x2="28" y1="5" y2="5" '
        f"{_stroke(i)}/></svg> {escape(line.label)}</li>"
        for i, line in enumerate(lines)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>' if len(lines) > 1 else ""


def _stroke(index: int) -> str:
    return f'class="line{index}" stroke-dasharray="{DASHES[index]}"'


def _curves(lines: Sequence[Curve], group: Group) -> str:
    known = [value for value in (group.random, group.expert) if value is not None]
    values = [y for line in lines for y in line.y] + known
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 1, high + 1)
    last = max(line.x[-1] for line in lines)

    def x(update: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * update / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / (high - low)

    drawn = [
        _level(y(value), name)
        for value, name in ((group.expert, "expert"), (group.random, "random"))
        if value is not None
    ]
    drawn += [_label(LEFT - 5, y(value) + 4, f"{value:,.4g}", "end") for value in (low, high)]
    drawn += [
        _label(LEFT, HEIGHT - 8, "0", "middle"),
        _label(WIDTH - RIGHT, HEIGHT - 8, f"{last:,} updates", "end"),
    ]
    for index, line in enumerate(lines):
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line.x, line.y, strict=True))
        drawn.append(f'<polyline fill="none" points="{points}" {_stroke(index)}/>')
    ends = "; ".join(f"{line.label} ends at {line.y[-1]:,.4g}" for line in lines)
    said = escape(f"Return while training, {group.name}: {ends}")
    head = f'<svg class="curves" role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return head + "".join(drawn) + "</svg>"


def _level(at: float, name: str) -> str:
    line = f'<line class="{name}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
    return line + _label(WIDTH - RIGHT, at - 3, name, "end")


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
