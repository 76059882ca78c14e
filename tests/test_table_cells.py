"""Tables as hospitals have them: what a cell means is read as it was meant, or told; a held-out row decides nothing."""

import json
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodls.analysis.scored_study import ScoredCase, ScoredCohort
from autodls.analysis.study_analysis import _baseline
from autodls.candidates.covariates import covariates_of
from autodls.errors import ArgumentError, DatasetError
from autodls.evaluation.baseline import baseline_table
from autodls.evaluation.scores_table import Columns, read_scores
from autodls.planning.check import check_dataset
from autodls.planning.check_columns import column_problems
from autodls.planning.check_telling import telling_problems
from autodls.planning.fingerprint import extract_fingerprint
from autodls.records.case import cohort_sha256
from autodls.records.cohort import join_cohort, read_cohort
from autodls.records.columns import read_column, suspected_codes
from autodls.records.dataset import Target
from autodls.records.table import read_table
from autodls.report.tables.study import baseline_rows
from autodls.seeding import generator

Make = Callable[..., Path]
Edit = Callable[..., None]


def settings(folder: Path, **changes: object) -> None:
    """Change keys of "autodls" in dataset.json."""
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    content["autodls"] |= changes
    path.write_text(json.dumps(content))


def with_column(folder: Path, name: str, *cells: str) -> None:
    """Add a clinical column."""
    path = folder / "clinical.csv"
    header, *rows = path.read_text().splitlines()
    lines = [f"{header},{name}", *(f"{row},{cell}" for row, cell in zip(rows, cells, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    settings(folder, clinical=["age", name])


def told(folder: Path) -> list[str]:
    """What `check` says of the table."""
    joined = join_cohort(folder)
    cases, description = joined.cohort.cases, joined.cohort.description
    found = [*joined.problems, *column_problems(cases, description), *telling_problems(cases, description)]
    return [str(problem) for problem in found]


def test_check_says_all_that_is_said_of_the_columns(tmp_path: Path, make_dataset: Make) -> None:
    folder = make_dataset(tmp_path, training=12, held_out=2)
    with_column(folder, "mark", *EVEN_IS_POSITIVE, "y", "y")
    assert any("tells the outcome" in line for line in told(folder))
    assert {*told(folder)} <= {str(problem) for problem in check_dataset(folder).problems}


# Text: separators, titles, decimal commas


@pytest.mark.parametrize(
    ("content", "numbers", "notes"),
    [
        ("sep=;\ncase;age\na;65,8\nb;70\n", [2, 3], 0),
        ('"sep=|"\r\ncase|age\r\na|65.8\r\nb|70\r\n', [2, 3], 0),
        ("Exported from REDCap\ncase,age\na,65.8\nb,70\n", [3, 4], 1),
        ("Cohort A;\n;\ncase;age\na;65,8\nb;70\n", [4, 5], 1),
        ("\n\ncase,age\na,65.8\nb,70\n", [4, 5], 0),
        ("case\tage\na\t65,8\nb\t70\n", [2, 3], 0),
    ],
    ids=["sep", "quoted sep", "title", "title in columns", "blank lines", "tabs"],
)
def test_lines_before_the_header(tmp_path: Path, content: str, numbers: list[int], notes: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    rows = read_table(path)
    assert rows == [{"case": "a", "age": "65.8"}, {"case": "b", "age": "70"}]
    assert ([row.number for row in rows], len(rows.notes)) == (numbers, notes)


def test_a_title_with_a_comma_is_named_and_nothing_is_told_to_be_quoted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("REDCap, May 2024\ncase,cps,age\na,1,2\nb,3,4\n")
    with pytest.raises(
        DatasetError, match=r"row 1 \('REDCap,May 2024'\) is read as the header and has 2 cells"
    ) as caught:
        read_table(path)
    assert "quote" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("65,8", "65.8"),
        ("-1.065,8", "-1065.8"),
        ("1,5e-3", "1.5e-3"),
        ("1.234", "1.234"),
        ("1,2,3", "1,2,3"),
        ("a,1", "a,1"),
    ],
)
def test_decimal_commas_of_a_semicolon_table(tmp_path: Path, cell: str, read: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"case;x\na;{cell}\n")
    assert read_table(path)[0]["x"] == read


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("1,5", "NA", "1.5"), "column 'x' holds '1,5' (row 3) and '1.5' (row 5), both read as decimal marks"),
        (("2.5", "1.234", "-0,5"), "column 'x' holds '-0,5' (row 5) and '2.5' (row 3), both"),
        (("1.065", "2.100", "999"), "column 'x' holds '1.065' (row 3), read as a decimal point beside decimal commas"),
        (("1.065", "2.1", "999"), None),  # these points are decimal
        (("0.873", "0.912", "0.5"), None),
        (("1.065,8", "1,5", "20"), None),
        (("a,1", "1.5.2", "1,2,3"), None),
    ],
)
def test_both_decimal_marks_in_a_table_of_semicolons_are_told(
    tmp_path: Path, cells: tuple[str, ...], said: str | None
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Scores\ncase;y;x\n" + "".join(f"c{at};3,5;{cell}\n" for at, cell in enumerate(cells)))
    found = [note for note in read_table(path).notes if "column" in note]
    assert len(found) == (said is not None)
    if said is not None:
        assert found[0].startswith(said) and "; write" in found[0]


def test_points_are_no_news_where_no_comma_is_a_decimal_mark(tmp_path: Path) -> None:
    for text in ("case;x\na;1.5\nb;1.065\n", 'case,x\na,1.5\nb,"1,5"\n'):
        (tmp_path / "t.csv").write_text(text)
        assert read_table(tmp_path / "t.csv").notes == ()


# Workbooks


def workbook(path: Path, *rows: tuple[object, ...], change: Callable[..., object] = lambda _book, _sheet: None) -> Path:
    """A workbook of one sheet, changed by change(book, sheet)."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    change(book, book.active)
    book.save(path)
    return path


ROWS = (("case", "cps", "seen", "age"), ("a", 20, datetime(2024, 5, 31), 65.8), ("b", 7.0, None, "NA"))
CELLS = [
    {"case": "a", "cps": "20", "seen": "2024-05-31", "age": "65.8"},
    {"case": "b", "cps": "7", "seen": "", "age": "NA"},
]


def test_a_workbook_reads_as_its_table(tmp_path: Path) -> None:
    rows = read_table(workbook(tmp_path / "t.xlsx", *ROWS))
    assert (rows, [row.number for row in rows], rows.notes) == (CELLS, [2, 3], ())


def second_sheet(book: openpyxl.Workbook, _sheet: object) -> None:
    book.create_sheet("Codebook").append(("cps", "combined positive score"))


def named_second_sheet(book: openpyxl.Workbook, sheet: object) -> None:
    second_sheet(book, sheet)
    book.active.title = "T"


def titled(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    sheet.insert_rows(1)
    sheet["A1"] = "Cohort A"
    sheet.merge_cells("A1:D1")


def hidden_row(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    sheet.row_dimensions[3].hidden = True


def percent(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    sheet["B2"].number_format = "0%"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (named_second_sheet, "sheet 'T' is read, and 'Codebook' is not"),
        (titled, "row 1 ('Cohort A') is a title"),
        (hidden_row, "rows 3 of sheet 'Sheet' are hidden"),
        (percent, "cells B2 are shown as percentages"),
    ],
)
def test_what_a_workbook_shows_otherwise_is_told(tmp_path: Path, change: Callable[..., object], note: str) -> None:
    rows = read_table(workbook(tmp_path / "t.xlsx", *ROWS, change=change))
    assert rows == CELLS
    assert note in rows.notes[0]


def formula(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    sheet["B3"] = "=6+1"


def merged(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    sheet.merge_cells("B1:C1")


def far_cell(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    sheet["XFD1048576"] = 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (second_sheet, "2 sheets hold cells ('Sheet', 'Codebook'); name the sheet of the table 't'"),
        (formula, "the value of the formula in B3 is not stored"),
        (merged, "cells B1:C1 are merged"),
        (far_cell, "reaches to XFD1048576"),
    ],
)
def test_what_cannot_be_read_of_a_workbook_is_one_line(
    tmp_path: Path, change: Callable[..., object], said: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        read_table(workbook(tmp_path / "t.xlsx", *ROWS, change=change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_leading_zeros_that_a_format_shows_are_read(tmp_path: Path) -> None:
    def padded(_book: object, sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet["A2"].number_format = "000"

    rows = read_table(workbook(tmp_path / "t.xlsx", ("case", "cps"), (14, 1), (15, 2), change=padded))
    assert [row["case"] for row in rows] == ["014", "15"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0 locked", b"case,cps\n"])
def test_what_is_no_workbook(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(DatasetError, match="not a readable Excel workbook"):
        read_table(tmp_path / "t.xlsx")


def test_a_workbook_that_unpacks_to_more_than_memory_holds(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", *ROWS)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as parts, parts.open("xl/media/x", "w") as part:
        for _ in range(129):
            part.write(bytes(1 << 20))
    with pytest.raises(DatasetError, match="unpacks to 129 MiB"):
        read_table(path)


def test_older_workbooks_and_two_tables_are_refused(tmp_path: Path, make_dataset: Make) -> None:
    with pytest.raises(DatasetError, match=r"'\.xls' workbook is not read"):
        read_table(tmp_path / "clinical.xls")
    folder = make_dataset(tmp_path / "d")
    workbook(folder / "clinical.xlsx", *ROWS)
    with pytest.raises(DatasetError, match=r"holds clinical\.csv and clinical\.xlsx"):
        read_cohort(folder)


def test_a_dataset_with_a_workbook_is_the_dataset_with_its_csv(tmp_path: Path, make_dataset: Make) -> None:
    folder = make_dataset(tmp_path)
    before = read_cohort(folder)
    table = folder / "clinical.csv"
    cells = [
        [float(cell) if cell.isdigit() else cell for cell in line.split(",")] for line in table.read_text().split()
    ]
    workbook(folder / "clinical.xlsx", *cells)
    table.unlink()
    assert read_cohort(folder) == before


# Kinds and missing cells of a clinical column


@pytest.mark.parametrize(
    ("cells", "numeric", "values"),
    [
        (["None", "Former", "", "NA"], False, ["None", "Former", None, None]),
        (["+", "-", "?"], False, ["+", "-", None]),
        (["1", "2.0", "None", "-"], False, ["1", "2", None, None]),
        (["61.5", "-", "n/a", "70"], True, [61.5, None, None, 70.0]),
        ([*map(str, range(50, 59)), ">90"], True, [*map(float, range(50, 59)), None]),
        (["0", "1", "2", "2a", "2b"], False, ["0", "1", "2", "2a", "2b"]),
    ],
)
def test_what_a_column_holds(cells: list[str], numeric: bool, values: list[object]) -> None:
    column = read_column(cells)
    assert (column.numeric, list(column.values)) == (numeric, values)


@given(
    st.lists(st.sampled_from(["", "NA", "None", "1", "2", "66.5", "71", "m"]), min_size=1),
    st.lists(st.text(), max_size=5),
)
def test_held_out_cells_never_decide_what_a_column_holds(training: list[str], held_out: list[str]) -> None:
    alone = read_column(training)
    if any(value is not None for value in alone.values):
        marks = [True] * len(training) + [False] * len(held_out)
        assert read_column([*training, *held_out], marks).values[: len(training)] == alone.values


def test_a_held_out_cell_changes_neither_table_1_nor_the_clinical_baseline() -> None:
    ages = [str(50 + at) for at in range(20)]
    cohorts = ["train"] * 20 + ["external"]
    deciding = [cohort == "train" for cohort in cohorts]
    (age,) = baseline_table({"age": [*ages, "old"]}, cohorts, generator(0), deciding=deciding).variables
    assert (age.kind, age.missing) == ("numeric", (0, 1))
    rows = {str(at): {"age": age, "smoking": "None" if at % 2 else "Former"} for at, age in enumerate([*ages, "66 y"])}
    found = covariates_of(rows, ["age", "smoking"])
    assert (len(found["age"]), found["age"]["3"], found["smoking"]["3"]) == (20, 53.0, "None")


def test_table_1_of_a_study_lets_training_cases_decide(tmp_path: Path, make_dataset: Make, edit_table: Edit) -> None:
    folder = make_dataset(tmp_path)
    for case in ("case_04", "case_05"):
        edit_table(folder, case, age="old")
    cohort = read_cohort(folder)
    members = {"train (out of fold)": cohort.training, **cohort.held_out}
    scored = {name: ScoredCohort(tuple(ScoredCase(case, {}) for case in cases)) for name, cases in members.items()}
    study = SimpleNamespace(dataset=cohort, cohorts=scored, seed=0)
    lines = baseline_rows(_baseline(study)).rows.lines  # type: ignore[arg-type]
    kinds = {row[0]: row[1:3] for row in lines if row[0] == "age"}
    assert "numeric" in kinds["age"]


def test_held_out_rows_change_neither_fingerprint_nor_what_is_planned_for(
    tmp_path: Path, make_dataset: Make, edit_table: Edit
) -> None:
    folder = make_dataset(tmp_path)
    before = read_cohort(folder)
    edit_table(folder, "case_04", site="a", age="old", patient_id="P-07.0", pfs_months="NA")
    edit_table(folder, "case_05", site="\u0410", age="999", patient_id="p-7", cps="None")
    after = read_cohort(folder)
    assert (after.training, cohort_sha256(after.training)) == (before.training, cohort_sha256(before.training))
    assert extract_fingerprint(after, 1).to_bytes() == extract_fingerprint(before, 1).to_bytes()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["None", "a", "a", "None", "a", "b"], "'None' (rows 2, 5), read as a level; write \"missing\": {\"x\""),
        (["NA", "a", "a", "b", "a", "b"], "'NA' (row 2), read as missing; write \"missing\": {\"x\": []}"),
        (["None", "1", "2", "1", "2", "1"], "'None' (row 2), read as missing; write 0 if that is meant"),
        (["1", "2", "3", "x", "2", "3"], "is read as levels, not as numbers, for it holds 'x' (row 5)"),
        (['"65,8"', '"7,1"', '"3,2"', "4", "5", "6"], "is read as levels, not as numbers, for it holds '65,8' (row 2)"),
        (["Male", "male", "f", "f", "f", "f"], "has the levels 'Male' and 'male', which look alike"),
        (["2024-03-04", "5-6", "a", "b", "c", "d"], "holds the date '2024-03-04' (row 2)"),
        (["1.5", "2.5", "999", "3.5", "2", "999"], "'999' (rows 4, 7), read as a value; it looks like a code"),
        (["1", "2", "-9", "3", "4", "4"], "'-9' (row 4), read as a value; it looks like a code"),
    ],
)  # fmt: skip
def test_doubtful_cells_are_told_with_their_rows(
    tmp_path: Path, make_dataset: Make, cells: list[str], said: str
) -> None:
    folder = make_dataset(tmp_path)
    with_column(folder, "x", *cells)
    assert [line for line in told(folder) if "column 'x'" in line and said in line], told(folder)


def test_a_column_of_numbers_but_for_a_cell_stays_one_and_the_cell_is_told(tmp_path: Path, make_dataset: Make) -> None:
    folder = make_dataset(tmp_path, training=12)
    with_column(folder, "x", *map(str, range(50, 63)), ">90")
    (line,) = told(folder)
    assert "column 'x' holds numbers, but for '>90' (row 15), which count as missing" in line


# Codes of missing values


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([1.0, 55.0, 999.0], {999.0}),
        ([1.0, 100.0, 99.0], set()),
        ([0.0, 50.0, 100.0, 30.0, 99.0, 99.0, 99.0], {99.0}),
        ([84.0, 88.0, 61.0], set()),
        ([61.0, 70.0, 99.0, 888.0], {99.0, 888.0}),
        ([1.0, 2.0, 4.0, 9.0], {9.0}),
        ([8.0, 9.0, 3.0], set()),
        ([-2.0, -9.0, 1.0], {-9.0}),
        ([999.0], set()),
    ],
)
def test_codes_of_missing_values(values: list[float], codes: set[float]) -> None:
    assert suspected_codes(values) == codes


def test_codes_that_the_study_names_are_missing(tmp_path: Path, make_dataset: Make, edit_table: Edit) -> None:
    folder = make_dataset(tmp_path, training=6)
    edit_table(folder, "case_00", cps="999")
    edit_table(folder, "case_01", cps="-9.0", age="999")
    assert [line for line in told(folder) if "'cps' holds '999' (row 2)" in line]
    settings(folder, missing={"cps": ["999", -9], "age": []})
    cases = {case.id: case for case in read_cohort(folder).cases}
    assert (cases["case_00"].label, cases["case_01"].label, cases["case_01"].row["age"]) == (None, None, "999")
    assert not [line for line in told(folder) if "looks like a code" in line]
    settings(folder, missing={"CPS": ["999"]})
    with pytest.raises(DatasetError, match="no column CPS"):
        read_cohort(folder)


# Text classes as a target


@pytest.mark.parametrize(
    ("cell", "label"),
    [("high", True), ("1.0", True), ("low", False), ("-", False), ("None", False), ("", None), ("NA", None)],
)
def test_classes_as_a_target(
    tmp_path: Path, make_dataset: Make, edit_table: Edit, cell: str, label: bool | None
) -> None:
    folder = make_dataset(tmp_path)
    settings(folder, target={"name": "high", "column": "cps", "positive": ["high", "1", "30"]})
    edit_table(folder, "case_01", cps=cell)
    assert {case.id: case.label for case in read_cohort(folder).cases}["case_01"] is label


def test_classes_that_are_misspelt_or_unknown_are_told(tmp_path: Path, make_dataset: Make, edit_table: Edit) -> None:
    folder = make_dataset(tmp_path)
    settings(folder, target={"name": "high", "column": "cps", "positive": ["30", "hihg"]})
    edit_table(folder, "case_01", cps="unknown")
    lines = told(folder)
    assert any(
        "no row is of class 'hihg'" in line and "classes of 'cps': '30', '5', 'unknown'" in line for line in lines
    )
    assert any("'unknown' (row 3), which counts as negative" in line for line in lines)
    settings(folder, target={"name": "high", "column": "cps", "positive": ["30", "High"]})
    edit_table(folder, "case_01", cps="high")
    with pytest.raises(DatasetError, match="holds 'high', which is not the positive class 'High' and looks like it"):
        read_cohort(folder)


@pytest.mark.parametrize("positive", [[], ["a", "a"], [" "], "high", 3])
def test_rules_that_are_none(positive: object) -> None:
    with pytest.raises(ValueError, match="positive"):
        Target.model_validate({"name": "t", "column": "c", "positive": positive})


# Names: one patient, site, cohort or case in two spellings


@pytest.mark.parametrize(
    ("first", "second"), [("7", "7.0"), ("014", "14"), ("P1", "p1"), ("P7", "P007"), (" 7 ", "7,0")]
)
def test_a_patient_in_two_spellings_is_one_and_told(
    tmp_path: Path, make_dataset: Make, edit_table: Edit, first: str, second: str
) -> None:
    folder = make_dataset(tmp_path)
    table = folder / "clinical.csv"
    edit_table(folder, "case_00", patient_id=first)
    edit_table(folder, "case_01", patient_id="SECOND")
    table.write_text(table.read_text().replace(",", ";").replace("SECOND", second))
    cases = read_cohort(folder).cases
    assert cases[0].patient == cases[1].patient
    assert [line for line in told(folder) if "(row 2)" in line and "(row 3)" in line and "count as one patient" in line]


def test_a_patient_in_two_spellings_on_both_sides_of_the_wall_is_an_error(
    tmp_path: Path, make_dataset: Make, edit_table: Edit
) -> None:
    folder = make_dataset(tmp_path)
    edit_table(folder, "case_00", patient_id="7")
    edit_table(folder, "case_05", patient_id="7.0")
    with pytest.raises(
        DatasetError, match=r"case case_00: its patient '7' is also in cohort 'external' \(case case_05\)"
    ):
        read_cohort(folder)


def test_a_site_called_na_is_a_site_and_one_in_two_spellings_is_one(
    tmp_path: Path, make_dataset: Make, edit_table: Edit
) -> None:
    folder = make_dataset(tmp_path)
    for case, site in (("case_00", "NA"), ("case_01", "3"), ("case_02", "3.0"), ("case_03", "")):
        edit_table(folder, case, site=site)
    assert [case.site for case in read_cohort(folder).training] == ["NA", "3", "3", None]
    assert [line for line in told(folder) if "column 'site' holds 'NA' in 1 row, read as a name" in line]


@pytest.mark.parametrize("cohort", ["Train", "TRAIN", "train\u200b"])
def test_cohorts_that_look_like_that_of_training_are_an_error(
    tmp_path: Path, make_dataset: Make, edit_table: Edit, cohort: str
) -> None:
    folder = make_dataset(tmp_path)
    edit_table(folder, "case_05", cohort=cohort)
    with pytest.raises(DatasetError, match=r"look alike: one cohort would be two; write them alike"):
        read_cohort(folder)


def test_files_that_spell_the_case_otherwise_are_named(tmp_path: Path, make_dataset: Make, edit_table: Edit) -> None:
    folder = make_dataset(tmp_path)
    edit_table(folder, "case_01", case="case_1")
    with pytest.raises(
        DatasetError, match=r"case case_1: imagesTr/case_01_0000\.nii\.gz belongs to 'case_01', which is"
    ):
        read_cohort(folder)


def test_a_number_that_a_spreadsheet_has_rounded_is_told(tmp_path: Path, make_dataset: Make, edit_table: Edit) -> None:
    folder = make_dataset(tmp_path)
    edit_table(folder, "case_00", patient_id="1.23457E+11")
    assert [line for line in told(folder) if "'1.23457E+11', as a spreadsheet writes a long number" in line]


def test_both_decimal_marks_are_told_by_check(tmp_path: Path, make_dataset: Make, edit_table: Edit) -> None:
    folder = make_dataset(tmp_path)
    path = folder / "clinical.csv"
    path.write_text(path.read_text().replace(",", ";"))
    lines = path.read_text().splitlines()
    age = lines[0].split(";").index("age")
    for row, cell in ((1, "61,5"), (2, "61.5")):
        lines[row] = ";".join(cell if at == age else old for at, old in enumerate(lines[row].split(";")))
    path.write_text("\n".join(lines))
    assert [line for line in told(folder) if "column 'age' holds '61,5' (row 2) and '61.5' (row 3)" in line]


# The same for a table of scores


def test_scores_of_a_workbook_and_of_a_semicolon_table_are_those_of_the_csv(tmp_path: Path) -> None:
    columns = Columns(scores=("s",), label="y")
    (tmp_path / "t.csv").write_text("Scores\ncase;s;y\na;0,25;0\nb;0,75;1\n")
    workbook(tmp_path / "t.xlsx", ("case", "s", "y"), ("a", 0.25, 0), ("b", 0.75, True))
    tables = [read_scores(tmp_path / name, columns) for name in ("t.csv", "t.xlsx")]
    assert [table.cohorts["all"].scores["s"].tolist() for table in tables] == [[0.25, 0.75]] * 2
    assert [table.warnings[:1] for table in tables][1] == () and "row 1 ('Scores')" in tables[0].warnings[0]


def test_doubtful_cells_of_a_table_of_scores(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    columns = Columns(scores=("s",), label="y", cohort="c")
    path.write_text("c,s,y\nNA,0.5,1\nNA,0.25,0\nb,999,1\n")
    table = read_scores(path, columns)
    assert list(table.cohorts) == ["NA", "b"]
    assert "column 's' holds 999 in 1 row, first in row 4" in table.warnings[0]
    assert "column 'c' holds 'NA', read as the name of a cohort" in table.warnings[1]
    path.write_text("c,s,y\nTrain,0.5,1\ntrain,0.25,0\n")
    with pytest.raises(ArgumentError, match="holds 'Train' and 'train', which look alike: one cohort would be two"):
        read_scores(path, columns)


# The outcome: classes by another word, codes beside 0 and 1, and columns that are the outcome


def target(folder: Path, positive: object, *cells: str) -> None:
    """Make the column `result` the target."""
    with_column(folder, "result", *cells)
    settings(folder, clinical=["age"], target={"name": "high", "column": "result", "positive": positive})


@pytest.mark.parametrize(
    ("positive", "cell", "is_told"),
    [
        (["positive"], "Pos", True),
        (["pos"], "positive (weak)", True),
        (["high"], "1", True),
        (["2", "3"], "2+", True),
        (["T1"], "T10", False),
        (["low"], "high", False),
        (["high"], "low", False),
        (["G3"], "G2", False),
    ],
)
def test_a_class_that_may_be_the_positive_one_by_another_word_is_told(
    tmp_path: Path, make_dataset: Make, positive: list[str], cell: str, is_told: bool
) -> None:
    folder = make_dataset(tmp_path, training=4, held_out=0)
    target(folder, positive, positive[0], cell, positive[0], "zzz")
    found = [line for line in told(folder) if "which counts as negative: positive is" in line]
    assert len(found) == is_told
    assert not is_told or f"'{cell}' (row 3)" in found[0]


@pytest.mark.parametrize(
    ("rule", "cells", "is_told"),
    [
        ("== 1", ("0", "1", "2", "1"), "'2' (row 4) beside 0 and 1, which count as negative"),
        ("!= 0", ("0", "1", "2", "1"), "'2' (row 4) beside 0 and 1, which count as positive"),
        ("== 1", ("0", "1", "0", "1"), ""),
        ("== 3", ("1", "2", "3", "3"), ""),
        (">= 1", ("0", "1", "2", "1"), ""),
    ],
)
def test_codes_beside_0_and_1_are_told(
    tmp_path: Path, make_dataset: Make, rule: str, cells: tuple[str, ...], is_told: str
) -> None:
    folder = make_dataset(tmp_path, training=4, held_out=0)
    target(folder, rule, *cells)
    found = "\n".join(line for line in told(folder) if "beside 0 and 1" in line)
    assert bool(found) == bool(is_told) and is_told in found


EVEN_IS_POSITIVE = ("a", "b") * 6


@pytest.mark.parametrize(
    ("cells", "is_told"),
    [
        (EVEN_IS_POSITIVE, "tells the outcome of all 12 training cases: positive where it is 'a', negative"),
        (("30", "5.5") * 5 + ("44", "7"), "positive from 30 on"),
        (("3.5", "50") * 4 + ("4", "70", "9", "81"), "positive up to 9"),
        (("", "b", "", "c") * 3, "positive where it is 'missing'"),
        (("", "5.1", "", "8") * 3, "positive where it is 'missing', negative where it is 'known'"),
        ((*EVEN_IS_POSITIVE[:-1], "a"), ""),
        (tuple(f"id {at}" for at in range(12)), ""),
        (("x",) * 12, "holds 'x' in every training case"),
        (("7.5",) * 12, "holds 7.5 in every training case"),
        (("",) * 12, "has no value in any training case"),
    ],
)
def test_a_clinical_column_that_tells_nothing_or_all_is_told(
    tmp_path: Path, make_dataset: Make, cells: tuple[str, ...], is_told: str
) -> None:
    folder = make_dataset(tmp_path, training=12, held_out=2)
    with_column(folder, "mark", *cells, "y", "y")
    settings(folder, clinical=["mark"])
    found = "\n".join(line for line in told(folder) if "training case" in line)
    assert bool(found) == bool(is_told) and is_told in found


def test_a_column_that_parts_four_cases_of_a_class_is_not_told(tmp_path: Path, make_dataset: Make) -> None:
    folder = make_dataset(tmp_path, training=8, held_out=2)
    with_column(folder, "mark", *("a", "b") * 5)
    assert not [line for line in told(folder) if "tells the outcome" in line]
