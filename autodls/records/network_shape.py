"""What every network takes and gives, for planner, networks and training alike."""

PLANE_COUNT = 3  # axial, sagittal, coronal
CLASSES = 2  # negative, positive
