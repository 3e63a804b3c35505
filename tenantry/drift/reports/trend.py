"""The number of findings per run, as a self-contained SVG image."""

from collections.abc import Sequence
from datetime import datetime

from tenantry.drift.findings import SEVERITIES, Severity
from tenantry.drift.history import History

WIDTH, HEIGHT = 720, 140
_LEFT, _BOTTOM, _TOP, _RIGHT = 34, 20, 8, 8
_RUNS = 120
"""The number of runs that are shown."""
FILLS: dict[Severity, str] = {"critical": "#c62828", "warning": "#e69500", "info": "#3b82c4"}


def svg(history: History) -> str:
    """Return stacked areas, critical at the bottom; an empty text for fewer than two runs."""
    if not history.has_past:
        return ""
    runs = history.runs.tail(_RUNS)
    if len(runs) < 2:
        return ""
    times = [time.to_pydatetime() for time in runs["time"]]
    layers = [runs[severity].tolist() for severity in SEVERITIES]
    most = max(1, *(sum(column) for column in zip(*layers, strict=True)))
    xs = _xs(times)
    below = [0] * len(xs)
    parts = []
    for severity, layer in zip(SEVERITIES, layers, strict=True):
        above = [low + more for low, more in zip(below, layer, strict=True)]
        points = [*zip(xs, above, strict=True), *reversed(list(zip(xs, below, strict=True)))]
        text = " ".join(f"{x:.1f},{_y(value, most):.1f}" for x, value in points)
        parts.append(
            f'<polygon points="{text}" fill="{FILLS[severity]}"><title>{severity}</title></polygon>'
        )
        below = above
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'aria-label="Findings of the last {len(runs)} runs">'
        f"{''.join(parts)}{_axes(times, most)}</svg>"
    )


def _xs(times: Sequence[datetime]) -> list[float]:
    span = max((times[-1] - times[0]).total_seconds(), 1.0)
    wide = WIDTH - _LEFT - _RIGHT
    return [_LEFT + wide * (time - times[0]).total_seconds() / span for time in times]


def _y(value: int, most: int) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / most


def _axes(times: Sequence[datetime], most: int) -> str:
    right, base = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    line = 'stroke="currentColor" stroke-opacity=".35"'
    text = 'font-size="11" fill="currentColor" fill-opacity=".75"'
    pattern = "%d %b %H:%M" if (times[-1] - times[0]).days < 3 else "%d %b %Y"
    return (
        f'<line x1="{_LEFT}" y1="{base}" x2="{right}" y2="{base}" {line}/>'
        f'<line x1="{_LEFT}" y1="{_TOP}" x2="{right}" y2="{_TOP}" {line} stroke-dasharray="2 4"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end" {text}>{most}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end" {text}>0</text>'
        f'<text x="{_LEFT}" y="{HEIGHT - 5}" {text}>{times[0].strftime(pattern)}</text>'
        f'<text x="{right}" y="{HEIGHT - 5}" text-anchor="end" {text}>'
        f"{times[-1].strftime(pattern)} UTC</text>"
    )
