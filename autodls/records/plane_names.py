"""The planes of a body."""

from typing import Literal

PlaneName = Literal["axial", "sagittal", "coronal"]
