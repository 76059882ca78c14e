"""What a folder of DICOM holds, by us and by a well-known converter."""

import subprocess

from autodls.dicom.series import find_series
from autodls.dicom.sources import opened_sources
from autodls.parallel import no_advance


def found_in(folder):
    """All that a folder holds."""
    with opened_sources(folder) as sources:
        return find_series(sources, 1, no_advance)


def images_of_dcm2niix(program, folder, out):
    out.mkdir(parents=True)
    """Its volumes, with the series that each is of."""
    words = [program, "-b", "n", "-p", "n", "-d", "9", "-f", "%j_%s_%t_%p", "-o", str(out), str(folder)]
    subprocess.run(words, capture_output=True, timeout=120, check=False)
    return {path: path.name.partition("_")[0] for path in sorted(out.glob("*.nii"))}
