"""Files of the workspace: written whole or not at all, read without loss, refused when damaged."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import Field

from autodls.errors import AutoDLSError, ModelFolderError, PlanError, StaleRecordError
from autodls.records import tensors
from autodls.records.base import Record
from autodls.records.files import link_or_copy, sha256_of_bytes, sha256_of_file, write_atomically, write_bytes
from autodls.records.lock import locked
from autodls.records.model_folders import ModelFolder
from autodls.records.scores import FUSED, FoldScore, fold_scores_csv, read_fold_scores, write_csv
from autodls.records.table import read_table
from autodls.records.tensors import load_tensors, read_note
from autodls.records.workspace import Workspace

QUICK = hypothesis_settings(deadline=None, max_examples=40)
SEQUENCES = ("T1WI", "CE-T1WI")
FINITE = st.floats(allow_nan=False, allow_infinity=False)


class Small(Record):
    """A record of two fields."""

    name: str
    share: float = Field(ge=0, le=1)


# -- JSON records ------------------------------------------------------------------------------------------------------


def test_record_is_read_as_it_was_written_and_its_hash_is_that_of_the_file(tmp_path):
    record, path = Small(name="Größe", share=0.1), tmp_path / "deep" / "small.json"
    record.save(path)
    assert Small.load(path, "repair") == record
    assert sha256_of_file(path) == record.sha256() == sha256_of_bytes(record.to_bytes())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "a", "share": 2}', "field 'share'"),
        ('{"name": "a", "share": NaN}', "NaN is not a number"),
        ('{"name": "a", "share": 0.5, "extra": 1}', "field 'extra'"),
        ('{"share": 0.5}', "field 'name'"),
        ('{"share": "x", "name": 5}', "(and 1 more)"),
        ("[]", "field 'record'"),
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ('{"name": "a", "share": ' + "9" * 5000 + "}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
    ],
)
def test_wrong_record_is_one_line_that_names_file_field_and_repair(tmp_path, content, said):
    path = tmp_path / "small.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PlanError) as failure:
        Small.load(path, "do this")
    text = str(failure.value)
    assert said in text
    assert text.startswith(str(path))
    assert text.endswith("; do this")
    assert "\n" not in text
    assert len(text) < 400


def test_missing_record_and_folder_in_its_place_are_refused(tmp_path):
    for path, said in ((tmp_path / "none.json", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(StaleRecordError, match=f"{said}.*; do this"):
            Small.load(path, "do this", StaleRecordError)


def test_byte_order_mark_of_an_editor_is_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + Small(name="a", share=1).to_bytes())
    assert Small.load(tmp_path / "a.json", "").name == "a"


# -- files -------------------------------------------------------------------------------------------------------------


def test_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def half(beside):
        beside.write_bytes(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_neighbour_keeps_the_suffixes_and_is_hidden(tmp_path):
    seen = []
    write_atomically(tmp_path / "a.nii.gz", lambda beside: (seen.append(beside), beside.write_bytes(b"x")))
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(".tmp-")
    assert seen[0].suffixes == [".nii", ".gz"]


def test_link_replaces_what_was_there_and_is_not_changed_by_a_rewrite_of_its_source(tmp_path):
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    write_bytes(source, b"first")
    write_bytes(target, b"other")
    link_or_copy(source, target)
    write_bytes(source, b"second")
    assert target.read_bytes() == b"first"


def test_file_is_copied_where_it_cannot_be_linked(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    write_bytes(tmp_path / "source", b"content")
    link_or_copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"content"


# -- lock --------------------------------------------------------------------------------------------------------------


def test_second_process_is_told_and_the_lock_is_free_afterwards(tmp_path):
    workspace = Workspace(tmp_path / "new")
    with locked(workspace), pytest.raises(AutoDLSError, match="another autodls process") as failure, locked(workspace):
        pass
    assert failure.value.exit_status == 1
    with locked(workspace):
        pass


def _hold_and_die(root):
    with locked(Workspace(Path(root))):
        os._exit(9)


def test_lock_of_a_killed_process_is_let_go(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_hold_and_die, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == 9
    with locked(Workspace(tmp_path)):
        pass


# -- score tables ------------------------------------------------------------------------------------------------------


@QUICK
@given(st.lists(st.tuples(FINITE, FINITE, st.booleans(), st.booleans()), max_size=5))
def test_fold_scores_come_back_with_all_their_digits(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    scores = [
        FoldScore(
            case=f"c{number}", part="inner", label=label,
            logits={FUSED: logit} | ({"T1WI": odds} if has else {}),
            log_odds={FUSED: odds} | ({"T1WI": logit} if has else {}),
        )
        for number, (logit, odds, label, has) in enumerate(rows)
    ]  # fmt: skip
    path.write_text(fold_scores_csv(scores, SEQUENCES))
    assert read_fold_scores(path, SEQUENCES) == scores


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inner", "unknown"),
        (",1,", ",yes,"),
        ("0.25", ""),
        ("0.25", "nan"),
        ("0.25", "a lot"),
        ("logit:T1WI", "logit:T9"),
    ],
)
def test_damaged_fold_scores_are_one_line_with_the_command(tmp_path, old, new):
    path = tmp_path / "scores.csv"
    score = FoldScore(case="a", part="inner", label=True, logits={FUSED: 0.25, "T1WI": 3}, log_odds={FUSED: 2})
    path.write_text(fold_scores_csv([score], SEQUENCES))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(StaleRecordError, match="autodls train fold all") as failure:
        read_fold_scores(path, SEQUENCES)
    assert "\n" not in str(failure.value)


def test_text_that_a_spreadsheet_would_run_is_disarmed_and_numbers_are_not(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ["name", "value"], [["=HYPERLINK(1)", -1.5], ["a\r\nb", None], ["-2", 1e-300]])
    rows = path.read_text().splitlines()
    assert rows[1] == "'=HYPERLINK(1),-1.5"
    assert [row["value"] for row in read_table(path)] == ["-1.5", "", "1e-300"]


# -- tensors and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"junk", (8).to_bytes(8, "little") + b"{}      "])
def test_file_without_tensors_of_ours_is_refused_or_empty(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    try:
        assert load_tensors(path, "do this") == ({}, {})
        assert read_note(path) == {}
    except ModelFolderError as failure:
        assert "not a readable safetensors file" in str(failure)


def test_tensors_that_this_user_may_not_read_are_not_called_damaged(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(tensors, "read_content", forbidden)
    with pytest.raises(ModelFolderError, match=r"a\.safetensors: this user may not read it; allow it .*, or do this$"):
        load_tensors(tmp_path / "a.safetensors", "do this")


def test_missing_tensors_name_the_repair(tmp_path):
    with pytest.raises(ModelFolderError, match="no such file; do this"):
        load_tensors(tmp_path / "a.safetensors", "do this")


def test_workspace_has_the_layout_of_the_design():
    root = Path("w")
    workspace, model = Workspace(root), ModelFolder(root / "model")
    found = {
        workspace.plan, workspace.splits, workspace.fingerprint, workspace.sample("c"), workspace.oof_scores,
        workspace.fold(0).sequence("T1WI"), workspace.fold(0).fusion, workspace.fold(0).log, workspace.metrics,
        workspace.model.record, model.plan, model.card, model.fold(0).fusion,
    }  # fmt: skip
    assert {path.as_posix() for path in found} == {
        "w/plan.json", "w/splits.json", "w/fingerprint.json", "w/preprocessed/c.safetensors", "w/oof_scores.csv",
        "w/folds/0/T1WI.safetensors", "w/folds/0/fusion.safetensors", "w/folds/0/log.jsonl", "w/results/metrics.json",
        "w/model/model.json", "w/model/plan.json", "w/model/MODEL_CARD.md", "w/model/fold_0/fusion.safetensors",
    }  # fmt: skip
    assert json.loads(Small(name="a", share=0).to_bytes()) == {"name": "a", "share": 0.0}
