"""One case on one page, as a PDF, and its pictures with the words that must not be cut off them.

Nobody is named on it: who it is stands in the header of the object that carries it.
"""

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from autodls.dicom.results import RESEARCH, Result
from autodls.imaging.geometry import Volume
from autodls.records.formatting import plain
from autodls.report.figures.lettering import drawn_name
from autodls.report.figures.style import BLUE, GREY, INK, MM_PER_INCH, PALE, VERMILLION, fonts, in_style

_A4_INCHES = (210.0 / MM_PER_INCH, 297.0 / MM_PER_INCH)
_BANNER_PX, _DPI = 44, 150
_SIDES = (("R", "L"), ("A", "P"), ("I", "S"))  # against and along each LPS axis
_LINE, _MOST_LINES = 96, 16


@dataclass(frozen=True)
class CasePage:
    """What one page shows: the result, the image of the ROI channel with the ROI, and a heat map where there is one."""

    case: str
    result: Result
    channel: str
    image: Volume
    roi: Volume
    heatmap: Path | None = None


def page_pdf(page: CasePage) -> bytes:
    """`page` as a PDF of one A4 page; the same content gives the same bytes."""
    buffer = io.BytesIO()
    with in_style():
        figure = draw_page(page)
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Title": f"AutoDLS. {RESEARCH}"})
    return buffer.getvalue()


def picture_with_banner(path: Path) -> NDArray[np.uint8]:
    """The PNG `path` below a banner that says what it is for: [row, column, RGB]."""
    read = imread(path)
    colour = read[..., :3] * read[..., 3:4] + (1 - read[..., 3:4]) if read.shape[-1] == 4 else read
    picture = np.rint(colour * 255).astype(np.uint8)
    figure = Figure(figsize=(picture.shape[1] / _DPI, _BANNER_PX / _DPI), dpi=_DPI, facecolor=VERMILLION)
    canvas = FigureCanvasAgg(figure)
    figure.text(0.5, 0.48, RESEARCH, color="white", ha="center", va="center", fontsize=11, weight="bold")
    canvas.draw()
    banner = np.asarray(canvas.buffer_rgba())[..., :3]
    width = min(banner.shape[1], picture.shape[1])
    return np.concatenate([banner[:, :width], picture[:, :width]])


def draw_page(page: CasePage) -> Figure:
    """The page, not yet written."""
    figure = Figure(figsize=_A4_INCHES)
    figure.text(
        *(0.5, 0.965), RESEARCH.upper(), ha="center", va="center", size=13, weight="bold", color="white",
        bbox={"facecolor": VERMILLION, "edgecolor": "none", "pad": 6},
    )  # fmt: skip
    _say(figure, 0.925, f"AutoDLS: {drawn_name(page.result.target)}", 14, weight="bold")
    _say(figure, 0.903, f"case {page.case}; the patient and the study stand in the DICOM header", 8, color=GREY)
    _draw_scale(figure.add_axes((0.08, 0.80, 0.84, 0.04)), page.result)
    _draw_slice(figure.add_axes((0.53, 0.44, 0.40, 0.29)), page)
    _say(figure, 0.735, "\n".join(_facts(page)), 9, va="top", linespacing=1.5)
    if page.heatmap is not None:
        ax = figure.add_axes((0.08, 0.195, 0.84, 0.235))
        ax.imshow(imread(page.heatmap), interpolation="nearest")
        ax.set_axis_off()
    _say(figure, 0.18, "\n".join(_flags(page.result)), 8, va="top", linespacing=1.35)
    foot = (
        f"Model {drawn_name(page.result.model)}, SHA-256 {page.result.model_sha256}; AutoDLS {page.result.version}.\n"
        "The DLS is the model's probability of the target, as calibrated on its training cohort; it holds for patients "
        "like those.\nDates in the header are those of the images."
    )
    _say(figure, 0.02, foot, 6.5, color=GREY, va="bottom")
    return figure


def _say(figure: Figure, height: float, text: str, size: float, **style: Any) -> None:
    figure.text(0.08, height, text, size=size, parse_math=False, fontfamily=fonts(), **{"color": INK, **style})


def _facts(page: CasePage) -> list[str]:
    found = page.result
    voxel_ml = float(np.abs(np.linalg.det(page.roi.geometry.affine[:3, :3]))) / 1000
    volume = np.count_nonzero(page.roi.array) * voxel_ml
    return [
        f"DLS {found.dls:.3f}",
        f"cut-off {found.cutoff:.3f}: called {found.call}",
        *([f"spread over folds {found.spread:.3f}"] if found.spread is not None else []),
        *(f"{drawn_name(name)} alone {score:.3f}" for name, score in found.sequences.items()),
        f"ROI {volume:.1f} ml, {found.roi_words}",
    ]


def _flags(found: Result) -> list[str]:
    lines = [
        line
        for flag in found.flags
        for line in textwrap.wrap(plain(drawn_name(flag)), _LINE, initial_indent="- ", subsequent_indent="  ")
    ]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], "- more flags stand in the structured report"]
    return ["To be known of this score:", *(lines or ["- no flag was raised"])]


def _draw_scale(ax: Axes, found: Result) -> None:
    """The DLS between 0 and 1, with the cut-off."""
    ax.axhspan(0, 1, color=PALE, zorder=0)
    ax.axvline(found.cutoff, color=INK, lw=1.5)
    ax.plot([found.dls], [0.5], "o", ms=11, color=VERMILLION if found.call == "high" else BLUE)
    ax.text(found.dls, 1.15, f"DLS {found.dls:.3f}, {found.call}", ha="center", va="bottom", size=10, weight="bold")
    ax.text(found.cutoff, -0.55, f"cut-off {found.cutoff:.3f}", ha="center", va="top", size=8)
    ax.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
    for side in ("top", "left", "right"):
        ax.spines[side].set_visible(False)


def _draw_slice(ax: Axes, page: CasePage) -> None:
    """The slice with most of the ROI, as it was acquired, with the ROI's outline and the patient's sides."""
    at = int(np.argmax(np.count_nonzero(page.roi.array, axis=(1, 2))))
    width_mm, height_mm, _ = page.image.geometry.spacing_mm
    low, high = np.percentile(page.image.array[at], (0.5, 99.5))
    ax.imshow(page.image.array[at], cmap="gray", vmin=low, vmax=high or 1.0, aspect=height_mm / width_mm)
    ax.contour(page.roi.array[at] != 0, levels=[0.5], colors=[VERMILLION], linewidths=1.2)
    ax.set_title(f"{drawn_name(page.channel)}, slice {at + 1} of {len(page.image.array)}, as acquired", size=8)
    ax.set(xticks=[], yticks=[])
    ends = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}
    places = {"left": (0.03, 0.5), "right": (0.97, 0.5), "top": (0.5, 0.96), "bottom": (0.5, 0.04)}
    for end, (axis, sign) in ends.items():
        ax.text(*places[end], _side(page.image, axis, sign), transform=ax.transAxes, color="white", size=9,
                ha="center", va="center", bbox={"facecolor": "black", "edgecolor": "none", "pad": 1})  # fmt: skip


def _side(image: Volume, axis: int, sign: int) -> str:
    """The side of the patient to which index `axis` (0 x, 1 y) leads."""
    cosines = sign * image.geometry.cosines[:, axis]
    body = int(np.abs(cosines).argmax())
    return _SIDES[body][int(cosines[body] > 0)]
