"""Broken DICOM files, folders and tables through both steps of `import`: one line or success, nothing left behind."""

import contextlib
import gzip
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from fuzz_mutations import burst, cut, drop_bytes, flip_bit
from fuzz_run import FaultError, bounded, run_command
from pydicom.uid import JPEGLSLossless, RLELossless
from tiny_dicom import T1, T2, Series, Study, enhanced, rtstruct, seg

SHAPE = (5, 14, 12)
HOSTILE = (
    "", "0", "-1", "1e308", "nan", "inf", "-inf", "65535", "4294967295", "1\\2", "1\\2\\3\\4\\5\\6", "x" * 2000,
    "\0", "\x1b[2J", "../../x", "=1+1", "99999999", "0.0000001", "\\", "1\\nan\\3", "ÄÖ", "1,5",
)  # fmt: skip
ELEMENTS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "NumberOfFrames", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
    "RescaleIntercept", "InstanceNumber", "SeriesNumber", "RepetitionTime", "EchoTime", "ImageType", "Modality",
    "SeriesDescription", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID",
    "PatientName", "StudyDate", "AcquisitionTime", "FrameOfReferenceUID", "PhotometricInterpretation",
    "SegmentationType", "MaximumFractionalValue", "Manufacturer", "MagneticFieldStrength",
    "SpecificCharacterSet", "TransferSyntaxUID",
)  # fmt: skip


@dataclass(frozen=True)
class DicomTrial:
    """The seed of everything that is drawn."""

    seed: int

    def __str__(self) -> str:
        return f"dicom/{KINDS[self.seed % len(KINDS)]}/{self.seed}"


def make_dicom(root: Path) -> Path:
    """Four folders of a study, with its dataset as it is when nothing is broken."""
    rng = np.random.default_rng(3)
    for name in ("plain", "segmented", "packed", "enhanced"):
        make_folder(root / name, name, rng)
        for _ in range(2):
            answer = run_command("import", root / name, "-o", root / "of" / name / "DS", "--workers", "1")
            if answer.status:
                raise FaultError(answer.err)
    return root


def make_folder(folder, name, rng=None):
    """A study of the kind `name`, with an ROI."""
    rng, study = rng if rng is not None else np.random.default_rng(3), Study(patient=f"P-{name}")
    t1 = Series(study, _head(rng), tags=T1)
    if name == "enhanced":
        enhanced(t1, folder / "mf")
    else:
        t1.write(folder / "t1")
    if name == "segmented":
        seg(t1, folder / "seg", [(1, plane, rng.random(SHAPE[1:]) < 0.4) for plane in (1, 3)])
    else:
        corners = ((2, 2), (9, 2), (9, 10), (2, 10))
        rtstruct(t1, folder / "rt", {"GTV": [np.array([t1.mm(*at, plane) for at in corners]) for plane in (1, 2)]})
    if name == "plain":
        Series(study, _head(rng), tags=T2).write(folder / "t2")
    for number, path in enumerate(t1.files if name == "packed" else ()):
        one = pydicom.dcmread(path)
        one.compress(JPEGLSLossless if number % 2 else RLELossless)
        one.save_as(path)


def _head(rng):
    return rng.integers(0, 900, SHAPE).astype(np.int16)


def run_dicom(made: Path, trial: DicomTrial, work: Path) -> str:
    """Break one thing, import, import again; "refused", "same" or "changed". Raises FaultError."""
    chance = np.random.default_rng((trial.seed, 19))
    kind = KINDS[trial.seed % len(KINDS)]
    name = str(chance.choice(["plain", "plain", "segmented", "enhanced", "packed"]))
    folder, place = work / "in", work / "out"
    shutil.copytree(made / name, folder)
    place.mkdir()
    scratch = work / "scratch"
    scratch.mkdir()
    with _temporary(scratch):
        if kind not in ("table", "ids", "log", "dataset"):
            MUTATIONS[kind](folder, chance)
            with bounded():
                outcome = _both(folder, place)
        else:
            shutil.copytree(made / "of" / name, place, dirs_exist_ok=True)
            if kind == "table":
                shutil.rmtree(place / "DS")
            MUTATIONS[kind](place, chance)
            with bounded():
                outcome = _step(folder, place)
    if left := [*scratch.iterdir(), *place.rglob(".tmp-*")]:
        raise FaultError(f"left behind: {left[0].name}")
    if outcome == "refused":
        return outcome
    return "same" if _volumes(place) == _volumes(made / "of" / name) else "changed"


@contextlib.contextmanager
def _temporary(folder):
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _both(folder, place):
    outcome = _step(folder, place)
    return outcome if outcome == "refused" else _step(folder, place)


def _step(folder, place):
    answer = run_command("import", folder, "-o", place / "DS", "--workers", "1")
    errors = [line for line in answer.err.splitlines() if line.startswith("autodls: error: ")]
    if answer.status == 0 and not errors:
        return "done"
    if answer.status != 2 or len(errors) != 1 or "; " not in errors[0]:
        raise FaultError(f"left with {answer.status}: {answer.err[-600:]}")
    return "refused"


def _volumes(place):
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name.endswith(".nii.gz")
    }


def _victim(folder, chance):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return files[int(chance.integers(len(files)))]


def _bytes(change):
    def apply(folder, chance):
        path = _victim(folder, chance)
        path.write_bytes(bytes(change(bytearray(path.read_bytes()), chance)))

    return apply


def _noisy_head(content, chance):
    """Noise in the header alone."""
    for _ in range(int(chance.integers(1, 4))):
        flip_bit(content, chance, 128, min(len(content), 1400))
    return content


def _element(folder, chance):
    """A value that no one expects, in one file or in all of them."""
    keyword, value = str(chance.choice(ELEMENTS)), str(chance.choice(HOSTILE))
    files = [_victim(folder, chance)] if chance.random() < 0.5 else [p for p in folder.rglob("*") if p.is_file()]
    for path in files:
        _set(path, keyword, value)


def _set(path, keyword, value):
    """Set an element as raw bytes, whatever its type; in every item of every sequence where it stands."""
    one = pydicom.dcmread(path)
    tag = pydicom.datadict.tag_for_keyword(keyword)
    holders = [one, *(item for element in one if element.VR == "SQ" for item in element.value)]
    holders += [item for one_ in holders[1:] for element in one_ if element.VR == "SQ" for item in element.value]
    for holder in holders:
        if tag in holder or (holder is one and value):
            vr = pydicom.datadict.dictionary_VR(tag)
            raw = value.encode("utf-8", "replace")
            if vr in ("US", "UL", "FD"):
                raw = (value.encode() + bytes(8))[: {"US": 2, "UL": 4, "FD": 8}[vr]]
            raw += b" " * (len(raw) % 2)
            holder[tag] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, len(raw), raw, 0, False, True)
    with contextlib.suppress(Exception):  # what cannot be written is no file that could be met
        one.save_as(path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    path.with_suffix(".new").unlink(missing_ok=True)


def _delete(folder, chance):
    path = _victim(folder, chance)
    one = pydicom.dcmread(path)
    elements = list(one)
    del one[elements[int(chance.integers(len(elements)))].tag]
    with contextlib.suppress(Exception):
        one.save_as(path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    path.with_suffix(".new").unlink(missing_ok=True)


def _contour(folder, chance):
    """Coordinates of contours, or positions of frames, that are moved, cut, doubled or no numbers."""
    path = next((found for found in sorted(folder.rglob("*")) if found.name in ("rt", "seg", "mf")), None)
    if path is None:
        return
    content = path.read_bytes()
    at = [index for index in range(400, len(content) - 8) if content[index : index + 1] in b"0123456789.-"]
    new = bytearray(content)
    for _ in range(int(chance.integers(1, 30))):
        new[at[int(chance.integers(len(at)))]] = b"0123456789.-eE\\ \0"[int(chance.integers(16))]
    path.write_bytes(bytes(new))


def _folder(folder, chance):
    """Things that lie about: pipes, links in circles, empty files, doubles, archives that claim much or are torn."""
    path = _victim(folder, chance)
    FOLDERS[int(chance.integers(len(FOLDERS)))](folder, path)


def _links(folder, _):
    (folder / "circle").symlink_to(folder)
    (folder / "nowhere").symlink_to(folder / "nothing")


def _bomb(folder, path):
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/../../../zeros", bytes(1 << 25))
        archive.write(path, "/etc/passwd")


def _deeper(_, path):
    path.with_name("folder").mkdir()
    path.replace(path.with_name("folder") / path.name)


FOLDERS = (
    lambda folder, _: os.mkfifo(folder / "pipe"),
    _links,
    lambda _, path: path.write_bytes(b""),
    lambda _, path: path.unlink(),
    lambda folder, path: shutil.copyfile(path, folder / "copy\n\x1b[2Jname"),
    _bomb,
    lambda folder, path: (folder / "torn.tgz").write_bytes(gzip.compress(bytes(300) + path.read_bytes())[:-40]),
    lambda _, path: path.chmod(0),
    _deeper,
)


def _mixed(folder, chance):
    """Two files exchange their pixels' place: one plane of another series, another patient, another orientation."""
    files = sorted(path for path in folder.rglob("I*") if path.is_file())
    if not files:
        return
    path = files[int(chance.integers(len(files)))]
    one = pydicom.dcmread(path)
    which = int(chance.integers(5))
    if which == 0:
        one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    elif which == 1:
        one.ImagePositionPatient = [float(mm) + float(chance.normal(0, 2)) for mm in one.ImagePositionPatient]
    elif which == 2:
        one.PatientID = "somebody else"
    elif which == 3:
        one.SOPInstanceUID = pydicom.dcmread(files[0]).SOPInstanceUID
    else:
        one.PixelSpacing = [1, 2]
    one.save_as(path)


def _table(place, chance):
    path = place / "DS-confidential" / "series.csv"
    lines = path.read_text().splitlines()
    if chance.random() < 0.3:
        path.write_bytes(
            bytes([flip_bit, burst, cut, drop_bytes][int(chance.integers(4))](bytearray(path.read_bytes()), chance))
        )
        return
    row = int(chance.integers(len(lines)))
    cells = lines[row].split(",")
    which = int(chance.integers(4))
    if which == 0:
        cells[int(chance.integers(len(cells)))] = str(chance.choice(HOSTILE)).replace("\\", "")
    elif which == 1:
        del cells[int(chance.integers(len(cells)))]
    elif which == 2:
        cells[2] = str(chance.choice(["T1WI", "ROI", "T1 WI", "dls", "CON", "..", "-", "é"]))
    else:
        cells[1] = str(chance.choice(["P0009", "p0001", "P-plain", "Doe", "nul", "a/b", "P0001_0000"]))
    lines[row] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


def _ours(name):
    def apply(place, chance):
        _damaged(place / "DS-confidential" / name, chance)

    return apply


def _dataset(place, chance):
    _damaged(_victim(place / "DS", chance), chance)


def _damaged(path, chance):
    change = [flip_bit, burst, cut, drop_bytes][int(chance.integers(4))]
    path.write_bytes(bytes(change(bytearray(path.read_bytes()), chance)))


MUTATIONS = {
    "bit": _bytes(flip_bit),
    "head": _bytes(_noisy_head),
    "burst": _bytes(burst),
    "cut": _bytes(cut),
    "drop": _bytes(drop_bytes),
    "element": _element,
    "value": _element,
    "delete": _delete,
    "contour": _contour,
    "folder": _folder,
    "mixed": _mixed,
    "table": _table,
    "ids": _ours("ids.csv"),
    "log": _ours("written.jsonl"),
    "dataset": _dataset,
}
KINDS = tuple(MUTATIONS)
