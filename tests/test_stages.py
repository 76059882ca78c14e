"""Stages work from Python: nothing is printed, a record comes back, and provenance says who asked."""

from contextlib import contextmanager

import pytest
from command_line import write_phantom, write_preset

from autodls.errors import DatasetError, PlanError
from autodls.planning.request import PlanRequest
from autodls.records.provenance import Provenance
from autodls.records.workspace import Workspace
from autodls.stages.check import check
from autodls.stages.plan import explain_plan, plan
from autodls.stages.preprocess import preprocess
from autodls.stages.train import train
from autodls.watch import SILENT, KeepingWatch

pytestmark = pytest.mark.long


class Bar:
    def __init__(self, words):
        self.words = words

    def __call__(self, word):
        self.words.append(word)

    def move(self, done, word):
        self.words.append(word)


class Listener:
    """Keeps what it is told."""

    command = ("python", "a notebook")

    def __init__(self):
        self.lines, self.bars = [], {}

    def note(self, line):
        self.lines.append(line)

    @contextmanager
    def progress(self, title, total):
        self.bars[title] = [total]
        yield Bar(self.bars[title])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    write_phantom(folder / "dataset", cases=16, external_cases=0)
    return folder / "dataset"


@pytest.fixture
def quiet(capfd):
    yield
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_from_check_to_a_locked_model(dataset, tmp_path, quiet):
    listener = Listener()
    assert check(dataset, watch=listener).errors == () and len(listener.bars["checking cases"]) == 17
    asked = PlanRequest(preset=str(write_preset(tmp_path / "preset.json")), device="cpu")
    made = plan(dataset, tmp_path / "w", asked, watch=listener)
    assert explain_plan(dataset, tmp_path / "w") == made.plan and made.workspace.root == tmp_path / "w"
    assert {f"warning: {line}" for line in made.warnings} == {line for line in listener.lines if "warning: " in line}
    samples = preprocess(dataset, tmp_path / "w", watch=listener)
    assert len(samples.keys) == 16 and all((samples.folder / f"{case}.safetensors").is_file() for case in samples.keys)
    one = train(dataset, tmp_path / "w", 0, watch=listener)
    assert one.folds == (0,) and one.model is None and one.auc == ()
    done = train(dataset, tmp_path / "w", watch=listener)
    assert done.model is not None and {row.n for row in done.auc} == {16} and done.workspace.model.record.is_file()
    assert {f"warning: {line}" for line in done.warnings} <= set(listener.lines)
    noted = Provenance.beside(Workspace(tmp_path / "w").provenance).commands
    made = {name: tuple(one.command) for name, one in noted.items()}
    assert made == dict.fromkeys(("plan", "preprocess", "train"), ("python", "a notebook"))


def test_nobody_need_watch(dataset, tmp_path, quiet):
    edit = write_preset(tmp_path / "preset.json")
    assert plan(dataset, tmp_path / "w", PlanRequest(preset=str(edit), device="cpu")).plan.format
    assert Provenance.beside(Workspace(tmp_path / "w").provenance).commands["plan"].command == SILENT.command


def test_mistakes_are_the_same_errors(dataset, tmp_path, quiet):
    with pytest.raises(DatasetError, match="no such file"):
        check(tmp_path / "no-such")
    with pytest.raises(PlanError, match="plan"):
        train(dataset, tmp_path / "empty")


def test_what_was_told_is_kept_without_its_mark():
    told = KeepingWatch(SILENT)
    for line in ("next: this", "warning: that"):
        told.note(line)
    assert told.warnings == ("that",) and told.lines == ["next: this", "warning: that"]
