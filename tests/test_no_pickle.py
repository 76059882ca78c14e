"""No pickle is opened unrestricted: every command runs while the unpickler is watched.

Python reports each class that an unpickler looks up as an audit event (`pickle.find_class`), whatever module asked for
it; a pickle that looks up no class can run nothing. PyTorch's restricted reader (`weights_only=True`) has its own
unpickler, which looks classes up in a list of allowed ones and raises no such event.

One exception: with `--workers` above 1, `multiprocessing` sends our own tasks and results between our own processes
through pipes, as pickles that never touch a file; the last test shows that nothing else is unpickled then.
"""

import ast
import pickle
import shutil
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import autodls, write_phantom, write_preset
from tiny_segmentation import make_segmented_study
from tiny_study import use_tiny_resnet

from autodls import errors
from autodls.training.weights import encoder_weights

pytestmark = pytest.mark.long

_watchers: list[list[str]] = []


def _watch(event, arguments):
    if event == "pickle.find_class" and _watchers:
        frames = [frame.filename for frame in traceback.extract_stack()]
        _watchers[-1].append(f"{arguments[0]}.{arguments[1]} asked for by {' < '.join(frames[-2:-8:-1])}")


sys.addaudithook(_watch)  # it cannot be taken away again; without a watcher it does nothing


@pytest.fixture
def looked_up(monkeypatch):
    """Classes that an unpickler looked up, and unrestricted calls of torch.load, since the test began."""
    found: list[str] = []
    load = torch.load

    def restricted(*words, **options):
        if options.get("weights_only") is not True:
            found.append(f"torch.load({words}, {options})")
        return load(*words, **options)

    monkeypatch.setattr(torch, "load", restricted)
    _watchers.append(found)
    yield found
    _watchers.pop()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = write_phantom(tmp_path_factory.mktemp("study") / "study", cases=12, external_cases=1, prevalence=0.5)
    write_preset(folder / "preset.json")
    return folder


def run(study, *words):
    answer = autodls(*words, *(("-d", study) if words[0] != "predict" else ()))
    assert answer.status == 0, answer.err


def test_the_watcher_sees_what_it_is_there_for(looked_up, tmp_path):
    for content in (Path("a"), np.zeros(2), np.random.default_rng(0)):
        pickle.loads(pickle.dumps(content))  # noqa: S301
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=True)
    seen = len(looked_up)
    assert seen >= 3 and not any("torch.load" in one for one in looked_up)
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert len(looked_up) > seen and any("torch.load" in one for one in looked_up)


def test_no_command_opens_a_pickle(looked_up, study, tmp_path, monkeypatch):
    use_tiny_resnet(monkeypatch)
    run(study, "check", "--workers", 1)
    run(study, "plan", "--preset", study / "preset.json", "--workers", 1)
    run(study, "preprocess", "--workers", 1)
    run(study, "train", "fold", "all", "--workers", 1)
    run(study, "train", "fold", "all", "--workers", 1)
    run(study, "evaluate", "--workers", 1)
    run(study, "explain", "--cases", "1", "--workers", 1)
    run(study, "report")
    inputs = ("-i", study / "imagesTr", "--rois", study / "labelsTr", "-m", study / "autodls" / "model")
    run(study, "predict", *inputs, "-o", tmp_path / "out", "--workers", 1)
    assert looked_up == []
    run(study, "predict", *inputs, "-o", tmp_path / "out", "--workers", 2, "--overwrite")
    assert looked_up
    require_between_processes(looked_up)


def test_no_command_that_draws_opens_a_pickle(looked_up, tmp_path, monkeypatch):
    """nnU-Net trained, its ROIs trained on, drawn by and compared; then every hash."""
    use_tiny_resnet(monkeypatch)
    study = make_segmented_study(tmp_path)
    place = ("-d", study.dataset, "-w", study.root)
    for words in (
        ("train", "fold", "all", *place, "--workers", 1),
        ("train", "fold", "all", "--rois", "auto", *place, "--workers", 1),
        ("predict", "-i", copies(study.dataset, tmp_path / "new"), "-o", tmp_path / "out", *place),
        ("benchmark", "rois", *place, "--workers", 1, "--robustness-cases", 0),
        ("verify", study.root),
    ):
        answer = autodls(*words)
        assert answer.status == 0, answer.err
    require_between_processes(looked_up)  # nnU-Net's stage reads images in processes of its own


def copies(dataset, folder):
    """The images of one case that can be read."""
    folder.mkdir()
    for path in (dataset / "imagesTr").glob("PH0001_*"):
        shutil.copyfile(path, folder / path.name)
    return folder


def test_encoder_weights_are_read_by_the_restricted_reader(looked_up, tmp_path):
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(Exception, match="tensors of resnet50 are missing"):
        encoder_weights("resnet50", str(tmp_path / "a.pth"))
    assert looked_up == []


def test_between_processes_go_our_own_records_alone(looked_up, study):
    run(study, "check", "--workers", 2)
    assert looked_up
    require_between_processes(looked_up)


def require_between_processes(looked_up):
    """What was looked up came through a pipe from a process of ours."""
    for one in looked_up:
        assert one.startswith(("autodls.", "pathlib.", "numpy", "builtins.", "multiprocessing.", "concurrent.")), one
        assert "multiprocessing" in one, one


PACKAGE = Path(errors.__file__).parent
UNSAFE_MODULES = {"cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "yaml", "imp"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_line_of_ours_asks_for_it(path):
    """`pickle` is imported for the name of its error alone; torch.load is always restricted; nothing is evaluated."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {name.name.split(".")[0] for name in node.names}
            names.add((getattr(node, "module", "") or "").split(".")[0])
            assert not names & UNSAFE_MODULES, names
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "pickle":
            assert node.attr in ("UnpicklingError", "PickleError"), node.attr
        if isinstance(node, ast.Call):
            _require_safe(node)


def _require_safe(call):
    options = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = getattr(getattr(call.func, "value", None), "id", "")
    assert not (isinstance(call.func, ast.Name) and name in UNSAFE_CALLS), name
    assert options.get("allow_pickle") is not True
    if (owner, name) == ("torch", "load") or name == "load_state_dict_from_url":
        assert options.get("weights_only") is True, ast.unparse(call)
