"""figures: medians and percentiles, tables, and the report that is stored as JSON and as a picture."""
import json
import statistics

median = statistics.median


def p99(values):
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


def tenth(values):
    """The 10th percentile, which other load on the machine affects least."""
    return sorted(values)[len(values) // 10]


def shown(value):
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
    return str(value)


def table(rows):
    """Lines of text; the columns are the keys of the first row."""
    head = list(rows[0])
    cells = [[shown(row[key]) for key in head] for row in rows]
    widths = [max(len(key), *(len(line[i]) for line in cells)) for i, key in enumerate(head)]
    words = [all(not isinstance(row[key], (int, float)) for row in rows) for key in head]
    return "\n".join("  ".join(cell.ljust(width) if word else cell.rjust(width)
                               for cell, width, word in zip(line, widths, words)).rstrip()
                     for line in [head, *cells])


class Report:
    """The results of one part.  Each is printed at once, so that a long run shows its progress."""

    def __init__(self, name):
        self.name = name
        self.tables, self.panels, self.claims, self.notes = {}, [], [], []

    def table(self, title, rows):
        self.tables[title] = rows
        print(f"\n{title}\n{table(rows)}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def panel(self, title, unit, bars, aim=None):
        """A group of bars of the picture: (label, side, value) or (label, side, value, p99); side is "evalx" or
        "floor" or "other"."""
        keys = ("label", "side", "value", "p99")
        self.panels.append({"title": title, "unit": unit, "aim": aim, "bars": [dict(zip(keys, bar)) for bar in bars]})

    def claim(self, figure, found, unit, at_most=None, at_least=None):
        """A figure that the requirements name, with its aim if there is a number."""
        held = (at_most is None or found <= at_most) and (at_least is None or found >= at_least)
        aim = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else "-"
        verdict = "" if aim == "-" else "yes" if held else "NO"
        self.claims.append({"part": self.name, "figure": figure, "found": found, "unit": unit, "aim": aim,
                            "reached": verdict})

    def as_json(self):
        return {"tables": self.tables, "claims": self.claims, "panels": self.panels, "notes": self.notes}


def write_json(path, found):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
        file.write("\n")
