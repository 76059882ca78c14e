"""`import`: the table of series, conversion by it alone, and what happens to what a person or a kill has left."""

import csv
import json
import os
import shutil
import signal
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from command_line import autodls
from tiny_dicom import T1, T2, Series, Study, head, mr, rtstruct

import autodls as package
from autodls.dicom import conversion, series
from autodls.dicom.dataset_files import LabelSource
from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.volumes import read_geometry, read_volume
from autodls.stages import import_dicom as stage
from autodls.stages.import_dicom import import_dicom

PATIENTS = 4


def square(series, plane, low=5, high=13):
    return np.array([series.mm(*place, plane) for place in ((low, low), (high, low), (high, high), (low, high))])


def write_study(folder, study, seed=0):
    """T1 and T2 with an ROI on T1, a localiser and a report in words."""
    t1 = mr(study, folder / "x1", seed, SeriesNumber=2)
    Series(study, head(seed + 100), tags={**T2, "SeriesNumber": 3}).write(folder / "x2")
    mr(study, folder / "x3", seed + 200, SeriesNumber=1, SeriesDescription="localizer")
    (folder / "notes.txt").write_text("a text of somebody " * 20)
    rtstruct(t1, folder / "rt", {"GTV": [square(t1, plane) for plane in (2, 3, 4)], "Body": [square(t1, 3, 1, 18)]})
    return t1


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Four patients, and a table with their ids."""
    folder = tmp_path_factory.mktemp("dicom") / "PACS"
    rows = []
    for number in range(PATIENTS):
        study = Study(patient=f"MRN{number}7", name=f"Doe{number}^Jane")
        write_study(folder / f"p{number}", study, number)
        rows.append((study.patient, study.name, 10 * number, 50 + number))
    with (folder.parent / "labels.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("mrn", "name", "cps", "age"), *rows])
    return folder


@pytest.fixture(scope="module")
def first_step(archive, tmp_path_factory):
    place = tmp_path_factory.mktemp("listed")
    import_dicom(archive, place / "DS")
    return place


@pytest.fixture
def listed(first_step, tmp_path):
    """The dataset of which the first step is done, and its table."""
    shutil.copytree(first_step, tmp_path, dirs_exist_ok=True)
    return tmp_path / "DS", tmp_path / "DS-confidential" / "series.csv"


@pytest.fixture(scope="module")
def both_steps(archive, first_step, tmp_path_factory):
    place = tmp_path_factory.mktemp("whole") / "of"
    shutil.copytree(first_step, place)
    import_dicom(archive, place / "DS")
    return place


@pytest.fixture
def whole(both_steps, tmp_path):
    """The dataset of which both steps are done."""
    shutil.copytree(both_steps, tmp_path, dirs_exist_ok=True)
    return tmp_path / "DS"


@pytest.fixture
def labels(archive):
    return LabelSource(archive.parent / "labels.csv", "mrn", "cps", ">= 20", ("age",))


def rows_of(table):
    with table.open(newline="") as handle:
        return list(csv.DictReader(handle))


def rewrite(table, rows):
    with table.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def edit_rows(table, change):
    rows = rows_of(table)
    for row in rows:
        change(row)
    rewrite(table, [row for row in rows if row.get("row")])


def bytes_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def converted(dicom, dataset, **options):
    """Both steps."""
    import_dicom(dicom, dataset)
    return import_dicom(dicom, dataset, **options)


def test_from_archive_to_a_dataset_that_check_accepts(archive, labels, tmp_path):
    words = ["import", archive, "-o", tmp_path / "DS", "--workers", "1"]
    first = autodls(*words)
    assert first.status == 0 and "then give the same command again" in first.out.replace("\n", " ")
    assert not (tmp_path / "DS").exists()
    table = tmp_path / "DS-confidential" / "series.csv"
    assert [row["role"] for row in rows_of(table)] == ["", "T1WI", "T2WI"] * PATIENTS + ["ROI", ""] * PATIENTS
    given = ["--labels", labels.table, "--label-id", "mrn", "--target", "cps", "--positive", ">= 20", "--keep", "age"]
    second = autodls(*words, *given)
    assert second.status == 0, second.err
    assert f"{PATIENTS} cases, {2 * PATIENTS} images and {PATIENTS} ROIs" in second.out
    checked = autodls("check", "-d", tmp_path / "DS", "--workers", "1", "--json")
    assert checked.status == 0, checked.out
    report = package.Study(tmp_path / "DS").check()
    assert not report.errors and report.cohorts["train"].positives == 2
    assert (tmp_path / "DS-confidential").stat().st_mode & 0o077 == 0


def test_values_and_places_are_those_of_the_files(whole, tmp_path):
    ids = rows_of(tmp_path / "DS-confidential" / "ids.csv")
    case = next(row["case"] for row in ids if row["patient_id"] == "MRN07")
    volume = read_volume(tmp_path / "DS" / "imagesTr" / f"{case}_0000.nii.gz")
    np.testing.assert_array_equal(volume.array, head(0))
    written = Series(Study(), head(0))
    np.testing.assert_allclose(volume.geometry.index_to_physical([[7, 9, 5]]), [written.mm(7, 9, 5)], atol=1e-3)
    roi = read_volume(tmp_path / "DS" / "labelsTr" / f"{case}.nii.gz")
    assert roi.geometry.same_grid(volume.geometry, 1e-3)
    assert int(roi.array.sum()) == 3 * 8 * 8 and {2, 3, 4} == set(np.nonzero(roi.array)[0].tolist())


def test_without_labels_the_dataset_says_what_it_lacks(archive, tmp_path):
    done = converted(archive, tmp_path / "DS")
    assert [line.partition(":")[0] for line in done.missing] == ["labels"]
    assert (tmp_path / "DS" / "clinical.csv").read_text().splitlines()[1] == "P0001,P0001,"
    with pytest.raises(DatasetError, match="no case of cohort 'train' has a label"):
        _ = package.Study(tmp_path / "DS").cohort


def test_study_has_a_method_for_it(archive, tmp_path):
    study = package.Study(tmp_path / "DS")
    assert study.import_dicom(archive).step == "listed"
    assert study.import_dicom(archive).step == "converted"


def test_the_same_bytes_twice_whatever_the_number_of_workers(archive, labels, tmp_path):
    for name, workers in (("a", 1), ("b", 2)):
        import_dicom(archive, tmp_path / name / "DS", workers=workers)
        import_dicom(archive, tmp_path / name / "DS", labels=labels, workers=workers)
    one, other = bytes_below(tmp_path / "a"), bytes_below(tmp_path / "b")
    log = "DS-confidential/written.jsonl"
    assert sorted(one.pop(log).splitlines()) == sorted(other.pop(log).splitlines())
    assert one == other and len(one) > 3 * PATIENTS


def test_what_is_done_is_not_done_again(archive, whole, tmp_path, monkeypatch):
    before = bytes_below(tmp_path)

    def never(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(conversion, "write_volume", never)
    assert import_dicom(archive, whole).images == 2 * PATIENTS
    assert bytes_below(tmp_path) == before


def _in_a_child_that_dies(work, at):
    """Run `work` in a fork that is killed as it comes to its write number `at`; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = [at]

        def counted(plain):
            def step(*args):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return plain(*args)

            return step

        os.fsync, os.open, os.write = counted(os.fsync), counted(os.open), counted(os.write)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_anywhere_it_goes_on(archive, tmp_path):
    """At every opening, write and flush of the second step: then the same command gives the same bytes."""
    shutil.copytree(archive / "p0", tmp_path / "in")
    import_dicom(tmp_path / "in", tmp_path / "whole" / "DS")
    shutil.copytree(tmp_path / "whole", tmp_path / "start")
    import_dicom(tmp_path / "in", tmp_path / "whole" / "DS")
    expected = {name: content for name, content in bytes_below(tmp_path / "whole").items() if "jsonl" not in name}
    deaths = 0
    for at in range(0, 200, 4):
        place = tmp_path / f"at{at}"
        shutil.copytree(tmp_path / "start", place)
        died = _in_a_child_that_dies(lambda place=place: import_dicom(tmp_path / "in", place / "DS"), at)
        if not died:
            break
        deaths += 1
        import_dicom(tmp_path / "in", place / "DS")
        found = {name: content for name, content in bytes_below(place).items() if "jsonl" not in name}
        assert found == expected, at
        shutil.rmtree(place)
    assert deaths > 6


def test_the_first_step_killed_leaves_no_table(archive, tmp_path, monkeypatch):
    def full(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_text", full)
    with pytest.raises(KeyboardInterrupt):
        import_dicom(archive, tmp_path / "DS")
    monkeypatch.undo()
    assert import_dicom(archive, tmp_path / "DS").step == "listed"


def test_roles_and_cases_are_those_of_the_table(archive, whole, tmp_path):
    """Another name, another case id, a row taken out, a role taken away: the files follow, and leave with it."""
    table = tmp_path / "DS-confidential" / "series.csv"

    def change(row):
        row["case"] = row["case"].replace("P", "Site-")
        row["role"] = {"T2WI": "T2-axial", "T1WI": "T1WI"}.get(row["role"], row["role"])
        if row["case"] == "Site-0002":
            row["row"] = ""

    edit_rows(table, change)
    done = import_dicom(archive, whole)
    assert done.cases == PATIENTS - 1
    description = json.loads((tmp_path / "DS" / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "T1WI", "1": "T2-axial"}
    names = {path.name for path in (tmp_path / "DS" / "imagesTr").iterdir()}
    assert len(names) == 2 * (PATIENTS - 1) and all(name.startswith("Site-") for name in names)
    ids = rows_of(tmp_path / "DS-confidential" / "ids.csv")
    assert {row["case"] for row in ids if row["patient"] != "P0002"} == {name[:9] for name in names}


def test_what_a_person_has_changed_stays(archive, whole, tmp_path):
    clinical = tmp_path / "DS" / "clinical.csv"
    clinical.write_text(clinical.read_text().replace("P0001,P0001,", "P0001,P0001,1"))
    done = import_dicom(archive, tmp_path / "DS")
    assert "P0001,P0001,1" in clinical.read_text() and "clinical.csv was edited and stays" in done.notes[0]
    image = tmp_path / "DS" / "imagesTr" / "P0001_0000.nii.gz"
    image.write_bytes(b"drawn by hand")
    with pytest.raises(ArgumentError, match=r"P0001_0000.nii.gz: is not as the import made it"):
        import_dicom(archive, tmp_path / "DS")
    assert image.read_bytes() == b"drawn by hand"
    other = tmp_path / "OTHER"
    (other / "imagesTr").mkdir(parents=True)
    (other / "imagesTr" / "P0001_0000.nii.gz").write_bytes(b"of somebody")
    with pytest.raises(ArgumentError, match=r"which no import with .* has made"):
        import_dicom(archive, other)


@pytest.mark.parametrize(
    "name", ["dataset.json", "clinical.xlsx", "imagesTr/PH1_0000.nii.gz", "labelsTr/P0001.nii.gz", "provenance.json"]
)
def test_a_folder_that_holds_somebody_elses_files(archive, first_step, tmp_path, name):
    """Refused before anything is read, at either step, and left as it was."""
    for dataset in (tmp_path / "new", tmp_path / "DS"):
        (dataset / name).parent.mkdir(parents=True)
        (dataset / name).write_text("mine")
    shutil.copytree(first_step / "DS-confidential", tmp_path / "DS-confidential")
    before = bytes_below(tmp_path)
    for dataset in (tmp_path / "new", tmp_path / "DS"):
        with pytest.raises(ArgumentError, match=f"holds {name}, which no import with"):
            import_dicom(archive, dataset)
    assert bytes_below(tmp_path) == before


def test_a_link_in_the_place_of_a_folder(archive, listed, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    listed[0].mkdir()
    (listed[0] / "imagesTr").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArgumentError, match="imagesTr: is no folder of ours"):
        import_dicom(archive, listed[0])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_restart_makes_the_table_anew_and_keeps_numbers(archive, tmp_path):
    shutil.copytree(archive / "p3", tmp_path / "in" / "p3")
    import_dicom(tmp_path / "in", tmp_path / "DS")
    shutil.copytree(archive / "p0", tmp_path / "in" / "p0")
    for number in (1, 2):
        shutil.copytree(archive / f"p{number}", tmp_path / "in" / f"p{number}")
    assert import_dicom(tmp_path / "in", tmp_path / "DS", restart=True).patients == PATIENTS
    ids = rows_of(tmp_path / "DS-confidential" / "ids.csv")
    assert next(row["patient"] for row in ids if row["patient_id"] == "MRN37") == "P0001"
    assert (tmp_path / "DS-confidential" / "series.previous-1.csv").is_file()


def test_two_studies_of_a_patient(tmp_path):
    early, late = Study(date="20200101"), Study(date="20200301")
    mr(late, tmp_path / "in" / "late", 1)
    mr(early, tmp_path / "in" / "early", 2)
    import_dicom(tmp_path / "in", tmp_path / "DS")
    rows = rows_of(tmp_path / "DS-confidential" / "series.csv")
    assert [(row["case"], row["days"]) for row in rows] == [("P0001-1", "0"), ("P0001-2", "60")]
    import_dicom(tmp_path / "in", tmp_path / "DS")
    assert (tmp_path / "DS" / "clinical.csv").read_text().splitlines()[1:] == ["P0001-1,P0001,", "P0001-2,P0001,"]


def test_an_id_that_several_people_have(tmp_path):
    """All are ANONYMOUS: one patient, as far as is known, on one side of every split; every row says so."""
    for number in range(2):
        mr(
            Study(patient="ANONYMOUS", name=f"N{number}", date=f"2020010{number + 1}"),
            tmp_path / "in" / str(number),
            number,
        )
    import_dicom(tmp_path / "in", tmp_path / "DS")
    rows = rows_of(tmp_path / "DS-confidential" / "series.csv")
    assert [row["case"] for row in rows] == ["P0001-1", "P0001-2"]
    assert all("is it one patient?" in row["ambiguous"] for row in rows)


def test_new_ids_are_no_old_ones_and_stay(tmp_path):
    """Old ids P0001 and P0002: the new ones begin otherwise. Who has no id keeps his number as well."""
    for number, patient in enumerate(("P0001", "p-2", "")):
        mr(Study(patient=patient, name=f"N{number}"), tmp_path / "in" / str(number), number)
    import_dicom(tmp_path / "in", tmp_path / "DS")
    ids = tmp_path / "DS-confidential" / "ids.csv"
    first = {row["study_uid"]: row["case"] for row in rows_of(ids)}
    assert sorted(first.values()) == ["C0001", "C0002", "C0003"]
    for number in range(3, 6):
        mr(Study(patient=f"Q{number}", name=f"N{number}"), tmp_path / "in" / str(number), number)
    import_dicom(tmp_path / "in", tmp_path / "DS", restart=True)
    second = {row["study_uid"]: row["case"] for row in rows_of(ids)}
    assert first.items() <= second.items() and len(second) == 6


TABLES = {
    "no role": (lambda row: row.update(role=""), "no series has a role"),
    "no channel name": (lambda row: row.update(role="T1 WI"), "role 'T1 WI' must be made of letters"),
    "an image as ROI": (lambda row: row.update(role="ROI"), "is for ROIs, and this is an image"),
    "twice": (lambda row: row.update(role="T1WI", case="A"), "are both T1WI of case A|are of two patients"),
    "an unsafe case": (lambda row: row.update(case="../x"), "its case id holds '/'"),
    "no case": (lambda row: row.update(case=""), "its case id is empty"),
    "a patient's id": (lambda row: row.update(case="MRN07"), "is the id or name of a patient"),
    "a patient's name": (lambda row: row.update(case="doe3"), "is the id or name of a patient"),
    "two patients": (lambda row: row.update(case="A", role=row["role"] and row["row"]), "are of two patients"),
    "alike": (lambda row: row.update(role={"T2WI": "t1wi"}.get(row["role"], row["role"])), "look alike"),
    "reserved": (lambda row: row.update(role=row["role"] and "dls"), "the name of a column or file|are both"),
    "unknown volume": (lambda row: row.update(uid="1.2.3"), "means a volume that is not in the DICOM folder"),
    "other planes": (lambda row: row.update(digest="x0"), "means a volume that is not in the DICOM folder"),
    "a series without a role": (lambda row: row.update(role=row["role"].replace("T1WI", "")), "is drawn on a"),
    "an ROI of a wrong role": (lambda row: row.update(role=row["role"].replace("ROI", "GTV")), "expected ROI or no"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_be_meant(archive, listed, name):
    (dataset, table), (change, said) = listed, TABLES[name]
    edit_rows(table, change)
    with pytest.raises(DatasetError, match=said) as failure:
        import_dicom(archive, dataset)
    assert str(failure.value).count("\n") == 0 and "series.csv" in str(failure.value) and "; " in str(failure.value)
    assert not dataset.exists()


def test_a_row_that_stands_twice_and_a_column_that_is_gone(archive, listed):
    dataset, table = listed
    rows = rows_of(table)
    rewrite(table, [*rows, rows[3]])
    with pytest.raises(DatasetError, match=f"rows 5 and {len(rows) + 2} are the same volume"):
        import_dicom(archive, dataset)
    rewrite(table, [{key: cell for key, cell in row.items() if key != "digest"} for row in rows])
    with pytest.raises(DatasetError, match="no column 'digest'"):
        import_dicom(archive, dataset)


def test_a_spreadsheet_may_save_it(archive, listed):
    """Semicolons, a byte-order mark, 1.0 for 1, Windows line ends."""
    dataset, table = listed
    rows = rows_of(table)
    with table.open("w", newline="", encoding="utf-8-sig") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows([{**row, "part": f"{row['part']}.0"} for row in rows])
    assert import_dicom(archive, dataset).cases == PATIENTS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"column": "patient"}, "no column 'patient'"),
        ({"column": "name"}, "no row for 4 of 4 cases"),
        ({"keep": ("name",)}, "column 'name' holds id, name or birth date"),
        ({"keep": ("cps", "sex")}, "no column 'sex'"),
    ],
)
def test_labels_that_do_not_fit(archive, labels, listed, change, said):
    with pytest.raises(DatasetError, match=said):
        import_dicom(archive, listed[0], labels=replace(labels, **change))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "{in}/DS"], "the images or ROIs are read from there"),
        (["-o", "DS", "--confidential", "DS/secret"], "lies in the dataset, which travels"),
        (["-o", "DS", "--confidential", "{in}/secret"], "lies in the DICOM folder"),
        (["-o", "DS", "--confidential", "{own}"], "and no import; give a new or an empty folder"),
        (["-o", "DS", "--target", "cps"], "say how --labels TABLE is read"),
        (["-o", "DS", "--labels", "{in}/x.csv"], "--labels needs --label-id"),
    ],
)
def test_places_and_options_that_cannot_be(archive, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("x")
    given = [word.format(**{"in": archive, "own": tmp_path / "own"}) for word in words]
    answer = autodls("import", archive, *given)
    assert answer.status == 2 and said in answer.complaint
    assert {path.name for path in tmp_path.iterdir()} == {"own"}


def test_archives_are_unpacked_where_the_ids_are_and_removed(archive, tmp_path, monkeypatch):
    """Names that stand twice, what a killed life has left; a folder of somebody else is not taken for one of ours."""
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "study.zip", "w") as packed, warnings.catch_warnings(action="ignore"):
        for path in (archive / "p1").rglob("*"):
            packed.write(path, path.name)
    left = tmp_path / "DS-confidential" / "autodls-unpacked"
    left.mkdir(parents=True)
    (left / "7").write_text("of a killed life")
    seen = []
    find = series.find_series
    monkeypatch.setattr(series, "find_series", lambda *given: (seen.extend(left.iterdir()), find(*given))[1])
    assert import_dicom(tmp_path / "in", tmp_path / "DS").series == 3
    assert len(seen) > 20 and not left.exists()
    other = tmp_path / "theirs"
    other.mkdir()
    (other / "README.txt").write_text("my notes")
    with pytest.raises(ArgumentError, match=r"holds README.txt, and no import"):
        import_dicom(archive, tmp_path / "DS2", confidential=other)
    assert (other / "README.txt").read_text() == "my notes"


def test_a_folder_without_images(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text").write_text("x" * 300)
    answer = autodls("import", tmp_path / "in", "-o", tmp_path / "DS")
    assert answer.status == 2 and "no DICOM image in 1 files: not DICOM" in answer.complaint
    assert autodls("import", tmp_path / "none", "-o", tmp_path / "DS").status == 2


def test_a_folder_of_which_nothing_can_be_converted_says_why_at_both_steps(archive, tmp_path):
    shutil.copytree(archive / "p1" / "x2", tmp_path / "in")
    (tmp_path / "in" / "I0003").unlink()
    words = ["import", tmp_path / "in", "-o", tmp_path / "DS", "--workers", "1"]
    assert "cannot be converted: 1 x 1 missing slices" in autodls(*words).out
    said = autodls(*words).complaint
    assert "none of its 1 series can be converted (1 missing slices" in said and said.endswith("export the study anew")


def test_a_volume_that_cannot_be_read_stops_before_the_dataset_is_whole(archive, tmp_path):
    shutil.copytree(archive / "p1", tmp_path / "in")
    import_dicom(tmp_path / "in", tmp_path / "DS")
    image = tmp_path / "in" / "x2" / "I0003"
    image.write_bytes(image.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"S0003 cannot be converted: truncated: 860 bytes of pixels"):
        import_dicom(tmp_path / "in", tmp_path / "DS")
    assert not (tmp_path / "DS" / "dataset.json").exists()
    image.unlink()
    with pytest.raises(DatasetError, match="is not in the DICOM folder as it is now; import with --restart"):
        import_dicom(tmp_path / "in", tmp_path / "DS")


def test_ct_in_hounsfield_units_and_scaled_values(tmp_path):
    study = Study()
    ct = Series(study, head(3), "CT", tags={"RescaleSlope": "1", "RescaleIntercept": "-1024", "SeriesDescription": "a"})
    ct.write(tmp_path / "in" / "ct")
    scaled = Series(Study(patient="B"), head(4), tags={**T1, "RescaleSlope": "0.25", "RescaleIntercept": "3"})
    scaled.write(tmp_path / "in" / "mr")
    converted(tmp_path / "in", tmp_path / "DS")
    images = sorted((tmp_path / "DS" / "imagesTr").iterdir())
    found = {read_volume(path).array.dtype: read_volume(path).array for path in images}
    np.testing.assert_array_equal(found[np.dtype(np.int16)], head(3) - 1024)
    np.testing.assert_array_equal(found[np.dtype(np.float32)], np.float32(head(4) * 0.25 + 3))
    assert all(read_geometry(path).size_xyz == (20, 24, 8) for path in images)
