"""Each way to break a sound dataset is reported as exactly that problem, with its case and its repair."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import edit_json
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.planning.check import CheckReport, check_dataset
from autodls.planning.fingerprint import extract_fingerprint
from autodls.records.cohort import read_cohort

Make = Callable[..., Path]
Edit = Callable[..., None]
Break = Callable[[Path, Edit], object]
CASE = "case_01"


def image(folder: Path, channel: int = 0, case: str = CASE) -> Path:
    """The file of one sequence."""
    return folder / "imagesTr" / f"{case}_{channel:04d}.nii.gz"


def roi(folder: Path, case: str = CASE) -> Path:
    """The file of the ROI."""
    return folder / "labelsTr" / f"{case}.nii.gz"


def rewrite(path: Path, change: Callable[[NDArray[np.float32]], object]) -> None:
    """Change the voxels of an image in place."""
    found = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(found)
    change(array)
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(found)
    sitk.WriteImage(changed, str(path))


def remove(*paths: Path) -> None:
    """Delete files."""
    for path in paths:
        path.unlink()


def shift(path: Path, by_mm: float, size: int | None = None) -> None:
    """Move an image along x, and crop it along x to `size` voxels."""
    found = sitk.ReadImage(str(path))
    x, y, z = found.GetOrigin()
    found.SetOrigin((x + by_mm, y, z))
    sitk.WriteImage(found[:size], str(path))


def turn(path: Path, degrees: float) -> None:
    """Turn the axes of an image about z, and leave its first voxel."""
    found = sitk.ReadImage(str(path))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    found.SetDirection((cosine, -sine, 0, sine, cosine, 0, 0, 0, 1))
    sitk.WriteImage(found, str(path))


def reorient(path: Path, axes: str) -> None:
    """Store the same voxels along other axes, as DICOM tools and FSL do."""
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), axes), str(path))


def margins(path: Path, voxels: int) -> None:
    """Add a border of so many voxels, or cut it off."""
    found, width = sitk.ReadImage(str(path)), [abs(voxels)] * 3
    sitk.WriteImage(sitk.ConstantPad(found, width, width) if voxels > 0 else sitk.Crop(found, width, width), str(path))


def scale(path: Path, value: float = 0.9999998) -> None:
    """Store the same labels as a header's slope makes them of integers: `value` for 1."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:120] = np.array([value, 0], dtype="<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(gzip.compress(bytes(content)))


def shear(path: Path) -> None:
    """Give a NIfTI header axes that are not at right angles."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[252:256] = np.array([0, 1], dtype="<i2").tobytes()  # qform_code, sform_code
    content[280:328] = np.array([[2, 1.2, 0, 0], [0, 2, 0, 0], [0, 0, 5, 0]], dtype="<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))


def add_row(folder: Path, row: str) -> None:
    """Append a line to the table."""
    with (folder / "clinical.csv").open("a", encoding="utf-8") as handle:
        handle.write(row + "\n")


def rename_case(folder: Path, edit: Edit, new: str) -> None:
    """Rename a case in its table and in its files."""
    edit(folder, CASE, case=new)
    for path in [*folder.glob(f"imagesTr/{CASE}_*"), roi(folder)]:
        path.rename(path.with_name(path.name.replace(CASE, new)))


def uncompressed_beside(folder: Path) -> None:
    """Put x.nii beside x.nii.gz."""
    sitk.WriteImage(sitk.ReadImage(str(image(folder))) * 2, str(image(folder)).removesuffix(".gz"))


BREAKS: dict[str, tuple[Break, str, str, str, str]] = {
    # name: how to break it, case, severity, words of the problem, words of its repair
    "unreadable image": (lambda d, _: image(d).write_bytes(b"no"), CASE, "error", "imagesTr/case_01_0000", "anew"),
    "truncated image": (
        lambda d, _: image(d).write_bytes(image(d).read_bytes()[:-2000]), CASE, "error", "damaged", "anew",
    ),
    "no image": (
        lambda d, _: remove(image(d), image(d, 1)), CASE, "error", "it has no image", "remove its row",
    ),
    "constant": (lambda d, _: rewrite(image(d), lambda a: a.fill(7)), CASE, "error", "of CE-T1WI is 7", "export"),
    "sheared": (lambda d, _: shear(image(d)), CASE, "error", "not at right angles", "orthogonal grid"),
    "twin": (lambda d, _: uncompressed_beside(d), CASE, "error", "lies beside case_01_0000.nii", "remove one"),
    "copied sequence": (
        lambda d, _: shutil.copyfile(image(d), image(d, 1)), CASE, "error", "T2WI is a copy of CE-T1WI", "remove",
    ),
    "copied case": (
        lambda d, _: shutil.copyfile(image(d, 1), image(d, 1, "case_05")),
        "case_05", "error", "its T2WI has the same voxels as an image of case case_01", "remove one of the two",
    ),
    "no roi": (lambda d, _: roi(d).unlink(), CASE, "error", "it has no ROI", "labelsTr/case_01"),
    "no held-out roi": (lambda d, _: roi(d, "case_05").unlink(), "case_05", "warning", "it has no ROI", "draw"),
    "empty roi": (lambda d, _: rewrite(roi(d), lambda a: a.fill(0)), CASE, "error", "the ROI is empty", "draw"),
    "unknown label": (
        lambda d, _: rewrite(roi(d), lambda a: a.put(5, 9)), CASE, "error", "label 9 is not in", "'labels'",
    ),
    "roi on another grid": (lambda d, _: shift(roi(d), 3.0, 26), CASE, "error", "another grid (26 x", "nearest"),
    "roi turned": (lambda d, _: turn(roi(d), 8.0), CASE, "error", "axes 0.99 0.139 0", "copy its direction: they"),
    "roi of a moved origin": (lambda d, _: shift(roi(d), 4.0), CASE, "error", "another grid (28 x", "copy its origin"),
    "roi flipped": (lambda d, _: reorient(roi(d), "RAS"), CASE, "warning", "resampling: axes flipped", "look at it"),
    "roi exchanged": (lambda d, _: reorient(roi(d), "SLA"), CASE, "warning", "resampling: axes exch", "look at it"),
    "roi cropped": (lambda d, _: margins(roi(d), -2), CASE, "warning", "resampling: empty margins added", "look at it"),
    "roi padded": (lambda d, _: margins(roi(d), 3), CASE, "warning", "resampling: empty margins cut", "look at it"),
    "roi of a slope": (lambda d, _: scale(roi(d)), CASE, "warning", "rounded to whole numbers (its", "look at it"),
    "soft roi of a slope": (
        lambda d, _: scale(roi(d), 0.7), CASE, "error", "found 0.7 (its header scales what is stored: 0.7", "threshold",
    ),
    "roi outside": (lambda d, _: shift(roi(d), 300.0), CASE, "error", "outside its image, which shows 0%", "origin"),
    "sequence elsewhere": (lambda d, _: shift(image(d, 1), 300.0), CASE, "warning", "T2WI shows 0%", "exported"),
    "blank over the tumour": (
        lambda d, _: rewrite(image(d, 1), lambda a: a[1:-1, 6:-6, 6:-6].fill(0)),
        CASE, "warning", "T2WI has no signal in 100% of the tumour", "or remove its file",
    ),
    "no label": (lambda d, e: e(d, CASE, cps=""), CASE, "warning", "no label: column 'cps'", "fill it in"),
    "label is no number": (lambda d, e: e(d, CASE, cps="high"), CASE, "error", "'high', to which '>= 20'", "number"),
    "held-out label": (lambda d, e: e(d, "case_05", cps="5 %"), "case_05", "error", "holds '5 %'", "number"),
    "patient on both sides": (
        lambda d, e: e(d, "case_05", patient_id="patient_01"),
        CASE, "error", "its patient 'patient_01' is also in cohort 'external' (case case_05)", "in one cohort",
    ),
    "patient unknown": (lambda d, e: e(d, CASE, patient_id="NA"), CASE, "warning", "'patient_id' holds 'NA'", "lest"),
    "cohort unknown": (lambda d, e: e(d, CASE, cohort=""), CASE, "error", "cohort is not known", "write its cohort"),
    "cohort unsafe": (
        lambda d, e: e(d, "case_05", cohort="a/b"), "case_05", "error", "'a/b'", "rename",
    ),
    "duplicate id": (
        lambda d, _: add_row(d, "case_01,patient_01,A,train,5,1,1,60"), CASE, "error", "2 rows", "one row",
    ),
    "ids differ by case": (lambda d, e: rename_case(d, e, "CASE_02"), "CASE_02", "error", "differs from", "rename"),
    "unsafe id": (lambda d, e: rename_case(d, e, "case 01"), "case 01", "error", "its id holds ' '", "letters"),
    "no id": (
        lambda d, _: add_row(d, ",patient_09,A,train,5,1,1,60"), "row 8", "error", "no case id", "letters",
    ),
    "negative time": (lambda d, e: e(d, CASE, pfs_months="-1"), CASE, "error", "'-1', which is no time", "not neg"),
    "landmark beyond follow-up": (
        lambda d, _: edit_json(d / "dataset.json", autodls__survival__landmark=900),
        "", "warning", "survival.landmark is 900, the longest follow-up", "correct one of them",
    ),
    "event": (lambda d, e: e(d, CASE, pfs_event="2"), CASE, "error", "column 'pfs_event' holds '2'", "write 1"),
    "time without event": (lambda d, e: e(d, CASE, pfs_event=""), CASE, "warning", "'pfs_event' is empty", "both"),
    "unknown channel": (
        lambda d, _: shutil.copyfile(image(d), image(d, 7)), CASE, "warning", "channel 7 is not in channel", "add",
    ),
    "file of no case": (
        lambda d, _: shutil.copyfile(image(d), image(d, 0, "x")), "", "warning", "no case 'x'", "add its row",
    ),
    "sequence of nobody": (
        lambda d, _: remove(*d.glob("imagesTr/*_0001.nii.gz")),
        "", "error", "no training case has sequence 'T2WI'", "channel_names",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_exactly_this_problem(make_dataset: Make, edit_table: Edit, tmp_path: Path, name: str) -> None:
    break_it, case, severity, what, repair = BREAKS[name]
    folder = make_dataset(tmp_path)
    break_it(folder, edit_table)
    problems = check_dataset(folder).problems
    assert [(problem.case, problem.severity) for problem in problems] == [(case, severity)], problems
    assert what in problems[0].what
    assert repair in problems[0].repair
    assert "\n" not in str(problems[0])
    assert str(folder) not in str(problems[0])


def test_sound_dataset(make_dataset: Make, tmp_path: Path) -> None:
    done: list[str] = []
    report = check_dataset(
        make_dataset(tmp_path, missing=(("case_01", "T2WI"), ("case_05", "CE-T1WI"))), 1, done.append
    )
    assert report.problems == ()
    assert report.cases_by_cohort == {"train": 4, "external": 2}
    assert report.missing_sequences == {"CE-T1WI": 1, "T2WI": 1}
    assert report.cohorts["train"].missing == {"CE-T1WI": 0, "T2WI": 1}
    assert (report.cohorts["train"].positives, report.cohorts["train"].negatives) == (2, 2)
    assert done == [f"case_0{number}" for number in range(6)]


def test_every_problem_at_once_whatever_the_workers(make_dataset: Make, edit_table: Edit, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path)
    rewrite(roi(folder, "case_00"), lambda array: array.fill(0))
    image(folder, 1, "case_02").write_bytes(b"")
    shutil.copyfile(image(folder, 0, "case_03"), image(folder, 1, "case_03"))
    edit_table(folder, "case_04", pfs_months="soon")
    done: list[str] = []
    reports = [check_dataset(folder, 1), check_dataset(folder, 2, done.append)]
    assert [problem.case for problem in reports[0].errors] == ["case_00", "case_02", "case_03", "case_04"]
    assert reports[0] == reports[1]
    assert reports[0].warnings == ()
    assert sorted(done) == [f"case_0{number}" for number in range(6)]


def test_roi_on_another_channel(make_dataset: Make, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path)
    second = folder / "labelsTr" / "case_00_0001.nii.gz"
    drawn = sitk.ReadImage(str(image(folder, 1, "case_00"))) > 1200
    sitk.WriteImage(drawn, str(second))
    (told,) = check_dataset(folder).problems
    assert not told.is_error and "labelsTr/case_00_0001.nii.gz is checked, but neither trained on" in told.what
    assert "same points in space" in told.repair
    shutil.copyfile(roi(folder, "case_00"), second)
    assert [problem.what.split(":")[0] for problem in check_dataset(folder).errors] == ["labelsTr/case_00_0001.nii.gz"]


def test_pet_that_is_no_suv_and_percentiles_that_cut_are_told_once(make_dataset: Make, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, sequences=("CE-T1WI", "PET"))
    drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(roi(folder, "case_02")))) > 0
    few = drawn & (np.cumsum(drawn).reshape(drawn.shape) < 0.4 * drawn.sum())
    rewrite(image(folder, 0, "case_02"), lambda array: array.__setitem__(few, np.arange(few.sum()) % 50))
    pet, clip = check_dataset(folder).problems
    assert (clip.case, clip.severity, pet.case, pet.severity) == ("", "warning", "", "warning")
    assert "PET is no SUV in 6 of 6 cases: a median of 1" in pet.what
    assert "lies below the 0.5th percentile of CE-T1WI's foreground in 1 of 6 cases: 39%" in clip.what
    assert clip.what.endswith("in case case_02")


def convert(folder: Path, ending: str) -> None:
    """Convert every file of a dataset to another format."""
    for path in [*folder.glob("imagesTr/*"), *folder.glob("labelsTr/*")]:
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path).replace(".nii.gz", ending))
        path.unlink()
    description = json.loads((folder / "dataset.json").read_text()) | {"file_ending": ending}
    (folder / "dataset.json").write_text(json.dumps(description))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_not_finite(make_dataset: Make, tmp_path: Path, ending: str, value: float) -> None:
    folder = make_dataset(tmp_path)
    if ending != ".nii.gz":
        convert(folder, ending)
    rewrite(folder / "imagesTr" / f"{CASE}_0000{ending}", lambda array: array.put(5, value))
    problems = check_dataset(folder).problems
    assert [(problem.case, problem.severity) for problem in problems] == [(CASE, "error")]
    assert "not finite" in problems[0].what


def test_nrrd_with_sheared_axes(make_dataset: Make, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path)
    convert(folder, ".nrrd")
    assert check_dataset(folder).problems == ()
    sheared = folder / "imagesTr" / "case_05_0001.nrrd"
    header, _, voxels = sheared.read_bytes().partition(b"\n\n")
    skewed = b"space directions: (1,0,0) (0.5,1,0) (0,0,5)"
    lines = [skewed if b"directions" in line else line for line in header.split(b"\n")]
    sheared.write_bytes(b"\n".join(lines) + b"\n\n" + voxels)
    assert "right angles" in check_dataset(folder).errors[0].what


def second_finding(folder: Path, edit: Edit, patient: str = "patient_01", *, moved: bool = True, **cells: str) -> None:
    """`case_03` gets the images of `case_01` and its ROI, which is `moved` by a voxel."""
    for path in folder.glob(f"*Tr/{CASE}*"):
        shutil.copyfile(path, str(path).replace(CASE, "case_03"))
    if moved:
        rewrite(roi(folder, "case_03"), lambda array: array.put(range(array.size), np.roll(array, 1)))
    edit(folder, "case_03", patient_id=patient, **cells)


def told_by_plan(folder: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings of `plan`, as far as it gets."""
    told: list[str] = []
    try:
        extract_fingerprint(read_cohort(folder), warn=told.append)
    except DatasetError as failure:
        return [str(failure)], told
    return [], told


def test_two_findings_of_a_patient_on_the_same_images(make_dataset: Make, edit_table: Edit, tmp_path: Path) -> None:
    """As Finding1 and Finding2 of rcuocolo/PROSTATEx_masks#7: check and plan take them, and tell."""
    folder = make_dataset(tmp_path)
    second_finding(folder, edit_table)
    (problem,) = check_dataset(folder).problems
    assert (problem.case, problem.severity) == ("case_03", "warning")
    assert problem.what.startswith("its CE-T1WI, T2WI has the same voxels as an image of case case_01, of the same pat")
    assert told_by_plan(folder) == ([], [str(problem)])


@pytest.mark.parametrize(
    ("patient", "moved", "said"),
    [
        ("patient_03", True, "has the same voxels as an image of case case_01, of another patient; remove one of the"),
        ("patient_03", False, "has the same voxels as an image of case case_01, of another patient"),
        ("patient_01", False, "it is case case_01 again: the same images and the same ROI; remove one row"),
    ],
)
def test_a_case_that_stands_twice_is_refused_by_check_and_plan(
    make_dataset: Make, edit_table: Edit, tmp_path: Path, patient: str, moved: bool, said: str
) -> None:
    folder = make_dataset(tmp_path)
    second_finding(folder, edit_table, patient, moved=moved)
    again = sitk.ReadImage(str(image(folder, 0, "case_03")))
    sitk.WriteImage(again, str(image(folder, 0, "case_03")), useCompression=False)  # other bytes, the same voxels
    errors = check_dataset(folder).errors
    assert [problem.case for problem in errors] == ["case_03"]
    assert said in str(errors[0])
    assert told_by_plan(folder) == ([str(errors[0])], [])


@pytest.mark.parametrize("name", [name for name, (_, _, severity, *_) in BREAKS.items() if severity == "error"])
def test_plan_refuses_what_check_calls_an_error(
    make_dataset: Make, edit_table: Edit, tmp_path: Path, name: str
) -> None:
    """In the same words, but for a held-out row, in which plan does not look."""
    break_it, case, _, what, _ = BREAKS[name]
    folder = make_dataset(tmp_path)
    break_it(folder, edit_table)
    errors, _ = told_by_plan(folder)
    said = what.removeprefix("it has ")
    assert ([said in error for error in errors] == [True]) != (case == "case_05"), errors


def test_plan_refuses_a_faulty_roi_on_another_channel_too(make_dataset: Make, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path)
    shutil.copyfile(roi(folder), folder / "labelsTr" / "case_01_0001.nii.gz")
    (problem,) = check_dataset(folder).errors
    (told,) = told_by_plan(folder)[0]
    assert problem.what.split(": ", 1)[1] in told and "case_01_0001.nii.gz" in told


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        check_dataset(tmp_path)


def test_real_gliomas(shared_data: Path) -> None:
    report: CheckReport = check_dataset(shared_data / "lgg_ht")
    assert report.problems == ()
    assert report.missing_sequences == {"T1WI": 4, "FLAIR": 0, "CE-T1WI": 4}
    assert (report.cohorts["train"].positives, report.cohorts["train"].negatives) == (27, 7)


def test_real_sarcomas(sts8_dataset: Path) -> None:
    report = check_dataset(sts8_dataset)
    assert report.problems == (), "their PET is in SUV, and no percentile cuts through their T1WI"
    assert report.cases_by_cohort == {"train": 8}
