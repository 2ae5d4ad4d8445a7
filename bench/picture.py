#!/usr/bin/python3
"""picture: draws the figures as one SVG, without a library.

picture.py FIGURES.json > PICTURE.svg draws stored figures.  A panel is a group of bars with one unit.  A bar is as long
as the value, a thin line extends it to the p99, and a dashed line marks the aim.
"""
import json
import sys
from xml.sax.saxutils import escape

WIDTH, COLUMNS, MARGIN, GAP = 1240, 2, 28, 36
ROW, BAR, TITLE = 21, 12, 40
LABEL, VALUE = 215, 104
COLOURS = {"evalx": "#1f6f8b", "floor": "#a9b4bd", "other": "#c98b4b"}
MEANING = {"evalx": "evalx", "floor": "the floor: the same without evalx", "other": "other sandboxes"}
INK, FAINT, AIM = "#22303a", "#6b7a85", "#b3403a"


def text(x, y, words, size=12, anchor="start", colour=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def number(value):
    if abs(value) >= 10000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def height_of(panel):
    return TITLE + ROW * len(panel["bars"])


def draw_panel(panel, x, y, width):
    """Lines of SVG; the panel begins at (x, y)."""
    left, room = x + LABEL, width - LABEL - VALUE
    longest = max([bar["value"] for bar in panel["bars"]] + [panel["aim"] or 0]) or 1
    scale = room / min(2 * longest, max([longest] + [bar.get("p99", 0) for bar in panel["bars"]]))
    lines = [text(x, y + 14, panel["title"], 14, weight="bold"),
             text(x + width, y + 14, panel["unit"], 12, "end", FAINT)]
    for i, bar in enumerate(panel["bars"]):
        top = y + TITLE - 14 + ROW * i
        long = max(0.0, bar["value"]) * scale
        lines.append(text(left - 8, top + 10, bar["label"], 12, "end"))
        lines.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(long, 1):.1f}" height="{BAR}" '
                     f'fill="{COLOURS[bar["side"]]}"/>')
        end = long
        if "p99" in bar:
            end = max(long, min(bar["p99"] * scale, room))
            lines.append(f'<line x1="{left + long:.1f}" y1="{top + BAR / 2}" x2="{left + end:.1f}" '
                         f'y2="{top + BAR / 2}" stroke="{COLOURS[bar["side"]]}" stroke-width="2"/>')
        words = number(bar["value"]) + (f" (p99 {number(bar['p99'])})" if "p99" in bar else "")
        lines.append(text(left + end + 5, top + 10, words, 11, colour=FAINT))
    if panel["aim"]:
        at, top = left + panel["aim"] * scale, y + TITLE - 18
        lines.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + ROW * len(panel["bars"]) + 2}" '
                     f'stroke="{AIM}" stroke-width="1.2" stroke-dasharray="4 3"/>')
    return lines


def draw_head(machine, names):
    words = (f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}; "
             f"evalx {machine['revision']}, {machine['begun'][:10]}")
    words += ", quick" * machine["quick"] + ", at real-time priority" * machine["realtime"]
    lines = [text(MARGIN, 36, "evalx: what it costs", 20, weight="bold"), text(MARGIN, 58, words, 12, colour=FAINT)]
    x = MARGIN
    for side in names:
        lines.append(f'<rect x="{x}" y="72" width="{BAR}" height="{BAR}" fill="{COLOURS[side]}"/>')
        lines.append(text(x + BAR + 6, 82, MEANING[side], 12))
        x += 40 + 7 * len(MEANING[side])
    lines.append(text(x, 82, "bars: medians; thin lines: p99; dashed: what was asked for", 12, colour=FAINT))
    return lines


def draw(figures):
    panels = [panel for part in figures["parts"].values() for panel in part["panels"]]
    width = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) / COLUMNS
    heights, body = [112.0] * COLUMNS, []
    for panel in panels:
        column = heights.index(min(heights))
        body += draw_panel(panel, MARGIN + column * (width + GAP), heights[column], width)
        heights[column] += height_of(panel) + 18
    sides = [side for side in COLOURS if any(bar["side"] == side for panel in panels for bar in panel["bars"])]
    high = max(heights) + 6
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{high:.0f}" '
            f'viewBox="0 0 {WIDTH} {high:.0f}" font-family="DejaVu Sans, Verdana, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>')
    return "\n".join([head, *draw_head(figures["machine"], sides), *body, "</svg>"]) + "\n"


def write(path, figures):
    with open(path, "w", encoding="utf-8") as file:
        file.write(draw(figures))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        sys.stdout.write(draw(json.load(source)))
