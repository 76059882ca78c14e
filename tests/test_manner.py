"""What people expect of a command line: -h, -v, -q, --log, --dry-run, completion."""

import io
import os
import re
import subprocess
import sys

import pytest
from command_line import autodls, snapshot, write_phantom, write_preset
from tiny_workspace import tiny_workspace

from autodls.cli.app import app
from autodls.cli.manner import with_manners
from autodls.stages.log_file import LoggedStream

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} "


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = write_phantom(tmp_path_factory.mktemp("phantom") / "study", cases=12, external_cases=0)
    write_preset(folder / "preset.json")
    assert autodls("plan", "-d", folder, "--preset", folder / "preset.json", "--workers", 1).status == 0
    return folder


@pytest.fixture
def study(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "study", training=12, held_out=3)
    tiny_workspace(dataset, dataset / "autodls")
    return dataset


def preprocess(folder, *more):
    return autodls("preprocess", "-d", folder, "--workers", 1, *more)


def leaves(group, words=()):
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        yield from leaves(command, (*words, name)) if inner else [((*words, name), command)]


@pytest.mark.parametrize(
    "words", [(), ("train",), *(words for words, _ in leaves(with_manners(app).func))], ids=" ".join
)
def test_every_command_has_help_by_h_and_the_same_manners(words):
    short, full = autodls(*words, "-h"), autodls(*words, "--help")
    assert short.status == 0 and short.out == full.out and short.out.startswith("Usage: autodls")
    if words and words != ("train",):
        assert all(option in full.out for option in ("-v, --verbose", "-q, --quiet", "--log"))


def test_verbose_says_how_long_a_step_took_and_quiet_shows_no_progress(planned):
    plain, verbose, quiet = preprocess(planned), preprocess(planned, "-v"), preprocess(planned, "-q")
    assert re.search(r"preprocessing: 12 steps in \d+\.\d s", verbose.err)
    assert "steps in" not in plain.err and "preprocessing" in plain.err
    assert "preprocessing" not in quiet.err and quiet.out == plain.out == verbose.out
    assert preprocess(planned).err.count("preprocessing") == plain.err.count("preprocessing"), "forgotten afterwards"


def test_quiet_leaves_errors_and_warnings(planned, tmp_path):
    answer = autodls("preprocess", "-d", tmp_path / "none", "-q")
    assert answer.status == 2 and "no such file" in answer.complaint
    loud, quiet = (preprocess(planned, *more).err.splitlines() for more in ((), ("-q",)))
    assert [line for line in quiet if "warning" in line] == [line for line in loud if "warning" in line]


def test_a_log_is_appended_to_with_times(planned, tmp_path):
    log = tmp_path / "run.log"
    assert preprocess(planned, "--log", log).status == 0
    assert autodls("preprocess", "-d", tmp_path / "none", "--log", log).status == 2
    first, *lines = log.read_text().splitlines()
    assert first == "# autodls-log/1" and all(re.match(TIME, line) for line in lines)
    told = [re.sub(TIME, "", line) for line in lines]
    assert sum(bool(re.match(r"autodls \S+: preprocess -d ", line)) for line in told) == 2
    assert any(line.startswith("preprocessing: 12 steps in") for line in told)
    assert any(line.startswith("autodls: error: ") and "no such file" in line for line in told)


@pytest.mark.parametrize("words", [("plan", "--no-such-option"), ("train", "fold", "all", "--rois", "mine")])
def test_usage_errors_are_as_ever(words):
    answer = autodls(*words)
    assert answer.status == 2 and answer.err.startswith("Usage: autodls") and "Traceback" not in answer.err


@pytest.mark.parametrize("kind", ["text", "folder", "among images", "no folder", "pipe"])
def test_a_place_that_is_no_log_of_ours_is_refused(planned, tmp_path, kind):
    place = {"among images": planned / "imagesTr" / "x.log", "no folder": tmp_path / "a" / "b.log"}.get(
        kind, tmp_path / "x"
    )
    if kind == "text":
        place.write_text("somebody's")
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    before = place.read_text() if kind == "text" else None
    answer = preprocess(planned, "--log", place)
    assert answer.status == 2 and f"--log {place}" in answer.complaint.replace(
        f"--log {place.parent}:", f"--log {place}"
    )
    assert before is None or place.read_text() == before
    assert kind in ("text", "folder", "pipe") or not place.exists()


def test_of_a_line_that_is_drawn_over_itself_the_last_state_is_logged():
    shown, log = io.StringIO(), io.StringIO()
    stream = LoggedStream(shown, log)
    stream.write("a 1/2\ra 2/2\x1b[2K\n\x1b[31mred\x1b[0m\nbegun")
    assert [re.sub(TIME, "", line) for line in log.getvalue().splitlines()] == ["a 2/2", "red"]
    assert shown.getvalue().endswith("begun") and not stream.isatty()


def test_the_path_of_a_log_is_in_no_provenance(planned, tmp_path):
    preprocess(planned, "--log", tmp_path / "ann")
    assert "ann" not in (planned / "autodls" / "provenance.json").read_text()


@pytest.mark.parametrize(("typed", "expected"), [("autodls tr", "train"), ("autodls train fold all --re", "--restart")])
def test_a_shell_completes_by_asking(typed, expected):
    asked = {"_AUTODLS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "autodls"], capture_output=True, text=True, check=True, env={**os.environ, **asked}
    )
    assert expected in done.stdout.split()


# -- dry runs ----------------------------------------------------------------------------------------------------------


def dry(folder, *words):
    """A command with --dry-run, which must leave every file as it is."""
    before = snapshot(folder.parent)
    answer = autodls(*words, "--dry-run")
    assert snapshot(folder.parent) == before
    return answer


def test_dry_training_says_what_it_would_train_and_how_long(planned):
    answer = dry(planned, "train", "fold", "all", "-d", planned, "--workers", 1)
    assert answer.status == 0, answer.err
    assert "fold 1: T2WI to be trained, CE-T1WI to be trained, fusion to be trained" in answer.out
    assert re.search(r"samples: \d+ kept, \d+ to be made", answer.out)
    assert re.search(r"training: about \d+ \w+ by the plan's estimate", answer.out)
    assert answer.out.splitlines()[-1] == "nothing was written (--dry-run)"


def test_dry_evaluation_counts_the_cases(study):
    answer = dry(study, "evaluate", "-d", study)
    assert answer.status == 0, answer.err
    assert "cohort external: 0 scores kept, 3 cases to be scored" in answer.out


def test_dry_prediction_counts_the_cases_and_refuses_what_a_real_one_refuses(study, tmp_path):
    given = ("-i", study / "imagesTr", "--rois", study / "labelsTr", "-d", study)
    answer = dry(study, "predict", *given, "-o", tmp_path / "out")
    assert answer.status == 0 and "15 cases to be scored" in answer.out and not (tmp_path / "out").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    assert "holds mine.txt" in dry(study, "predict", *given, "-o", tmp_path / "taken").complaint


def test_a_dry_run_of_a_table_is_refused(tmp_path):
    answer = dry(tmp_path / "x", "evaluate", "--scores", tmp_path / "x.csv")
    assert answer.status == 2 and "--dry-run is for the cohorts of a dataset" in answer.complaint
