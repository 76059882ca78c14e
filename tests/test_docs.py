"""The documents: what they show can be typed, parses, runs and leads somewhere; what is made is made of the program."""

import hashlib
import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

import documents
import pandas
import pytest
from command_line import PRESET, autodls, write_phantom
from documents import DOCS, MADE, PAGES, ROOT, anchors, command_of, fences, links, shell_lines, typed_commands
from pydantic import BaseModel, ValidationError
from tiny_run import QUICK, with_tiny_networks

from autodls.cli.manner import as_asked
from autodls.evaluation.metrics_record import Metrics
from autodls.inference.heldout import write_held_out
from autodls.inference.prediction import LESION_COLUMNS, Prediction, score_columns
from autodls.records.base import parse_json
from autodls.records.dataset import DatasetDescription, StudySettings, Target
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.table import read_table
from autodls.stages.init import InitRecord

pytest.importorskip("sphinx", reason="no Sphinx: pip install 'autodls[docs]'")

from pages import calls, commands, records, tables

NAMES = {page: page.relative_to(ROOT).as_posix() for page in PAGES}
TYPED = [pytest.param(*one, id=f"{NAMES[one[0]]}: autodls {' '.join(one[1])}") for one in typed_commands()]
# Formats of working files: no person and no other program reads them, and they may change.
OUR_OWN = {
    "compare-fold",
    "curve-run",
    "fold",
    "heldout-masks",
    "known-scores",
    "masks",
    "phantom",
    "radiomics",
    "segmenter",
}
MADE_COMMANDS = commands.commands()


class TestWhatPagesShow:
    @pytest.mark.parametrize(("page", "words", "whole"), TYPED)
    def test_every_command_and_option_is_there(self, page, words, whole):
        """In a fence the whole line is parsed, as when it is typed, and nothing is run."""
        found = command_of(words)
        if found is None:
            assert not whole and not [word for word in words if word.startswith("-")], f"{page}: no such command"
            return
        command, name, rest = found
        known = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)} | {"--help"}
        assert {word.partition("=")[0] for word in rest if word.startswith("-") and word != "--"} <= known
        if whole:
            with as_asked():
                command.make_context(" ".join(name), rest)

    @pytest.mark.parametrize("fence", fences("json"), ids=str)
    def test_json_is_that_of_a_record(self, fence):
        content = parse_json(fence.text)
        told = []
        for record in (*(one for one, _ in records.FILES.values()), StudySettings, Target):
            try:
                record.model_validate(content)
            except ValidationError as failure:
                told.append(f"{record.__name__}: {failure.error_count()}")
            else:
                return
        raise AssertionError(f"{fence}: fits no record ({', '.join(told)})")

    @pytest.mark.parametrize("kind", ["sh", "json", "python"])
    def test_there_are_some(self, kind):
        assert len(fences(kind)) >= {"sh": 15, "json": 4, "python": 3}[kind]

    def test_no_block_is_of_a_kind_that_nobody_tries(self):
        known = {"sh", "bash", "json", "python", "text", "csv", "toml", "yaml", "toctree", "figure", "include"}
        kinds = {re.sub(r"[{}]", "", found[2]).split()[0] for page in PAGES
                 for found in documents._FENCE.finditer(page.read_text()) if found[2].strip()}  # fmt: skip
        assert kinds <= known

    def test_the_readme_is_one_page(self):
        lines = (ROOT / "README.md").read_text().splitlines()
        assert len(lines) <= 110 and max(map(len, lines)) <= 130

    @pytest.mark.parametrize("page", sorted((DOCS / "howto").glob("*.md")), ids=lambda page: page.stem)
    def test_a_how_to_has_one_title(self, page):
        titles = re.findall(r"^# .+$", documents.prose(page), re.MULTILINE)
        assert len(titles) == 1 and page.read_text().startswith(titles[0])


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
    def test_every_link_leads_somewhere(self, page):
        """To a file of the repository, to a page that is made, or to a part of one; of other sites the form alone."""
        for target in links(page):
            if re.match(r"[a-z]+:", target):
                found = urlsplit(target)
                assert found.scheme in ("https", "http") and "." in found.netloc, target
                continue
            path, _, part = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            inside = place.relative_to(DOCS).as_posix() if place.is_relative_to(DOCS) else ""
            if inside.startswith(MADE):
                assert page.is_relative_to(DOCS) and self.is_made(inside), target
            elif not inside.startswith("concepts/pictures/"):
                assert place.exists(), f"{NAMES[page]}: {target}"
                assert not part or part in anchors(place), f"{NAMES[page]}: {target}"

    @staticmethod
    def is_made(inside):
        folder, _, name = inside.rpartition("/")
        of_commands = {"index.md", *(f"{'-'.join(words)}.md" for words in MADE_COMMANDS)}
        of_records = {"index.md", *map(records.page_name, records.FILES)}
        of_folder = {"reference/commands": of_commands, "reference/records": of_records}
        return name in of_folder[folder] if folder in of_folder else inside in MADE

    def test_a_page_can_be_reached(self):
        """Each is in a table of contents, the pages of how-tos by their folder."""
        index = {name for page in PAGES for fence in fences("{toctree}", [page]) for name in fence.text.split()}
        for page in DOCS.rglob("*.md"):
            name = page.relative_to(DOCS).with_suffix("").as_posix()
            assert {name, f"/{name}", page.stem} & index or name == "index" or page.parent.name == "howto", name


class TestWhatIsMade:
    @pytest.mark.parametrize("words", MADE_COMMANDS, ids=" ".join)
    def test_a_command_has_a_page_with_each_option_and_its_help(self, words):
        text = commands.command_pages()[f"{'-'.join(words)}.md"]
        for option in MADE_COMMANDS[words].params:
            for name in option.opts:
                assert name in text or option.param_type_name == "argument", name
            assert " ".join(commands.paragraphs(option.help).split()) in text
        assert commands.paragraphs(MADE_COMMANDS[words].help) in text

    def test_nothing_depends_on_the_cores_of_this_machine(self):
        text = "".join(commands.command_pages().values())
        assert "default: the cores of this machine" in text
        assert not re.search(r"Processes that read images\.[^\n]*default: \d", text)

    @pytest.mark.parametrize(
        "record",
        [DatasetDescription, Fingerprint, Plan, Metrics, Prediction, ModelRecord],
        ids=lambda one: one.__name__,
    )
    def test_every_key_of_what_a_person_edits_or_quotes_is_described(self, record):
        found = records.nested(record)
        bare = [f"{one.record.__name__}.{name}" for one in found
                for name, field in one.record.model_fields.items() if not records.told(name, field)]  # fmt: skip
        assert len(found) > 4 and not bare

    def test_a_key_without_a_description_has_that_of_the_record_that_it_holds(self):
        fields = ModelRecord.model_fields
        assert records.told("target", fields["target"]) == fields["target"].description
        assert records.told("format", fields["format"]) == "name and version of the format"
        found = records.told("choices", InitRecord.model_fields["choices"])
        assert found == "A setting of dataset.json: its value, why, and whether nobody has confirmed it"

    @pytest.mark.parametrize("file", records.FILES)
    def test_a_file_has_a_page_with_each_key_of_each_record(self, file):
        record, _ = records.FILES[file]
        text = records.record_pages()[records.page_name(file)]
        for one in records.nested(record):
            for name in one.record.model_fields:
                assert f"* - `{name}`\n" in text, name

    def test_a_file_of_a_new_format_has_a_page_or_stands_among_those_that_nobody_else_reads(self):
        found = {name for path in (ROOT / "autodls").rglob("*.py")
                 for name in re.findall(r'Literal\["autodls-([a-z-]+)/\d+"\]', path.read_text())}  # fmt: skip
        told = {re.search("autodls-([a-z-]+)", record.model_fields["format"].default)[1]
                for record, _ in records.FILES.values() if "format" in record.model_fields}  # fmt: skip
        assert found - told == OUR_OWN

    def test_bounds_and_defaults_are_those_of_the_record(self):
        text = records.record_page("plan.json", Plan, "")
        assert "`learning_rate`\n  - number, above 0\n" in text
        assert "`inner_holdout`\n  - number, above 0, below 0.5\n" in text
        assert '`fallback`\n  - `"none"` or `"mean"`; default `"none"`\n' in text
        assert "`momentum`\n  - number, at least 0, below 1; default `0.9`\n" in text
        assert "## network.fusion\n" in text and "[fusion plan](#plan-fusionplan)" in text

    def test_the_columns_are_those_that_are_written(self, tmp_path):
        held = {file: tuple(name for name in columns if name != tables.SEQUENCE)
                for file, (_, columns) in tables.COLUMNS.items()}  # fmt: skip
        assert held["scores.csv"] == tuple(score_columns(()))
        assert held["lesions.csv"] == LESION_COLUMNS
        one = {"case": "P1", "dls": 0.5, "call": "high", "cutoff": 0.5, "spread": 0.1, "dls_raw": 0.5,
               "sequences": {}, "rois": "manual", "flags": ()}  # fmt: skip
        made = Prediction.model_validate({"version": "0", "model_sha256": "", "target": "", "cases": (one,),
                                          "failed": (), "inputs": {}})  # fmt: skip
        place = tmp_path / "scores"
        place.mkdir()
        write_held_out(place / "held.csv", place / "held.json", made, (), {"P1": True})
        (row,) = read_table(place / "held.csv")
        assert held["results/scores/COHORT.csv"] == tuple(row)

    def test_what_calls_return_is_found_by_their_annotations(self):
        found = calls.returned()
        assert {"autodls.stages.evaluate.Evaluated", "autodls.preprocessing.store.Sample"} <= set(found)
        assert f"autofunction:: autodls.stats.{'delong'}" in calls.calls_page()
        assert not any(issubclass(calls._found(path), BaseModel) for path in found)


def tree_hash(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.long
def test_the_site_is_built_without_a_warning_to_the_same_bytes_and_asks_no_other_site(tmp_path):
    for name in ("first", "second"):
        words = [sys.executable, str(DOCS / "build.py"), str(tmp_path / name / "docs")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    first, second = (tree_hash(tmp_path / name / "docs") for name in ("first", "second"))
    assert first == second and len([name for name in first if name.endswith(".html")]) > 60
    for page in (tmp_path / "first" / "docs").rglob("*.html"):
        text = page.read_text()
        assert str(ROOT) not in text
        assert not re.search(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text), page.name
        assert not re.search(r'<link[^>]+rel="(?:stylesheet|preload)"[^>]+href="(?:https?:)?//', text), page.name
    found = (tmp_path / "first" / "docs" / "searchindex.js").read_text()
    assert found.startswith("Search.setIndex(") and "youden" in found
    assert json.dumps("howto/data") in found


@pytest.mark.long
def test_the_quick_start_of_the_readme_runs_as_it_stands_there(tmp_path, monkeypatch):
    """A folder and a spreadsheet, two commands, a report; then new cases. Without a terminal `init` needs --yes."""
    made = write_phantom(tmp_path / "made", cases=12, external_cases=2)
    names = {"imagesTr/{}_0000": "T2", "imagesTr/{}_0001": "t1_gd", "labelsTr/{}": "tumor_mask"}
    table = pandas.read_csv(made / "clinical.csv")
    for case in table["case"]:
        (tmp_path / "SCANS" / case).mkdir(parents=True)
        for name, called in names.items():
            (made / f"{name.format(case)}.nii.gz").rename(tmp_path / "SCANS" / case / f"{called}.nii.gz")
    table.to_excel(tmp_path / "patients.xlsx", index=False)
    (tmp_path / "preset.json").write_text(json.dumps({**PRESET, "given": {**PRESET["given"], **QUICK}}))
    with_tiny_networks(monkeypatch)
    monkeypatch.setattr("autodls.stages.explain.CASES", 1)
    monkeypatch.chdir(tmp_path)
    blocks = [shell_lines(fence.text) for fence in fences("sh", [ROOT / "README.md"])]
    (init, run), (predict,) = (next([one[1:] for one in block if one[1] in what] for block in blocks
                                    if any(one[1] in what for one in block))
                               for what in (("init", "run"), ("predict",)))  # fmt: skip
    assert autodls(*init, "--yes").status == 0
    assert autodls("plan", "-d", "DATASET", "--preset", "preset.json").status == 0  # one that takes seconds
    answer = autodls(*run)
    assert answer.status == 0, answer.err
    workspace = tmp_path / "DATASET" / "autodls"
    assert (workspace / "results" / "report.html").is_file()
    for name, target in {
        "IMAGES": "DATASET/imagesTr",
        "ROIS": "DATASET/labelsTr",
        "MODEL": "DATASET/autodls/model",
    }.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    answer = autodls(*predict)
    assert answer.status == 0, answer.err
    assert {row["call"] for row in read_table(tmp_path / "OUT" / "scores.csv")} <= {"high", "low"}
