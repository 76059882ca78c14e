"""Radiomic features by the definitions of the Image Biomarker Standardisation Initiative (IBSI): the door of mirp.

Shape is computed once a case, intensity and texture once a sequence, in three dimensions on an isotropic grid of 1 mm.
Left out are features that mix shape with intensities, among them Moran's I and Geary's C, which are estimated from a
sample of the voxels where there are many.

References
----------
.. [1] Zwanenburg et al. The Image Biomarker Standardization Initiative. Radiology 2020;295:328-338.
.. [2] Zwanenburg, Loeck. MIRP: a Python package for standardised radiomics. J Open Source Softw 2024;9:6413.
"""

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError

SPACING_MM = 1.0
BINS = 32
LEAST_VOXELS = 16  # of an ROI; fewer have no texture
_LIBRARY = "mirp"
_INSTALL = "install it with pip install 'autodls[radiomics]'"
_MIXED = frozenset({"morph_com", "morph_integ_int", "morph_moran_i", "morph_geary_c"})
_SHAPE = ("morphology",)
_PICTURE = ("statistics", "intensity_histogram", "cm", "rlm", "szm", "dzm", "ngtdm", "ngldm")
_PREFIXES = ("morph_", "stat_", "ih_", "cm_", "rlm_", "szm_", "dzm_", "ngt_", "ngl_")
_SETTINGS: Mapping[str, object] = {
    "by_slice": False,
    "glcm_distance": [1.0],
    "glcm_spatial_method": "3d_volume_merge",
    "glrlm_spatial_method": "3d_volume_merge",
    "glszm_spatial_method": "3d",
    "gldzm_spatial_method": "3d",
    "ngtdm_spatial_method": "3d",
    "ngldm_spatial_method": "3d",
    "ngldm_distance": [1.0],
    "ngldm_difference_level": [0.0],
}

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]


def is_installed() -> bool:
    """Whether the library that computes features is there."""
    return find_spec(_LIBRARY) is not None


def library() -> str:
    """Name and version of the library, on which every feature depends; raises ArgumentError where it is not there."""
    if not is_installed():
        raise ArgumentError(f"radiomic features need the package '{_LIBRARY}', which is not installed; {_INSTALL}")
    return f"{_LIBRARY} {metadata.version(_LIBRARY)}"


def shape_features(roi: Mask) -> dict[str, float]:
    """Morphological features of `roi` [z, y, x] on a grid of 1 mm, in mm, mm2 and mm3; raises ArgumentError."""
    found = _features(roi.astype(np.float64), roi, _SHAPE, None)
    return {name: value for name, value in found.items() if name not in _MIXED}


def picture_features(image: Image, roi: Mask, bin_width: float | None = None) -> dict[str, float]:
    """Intensity and texture features of `image` [z, y, x] inside `roi`; both on one isotropic grid.

    Grey levels are discretised into 32 bins from the least to the greatest inside the ROI, or, where intensities have
    a unit, into bins of `bin_width`; a `bin_width` of 0 takes intensities as levels. Raises ArgumentError.
    """
    return _features(image, roi, _PICTURE, bin_width)


def _features(image: Image, roi: Mask, families: tuple[str, ...], bin_width: float | None) -> dict[str, float]:
    if image.shape != roi.shape or not roi.any():
        raise ArgumentError(f"image {image.shape} and ROI {roi.shape} of {int(roi.sum())} voxels: expected one shape")
    library()
    from mirp import extract_features

    settings = {**_SETTINGS, **_discretisation(bin_width), "base_feature_families": list(families)}
    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (row,) = extract_features(image=_padded(image), mask=_padded(roi).astype(np.int64), **settings)
    found: dict[str, Any] = row.iloc[0].to_dict()
    numbers = {name: float(value) for name, value in found.items() if name.startswith(_PREFIXES)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _discretisation(bin_width: float | None) -> dict[str, object]:
    if bin_width is None:
        return {"base_discretisation_method": "fixed_bin_number", "base_discretisation_n_bins": BINS}
    if bin_width == 0:
        return {"base_discretisation_method": "none"}
    return {"base_discretisation_method": "fixed_bin_size", "base_discretisation_bin_width": bin_width}


def _padded(array: NDArray[Any]) -> NDArray[Any]:
    """With one voxel around it: a surface ends inside the grid."""
    return np.pad(array, 1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library sends its log to stdout, where results go: for as long as it works, it finds a log that is deaf."""
    root = logging.getLogger()
    kept, root.handlers = root.handlers, [logging.NullHandler()]
    level = root.level
    try:
        yield
    finally:
        root.handlers = kept
        root.setLevel(level)
