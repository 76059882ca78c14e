"""Names and texts that users give: what becomes a file, a cell, a page or a line on a terminal."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import autodls, edit_json
from hypothesis import given
from hypothesis import strategies as st
from tiny_model_folder import write_model_folder
from tiny_workspace import tiny_workspace

from autodls.cli.console import note, say, show_table, visible
from autodls.errors import PlanError
from autodls.records.base import parse_json, read_json
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.files import read_bounded, sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.scores import csv_text, without_formula, write_csv
from autodls.records.workspace import Workspace, safe_name
from autodls.training.card import model_card

HOSTILE_IDS = [
    "..", ".", "", "../x", "a/b", "a\\b", "/etc/passwd", "C:\\x", "C:x", "a:b", "CON", "con.txt", "NUL", "nul.tar.gz",
    "COM1", "lpt9.x", "AUX", "PRN", "-rf", "--help", ".hidden", "a.", "a ", " a", "a\tb", "a\nb", "a\x00b", "a\x1b[2Jb",
    "ａ", "аdmin", "a\u200bb", "a\u202eb", "é", "e\u0301", "ﬁ", "٣", "*", "?", "a|b", "<a>", "$(id)", "`id`", "%PATH%",
    "~", "a;b", "a,b", "a'b", 'a"b', "=1+1", "@a", "+a", "x" * 101, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_signs_that_stdout_cannot_show_are_spelled(encoding):
    """As in JSON, so that JSON stays JSON; half a surrogate pair, as of a file name, is no sign in UTF-8 either."""
    spoken = "Z\u00fcrich \udcff"
    code = f"from autodls.cli.console import *; spell_unknown_signs(); sys.stdout.write({spoken!a})"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert json.loads(f'"{done.stdout.decode(encoding)}"') == spoken


@pytest.mark.parametrize("case_id", HOSTILE_IDS)
def test_an_id_that_is_no_file_name_everywhere(case_id):
    assert case_id_fault(case_id)


@given(st.text(max_size=120))
def test_an_id_that_is_let_through_names_one_file_in_its_folder(case_id):
    if case_id_fault(case_id) is None:
        path = Workspace(Path("/w")).sample(case_id)
        assert path.parent.as_posix() == "/w/preprocessed" and path.name == f"{case_id}.safetensors"
        assert case_id.isascii() and case_id.isprintable() and without_formula(case_id) == case_id


@given(st.text(max_size=60))
def test_a_cohort_of_any_name_has_a_safe_file(name):
    assert case_id_fault(safe_name(name)) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A1", "a1"),
        ("Ａ1", "A1"),
        ("ﬁn", "fin"),
        ("a\u200b", "a"),
        ("tra\u0456n", "train"),
        ("\u0412\u0435\u0442\u0430", "Beta"),
        ("\u0391\u03bb", "A\u03bb"),
        ("straße", "STRASSE"),
        ("a\u00a0b", "ab"),
        ("²", "2"),
    ],
)
def test_names_that_a_person_takes_for_one(first, second):
    assert look_alikes([first, second, "other"]) == [tuple(sorted((first, second)))]


@pytest.fixture
def model(tmp_path):
    write_model_folder(tmp_path / "model")
    return tmp_path / "model"


def predicted(root):
    new = root / "new"
    words = ("-i", new / "imagesTr", "--rois", new / "labelsTr", "-o", root / "out", "-m", root / "model")
    return autodls("predict", *words)


BAD_FILES = ["CON_0000", "-x_0000", "a b_0000", "ａ_0000", "a._0000", "a\x1b[2J_0000", "a\n_0000"]


@pytest.mark.parametrize("stem", BAD_FILES)
def test_files_whose_case_has_no_safe_name_are_not_scored(tmp_path, make_dataset, model, stem):
    make_dataset(tmp_path / "new", training=1, held_out=0)
    images = tmp_path / "new" / "imagesTr"
    shutil.copyfile(images / "case_00_0000.nii.gz", images / f"{stem}.nii.gz")
    answer = predicted(tmp_path)
    assert answer.status == 2 and "rename its files" in answer.complaint and answer.complaint.isprintable()
    assert not (tmp_path / "out").exists()


def test_two_cases_that_are_one_on_another_computer(tmp_path, make_dataset, model):
    make_dataset(tmp_path / "new", training=1, held_out=0)
    images = tmp_path / "new" / "imagesTr"
    shutil.copyfile(images / "case_00_0000.nii.gz", images / "CASE_00_0000.nii.gz")
    assert "'CASE_00' and 'case_00' look alike" in predicted(tmp_path).complaint


@pytest.mark.parametrize("name", ["case_01_0009.nii.gz", "case_01.nii.gz", "case_01_٠٠٠٠.nii.gz"])
def test_no_image_of_the_folder_is_passed_over_in_silence(tmp_path, make_dataset, model, name):
    make_dataset(tmp_path / "new", training=1, held_out=0)
    images = tmp_path / "new" / "imagesTr"
    shutil.copyfile(images / "case_00_0000.nii.gz", images / name)
    answer = predicted(tmp_path)
    assert answer.status in (1, 2) and "case_01" in answer.err


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "＝1", " =1", '=HYPERLINK("http://x","y")']


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_run(tmp_path, text):
    write_csv(tmp_path / "t.csv", ["case", text], [["a", text], ["b", -1.5], ["c", "-1.5"]])
    rows = list(csv.reader(io.StringIO((tmp_path / "t.csv").read_text(), newline="")))
    assert rows[0][1].startswith("'") and rows[1][1].startswith("'")
    assert [rows[2][1], rows[3][1]] == ["-1.5", "-1.5"]


@given(st.text())
def test_no_cell_starts_a_formula(text):
    first = without_formula(text).lstrip()[:1]
    assert first not in tuple("=@") or not first


MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onload='alert(3)"


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_texts_of_the_dataset_reach_page_and_tables_disarmed(tmp_path, make_dataset, edit_table):
    folder = make_dataset(tmp_path / "study", training=8, held_out=4)
    edit_json(folder / "dataset.json", name=MARKUP, autodls__target__name=MARKUP)
    for number in range(8):
        edit_table(folder, f"case_{number:02d}", site=MARKUP if number % 2 else "=cmd|' /C calc'!A0")
    for number in range(8, 12):
        edit_table(folder, f"case_{number:02d}", cohort="=1+1 onclick")
    tiny_workspace(folder, folder / "autodls")
    assert autodls("evaluate", "-d", folder).status == 0
    assert autodls("report", "-d", folder).status == 0
    page = (folder / "autodls" / "results" / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    assert len([tag for tag, _ in tags.found if tag == "script"]) == 1
    assert "&lt;script&gt;" in page
    for table in (folder / "autodls").rglob("*.csv"):
        for row in csv.reader(io.StringIO(table.read_text(), newline="")):
            assert not [cell for cell in row if re.match(r"\s*[=@]", cell)], table


def signs_of_cells(folder):
    return {sign for table in folder.rglob("*.csv") for sign in table.read_text() if not sign.isprintable()}


def test_cells_of_the_dataset_do_not_steer_a_terminal_that_shows_a_table(tmp_path, make_dataset, edit_table):
    folder = make_dataset(tmp_path / "study", training=8, held_out=4)
    for number in range(12):
        edit_table(folder, f"case_{number:02d}", site=("\x1b]0;owned\x07\x1b[2J\x9b", "\u202egnp\u061c")[number % 2])
    edit_json(
        folder / "dataset.json", autodls__clinical=["age", "site"], name="a\x1b[2J", autodls__target__name="\x9bT"
    )
    tiny_workspace(folder, folder / "autodls")
    assert autodls("evaluate", "-d", folder).status == 0
    assert signs_of_cells(folder / "autodls") == {"\n"}
    assert "\\u001b" in (folder / "autodls/results/tables/baseline.csv").read_text()


@given(st.text(max_size=20))
def test_a_cell_is_one_line_of_signs_that_are_seen(text):
    written = csv_text(["a"], [[text]])
    assert written.count("\n") == 2 and written.replace("\n", "").isprintable()


HOSTILE_CARD = "x\n\n## Approved\n<img src=x onerror=alert(1)>[a](javascript:alert(1)) `b` **c** | d \u202e"


@pytest.mark.parametrize("field", ["name", "column", "dataset"])
def test_the_model_card_shows_names_and_takes_nothing_from_them(tmp_path, make_dataset, field):
    folder = make_dataset(tmp_path / "study", training=8, held_out=0)
    if field == "column":
        table = folder / "clinical.csv"
        lines = table.read_text().splitlines()
        quoted = '"' + lines[0].replace("cps", HOSTILE_CARD).replace(",", '","') + '"'
        table.write_text("\n".join([quoted, *lines[1:]]))
        edit_json(folder / "dataset.json", autodls__target__column=HOSTILE_CARD)
    else:
        edit_json(folder / "dataset.json", autodls__target__name=HOSTILE_CARD)
    workspace = tiny_workspace(folder, folder / "autodls")
    card = workspace.model.card.read_text()
    assert "Approved" in card or field == "dataset"
    if field == "dataset":
        record = ModelRecord.load(workspace.model.record, "").model_copy(update={"dataset": HOSTILE_CARD})
        card = model_card(record, Plan.load(workspace.model.plan, ""), [])
    assert "Approved" in card
    assert not [part for part in ("\n## ", "<img", "](javascript:", "\u202e", " `b`", " **c**", " | d") if part in card]


def test_a_file_name_makes_no_line_of_its_own(tmp_path, make_dataset, model):
    make_dataset(tmp_path / "new", training=1, held_out=0)
    (tmp_path / "new" / "imagesTr" / "readme\nautodls: all cases verified as LOW RISK").write_text("")
    answer = predicted(tmp_path)
    assert answer.status == 0 and "readme\\u000aautodls: all" in answer.err
    assert not [line for line in answer.err.splitlines() if line.startswith("autodls: all")]


def test_no_cell_of_a_shown_table_makes_a_line_of_its_own(capsys):
    show_table("a\nb", ["c\nd"], [["e\nautodls: all is well \x1b[2J"]])
    say("f\nautodls: g")
    note("h\nautodls: i")
    told = capsys.readouterr()
    assert not [line for line in (told.out + told.err).splitlines() if line.strip().startswith("autodls")]
    assert "\x1b[2J" not in told.out


def test_a_report_names_no_folder_also_before_there_is_a_model(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "study", training=8, held_out=4)
    workspace = tiny_workspace(folder, folder / "autodls")
    for name in ("model", "folds"):
        shutil.rmtree(workspace.root / name)
    edit_json(workspace.plan, network__encoder_weights="/home/anna.privat/scanner-room-7/resnet50.pth")
    assert autodls("report", "-d", folder).status == 0
    page = workspace.report.read_text()
    assert "resnet50.pth" in page and "anna.privat" not in page and "scanner-room" not in page


class TestTerminal:
    def test_signs_that_steer_it_are_spelled(self):
        assert visible("a\x1b]0;x\x07b\x9b\u202e\r\ud800\U000e0001") == (
            "a\\u001b]0;x\\u0007b\\u009b\\u202e\\u000d\\ud800\\udb40\\udc01"
        )

    @given(st.text())
    def test_everything_else_stays(self, text):
        assert visible(text).replace("\n", "").isprintable()
        assert (visible(text) == text) == text.replace("\n", "").isprintable()

    def test_no_file_steers_it(self, tmp_path, make_dataset):
        folder = make_dataset(tmp_path / "a")
        edit_json(folder / "dataset.json", name="\x1b[2J\x07")
        (folder / "imagesTr" / "\x1b[31mx_0000.nii.gz").write_bytes(b"")
        answer = autodls("check", "-d", folder, "--workers", 1)
        assert "\x1b[2J" not in answer.out and "\x1b[31m" not in answer.out and "\\u001b" in answer.out


class TestJson:
    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ('{"a": 1, "a": 2}', "'a' stands twice"),
            ('{"b": [{"a": 1, "c": 0, "a": 1}]}', "'a' stands twice"),
            ('{"a": NaN}', "NaN is not a number"),
            ("[-Infinity]", "-Infinity is not a number"),
            ("[1e999]", "1e999 is not a number"),
            ("[-1E400]", "-1E400 is not a number"),
            ('["\\ud800"]', "surrogates not allowed"),
            ('{"\\uDC00x": 1}', "surrogates not allowed"),
            ("9" * 5000, "Exceeds the limit"),
            ("[" * 100_000, ""),
        ],
    )
    def test_what_readers_understand_differently_is_refused(self, tmp_path, text, part):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(PlanError) as refusal:
            read_json(tmp_path / "a.json", "mend it", PlanError)
        assert part in str(refusal.value) and "\n" not in str(refusal.value) and "a.json" in str(refusal.value)

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                        | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
    def test_all_else_is_read_as_it_was_written(self, content):
        assert parse_json(json.dumps(content)) == content

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
    def test_what_is_no_file_is_not_read(self, tmp_path, make):
        path = tmp_path / "dataset.json"
        make(path)
        answer = autodls("check", "-d", tmp_path)
        assert answer.status == 2 and "not a plain file" in answer.complaint
        for read in (sha256_of_file, lambda path: read_bounded(path, 10)):
            with pytest.raises(OSError, match="not a plain file"):
                read(path)

    def test_a_table_larger_than_memory(self, tmp_path, make_dataset):
        folder = make_dataset(tmp_path / "a")
        with (folder / "clinical.csv").open("r+b") as handle:
            handle.truncate(1 << 40)
        assert "larger than 64 MiB" in autodls("check", "-d", folder).complaint


def test_a_cohort_in_a_mixture_of_scripts_is_told(tmp_path):
    """Alone in its column, it looks like no other name there."""
    from autodls.records.cells import TableRow
    from autodls.records.dataset import DatasetDescription
    from autodls.records.identities import spelling_problems

    settings = {"target": {"name": "t", "column": "y", "positive": "> 0"}, "site": "site"}
    description = DatasetDescription.model_validate(
        {"channel_names": {"0": "T1"}, "labels": {"background": 0, "t": 1}, "autodls": settings}
    )
    rows = [TableRow({"site": site}, 2 + at) for at, site in enumerate(("Z\u00fcri\u0441h", "Bern"))]
    said = [one.what for one in spelling_problems(["a", "b"], rows, description)]
    assert said == ["column 'site' holds 'Z\\xfcri\\u0441h', which mixes Latin with Cyrillic or Greek letters"]
