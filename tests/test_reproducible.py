"""Same seed, same bytes; outputs say what made them and nothing of who did; nothing leaves the machine; `verify`."""

import json
import platform
import shutil
import struct
import sys
from pathlib import Path

import pytest
from command_line import autodls, edit_json, edit_text
from tiny_run import TinyRun, copy_of, make_dataset, with_tiny_networks
from tiny_study import hashes

from autodls.machine import processor, usable_cores
from autodls.planning.splits import make_splits
from autodls.records.cohort import read_cohort
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked
from autodls.records.plan import Plan
from autodls.records.provenance import Conditions, Made, Provenance, record_run, versions, without_paths
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.cohort import train_folds

pytestmark = pytest.mark.long

PERSON, MACHINE = "anna.privat", "scanner-room-7"
NETWORK = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "urllib.Request",
)
_calls: list[str] = []
_listening = [False]


def _listen(event, arguments):
    if _listening[0] and event in NETWORK:
        _calls.append(f"{event} {arguments}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A study of a person whose name stands in every path and in the environment; the network is watched."""
    root = tmp_path_factory.mktemp("home") / PERSON
    sys.addaudithook(_listen)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("USER", "LOGNAME", "USERNAME"):
            patch.setenv(name, PERSON)
        patch.setenv("HOSTNAME", MACHINE)
        patch.setattr(platform, "node", lambda: MACHINE)
        with_tiny_networks(patch)
        made = make_dataset(root)
        _listening[0] = True
        made.train()
        made.finish()
        _listening[0] = False
        yield made
    shutil.rmtree(root)


class TestPrivacy:
    def test_nothing_leaves_the_machine(self, run):
        assert _calls == []

    def test_the_watch_on_the_network_works(self, run):
        import socket

        _listening[0] = True
        with pytest.raises(OSError), socket.socket() as unused:
            unused.connect(("127.0.0.1", 1))
        _listening[0] = False
        assert _calls.pop().startswith("socket.connect") and not _calls

    def test_no_output_names_a_person_a_machine_or_a_folder(self, run):
        words = [word.encode() for word in (PERSON, MACHINE, str(run.root), str(Path.home()) + "/", str(Path.cwd()))]
        outputs = [path for folder in (run.workspace, run.predicted) for path in folder.rglob("*") if path.is_file()]
        told = {(path.name, word) for path in outputs for word in words if word in path.read_bytes()}
        assert len(outputs) > 50 and not told

    def test_logs_and_scores_hold_case_ids_and_nothing_else_of_a_patient(self, run):
        """The table has ages and follow-up times; beside case ids, results hold statistics of them only."""
        table = (run.dataset / "clinical.csv").read_text().splitlines()
        patients = {line.split(",")[1] for line in table[1:]}
        logs = [*run.workspace.glob("folds/*/log.jsonl"), *run.workspace.glob("**/scores*.csv")]
        logs += [run.workspace / "oof_scores.csv", run.predicted / "predict.json", run.predicted / "scores.csv"]
        assert len(logs) >= 7 and len(patients) == len(table) - 1
        assert not [path.name for path in logs for patient in patients if patient in path.read_text()]

    def test_a_model_folder_names_no_case(self, run):
        cases = [line.split(",")[0].encode() for line in (run.dataset / "clinical.csv").read_text().splitlines()[1:]]
        told = [path.name for path in (run.workspace / "model").rglob("*") if path.is_file() for case in cases
                if case in path.read_bytes()]  # fmt: skip
        assert cases and told == []

    def test_a_file_of_weights_travels_by_its_last_name(self, run):
        plan = Plan.load(run.workspace / "plan.json", "")
        for name in ("/home/anna.privat/resnet.pth", "C:\\anna.privat\\resnet.pth", "resnet.pth"):
            network = plan.network.model_copy(update={"encoder_weights": name})
            kept = plan.model_copy(update={"network": network}).without_paths()
            assert kept.network.encoder_weights == "resnet.pth"


class TestProvenance:
    def test_every_command_that_writes_says_how_it_was_called_and_of_which_versions(self, run):
        noted = json.loads((run.workspace / "provenance.json").read_text())["commands"]
        noted |= json.loads((run.predicted / "provenance.json").read_text())["commands"]
        assert set(noted) == {"plan", "train", "evaluate", "explain", "report", "predict"}
        for name, made in noted.items():
            assert made["command"][:2] == ["autodls", name] and made["versions"] == versions() and made["files"]
        assert noted["train"]["seed"] == 0 and {"autodls", "python", "torch", "SimpleITK"} <= set(versions())

    @pytest.mark.parametrize(
        ("typed", "kept"),
        [
            (["autodls", "plan", "--preset", "paper"], ("autodls", "plan", "--preset", "paper")),
            (["/home/x/autodls", "check", "-d", "~/data"], ("autodls", "check", "-d", "PATH")),
            (["autodls", "check", "-d", "."], ("autodls", "check", "-d", "PATH")),
            (["autodls", "predict", "-o=C:\\out"], ("autodls", "predict", "-o=PATH")),
            (["autodls", "predict", "-oDr_Meier", "-w", "Dr_M"], ("autodls", "predict", "-oPATH", "-w", "PATH")),
            (["autodls", "explain", "--cases", "P01," * 99], ("autodls", "explain", "--cases", "P01," * 99)),
            (["autodls", "explain", "--cases", "PH0001,PH0002"], ("autodls", "explain", "--cases", "PH0001,PH0002")),
        ],
    )
    def test_a_command_line_without_its_paths(self, typed, kept):
        assert without_paths(typed) == kept

    def test_names_that_a_person_chose_stay_out(self, tmp_path):
        table = tmp_path / "Smith_J.csv"
        table.write_text("a\n")
        record_run(tmp_path / "out" / "provenance.json", "evaluate", ["autodls"], None, [table], [])
        noted = (tmp_path / "out" / "provenance.json").read_text()
        assert '"PATH": ' in noted and "Smith" not in noted

    def test_a_report_elsewhere_is_noted_and_leaves_that_of_the_workspace(self, run, tmp_path):
        copy = copy_of(run, tmp_path / "copy")
        assert autodls("report", "-d", copy.dataset, "-w", copy.workspace, "-o", tmp_path / "r.html").status == 0
        noted = json.loads((copy.workspace / "provenance.json").read_text())["commands"]
        assert noted["report -o"]["files"].keys() == {"PATH"} and noted["report"]["files"]
        assert autodls("verify", copy.workspace).status == 0

    def test_no_workspace_is_made_for_a_report(self, run, tmp_path):
        answer = autodls("report", "-d", run.dataset, "-w", tmp_path / "typo")
        assert answer.status == 2 and "no such folder" in answer.complaint and not (tmp_path / "typo").exists()

    def test_a_report_into_the_workspace_by_another_name_waits_for_its_lock(self, run, tmp_path):
        (tmp_path / "link").symlink_to(run.workspace)
        with locked(Workspace(run.workspace)):
            answer = autodls(
                "report", "-d", run.dataset, "-w", run.workspace, "-o", tmp_path / "link" / "results" / "r.html"
            )
        assert answer.status == 1 and "another autodls process" in answer.complaint


class TestSameBytes:
    def test_whatever_the_workers_and_the_order_of_folds(self, run, monkeypatch, tmp_path):
        """Also with the splits made anew; `test_samples` and `test_fingerprint` hold the same for their stages."""
        with_tiny_networks(monkeypatch)
        again, cohort = Workspace(tmp_path), read_cohort(run.dataset)
        shutil.copytree(run.workspace / "preprocessed", tmp_path / "preprocessed")
        plan = Plan.load(run.workspace / "plan.json", "")
        splits = make_splits(
            cohort.training[::-1], plan.training.folds, plan.training.inner_holdout, plan.training.seed
        )
        splits = splits.model_copy(
            update={"inputs_sha256": Fingerprint.load(run.workspace / "fingerprint.json", "").inputs_sha256}
        )
        assert splits == Splits.load(run.workspace / "splits.json", "")
        train_folds(again, cohort.training[::-1], plan, splits, [1, 0], lambda _fold, _epoch: None)
        assert hashes(tmp_path / "folds") == hashes(run.workspace / "folds")

    def test_evaluated_again_in_another_place(self, run, tmp_path):
        other = copy_of(run, tmp_path / "bea.privat")
        shutil.rmtree(other.workspace / "results")
        assert other.run("evaluate", "evaluate", *other.place()).status == 1
        assert hashes(other.workspace / "results", "*.json", "*.csv", "*.svg") == {
            name: found
            for name, found in hashes(run.workspace / "results", "*.json", "*.csv", "*.svg").items()
            if not name.startswith("heatmaps")
        }


def rewrite(path):
    """The file with one byte of its end changed; a copy, as weights may be linked."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)


def renote(path, **changes):
    """A sample with other words beside the same pixels."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    note = json.loads(header["__metadata__"]["autodls"]) | changes
    header["__metadata__"]["autodls"] = json.dumps(note)
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    path.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])


def link(folder):
    """The folder lies elsewhere, and a link in its place."""
    folder.rename(folder.parents[1] / "elsewhere")
    folder.symlink_to(folder.parents[1] / "elsewhere")


def relabel(table):
    """The first case changes sides."""
    header, first, *rest = table.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True))
    cells["cps"] = "5" if int(cells["cps"]) >= 20 else "90"
    table.write_text("\n".join([header, ",".join(cells.values()), *rest]) + "\n")


DAMAGE = {
    "an image": ("dataset", lambda root: rewrite(root / "dataset/imagesTr/PH0001_0000.nii.gz"), "labelsTr: a training"),
    "an ROI": ("dataset", lambda root: rewrite(root / "dataset/labelsTr/PH0001.nii.gz"), "labelsTr: a training"),
    "a label": ("dataset", lambda root: relabel(root / "dataset/clinical.csv"), "labels are not those"),
    "tumour values": ("dataset", lambda root: edit_json(root / "dataset/dataset.json", labels__gtv=2), "tumour values"),
    "a held-out image": (
        "dataset", lambda root: rewrite(root / "dataset/imagesTr/EX0001_0000.nii.gz"), "case EX0001 was scored from",
    ),
    "fingerprint": ("", lambda root: edit_json(root / "workspace/fingerprint.json", cases=11), "made from fingerprint"),
    "plan": ("", lambda root: edit_json(root / "workspace/plan.json", training__epochs=3), "trained by another plan"),
    "splits": ("", lambda root: edit_json(root / "workspace/splits.json", seed=9), "locked from other splits"),
    "cohort": ("", lambda root: edit_json(root / "workspace/splits.json", cohort_sha256="0" * 64), "of another cohort"),
    "a sample": ("", lambda root: rewrite(root / "workspace/preprocessed/PH0001.safetensors"), "are not those that"),
    "flags of a sample": (
        "", lambda root: renote(root / "workspace/preprocessed/PH0001.safetensors", flags=["on the other side"]),
        "planes or flags are not those that",
    ),
    "planes of a sample": (
        "", lambda root: renote(root / "workspace/preprocessed/PH0001.safetensors", planes=[]),
        "planes or flags are not those that",
    ),
    "the table that was evaluated": (
        "dataset", lambda root: edit_text(root / "dataset/clinical.csv", "EX0001,", "EX0001 ,"),
        "evaluate: made from clinical.csv",
    ),
    "an entry of provenance": (
        "", lambda root: edit_json(root / "workspace/provenance.json", commands={}), "altered since it was sealed",
    ),
    "no sample": ("", lambda root: (root / "workspace/preprocessed/PH0001.safetensors").unlink(), "no such sample"),
    "fold weights": ("", lambda root: rewrite(root / "workspace/folds/1/T2WI.safetensors"), "is not made from"),
    "no fold": ("", lambda root: shutil.rmtree(root / "workspace/folds/1"), "fold 1 is not trained"),
    "fold scores": (
        "", lambda root: edit_text(root / "workspace/folds/0/scores.csv", "0.", "0.1"), "scores.csv: altered since",
    ),
    "fold labels": (
        "", lambda root: edit_text(root / "workspace/folds/1/scores.csv", "validation,1", "validation,0"),
        "folds/1/scores.csv: altered since",
    ),
    "fold fusion": (
        "", lambda root: rewrite(root / "workspace/folds/1/fusion.safetensors"), "the fold was scored with",
    ),
    "fold encoder": (
        "", lambda root: rewrite(root / "workspace/folds/1/T2WI.safetensors"), "the fusion beside it was fitted on",
    ),
    "out-of-fold scores": (
        "", lambda root: edit_text(root / "workspace/oof_scores.csv", "0.", "0.1"), "not what the scores of the folds",
    ),
    "model weights": ("model", lambda root: rewrite(root / "workspace/model/fold_0/CE-T1WI.safetensors"), "SHA-256 is"),
    "no weights": ("model", lambda root: (root / "workspace/model/fold_0/fusion.safetensors").unlink(), "missing"),
    "cut-off": ("model", lambda root: edit_json(root / "workspace/model/model.json", cutoff=0.1), "altered since"),
    "model plan": ("model", lambda root: edit_json(root / "workspace/model/plan.json", preset="x"), "SHA-256 is"),
    "held-out scores": (
        "", lambda root: edit_json(root / "workspace/results/scores/external.json", model_sha256="0"), "another model",
    ),
    "metrics": ("", lambda root: rewrite(root / "workspace/results/metrics.json"), "metrics.json: SHA-256"),
    "report": ("", lambda root: rewrite(root / "workspace/results/report.html"), "report.html: SHA-256"),
    "a heat map": ("", lambda root: rewrite(next(root.glob("workspace/results/heatmaps/*_dls.png"))), "png: SHA-256"),
    "a map": ("", lambda root: rewrite(next(root.glob("workspace/results/heatmaps/*.nii.gz"))), ".nii.gz: SHA-256"),
    "no provenance": ("", lambda root: (root / "workspace/provenance.json").unlink(), "cannot be checked"),
    "a linked fold": ("model", lambda root: link(root / "workspace/model/fold_0"), "fold_0: not a file that"),
    "the card": ("model", lambda root: rewrite(root / "workspace/model/MODEL_CARD.md"), "MODEL_CARD.md: SHA-256"),
    "no card": ("model", lambda root: (root / "workspace/model/MODEL_CARD.md").unlink(), "MODEL_CARD.md: missing"),
    "another file": (
        "model", lambda root: (root / "workspace/model/x.py").write_text("1"), "x.py: not a file that",
    ),
}  # fmt: skip


class TestVerify:
    @pytest.mark.parametrize("words", [(), ("-d",)], ids=["workspace", "with its dataset"])
    def test_a_finished_run_fits(self, run, words):
        answer = autodls("verify", run.workspace, *words, *([run.dataset] if words else []), "--workers", 1)
        assert answer.status == 0 and "does not" not in answer.out + answer.err, answer.out + answer.err
        assert answer.out.count("fits") == 15 + len(words) and "not checked   folds/*/log.jsonl" in answer.out

    def test_a_model_folder_fits_by_itself(self, run):
        answer = autodls("verify", run.workspace / "model", "--json")
        assert answer.status == 0 and json.loads(answer.out)["fits"] is True

    @pytest.mark.parametrize("what", DAMAGE)
    def test_every_damage_is_named_in_one_line(self, run, tmp_path, what):
        needs, damage, said = DAMAGE[what]
        changed = copy_of(run, tmp_path / "copy")
        damage(changed.root)
        words = ("-d", changed.dataset, "--workers", 1) if needs == "dataset" else ()
        for place in [changed.workspace, *([changed.workspace / "model"] if needs == "model" else [])]:
            answer = autodls("verify", place, *(words if place == changed.workspace else ()))
            assert answer.status == 2 and said in answer.err, answer.out + answer.err
            assert "does not fit" in answer.out and "Traceback" not in answer.err

    @pytest.mark.parametrize(
        ("place", "words", "said"),
        [
            ("dataset", (), "no model.json, plan.json or export.json"),
            ("workspace/model", ("-d", "dataset"), "checked by itself"),
        ],
    )
    def test_what_is_no_workspace_is_refused(self, run, place, words, said):
        answer = autodls("verify", run.root / place, *words)
        assert answer.status == 2 and said in answer.complaint


def test_a_held_out_case_that_cannot_be_read_shows_in_the_status_of_evaluate(run):
    assert run.answers["predict"].status == run.answers["evaluate"].status == 1
    assert "not scored: case EX0002: EX0002_0001.nii.gz: not an image" in run.answers["evaluate"].err


def test_planned_tumour_values_that_changed_are_stale(run, tmp_path):
    changed: TinyRun = copy_of(run, tmp_path / "copy")
    edit_json(changed.dataset / "dataset.json", labels__tumour_node=2)
    answer = changed.run("train", "train", "fold", "all", *changed.place(), "--workers", 1)
    assert "made for tumour values [1] in ROIs, dataset.json has [1, 2]; run 'autodls plan -w " in answer.complaint


# -- on what it was computed -------------------------------------------------------------------------------------------


def test_provenance_names_what_bytes_depend_on(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    record_run(tmp_path / "provenance.json", "train", ["autodls", "train"], 0, [], [], "cpu bfloat16")
    found = Provenance.load(tmp_path / "provenance.json", "")
    conditions = found.commands["train"].conditions
    assert not found.is_altered and platform.machine() in conditions.processor
    assert conditions == Conditions(
        processor=processor(), cores=usable_cores(), omp_num_threads="3", precision="cpu bfloat16"
    )


def test_a_record_of_a_version_that_did_not_know_keeps_its_bytes(tmp_path):
    made = Made(command=("autodls", "plan"), seed=0, versions={}, made_from={}, files={})
    assert b"conditions" not in Provenance(commands={"plan": made}).sealed().to_bytes()


def test_a_processor_is_told_by_its_kind_and_its_instructions(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Made Up 7\nflags\t\t: fpu avx2 sse avx512_bf16\n\n")
    assert processor(file) == f"{platform.machine()}, Made Up 7, avx2, avx512_bf16"
    assert processor(tmp_path / "none") == platform.machine()
