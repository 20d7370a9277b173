"""Bars: horizontal bars on a logarithmic scale, as SVG text, for light and dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 230, 120, 17, 26, 74
PALETTE = ("#8b8f98", "#d9822b", "#3273dc", "#2f9e5b")
STYLE = """text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:12px}.title{font-size:16px;font-weight:600}
line{stroke:#8886}rect.page{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#e6e6e6}rect.page{fill:#16181d}}"""


@dataclass(frozen=True)
class Group:
    """`values` are one for each series, None where there is none."""

    name: str
    values: tuple[float | None, ...]


def bars(title: str, unit: str, series: tuple[str, ...], groups: list[Group]) -> str:
    """The figure. Values must be above 0."""
    values = [value for group in groups for value in group.values if value]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    height = TOP + BAR * len(values) + GAP * len(groups) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f'<style>{STYLE}</style><rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="16" y="28">{escape(title)}</text>',
        *_legend(series),
        *_grid(low, high, scale, height, unit),
    ]
    y = float(TOP)
    for group in groups:
        shown = [(at, value) for at, value in enumerate(group.values) if value]
        middle = y + BAR * len(shown) / 2 + 5
        parts.append(f'<text x="{LEFT - 12}" y="{middle:.0f}" text-anchor="end">{escape(group.name)}</text>')
        for at, value in shown:
            width = max(1.0, (log10(value) - low) * scale)
            parts.append(f'<rect x="{LEFT}" y="{y:.1f}" width="{width:.1f}" height="{BAR - 3}" fill="{PALETTE[at]}"/>')
            parts.append(
                f'<text class="small" x="{LEFT + width + 6:.1f}" y="{y + 11:.1f}">{shortly(value)} {unit}</text>'
            )
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>\n"])


def shortly(value: float) -> str:
    """Three digits, with commas."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _legend(series: tuple[str, ...]) -> list[str]:
    parts, x = [], 16.0
    for name, color in zip(series, PALETTE, strict=False):
        parts.append(f'<rect x="{x:.0f}" y="43" width="12" height="12" fill="{color}"/>')
        parts.append(f'<text class="small" x="{x + 18:.0f}" y="54">{escape(name)}</text>')
        x += 40 + 6.6 * len(name)
    return parts


def _grid(low: int, high: int, scale: float, height: int, unit: str) -> list[str]:
    parts = []
    for power in range(low, high + 1):
        x = LEFT + (power - low) * scale
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 22}"/>')
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{shortly(10**power)} {unit}</text>'
        )
    return parts
