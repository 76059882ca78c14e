"""A small file neither hangs a command nor fills the memory: what it may claim is bounded, and costs what it weighs."""

import errno
import io
import os
import subprocess
import sys
import time
import zipfile

import openpyxl
import pytest
from command_line import autodls, edit_json
from tiny_models import tiny_plan

from autodls import limits
from autodls.cli.console import exit_status_of
from autodls.errors import AutoDLSError, DatasetError, PlanError
from autodls.evaluation.scores_table import Columns, read_scores
from autodls.imaging.volumes import read_geometry
from autodls.records.base import parse_json, some_of
from autodls.records.case_id import look_alikes
from autodls.records.cohort import join_cohort
from autodls.records.plan import Plan
from autodls.records.table import read_table
from autodls.records.tensors import load_tensors

SECONDS = 20  # on a busy machine; what these tests are about took minutes, hours or all memory


@pytest.fixture(autouse=True)
def quick():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SECONDS


def told(refusal):
    """The one line of an error."""
    line = str(refusal.value)
    assert "\n" not in line and len(line) < 1000
    return line


def test_a_key_that_stands_twice_among_many_is_found_at_once():
    names = [f"k{number}" for number in range(60_000)]
    with pytest.raises(ValueError, match="'k59999' stands twice"):
        parse_json("{" + ",".join(f'"{name}":0' for name in [*names, names[-1]]) + "}")


@pytest.mark.parametrize("many", ["[" + "[]," * 1_100_000 + "1]", '{"a":[' + "{}," * 1_100_000 + "1]}"])
def test_more_values_than_may_be(many):
    with pytest.raises(ValueError, match=f"more than {limits.MOST_JSON_VALUES} values"):
        parse_json(many)


def test_a_line_names_some_of_many():
    assert some_of(["x" * 1000] * 500).endswith("and 490 more") and len(some_of(["x" * 1000] * 500)) < 1100


def test_many_columns_are_read_in_linear_time(tmp_path):
    """Genes, say."""
    path, count = tmp_path / "clinical.csv", 60_000
    names = ["case", *(f"gene{number}" for number in range(count))]
    path.write_text(f"{','.join(names)}\nA{',1' * count}\n")
    assert len(read_table(path)[0]) == count + 1
    path.write_text(f"{','.join([*names, names[-1]])}\nA{',1' * (count + 1)}\n")
    with pytest.raises(DatasetError, match="column 'gene59999' stands twice"):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a\n" + "1\n" * (limits.MOST_ROWS + 5), f"more than {limits.MOST_ROWS} rows"),
        ("a,b\n" + ("," * 99_999 + "1\n") * 60, f"{limits.MOST_CELLS} cells"),
        ("a,b\n1," + "x" * 40_000 + "\n", "a cell of 40000 signs"),
    ],
)
def test_a_table_larger_than_any_study(tmp_path, content, part):
    path = tmp_path / "clinical.csv"
    path.write_text(content)
    with pytest.raises(DatasetError) as refusal:
        read_table(path)
    assert part in told(refusal)


def test_blank_lines_take_no_memory(tmp_path):
    """A spreadsheet writes a million of them where a cell far below was once used; rows keep their numbers."""
    path = tmp_path / "clinical.csv"
    path.write_text("case,a\n" + ",\n" * (limits.MOST_ROWS + 5) + "A,1\n")
    (row,) = read_table(path)
    assert row.number == limits.MOST_ROWS + 7


def test_names_that_look_alike_are_found_among_long_ones():
    """Signs that combine are sorted by Unicode's rules, which takes the square of their number."""
    marks = "\u0301\u0316" * 16_000
    assert look_alikes([marks, marks + "a", "P7", "p7"]) == [("P7", "p7")]


def test_a_join_takes_linear_time(tmp_path, make_dataset):
    """Two spellings of each of many cohorts, patients and sites, and as many files of no case."""
    folder, count = make_dataset(tmp_path / "d", training=1, held_out=0), 6000
    lines = [f"c{number},{'aA'[number % 2]}{number // 2},5" for number in range(count)]
    (folder / "clinical.csv").write_text("\n".join(["case,both,score", *lines]) + "\n")
    for number in range(3000):
        (folder / "labelsTr" / f"C{number}.nii.gz").touch()
    study = {"target": {"name": "t", "column": "score", "positive": "> 1"}, "roi_channel": "CE-T1WI"}
    edit_json(folder / "dataset.json", autodls=study | {"patient": "both", "site": "both"})
    assert len(join_cohort(folder).problems) > count
    edit_json(folder / "dataset.json", autodls=study | {"cohort": {"column": "both", "training": ["a0"]}})
    joined = join_cohort(folder)
    assert any(f"has {count} cohorts, expected at most {limits.MOST_COHORTS}" in one.what for one in joined.problems)
    assert max(len(str(problem)) for problem in joined.problems) < 1000


def test_a_column_of_ids_is_no_column_of_cohorts(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("case,dls,label\n" + "".join(f"c{number},0.5,1\n" for number in range(5000)))
    with pytest.raises(AutoDLSError, match="column 'case' holds 5000 cohorts, expected at most 100"):
        read_scores(path, Columns(("dls",), label="label", cohort="case"))


@pytest.mark.parametrize(
    "field",
    [
        {"clinical": [f"c{number}" for number in range(50_000)]},
        {"cohort": {"column": "c", "training": [f"c{number}" for number in range(50_000)]}},
        {"target": {"name": "t", "column": "c", "positive": [str(number) for number in range(50_000)]}},
        {"missing": {"c": [str(number) for number in range(50_000)]}},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_description_that_lists_thousands(tmp_path, make_dataset, field):
    folder = make_dataset(tmp_path / "d", training=1, held_out=0)
    study = {"target": {"name": "t", "column": "score", "positive": "> 1"}, "roi_channel": "CE-T1WI"}
    edit_json(folder / "dataset.json", autodls=study | field)
    with pytest.raises(DatasetError) as refusal:
        join_cohort(folder)
    assert "50000, expected at most 1000" in told(refusal)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"labels": {f"n{number}": number + 1 for number in range(5000)}}, "names 5000, expected at most 1000"),
        ({"name": "n" * 5000}, "at most 1000 characters"),
        ({"autodls__target__name": "n" * 5000}, "at most 1000 characters"),
        ({"autodls__target__column": "n" * 5000}, "at most 1000 characters"),
    ],
)
def test_a_description_whose_names_fill_a_line(tmp_path, make_dataset, changes, part):
    folder = make_dataset(tmp_path / "d", training=1, held_out=0)
    edit_json(folder / "dataset.json", **changes)
    with pytest.raises(DatasetError) as refusal:
        join_cohort(folder)
    assert part in told(refusal)


def workbook(path, change):
    """A small workbook whose sheet is changed as XML."""
    made, book = io.BytesIO(), openpyxl.Workbook()
    for row in (["case", "a"], ["x", 1]):
        book.active.append(row)
    book.save(made)
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            content = old.read(part)
            new.writestr(part.filename, change(content) if part.filename.endswith("sheet1.xml") else content)
    return path


def behind_the_cells(text):
    return lambda content: content.replace(b"</sheetData>", b"</sheetData>" + text)


EVERYWHERE = b"A1:XFD1048576"
WORKBOOKS = {
    "merged everywhere": (behind_the_cells(b'<mergeCells><mergeCell ref="%s"/></mergeCells>' % EVERYWHERE), "elements"),
    "linked everywhere": (behind_the_cells(b'<hyperlinks><hyperlink ref="%s"/></hyperlinks>' % EVERYWHERE), "elements"),
    "millions of cells": (lambda c: c.replace(b"</sheetData>", b"<c/>" * 1_100_000 + b"</sheetData>"), "elements"),
    "entities": (lambda c: c.replace(b"<worksheet", b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet', 1), "document type"),
    "a cell far away": (
        lambda c: c.replace(b"</sheetData>", b'<row r="1048576"><c r="B1048576"><v>1</v></c></row></sheetData>'),
        "delete the empty rows",
    ),
}


@pytest.mark.parametrize(("change", "part"), WORKBOOKS.values(), ids=WORKBOOKS)
def test_a_workbook_that_unfolds(tmp_path, change, part):
    with pytest.raises(DatasetError) as refusal:
        read_table(workbook(tmp_path / "clinical.xlsx", change))
    assert part in told(refusal)


def test_a_number_format_of_zeros_is_not_spelled_out(tmp_path):
    book = openpyxl.Workbook()
    for row in (["case", "a"], ["x", 1]):
        book.active.append(row)
    book.active["B2"].number_format = "0" * 200
    book.save(tmp_path / "clinical.xlsx")
    assert read_table(tmp_path / "clinical.xlsx")[0]["a"] == "1"


def test_a_tensor_header_of_100_mib_is_not_parsed(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes((99 << 20).to_bytes(8, "little") + b"{")
    os.truncate(path, 100 << 20)
    with pytest.raises(AutoDLSError, match="its header claims 103809024 bytes"):
        load_tensors(path, "copy it anew")


@pytest.mark.parametrize(
    ("section", "name", "value", "part"),
    [
        ("preprocessing", "input_size_px", 2048, "less than or equal to 1024"),
        ("preprocessing", "slice_size_px", 2048, "2 sequences"),
        ("fusion", "layers", 10**9, "less than or equal to 64"),
        ("network", "encoder", "resnet8", "16384 tokens"),
    ],
)
def test_a_plan_of_a_small_model_that_asks_for_much(section, name, value, part):
    content = tiny_plan(input_size_px=1024, slice_size_px=1024, crop_mm=30.0).model_dump(mode="json")
    inner = content["network"]["fusion"] if section == "fusion" else content[section]
    inner[name] = value
    if part == "2 sequences":
        names = [f"S{number}" for number in range(40)]
        content["preprocessing"] |= {
            "roi_channel": "S0", "intensity": dict.fromkeys(names, content["preprocessing"]["intensity"]["T1WI"])
        }  # fmt: skip
        part = "for 40 sequences makes samples of 1006632960 numbers"
    with pytest.raises(PlanError) as refusal:
        Plan.parse(content, "plan.json", "copy it anew")
    assert part in told(refusal)


KINDS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terabyte": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}
PLACES = {
    "table": ("clinical.csv", ()),
    "workbook": ("clinical.xlsx", ()),
    "description": ("dataset.json", ()),
    "image": ("imagesTr/case_00_0000.nii.gz", ()),
    "mask": ("labelsTr/case_00.nii.gz", ()),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("place", "_more"), PLACES.values(), ids=PLACES)
def test_what_is_no_plain_file_is_not_waited_for(tmp_path, make_dataset, make, place, _more):
    folder = make_dataset(tmp_path / "d", training=2, held_out=0)
    path = folder / place
    path.unlink(missing_ok=True)
    if path.suffix == ".xlsx":
        (folder / "clinical.csv").unlink()
    make(path)
    answer = autodls("check", "-d", folder, "--workers", 1)
    assert answer.status == 2 and path.name in answer.out + answer.err and "Traceback" not in answer.err


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "words", [("evaluate", "--score", "a", "--label", "b", "--json", "--scores"), ("plan", "--preset")]
)
def test_a_file_that_an_option_names(tmp_path, make_dataset, make, words):
    folder, path = make_dataset(tmp_path / "d", training=2, held_out=0), tmp_path / "given.json"
    make(path)
    answer = autodls(*words, path, *(("-d", folder) if words[0] == "plan" else ()))
    assert answer.status == 2 and "given.json" in answer.complaint


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_weights_that_are_no_plain_file(tmp_path, make, ending):
    from autodls.errors import WeightsError
    from autodls.training.weights import encoder_weights

    make(tmp_path / f"w{ending}")
    with pytest.raises(WeightsError):
        encoder_weights("resnet18", str(tmp_path / f"w{ending}"))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_zeros_behind_an_image_are_not_read(tmp_path, name):
    """A terabyte of them takes no place on a disk."""
    import numpy as np
    from small_volumes import textured

    from autodls.imaging.geometry import Geometry
    from autodls.imaging.volumes import write_volume

    write_volume(tmp_path / name, textured(Geometry((6, 7, 5), (1, 1, 3), (0, 0, 0)), np.random.default_rng(0)))
    os.truncate(tmp_path / name, 1 << 40)
    with pytest.raises(DatasetError, match="the file has 1099511627776"):
        read_geometry(tmp_path / name)


def raising(failure, blamed=None):
    def run():
        try:
            raise failure
        except Exception:
            if blamed is None:
                raise
            raise blamed from None

    return run


MACHINE = {
    "PyTorch": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "threads": RuntimeError("can't start new thread"),
    "libraries": ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    "Python": MemoryError(),
    "handles": OSError(errno.EMFILE, "Too many open files", "a.nii"),
    "ITK": RuntimeError("std::bad_alloc"),
}


@pytest.mark.parametrize("blamed", [None, DatasetError("a.nii: damaged; copy it anew")], ids=["plain", "file blamed"])
@pytest.mark.parametrize("failure", MACHINE.values(), ids=MACHINE)
def test_what_the_machine_lacks_is_one_line_and_no_fault_of_a_file(capsys, failure, blamed):
    assert exit_status_of(raising(failure, blamed)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("autodls: error: ") and "run again" in line and "damaged" not in line


def test_a_fault_of_ours_is_not_called_want_of_memory():
    with pytest.raises(RuntimeError, match="shape"):
        exit_status_of(raising(RuntimeError("shape '[2]' is invalid")))
    assert exit_status_of(raising(KeyError("x"), DatasetError("a; b"))) == 2


COMMAND = f"{sys.executable} -m autodls"


@pytest.mark.long
@pytest.mark.parametrize(
    ("shell", "status"),
    [
        (f"{COMMAND} --version | true; exit ${{PIPESTATUS[0]}}", (0, 1)),
        (f"{COMMAND} check -d D | head -1; exit ${{PIPESTATUS[0]}}", (0, 1, 2)),
        (f"{COMMAND} --version > /dev/full", (1,)),
        (f"{COMMAND} --version >&-", (0,)),
        (f"{COMMAND} check -d D <&- >&- 2>&-", (0,)),
        (f"ulimit -n 5; {COMMAND} check -d D --workers 1", (0, 1)),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, make_dataset, shell, status):
    make_dataset(tmp_path / "D", training=2, held_out=0)
    words = ["bash", "-c", shell]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in status, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
