"""What is wrong with an image by itself: `check` and `plan` say the same of it."""

from collections.abc import Iterator

from autodls.imaging.geometry import Volume


def image_faults(sequence: str, volume: Volume) -> Iterator[tuple[str, str]]:
    """Why the image of `sequence` cannot be used, each with its repair; nothing where it can."""
    if volume.array.min() == volume.array.max():
        repair = "export it anew, or remove the file: a missing sequence is allowed"
        yield f"every voxel of {sequence} is {volume.array.flat[0]:g}", repair
    if not volume.geometry.is_orthonormal():
        yield f"the axes of {sequence} are not unit vectors at right angles", "resample it onto an orthogonal grid"
