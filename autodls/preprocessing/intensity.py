"""From intensities to network input."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError, PlanError
from autodls.imaging.foreground import foreground
from autodls.imaging.geometry import Points
from autodls.records.preprocessing_plan import IntensityPlan

Image = NDArray[Any]  # float32, or small integers as they are stored


def normalise(samples: Points, volume: Image, plan: IntensityPlan, where: str) -> NDArray[np.float32]:
    """Samples [plane, row, column] of one sequence, NaN outside its field of view, as network input.

    `volume` is the whole image that they were taken from. Schemes:

    - ``zscore``: clipped to percentiles of the foreground of the image, then mean 0 and standard deviation 1;
    - ``minmax_zscore``: minimum and maximum of the volume become 0 and 1, then z-score (Ding et al. 2025);
    - ``window``: clipped to a window in HU or SUV, its bounds become -1 and 1.

    Mean and standard deviation are those of the samples of all planes inside the field of view. Samples outside it
    become 0. Raises DatasetError, which names `where`, for an image that is constant.
    """
    if volume.min() == volume.max():
        raise DatasetError(f"{where}: all voxels are {volume.flat[0]:g}; export the image anew, or remove its file")
    scaled = SCHEMES[plan.scheme](samples, volume, plan, where)
    return np.nan_to_num(scaled, nan=0.0).astype(np.float32)


def _zscore(samples: Points, volume: Image, plan: IntensityPlan, where: str) -> Points:
    if plan.clip_percentiles is None:
        raise PlanError(f"{where}: scheme zscore needs clip_percentiles; add them to plan.json")
    low, high = np.percentile(foreground(volume), plan.clip_percentiles)
    return standardise(np.clip(samples, low, high), where)


def _minmax_zscore(samples: Points, volume: Image, plan: IntensityPlan, where: str) -> Points:
    low, high = float(volume.min()), float(volume.max())
    return standardise((samples - low) / (high - low), where)


def _window(samples: Points, volume: Image, plan: IntensityPlan, where: str) -> Points:
    if plan.window is None:
        raise PlanError(f"{where}: scheme window needs window_hu or window_suv; add it to plan.json")
    low, high = plan.window
    return (np.clip(samples, low, high) - low) / (high - low) * 2 - 1


def standardise(samples: Points, where: str) -> Points:
    """Mean 0 and standard deviation 1 over the samples that are not NaN; raises DatasetError when they are constant."""
    seen = samples[~np.isnan(samples)]
    spread = float(seen.std())
    if spread <= 1e-9 * max(abs(float(seen.mean())), 1e-30):
        raise DatasetError(
            f"{where}: all {seen.size} samples around the tumour are {float(seen.mean()):g}; "
            f"the image is blank there, export it anew or remove its file"
        )
    standardised: Points = (samples - seen.mean()) / spread
    return standardised


SCHEMES: dict[str, Callable[[Points, Image, IntensityPlan, str], Points]] = {
    "zscore": _zscore,
    "minmax_zscore": _minmax_zscore,
    "window": _window,
}
