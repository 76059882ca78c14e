"""The real DICOM of the tests, unpacked, and a well-known converter to hold ours against."""

import subprocess
import tarfile

import pytest

from autodls.dicom.series import find_series
from autodls.dicom.sources import opened_sources
from autodls.parallel import no_advance


def found_in(folder):
    """All that a folder holds."""
    with opened_sources(folder) as sources:
        return find_series(sources, 1, no_advance)


@pytest.fixture(scope="session")
def real(shared_data, tmp_path_factory):
    """The real DICOM, unpacked."""
    folder = tmp_path_factory.mktemp("real")
    for path in sorted((shared_data / "dicom").glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            archive.extractall(folder / path.name.partition(".")[0], filter="data")
    return folder


@pytest.fixture(scope="session")
def dcm2niix():
    """The program; the test is skipped where it is not installed."""
    return pytest.importorskip("dcm2niix").bin


def images_of_dcm2niix(program, folder, out):
    out.mkdir(parents=True)
    """Its volumes, with the series that each is of."""
    words = [program, "-b", "n", "-p", "n", "-d", "9", "-f", "%j_%s_%t_%p", "-o", str(out), str(folder)]
    subprocess.run(words, capture_output=True, timeout=120, check=False)
    return {path: path.name.partition("_")[0] for path in sorted(out.glob("*.nii"))}
