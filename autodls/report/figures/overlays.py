"""Heat maps over the three planes of a case, as a PNG: a row per sequence, the tumour outlined, the sides named.

The map is drawn in the colours of "inferno", whose lightness grows evenly, so that it reads alike with any colour
vision and in print; the tumour's outline is white on black.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autodls.errors import ArgumentError
from autodls.preprocessing.planes import Plane
from autodls.preprocessing.store import Sample
from autodls.records.files import write_atomically
from autodls.report.figures.lettering import drawn_name
from autodls.report.figures.style import fonts

_COLOURS = "inferno"
_OPACITY = 0.65  # of the largest value; 0 is clear
_BAR_MM = 20.0
_PANEL_INCHES = 2.5
_DPI = 150
_SIDES = (("R", "L"), ("A", "P"), ("I", "S"))  # against and along each LPS axis
_OUTLINE: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=2.2, foreground="black")]


@dataclass(frozen=True)
class Overlay:
    """What one picture shows.

    `pictures` holds heat maps on the grid of the stored planes, by sequence: [map, row, column], one a plane or one for
    all. `rois` bool [plane, row, column] is the tumour. `sequences` names the rows of `sample.pixels`. `score` and
    `target` go into the title and the colour bar.
    """

    sample: Sample
    sequences: tuple[str, ...]
    rois: NDArray[np.bool_]
    pictures: Mapping[str, NDArray[np.float64]]
    score: str
    target: str


def write_overlay(path: Path, overlay: Overlay) -> None:
    """Write `overlay` as a PNG; the same content gives the same picture.

    Raises ArgumentError for a heat map of a sequence that the sample does not name, or of another size.
    """
    _check(overlay)
    figure = draw_overlay(overlay)
    write_atomically(path, lambda beside: figure.savefig(beside, dpi=_DPI, metadata={"Software": None}))


def draw_overlay(overlay: Overlay) -> Figure:
    """A row per sequence, a column per plane, all on one colour scale from 0 to the largest value."""
    rows = len(overlay.pictures)
    figure = Figure(figsize=(3 * _PANEL_INCHES + 1.1, rows * _PANEL_INCHES + 0.75), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False)
    largest = max(float(picture.max()) for picture in overlay.pictures.values())
    scale = Normalize(0.0, largest or 1.0)
    for of_row, (sequence, maps) in zip(axes, overlay.pictures.items(), strict=True):
        pixels = overlay.sample.pixels[overlay.sequences.index(sequence)]
        heat = np.broadcast_to(maps, pixels.shape)
        planes = zip(of_row, overlay.sample.planes, pixels, overlay.rois, heat, strict=True)
        for ax, plane, image, roi, picture in planes:
            draw_plane(ax, plane, image, roi)
            shade = np.clip(picture / scale.vmax, 0, 1) if scale.vmax else picture
            ax.imshow(picture, cmap=_COLOURS, norm=scale, alpha=_OPACITY * shade**0.5, interpolation="nearest")
        of_row[0].set_ylabel(drawn_name(sequence), fontsize=10, fontfamily=fonts(), parse_math=False)
    for ax, plane in zip(axes[0], overlay.sample.planes, strict=True):
        ax.set_title(plane.name, fontsize=10)
    bar = figure.colorbar(ScalarMappable(scale, _COLOURS), ax=axes, fraction=0.03, pad=0.02)
    bar.set_label(f"evidence (log-odds per cell), {_kind(overlay)}", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(_title(overlay, largest), fontsize=10, fontfamily=fonts(), parse_math=False)
    return figure


def side_labels(step_mm: tuple[float, float, float]) -> tuple[str, str]:
    """The sides of the body at the start and at the end of a step in LPS mm.

    >>> side_labels((0.0, 0.0, -1.0))
    ('S', 'I')
    >>> side_labels((0.9, 0.1, 0.0))
    ('R', 'L')
    """
    axis = int(np.abs(step_mm).argmax())
    against, along = _SIDES[axis]
    return (against, along) if step_mm[axis] > 0 else (along, against)


def draw_plane(ax: Axes, plane: Plane, image: NDArray[np.float32], roi: NDArray[np.bool_]) -> None:
    """The picture in grey, the tumour's outline, the sides, a bar of 20 mm."""
    low, high = np.percentile(image, (1, 99))
    ax.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="bilinear")
    if roi.any() and not roi.all():
        ax.contour(roi, levels=[0.5], colors="white", linewidths=1.1).set_path_effects(_OUTLINE)
    ax.set_xticks([])
    ax.set_yticks([])
    top, bottom = side_labels(plane.row_step_mm)
    left, right = side_labels(plane.column_step_mm)
    for x, y, letter in ((0.5, 0.955, top), (0.5, 0.045, bottom), (0.04, 0.5, left), (0.96, 0.5, right)):
        _write(ax, x, y, letter, 9)
    _draw_bar(ax, plane)


def _draw_bar(ax: Axes, plane: Plane) -> None:
    rows, columns = plane.size
    length = _BAR_MM / float(np.linalg.norm(plane.column_step_mm))
    if length > columns / 2:
        return
    right, bottom = 0.95 * columns, 0.95 * rows
    ax.plot([right - length, right], [bottom, bottom], color="white", linewidth=1.8, path_effects=_OUTLINE)
    _write(ax, 1 - (columns - right + length / 2) / columns, 0.1, f"{_BAR_MM:g} mm", 6.5)


def _write(ax: Axes, x: float, y: float, text: str, size: float) -> None:
    placed = ax.text(x, y, text, transform=ax.transAxes, color="white", fontsize=size, ha="center", va="center")
    placed.set_path_effects(_OUTLINE)


def _title(overlay: Overlay, largest: float) -> str:
    what = f"{drawn_name(overlay.sample.case)}: Grad-CAM of the {overlay.score} score for {drawn_name(overlay.target)}"
    return what if largest > 0 else f"{what}\nno evidence for it anywhere: the map is zero"


def _kind(overlay: Overlay) -> str:
    own = max(len(maps) for maps in overlay.pictures.values()) > 1
    return "a map for each plane" if own else "one map for all planes"


def _check(overlay: Overlay) -> None:
    size = overlay.sample.pixels.shape[-2:]
    for sequence, maps in overlay.pictures.items():
        if sequence not in overlay.sequences:
            raise ArgumentError(f"heat map of '{sequence}': the sample has {list(overlay.sequences)}; name one of them")
        if maps.shape not in ((1, *size), (3, *size)):
            raise ArgumentError(f"heat map of '{sequence}' has shape {maps.shape}, expected 1 or 3 of {size}")
    if not overlay.pictures:
        raise ArgumentError(f"case {overlay.sample.case}: no heat map to draw; give one at least")
    if overlay.rois.shape != (3, *size):
        raise ArgumentError(f"ROI on planes of shape {overlay.rois.shape}, expected {(3, *size)}")
