"""Image files that lead a reader astray: into a crash, into other files, into terabytes, or into wrong numbers."""

import gzip
import os
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_volumes import textured

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry
from autodls.imaging.headers import MAX_VOXELS
from autodls.imaging.volumes import place_doubt, read_geometry, read_labels, read_volume, write_volume

GRID = Geometry((6, 7, 5), (0.9, 1.1, 3.0), (-10.0, 4.0, 2.0))


def written(folder, name):
    """A small image in the format of its name."""
    write_volume(folder / name, textured(GRID, np.random.default_rng(0)))
    return folder / name


def edited(path, old, new):
    """Exchange bytes of the header."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


NRRD = {
    "another file": (b"encoding:", b"data file: secret.raw\nencoding:", "datafile"),
    "another file in older spelling": (b"encoding:", b"DATAFILE: /etc/passwd\nencoding:", "datafile"),
    "bytes skipped": (b"encoding:", b"byte skip: -1\nencoding:", "byteskip"),
    "field twice": (b"encoding:", b"type: double\nencoding:", "'type' twice"),
    "sizes of terabytes": (b"sizes: 6 7 5", b"sizes: 99999 99999 99999", "999970000299999 voxels"),
    "sizes below none": (b"sizes: 6 7 5", b"sizes: -6 7 5", "sizes '-6 7 5'"),
    "four axes": (b"dimension: 3", b"dimension: 4", "one 3D image"),
    "no directions": (b"space directions", b"spice directions", "no field 'spacings'"),
    "directions NaN": (b"space directions: (0", b"space directions: (nan0", "three vectors"),
    "space unknown": (b"left-posterior-superior", b"scanner-xyz", "'scanner-xyz' is none of LPS, RAS and LAS"),
    "units": (b"encoding:", b'space units: "um" "um" "um"\nencoding:', "are not mm"),
    "units of the axes": (b"encoding:", b'units: "cm" "cm" "cm"\nencoding:', "units 'cm' are not mm"),
    "directions absurd": (b"space directions: (0", b"space directions: (1e300", "vectors of up to 100 mm"),
    "type of blocks": (b"type: float", b"type: block", "of type 'block' is not read"),
    "a type twice as wide": (b"type: float", b"type: double", "its header promises 1680"),
    "a type half as wide": (b"type: float", b"type: short", "holds more bytes"),
    "text": (b"encoding: gzip", b"encoding: ascii", "encoding 'ascii'"),
    "not packed": (b"encoding: gzip", b"encoding: raw", "bytes of voxels"),
    "no blank line": (b"\n\n", b"\n", "blank line"),
    "another version": (b"NRRD0004", b"NRRD0009", "not an NRRD header"),
}
META = {
    "another file": (b"ElementDataFile = LOCAL", b"ElementDataFile = secret.raw", "another file, 'secret.raw'"),
    "many files": (b"ElementDataFile = LOCAL", b"ElementDataFile = LIST", "another file, 'LIST'"),
    "ninety-nine axes": (b"NDims = 3", b"NDims = 99", "99 axes"),
    "sizes of terabytes": (b"DimSize = 6 7 5", b"DimSize = 99999 99999 99999", "999970000299999 voxels"),
    "no spacing": (b"ElementSpacing", b"ElementSpicing", "no field 'elementspacing'"),
    "spacing NaN": (b"ElementSpacing = 0", b"ElementSpacing = nan 0", "finite numbers"),
    "units": (b"DimSize", b"DistanceUnits = cm\nDimSize", "DistanceUnits 'cm' are not mm"),
    "two places": (b"DimSize", b"Origin = 1 2 3\nDimSize", "offset, origin contradict each other"),
    "turned twice": (b"DimSize", b"Rotation = 0 1 0 1 0 0 0 0 1\nDimSize", "transformmatrix, rotation contradict"),
    "left is right": (
        b"AnatomicalOrientation = RAI",
        b"AnatomicalOrientation = LAI",
        "'LAI' contradicts the directions",
    ),
    "left is back": (
        b"AnatomicalOrientation = RAI",
        b"AnatomicalOrientation = ARI",
        "'ARI' contradicts the directions",
    ),
    "channels": (b"DimSize", b"ElementNumberOfChannels = 1000000000\nDimSize", "elementnumberofchannels"),
    "skipped header": (b"DimSize", b"HeaderSize = -1\nDimSize", "headersize"),
    "text": (b"BinaryData = True", b"BinaryData = False", "binarydata"),
    "packed size": (b"CompressedDataSize = ", b"CompressedDataSize = 1", "bytes follow its header"),
    "field twice": (b"DimSize", b"NDims = 2\nDimSize", "'ndims' twice"),
    "a type half as wide": (b"MET_FLOAT", b"MET_SHORT", "holds more bytes"),
    "unknown type": (b"MET_FLOAT", b"MET_OTHER", "'MET_OTHER' is not read"),
}


@pytest.mark.parametrize(
    ("name", "old", "new", "part"),
    [(n, *fault) for n, faults in (("a.nrrd", NRRD), ("a.mha", META)) for fault in faults.values()],
    ids=[f"{n} {fault}" for n, faults in (("nrrd", NRRD), ("mha", META)) for fault in faults],
)
def test_a_text_header_that_leads_astray(tmp_path, name, old, new, part):
    """Each is refused by name; several of them crash ITK, or are read by it as if nothing was wrong."""
    path = edited(written(tmp_path, name), old, new)
    with pytest.raises(DatasetError) as refusal:
        read_volume(path)
    assert part in str(refusal.value) and str(path) in str(refusal.value) and "\n" not in str(refusal.value)


UNPLACED = {  # by the ending: what is taken out of the header
    "a.nrrd": (
        (rb"space: .*\n", b""),
        (rb"space directions: .*\n", b"spacings: 0.9 1.1 3\n"),
        (rb"space origin: .*\n", b""),
    ),
    "a.mha": ((rb"TransformMatrix = .*\n", b""), (rb"AnatomicalOrientation = .*\n", b"")),
    "a.nii": ((rb"(?s)^(.{252}).{4}", rb"\1\0\0\0\0"),),
}


@pytest.mark.parametrize("name", UNPLACED)
def test_an_image_that_does_not_say_how_it_lies_is_told(tmp_path, name):
    path = written(tmp_path, name)
    assert place_doubt(path) is None
    for pattern, instead in UNPLACED[name]:
        content, count = re.subn(pattern, instead, path.read_bytes(), count=1)
        assert count == 1
        path.write_bytes(content)
    assert read_volume(path).geometry.spacing_mm == pytest.approx(GRID.spacing_mm)
    assert "left and right are a guess" in place_doubt(path)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii.gz"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_packed_voxels_passes(tmp_path, name, data):
    """One byte of the compressed voxels changed: the same numbers, or a refusal."""
    path = written(tmp_path, name)
    content, expected = bytearray(path.read_bytes()), read_volume(path).array
    start = {"a.nrrd": content.find(b"\n\n") + 2, "a.mha": content.find(b"LOCAL\n") + 6}.get(name, 10)
    place = data.draw(st.integers(start, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        np.testing.assert_array_equal(read_volume(path).array, expected)
    except DatasetError as refusal:
        assert "\n" not in str(refusal)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii.gz", "a.nii"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=600), place=st.integers(0, 400))
def test_noise_in_a_header_is_a_volume_or_one_line(tmp_path, name, noise, place):
    path = written(tmp_path, name)
    packed = name.endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    changed = content[:place] + noise + content[place + len(noise) :]
    path.write_bytes(gzip.compress(changed) if packed else changed)
    try:
        assert np.isfinite(read_volume(path).array).all()
    except DatasetError as refusal:
        assert "\n" not in str(refusal)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii"])
def test_what_follows_the_voxels_is_no_accident(tmp_path, name):
    path = written(tmp_path, name)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DatasetError, match=r"more (bytes|follows)|bytes follow|damaged"):
        read_volume(path)


@pytest.mark.parametrize(
    ("offset", "values", "part"),
    [
        (80, (0.0009,) * 3, "are the units metres or micrometres?"),
        (80, (900.0,) * 3, "are the units metres or micrometres?"),
        (108, (float("nan"),), "first voxel at nan"),
        (108, (12.0,), "first voxel at 12.0"),
        (108, (1e9,), "first voxel at 1000000000.0"),
        (112, (1.0, float("nan")), "intercept nan"),
        (344, struct.unpack("<f", b"ni1\0"), "NIfTI-1"),
    ],
)
def test_a_binary_header_that_leads_astray(tmp_path, offset, values, part):
    path = written(tmp_path, "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 0)  # neither qform nor sform: spacing comes from pixdim alone
    struct.pack_into(f"<{len(values)}f", content, offset, *values)
    path.write_bytes(bytes(content))
    with pytest.raises(DatasetError) as refusal:
        read_volume(path)
    assert part in str(refusal.value)


def test_an_image_of_another_format_is_not_read_by_its_content(tmp_path):
    """A name chooses the reader, so that none of ITK's many others is reached by what a file holds."""
    nrrd = written(tmp_path, "a.nrrd")
    for name in ("b.mha", "b.nii", "b.nii.gz", "b.png", "b.mhd", "b.nhdr", "b"):
        nrrd.rename(nrrd := tmp_path / name)
        with pytest.raises(DatasetError):
            read_volume(nrrd)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    path = tmp_path / "a.nii"
    {"pipe": os.mkfifo, "device": lambda at: at.symlink_to("/dev/zero"), "folder": os.mkdir}[kind](path)
    with pytest.raises(DatasetError, match="no such file"):
        read_geometry(path)


PEAK = """
import resource, sys
from pathlib import Path
from autodls.errors import DatasetError
from autodls.imaging.volumes import read_labels, read_roi, read_volume
read_roi_of_1 = lambda path: read_roi(path, frozenset({1}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {"volume": read_volume, "labels": read_labels, "roi": read_roi_of_1}[sys.argv[2]](Path(sys.argv[1]))
except DatasetError as refusal:
    print(refusal)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""


def bomb(path, sizes, code, bits, voxels_mib):
    """A NIfTI file that claims `sizes` and unpacks to `voxels_mib` MiB of zeros."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *sizes, 1, 1, 1, 1)
    struct.pack_into("<hh8f", head, 70, code, bits, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<f", head, 108, 352)
    head[344:348] = b"n+1\0"
    packer = zlib.compressobj(1, wbits=31)
    block = bytes(1 << 20)
    pieces = [packer.compress(bytes(head)), *(packer.compress(block) for _ in range(voxels_mib)), packer.flush()]
    path.write_bytes(b"".join(pieces))


@pytest.mark.parametrize(
    ("sizes", "mib", "reader", "most_gib", "code"),
    [
        ((1025, 512, 512), 257, "volume", 0.1, 2),  # one slice more than is read
        ((32767, 32767, 32767), 64, "volume", 0.1, 2),  # 32 TiB claimed
        ((8, 8, 8), 256, "volume", 0.1, 2),  # 256 MiB behind 512 voxels
        ((512, 512, 512), 128, "volume", 0.6, 2),
        ((512, 512, 512), 128, "labels", 1.2, 2),
        ((256, 512, 128), 128, "labels", 0.3, 64),  # doubles: 16 bytes a voxel are 0.25 GiB
        ((256, 512, 128), 128, "roi", 0.3, 64),
        ((256, 512, 128), 128, "labels", 0.3, 1024),
    ],
)
def test_memory_stays_within_its_bound(tmp_path, sizes, mib, reader, most_gib, code):
    """At most 16 bytes a voxel of what a file may claim (2^28 voxels: 4 GiB), and next to nothing beyond it."""
    assert MAX_VOXELS * 16 == 4 << 30
    bomb(tmp_path / "a.nii.gz", sizes, code, 8 if code == 2 else 64, mib)
    words = [sys.executable, "-c", PEAK, str(tmp_path / "a.nii.gz"), reader]
    run = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert float(run.stdout.splitlines()[-1]) <= most_gib, run.stdout
    if most_gib == 0.1:
        assert str(tmp_path) in run.stdout


def test_labels_of_every_type_are_read_alike(tmp_path):
    from autodls.imaging.geometry import Volume

    array = np.zeros(GRID.size_xyz[::-1])
    array[1, 2, 3] = 1
    for kind in ("u1", "i2", "u2", "i4", "f4", "f8"):
        write_volume(tmp_path / "a.nii", Volume(array.astype(kind), GRID))
        read = read_labels(tmp_path / "a.nii")
        assert read.array.dtype == np.int32 and read.array.sum() == 1
