"""Series of a folder: what is found, put together, refused by name, and which role is proposed."""

import shutil
import tarfile
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from tiny_dicom import T1, T2, Series, Study, edit, head, mr

from autodls.dicom.facts import Facts
from autodls.dicom.roles import propose
from autodls.dicom.series import find_series
from autodls.dicom.sources import opened_sources
from autodls.dicom.weighting import is_fat_suppressed, weighting_of
from autodls.parallel import no_advance


def found_in(folder, workers=1):
    with opened_sources(folder) as sources:
        return find_series(sources, workers, no_advance)


def proposed(folder):
    found = found_in(folder)
    cases = {part.study: part.person.patient_id for part in found.parts}
    return dict(zip((part.facts.description for part in found.parts), propose(found.parts, cases), strict=True))


def refusals(folder):
    return [part.stack.refused for part in found_in(folder).parts]


def test_a_folder_with_anything_in_it(tmp_path):
    """Nested, without extensions, duplicates, other files, archives, two patients: each series once."""
    first = mr(Study(), tmp_path / "in" / "a" / "b" / "deep")
    mr(Study(patient="P2"), tmp_path / "packed", 1, **T2)
    with zipfile.ZipFile(tmp_path / "in" / "more.zip", "w") as archive:
        for path in (tmp_path / "packed").iterdir():
            archive.write(path, f"../../{path.name}")
    with tarfile.open(tmp_path / "in" / "again.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "packed", "x")
    shutil.copy(first.files[0], tmp_path / "in" / "copy.dcm")
    (tmp_path / "in" / "notes.txt").write_text("not an image " * 40)
    (tmp_path / "in" / "empty").touch()
    (tmp_path / "in" / "broken.zip").write_bytes(b"PK\x03\x04" + b"\0" * 200)
    before = sorted(path for path in tmp_path.rglob("*"))
    found = found_in(tmp_path / "in")
    assert [len(part.stack.frames) for part in found.parts] == [8, 8]
    assert {part.person.patient_id for part in found.parts} == {"MRN-4711", "P2"}
    assert sorted(found.unused.values()).count("a duplicate") == 9
    assert {name: why for name, why in found.unused.items() if why != "a duplicate"} == {
        "notes.txt": "not DICOM",
        "empty": "not DICOM",
        "broken.zip": "an archive that cannot be unpacked (BadZipFile)",
    }
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_workers_do_not_change_what_is_found(tmp_path):
    for seed in range(10):
        mr(Study(patient=f"P{seed}"), tmp_path / f"{seed}", seed)
    assert found_in(tmp_path, 2) == found_in(tmp_path, 1)


def test_files_of_one_instance_that_differ(tmp_path):
    series = mr(Study(), tmp_path / "in")
    shutil.copy(series.files[3], tmp_path / "in" / "other")
    edit(tmp_path / "in" / "other", PixelData=bytes(24 * 20 * 2))
    found = found_in(tmp_path / "in")
    assert set(found.unused.values()) == {"one of several files of one instance that differ"}
    assert found.parts[0].stack.refused.startswith("1 missing slices: 6.00 mm after plane 3, 3.00 mm elsewhere")


def _moved(one, plane, shift):
    one.ImagePositionPatient = [float(a + b) for a, b in zip(one.ImagePositionPatient, shift(plane), strict=True)]


SKEWED = [1, 0, 0, 0.3, 0.954, 0]
FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
REFUSED = {
    "gantry tilt: planes are shifted by 7.00 mm": lambda one, plane: _moved(one, plane, lambda k: (0, k, 0)),
    "uneven spacing: from 3.00 to 3.70 mm": lambda one, plane: _moved(one, plane, lambda k: (0, 0, 0.7 * (k > 4))),
    "its planes are shifted against each other": lambda one, plane: _moved(one, plane, lambda k: (k == 3, 0, 0)),
    "two volumes in a series: 1 planes lie": lambda one, plane: _moved(one, plane, lambda k: (0, 0, -3.0 * (k > 6))),
    "not a volume: 8 planes lie at one place": lambda one, plane: _moved(one, plane, lambda k: (0, 0, -3.0 * k)),
    "its header does not say where each plane": lambda one, plane: delattr(one, "ImagePositionPatient"),
    "its header gives no pixel spacing": lambda one, plane: delattr(one, "PixelSpacing"),
    "rows and columns are not at right angles": lambda one, plane: setattr(one, "ImageOrientationPatient", SKEWED),
    "not a volume: colour, with 3 samples": lambda one, plane: setattr(one, "SamplesPerPixel", 3),
    "a mosaic of planes": lambda one, plane: setattr(one, "ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]),
    "or than 32767 along one axis": lambda one, plane: setattr(one, "Columns", 40000),
    "larger than": lambda one, plane: (setattr(one, "Rows", 60000), setattr(one, "Columns", 60000)),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_volume_is_refused_by_name(tmp_path, why):
    Series(Study(), head(), orientation=FLAT, tags=T1).write(tmp_path / "in", REFUSED[why])
    (refused,) = refusals(tmp_path / "in")
    assert why in refused


def test_a_file_that_unfolds_is_not_unfolded(tmp_path):
    """Deflated as a whole, a few KiB may be GiB."""
    series = mr(Study(), tmp_path / "in")
    one = pydicom.dcmread(series.files[0])
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    one.save_as(series.files[0])
    assert list(found_in(tmp_path / "in").unused.values()) == ["deflated as a whole; export it uncompressed"]


def test_missing_slices_mixed_orientation_and_two_patients(tmp_path):
    series = mr(Study(), tmp_path / "gap")
    series.files[2].unlink()
    assert refusals(tmp_path / "gap") == ["1 missing slices: 6.00 mm after plane 2, 3.00 mm elsewhere"]
    turned = Series(Study(), head(), orientation=FLAT)
    turned.write(tmp_path / "mixed")
    Series(turned.study, head(1), uid=turned.uid, files=turned.files).write(tmp_path / "mixed")
    found = found_in(tmp_path / "mixed")
    assert [(part.number, part.of, len(part.stack.frames)) for part in found.parts] == [(1, 2, 8), (2, 2, 8)]
    other = Series(Study(), head(), tags=T1).write(tmp_path / "two")
    edit(other.files[0], PatientID="somebody else")
    assert refusals(tmp_path / "two") == ["one series of 2 patients and 1 studies"]


@pytest.mark.parametrize("tag", ["TemporalPositionIdentifier", "AcquisitionNumber", "EchoTime", "TriggerTime"])
def test_two_volumes_of_a_series_are_told_apart(tmp_path, tag):
    series = mr(Study(), tmp_path / "in", **{tag: 9})
    Series(series.study, head(1), tags={**T1, tag: 10}, uid=series.uid, files=series.files).write(tmp_path / "in")
    parts = found_in(tmp_path / "in").parts
    assert [(part.number, part.of, len(part.stack.frames), part.stack.refused) for part in parts] == [
        (1, 2, 8, ""),
        (2, 2, 8, ""),
    ]
    assert len({part.digest for part in parts}) == 2
    assert all(len({frame.uid for frame in part.stack.frames}) == 8 for part in parts)


def test_planes_lie_in_the_order_of_the_normal(tmp_path):
    """Files in any order, instance numbers backwards: the grid is the same."""
    series = Series(Study(), head(), tags=T1)
    series.write(tmp_path / "in", lambda one, plane: setattr(one, "InstanceNumber", 99 - plane))
    stack = found_in(tmp_path / "in").parts[0].stack
    assert [frame.path for frame in stack.frames] == series.files
    index = stack.geometry.index_to_physical([[3, 5, 7]])
    np.testing.assert_allclose(index, [series.mm(3, 5, 7)], atol=1e-9)


SE, GR, IR = ("SE",), ("GR",), ("SE", "IR")
PHYSICS = [
    (Facts(scanning=SE, tr_ms=550, te_ms=12), "T1WI", ""),
    (Facts(scanning=SE, tr_ms=4500, te_ms=95), "T2WI", ""),
    (Facts(scanning=SE, tr_ms=3000, te_ms=25), "PDWI", ""),
    (Facts(scanning=IR, tr_ms=9000, te_ms=120, ti_ms=2500), "FLAIR", ""),
    (Facts(scanning=IR, tr_ms=4000, te_ms=60, ti_ms=150), "STIR", ""),
    (Facts(scanning=IR, tr_ms=2000, te_ms=12, ti_ms=860), "T1WI", ""),
    (Facts(scanning=("GR", "IR"), tr_ms=2300, te_ms=2.9, ti_ms=900, dimensions="3D"), "T1WI", ""),
    (Facts(scanning=GR, variant=("SK", "SP"), tr_ms=4.2, te_ms=1.9, flip_deg=10, dimensions="3D"), "T1WI", ""),
    (Facts(scanning=GR, tr_ms=600, te_ms=20, flip_deg=20), "T2STAR", ""),
    (Facts(scanning=GR, variant=("SS",), tr_ms=4, te_ms=2, flip_deg=60), "", ""),
    (Facts(description="AX T1 GD"), "T1WI", "only its description says so"),
    (Facts(description="Ax T2 FLAIR"), "FLAIR", "only its description says so"),
    (Facts(description="t1", scanning=SE, tr_ms=4500, te_ms=95), "T2WI", "its description sounds like T1WI"),
    (Facts(description="STIR", scanning=SE, tr_ms=4500, te_ms=60), "T2WI", ""),
    (Facts(image_type=("ORIGINAL", "PRIMARY", "T1", "NONE"), tr_ms=6.8, te_ms=3.1), "T1WI", ""),
    (Facts(description="whatever"), "", ""),
]


@pytest.mark.parametrize(("facts", "role", "doubt"), PHYSICS)
def test_contrast_by_physics(facts, role, doubt):
    found = weighting_of(facts)
    assert (found.role, found.doubt) == (role, doubt) and found.why


@pytest.mark.parametrize(
    ("facts", "suppressed"),
    [
        (Facts(options=("PFP", "FS")), True),
        (Facts(options=("SAT1",)), False),  # a saturation band in space
        (Facts(description="AX T2 FAT SAT"), True),
        (Facts(scanning=IR, ti_ms=160, te_ms=40), True),
        (Facts(description="AX T2"), False),
    ],
)
def test_fat_suppression(facts, suppressed):
    assert is_fat_suppressed(facts) is suppressed


def test_contrast_agent_by_its_time_and_by_words(tmp_path):
    study = Study()
    agent = {"ContrastBolusAgent": "Gadobutrol", "ContrastBolusStartTime": "103000"}
    for number, (name, tags) in enumerate(
        {
            "t1 a": {**agent, "AcquisitionTime": "102000"},
            "t1 b": {**agent, "AcquisitionTime": "103130"},
            "t2": {**T2, **agent, "AcquisitionTime": "104000"},
        }.items()
    ):
        mr(study, tmp_path / f"{number}", number, **{**tags, "SeriesDescription": name, "SeriesNumber": number + 1})
    found = proposed(tmp_path)
    assert {name: one.role for name, one in found.items()} == {"t1 a": "T1WI", "t1 b": "CE-T1WI", "t2": "T2WI"}
    assert found["t1 b"].why.endswith("acquired 90 s after the agent") and not found["t1 b"].ambiguous
    assert found["t1 a"].why.endswith("acquired 600 s before the agent")


@pytest.mark.parametrize(
    ("name", "agent", "role", "doubt"),
    [
        ("T1 post", "", "CE-T1WI", "its header names none"),
        ("T1", "NONE", "T1WI", ""),
        ("T1 pre", "Gadovist", "T1WI", "its header names a contrast agent"),
        ("T1 fs", "Gadovist", "CE-T1WI", "some scanners keep the agent"),
        ("T1 posterior fossa", "", "T1WI", ""),
        ("T1+C", "Gd", "CE-T1WI", ""),
    ],
)
def test_contrast_agent_in_doubt(tmp_path, name, agent, role, doubt):
    mr(Study(), tmp_path / "in", SeriesDescription=name, ContrastBolusAgent=agent)
    found = proposed(tmp_path / "in")[name]
    assert found.role == role and (doubt in found.ambiguous if doubt else not found.ambiguous)


def test_one_series_a_role_and_repeated_timing(tmp_path):
    study = Study()
    mr(study, tmp_path / "a", 1, **T2, SeriesNumber=2)
    Series(study, head(2), orientation=(0, 1, 0, 0, 0, -1), tags={**T2, "SeriesDescription": "SAG T2"}).write(
        tmp_path / "b"
    )
    mr(study, tmp_path / "c", 3, SeriesNumber=4, AcquisitionTime="101000")
    mr(study, tmp_path / "d", 4, SeriesNumber=5, AcquisitionTime="110000", SeriesDescription="AX T1 again")
    found = proposed(tmp_path)
    assert (found["AX T2"].role, found["SAG T2"].role) == ("T2WI", "")
    assert all("2 series of this case could be T2WI" in found[name].ambiguous for name in ("AX T2", "SAG T2"))
    assert "it may be after contrast agent" in found["AX T1 again"].ambiguous


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localiser"),
        ({"SeriesDescription": "3-plane loc"}, "a localiser"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "a derived map (image type ADC)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "M"], "SeriesDescription": "t1 sub"}, "a derived map by its image"),
        ({"SequenceName": "*ep_b50", "ScanningSequence": "EP"}, "diffusion"),
        ({"ScanningSequence": "EP"}, "echo planar or perfusion"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "a phase, real or imaginary image"),
        ({"SeriesDescription": "TOF 3D"}, "angiography"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "reformatted from another series"),
        ({"Modality": "OT"}, "modality OT"),
    ],
)
def test_what_is_left_out(tmp_path, tags, why):
    mr(Study(), tmp_path / "in", **tags)
    (found,) = proposed(tmp_path / "in").values()
    assert found.role == "" and found.why.startswith(why)


@pytest.mark.long
def test_real_studies(shared_data):
    """STS_001 without TR and TE, the prostate in two planes with a missing slice, what a known converter refuses."""
    found = found_in(shared_data / "dicom")
    cases = {part.study: part.person.patient_id for part in found.parts}
    rows = {
        part.facts.description: (proposal.role, part.stack.refused)
        for part, proposal in zip(found.parts, propose(found.parts, cases), strict=True)
        if part.facts.description
    }
    assert rows["AXIAL SE T1 - RESEARCH"] == ("T1WI", "") and rows["AXIAL SE T2 FAT SAT - RESEARCH"] == ("T2WI", "")
    assert rows["t2_tse_tra"] == ("T2WI", "") and rows["t2_tse_sag"] == ("", "")
    missing = "1 missing slices: 6.00 mm after plane 13, 3.00 mm elsewhere"
    assert rows["ep2d_diff_tra_DYNDISTCALC_BVAL"] == ("", missing)
    assert rows["Sagittal-IR_3DFGRE: PE1"] == ("", "")
    failing = {part.series[-6:]: part.stack.refused for part in found.parts if part.stack.refused}
    assert failing["759294"].startswith("not a volume: 4 planes lie at one place")
    assert failing["197937"] == "1 missing slices: 10.00 mm after plane 3, 5.00 mm elsewhere"
    turned = [(part.number, part.of) for part in found.parts if part.series.endswith("571744")]
    assert turned == [(1, 2), (2, 2)]  # mixed orientation: two stacks
