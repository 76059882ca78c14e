"""The README's picture of speed, from measured ratios.

    python benchmarks/plot.py RATIOS.csv PICTURE.png

RATIOS.csv has a row per comparison: what, peer, ratio (the peer's median wall time over ours, in one run), target (or
empty). Nothing is drawn that is not in the table.
"""

import csv
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS, BEHIND = "#1b6ca8", "#b5482f"


def read_ratios(table: Path) -> list[tuple[str, float, float | None]]:
    """(label, ratio, target) of every row; raises KeyError or ValueError for another table."""
    with table.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return [
        (f"{row['what']}\nagainst {row['peer']}", float(row["ratio"]), float(row["target"]) if row["target"] else None)
        for row in rows
    ]


def draw(ratios: list[tuple[str, float, float | None]], picture: Path) -> None:
    """Bars on a logarithmic axis; a mark where the target is."""
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.45 * len(ratios)), layout="constrained")
    places = range(len(ratios))
    colours = [OURS if ratio >= (target or 1) else BEHIND for _, ratio, target in ratios]
    axes.barh(places, [ratio - 1 for _, ratio, _ in ratios], left=1, color=colours, height=0.6)
    for place, (_, ratio, target) in zip(places, ratios, strict=True):
        end = (max(ratio, target or 1, 1), place)  # beside the mark, never under it
        axes.annotate(f"{ratio:.3g}x", end, xytext=(5, 0), textcoords="offset points", va="center")
        if target is not None:
            axes.plot([target, target], [place - 0.38, place + 0.38], color="black", linewidth=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.12, y=0.02)
    axes.set_yticks(places, [label for label, _, _ in ratios], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as the peer, in the same run (black: what we aim for; red: missed)")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=150)


def main() -> None:
    """Draw the picture."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("ratios", metavar="RATIOS.csv", type=Path)
    parser.add_argument("picture", metavar="PICTURE.png", type=Path)
    asked = parser.parse_args()
    draw(read_ratios(asked.ratios), asked.picture)


if __name__ == "__main__":
    main()
