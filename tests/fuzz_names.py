"""Hostile names: in every place where a person writes one, through predict, evaluate and report.

None may steer a terminal, start a formula, mark up a page, or stand for another: one case or cohort, one file.
"""

import csv
import json
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
from command_line import SEQUENCES, edit_json, write_phantom
from fuzz_mutations import choose
from fuzz_run import FaultError, bounded, run_command
from fuzz_scores import write_scores
from tiny_model_folder import write_model_folder
from tiny_models import tiny_model, tiny_plan
from tiny_workspace import tiny_workspace

from autodls.errors import AutoDLSError

TAG = "x-fuzz"
PIECES = (
    "\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\r", "\n", "\t", "\x00", "\x08", "\x7f", "\u202e", "\u2066", "\u200f",
    "\u061c", "\u2028", "\u0085", "\ufeff", "\u200b", "\U000e0041", f"<{TAG} onload=1>", f"</td><{TAG}>",
    f"']\"><{TAG}/>", "&lt;", "](javascript:1)", "\n# A", "`", "**", "|", "=1+1", "@SUM(A1)",
    "+1", "-1", "=cmd|' /C calc'!A0", "--help",
    "-o", "..", "/", "\\", "CON", "~", "$(id)", "%s{0}", "\u00e9" * 90, "\uff41", "\u0430", "A", "_", "post", "0000",
    ",", ";", '"', "'", " ", "\\u001b",
)  # fmt: skip
_GIVEN = "named.csv"  # of the trial itself
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
TEXTS = {".csv", ".md", ".html", ".txt", ".svg"}
ALIKE = (  # names that are joined alike by an underscore
    (("P1", "P1_post"), ("T1", "post_T1")),
    (("A", "A_A"), ("A", "A_A")),
    (("a-0", "a"), ("0-x", "x")),
    (("P_dls", "P"), ("dls2", "dls2_dls")),
)


@dataclass(frozen=True)
class NameTrial:
    """A place for names, and names drawn from a seed."""

    place: str
    seed: int

    def __str__(self) -> str:
        return f"names/{self.place}/{self.seed}"


def make_names(root):
    """A study of few cases, a model, and a table of scores."""
    write_phantom(root / "dataset", cases=8, external_cases=2, prevalence=0.5, seed=4)
    write_model_folder(root / "model", tiny_model(_plan(SEQUENCES)))
    write_scores(root / "scores.csv")
    return root


def _plan(sequences):
    return tiny_plan(
        tuple(sequences), input_size_px=32, slice_size_px=40, crop_mm=60.0, registration="geometry",
        roi_channel=sequences[-1],
    )  # fmt: skip


def run_names(inputs, trial, work):
    """Run a trial: "refused", or "same" where names were taken and nothing came of it."""
    chance = np.random.default_rng((trial.seed, 72))
    root = work / "names"
    shutil.copytree(inputs, root)
    before = {path for path in root.rglob("*") if path.is_file()}
    with bounded():
        answers = PLACES[trial.place](root, chance)
    for answer in answers:
        _require_plain("the terminal", answer.out.replace("\t", "") + answer.err)
        forged = [line for line in answer.err.splitlines() if "autodls: error: " in line]
        if answer.status == 2 and len(forged) != 1 and not answer.out:
            raise FaultError(f"not one line: {answer.err[-300:]!r}")
    for path in sorted({path for path in root.rglob("*") if path.is_file()} - before - {root / _GIVEN}):
        _judge_file(path)
    return "refused" if any(answer.status for answer in answers) else "same"


def _name(chance):
    return "".join(choose(chance, (*PIECES, "ab", "P1")) for _ in range(int(chance.integers(1, 4))))


def _require_plain(where, text):
    if found := STEERS.search(text):
        raise FaultError(f"{where} gets {found[0]!r}: ...{text[max(0, found.start() - 80) : found.end() + 40]!r}")


class _Tags(HTMLParser):
    def handle_starttag(self, tag, attrs):
        if tag == TAG or any(name.startswith("on") for name, _ in attrs):
            raise FaultError(f"a name became <{tag} {attrs}>")


def _judge_file(path):
    if path.suffix not in TEXTS:
        return
    text = path.read_text()
    _require_plain(path.name, text)
    if path.suffix in (".html", ".svg"):
        _Tags().feed(text)
    if path.suffix == ".md" and re.search(rf"(?<!\\)<{TAG}|^# A$|[^\\]\]\(javascript", text, re.MULTILINE):
        raise FaultError(f"{path.name}: marked up by a name")
    if path.suffix == ".csv":
        cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
        if found := [cell for cell in cells if re.match(r"\s*[=@]|\s*[+-](?![\d.]+(e[+-]?\d+)?$|$)", cell)]:
            raise FaultError(f"{path.name}: a formula: {found[0]!r}")


def _files(root, chance):
    """`predict` of a folder with a file of a hostile name."""
    images = root / "new" / "images"
    images.mkdir(parents=True)
    rois = root / "new" / "rois"
    rois.mkdir()
    name = _name(chance).replace("/", "_").replace("\x00", "")
    for source in (root / "dataset/imagesTr").glob("PH0001_*"):
        shutil.copyfile(source, images / source.name)
        named = f"{name}{source.name.removeprefix('PH0001')}" if chance.random() < 0.7 else f"{name}{source.suffix}"
        shutil.copyfile(source, images / named.encode()[-200:].decode(errors="ignore"))
    for named in ("PH0001", name.encode()[-200:].decode(errors="ignore")):
        shutil.copyfile(root / "dataset/labelsTr/PH0001.nii.gz", rois / f"{named}.nii.gz")
    return [run_command("predict", "-i", images, "--rois", rois, "-m", root / "model", "-o", root / "out")]


def _alike(root, chance):
    """Cases and sequences whose names are joined alike: as many maps as both together."""
    cases, sequences = choose(chance, ALIKE)
    new, model = root / "new", root / "alike"
    write_model_folder(model, tiny_model(_plan(sequences)))
    for part in ("imagesTr", "labelsTr"):
        (new / part).mkdir(parents=True)
        for number, case in enumerate(cases, 1):
            for path in (root / "dataset" / part).glob(f"PH000{number}*"):
                shutil.copyfile(path, new / part / path.name.replace(f"PH000{number}", case))
    words = ("-i", new / "imagesTr", "--rois", new / "labelsTr", "-m", model, "-o", root / "out", "--heatmaps")
    answer = run_command("predict", *words)
    maps = [path.name for path in (root / "out" / "heatmaps").glob("*.nii.gz")]
    if answer.status == 0 and len(maps) != len(cases) * (len(sequences) + 1):
        raise FaultError(f"{len(cases)} cases of {sequences} have {len(maps)} maps: {sorted(maps)}")
    return [answer]


def _table(root, chance):
    """`evaluate --scores` of a table whose cells and columns are named so."""
    with (root / "scores.csv").open(newline="") as handle:
        header, *rows = csv.reader(handle)
    names = {"dls": "dls", "cohort": "cohort", "label": "label", "other": "other"}
    for name in names:
        if chance.random() < 0.3:
            names[name] = _name(chance)
    cohorts = {name: _name(chance) for name in ("a", "b")}
    with (root / _GIVEN).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow([names.get(cell, cell) for cell in header])
        writer.writerows([[row[0], cohorts[row[1]], *row[2:]] for row in rows])
    words = ("--scores", root / _GIVEN, f"--score={names['dls']}", f"--score={names['other']}")
    words = (*words, f"--label={names['label']}", f"--cohort={names['cohort']}", "-o", root / "judged")
    return [run_command("evaluate", *words, *(("--json",) if chance.random() < 0.3 else ()))]


def _study(root, chance):
    """A workspace, `evaluate` and `report` of a study whose dataset.json and clinical.csv hold such names."""
    dataset = root / "dataset"
    choose(chance, (_sites, _cohort, _target_or_dataset, _column))(dataset, chance)
    try:
        tiny_workspace(dataset, root / "w", _plan(SEQUENCES))
    except AutoDLSError:
        return [run_command("check", "-d", dataset, "--workers", 1)]
    place = ("-d", dataset, "-w", root / "w")
    return [run_command("evaluate", *place, "--workers", 1), run_command("report", *place)]


def _rows(dataset, change):
    """Change the rows of clinical.csv, each a dict."""
    with (dataset / "clinical.csv").open(newline="") as handle:
        rows = [change(row) for row in csv.DictReader(handle)]
    with (dataset / "clinical.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _settings(dataset):
    return json.loads((dataset / "dataset.json").read_text())["autodls"]


def _sites(dataset, chance):
    names = {}
    _rows(dataset, lambda row: row | {"site": names.setdefault(row["site"], _name(chance))})


def _cohort(dataset, chance):
    column, training = (_settings(dataset)["cohort"][key] for key in ("column", "training"))
    name = _name(chance)
    _rows(dataset, lambda row: row if row[column] in training else row | {column: name})


def _target_or_dataset(dataset, chance):
    edit_json(dataset / "dataset.json", **{choose(chance, ("autodls__target__name", "name")): _name(chance)})


def _column(dataset, chance):
    settings, name = _settings(dataset), _name(chance)
    old, *others = settings["clinical"]
    if chance.random() < 0.5:
        old = settings["target"]["column"]
        edit_json(dataset / "dataset.json", autodls__target__column=name)
    else:
        edit_json(dataset / "dataset.json", autodls__clinical=[name, *others])
    _rows(dataset, lambda row: {name if key == old else key: cell for key, cell in row.items()})


PLACES = {"files": _files, "alike": _alike, "table": _table, "study": _study}
TRIED = ("files", "table", "study", "files", "table", "study", "table", "alike")  # the last takes seconds
