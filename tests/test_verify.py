"""`verify`: models that predict refuses, the machine's own troubles, and nothing that is left behind."""

import errno
import json
import shutil
import tempfile

import pytest
from command_line import autodls, edit_json
from tiny_model_folder import write_model_folder
from tiny_workspace import tiny_workspace

from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.provenance import Made, Provenance
from autodls.records.workspace import Workspace
from autodls.verify.chain import examine


def reseal(folder, **changes):
    """What somebody does who knows the format: change the record, and give it the hashes that fit."""
    path = folder / "model.json"
    content = json.loads(path.read_text()) | changes
    content["files"] = {name: sha256_of_file(folder / name) for name in content["files"] if ".." not in name} | {
        name: "0" * 64 for name in content["files"] if ".." in name
    }
    for name in ("plan", "fingerprint"):
        content[f"{name}_sha256"] = sha256_of_file(folder / f"{name}.json")
    text = json.dumps(content | {"record_sha256": ""}, indent=1, ensure_ascii=False) + "\n"
    path.write_text(json.dumps(content | {"record_sha256": sha256_of_bytes(text.encode())}))


def without_weights(folder):
    for index in (0, 1):
        shutil.rmtree(folder / f"fold_{index}")
    reseal(folder, files={})


def naming_files_outside(folder):
    files = json.loads((folder / "model.json").read_text())["files"]
    reseal(folder, files={**files, "../outside": ""})


def with_a_plan_that_is_none(folder):
    (folder / "plan.json").write_text("{}")
    reseal(folder)


def with_weights_of_another_network(folder):
    (folder / "fold_1/T2WI.safetensors").write_bytes((folder / "fold_1/fusion.safetensors").read_bytes())
    reseal(folder)


def with_weights_that_are_none(folder):
    (folder / "fold_0/fusion.safetensors").write_bytes(b"no weights")
    reseal(folder)


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (without_weights, "2 folds in 0 files"),
        (naming_files_outside, "'../outside'"),
        (with_a_plan_that_is_none, "plan.json: field"),
        (with_weights_of_another_network, "T2WI.safetensors: does not fit the plan"),
        (with_weights_that_are_none, "fusion.safetensors: not a readable safetensors file"),
    ],
)
def test_what_predict_refuses_does_not_fit(tmp_path, make_dataset, alter, said):
    folder, data = tmp_path / "model", make_dataset(tmp_path / "data", training=1, held_out=0)
    write_model_folder(folder)
    (tmp_path / "outside").write_text("x")
    alter(folder)
    found = autodls("verify", folder)
    words = ("-i", data / "imagesTr", "--rois", data / "labelsTr", "-m", folder, "-o", tmp_path / "out")
    assert found.status == autodls("predict", *words).status == 2
    assert said in found.err and "does not fit" in found.out, found.out + found.err


def test_files_outside_a_model_folder_are_not_read(tmp_path, monkeypatch):
    folder, outside = tmp_path / "model", tmp_path / "outside"
    write_model_folder(folder)
    outside.write_text("x")
    naming_files_outside(folder)
    read = []
    monkeypatch.setattr("autodls.verify.chain.sha256_of_file", lambda path: read.append(path) or sha256_of_file(path))
    assert autodls("verify", folder).status == 2
    assert read and outside.resolve() not in {path.resolve() for path in read}


def test_it_says_that_a_seal_is_no_signature_and_what_it_does_not_check(tmp_path, make_dataset):
    data = make_dataset(tmp_path, training=8, held_out=4)
    workspace = tiny_workspace(data, tmp_path / "autodls")
    (workspace.report.parent).mkdir()
    (workspace.report.parent / "notes.txt").write_text("mine")
    assert autodls("evaluate", "-d", data).status == 0
    for place in (workspace.root, workspace.model.root):
        assert "not checked   who made it: hashes are no signature" in autodls("verify", place).out
    found = autodls("verify", workspace.root).out
    for part in ("give it with -d", "are not repeated", "results/notes.txt: no hash"):
        assert any(line.startswith("not checked") and part in line for line in found.splitlines()), found
    assert "give it with -d" not in autodls("verify", workspace.root, "-d", data, "--workers", 1).out


class TestResults:
    @pytest.fixture(scope="class")
    @staticmethod
    def study(tmp_path_factory, make_dataset):
        data = make_dataset(tmp_path_factory.mktemp("study"), training=8, held_out=4)
        table = data / "clinical.csv"
        table.write_text(table.read_text().replace("\r\n", "\n"))  # with the line ends of the edits below
        tiny_workspace(data, data / "autodls")
        assert autodls("evaluate", "-d", data).status == 0
        return data

    @pytest.fixture
    def evaluated(self, study, tmp_path):
        data = shutil.copytree(study, tmp_path / "study")
        return data, Workspace(data / "autodls")

    @pytest.mark.parametrize(
        ("file", "old", "new"),
        [
            ("clinical.csv", "case_08,patient_08,A,external,30", "case_08,patient_08,A,external,5"),
            ("clinical.csv", "external,30,12,", "external,30,99,"),
            ("clinical.csv", "case_09,patient_09,A,external,5,13,1,59\n", ""),
            ("clinical.csv", ",50\n", ",99\n"),
            ("dataset.json", '"landmark": 6', '"landmark": 9'),
            ("dataset.json", ">= 20", ">= 21"),
        ],
        ids=["label", "follow-up", "no case", "age", "landmark", "rule"],
    )
    def test_whatever_was_evaluated_and_is_otherwise_now(self, evaluated, file, old, new):
        data, workspace = evaluated
        text = (data / file).read_text()
        assert old in text
        (data / file).write_text(text.replace(old, new))
        assert f"evaluate: made from {file}" in autodls("verify", workspace.root, "-d", data, "--workers", 1).err

    def test_a_table_that_changes_while_it_is_evaluated(self, evaluated, monkeypatch):
        data, _ = evaluated

        def results(study):
            (data / "clinical.csv").write_text((data / "clinical.csv").read_text().replace(",50", ",51"))
            return study

        monkeypatch.setattr("autodls.report.study_results.study_results", results)
        answer = autodls("evaluate", "-d", data)
        assert answer.status == 2 and "clinical.csv: changed while it was evaluated" in answer.complaint

    def test_an_edit_of_provenance_shows_and_is_not_sealed_by_the_next_command(self, evaluated):
        data, workspace = evaluated
        known = json.loads(workspace.provenance.read_text())["commands"]
        known["evaluate"]["files"] = {}
        edit_json(workspace.provenance, commands=known)
        assert "provenance.json: altered since it was sealed" in autodls("verify", workspace.root).err
        assert autodls("report", "-d", data).status == 0
        assert "evaluate" not in Provenance.load(workspace.provenance, "").commands

    def test_a_result_whose_entry_was_taken_out_is_named(self, evaluated):
        _, workspace = evaluated
        workspace.metrics.write_text(workspace.metrics.read_text().replace("0.", "0.9", 1))
        Provenance(commands={}).sealed().save(workspace.provenance)
        found = autodls("verify", workspace.root).err
        assert "metrics.json: no command has noted" in found and "auc.csv: no command has noted" in found

    def test_provenance_of_an_older_version_is_read_and_said_to_be_unsealed(self, evaluated):
        _, workspace = evaluated
        content = json.loads(workspace.provenance.read_text())
        del content["record_sha256"]
        workspace.provenance.write_text(json.dumps(content))
        found = autodls("verify", workspace.root)
        assert "provenance.json: of a version that did not seal it" in found.out
        assert "provenance.json: altered" not in found.err


def test_the_seal_of_provenance_is_over_all_of_it():
    made = Made(command=("autodls",), seed=0, versions={}, made_from={}, files={"a": "0"})
    sealed = Provenance(commands={"evaluate": made}).sealed()
    assert not sealed.is_altered and not Provenance().is_altered
    assert sealed.model_copy(update={"commands": {}}).is_altered


def test_nothing_is_written_anywhere(tmp_path, make_dataset, monkeypatch):
    """So a kill leaves nothing behind, and a full disk is no fault of the model."""

    def refuse(*_words, **_named):
        raise OSError(errno.ENOSPC, "No space left on device")

    data = make_dataset(tmp_path, training=8, held_out=0)
    workspace = tiny_workspace(data, tmp_path / "autodls")
    before = autodls("verify", workspace.root)
    for name in ("mkdtemp", "mkstemp", "TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    assert autodls("verify", workspace.root) == before
    assert "fits          folds -> model" in before.out


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOMEM])
def test_what_the_machine_lacks_is_no_fault_of_a_file(number):
    def check():
        raise OSError(number, "lacking")
        yield

    with pytest.raises(OSError, match="lacking"):
        examine("a link", check)


def test_a_file_that_cannot_be_read_is_a_fault():
    def check():
        yield "first"
        raise PermissionError(errno.EACCES, "denied", "x")

    assert examine("a link", check).faults == ("first", "[Errno 13] denied: 'x'")
