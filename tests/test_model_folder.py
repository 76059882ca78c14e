"""A model folder: read anywhere, used only when every byte is as it was locked."""

import hashlib
import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import brightness_encoder, random_input, tiny_fold, tiny_model, tiny_plan

from autodls.errors import ModelFolderError
from autodls.inference.model_folder import load_model
from autodls.records import files
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.model_folders import ModelFolder
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    write_model_folder(tmp_path / "model")
    return tmp_path / "model"


def load(folder):
    return load_model(folder, CPU)


def record_of(folder):
    return ModelRecord.model_validate_json((folder / "model.json").read_bytes())


def reseal(folder, **changes):
    """Change the record as somebody would who knows the format."""
    record_of(folder).model_copy(update=changes).sealed().save(folder / "model.json")


def refused(folder, *parts):
    with pytest.raises(ModelFolderError) as failure:
        load(folder)
    message = str(failure.value)
    assert "\n" not in message and "copy the model folder anew" in message
    for part in parts:
        assert part in message, message


def test_scores_the_same_as_the_model_that_was_saved(tmp_path):
    saved = write_model_folder(tmp_path / "model")
    pixels, present = random_input(saved.plan)
    expected, found = saved.score(pixels, present), load(tmp_path / "model").score(pixels, present)
    assert found.dls == pytest.approx(expected.dls, abs=1e-5)
    assert found.dls_raw == pytest.approx(expected.dls_raw, abs=1e-5)
    assert found.spread == pytest.approx(expected.spread, abs=1e-5)
    assert set(found.by_sequence) == set(saved.plan.sequences)


def test_a_model_with_cautions_is_sealed_with_them_and_one_without_is_written_as_before(folder):
    before = (folder / "model.json").read_bytes()
    assert b"cautions" not in before
    reseal(folder, cautions=("the model scores all cases alike",))
    assert load(folder).record.cautions == ("the model scores all cases alike",)
    content = json.loads((folder / "model.json").read_text())
    del content["cautions"]
    (folder / "model.json").write_text(json.dumps(content))
    refused(folder, "altered since the model was locked")
    reseal_with_nothing = ModelRecord.model_validate(content).model_copy(update={"cautions": ()}).sealed()
    assert reseal_with_nothing.to_bytes() == before


@pytest.mark.parametrize(
    "name", ["model.json", "plan.json", "fingerprint.json", "fold_0/fusion.safetensors", "fold_1/T2WI.safetensors"]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_used_is_what_was_hashed(folder, tmp_path, monkeypatch, name, streamed):
    """A file is exchanged the moment that it has been hashed: the scores are those of the bytes that were hashed."""
    gains = itertools.count(1)
    plan = small_volume_plan()
    folds = [tiny_fold(plan, seed, encoder=lambda: brightness_encoder(1.1 ** next(gains))) for seed in (0, 1)]
    write_model_folder(folder, tiny_model(plan, folds))  # no two files are the same
    pixels, present = random_input(plan)
    expected, good = load(folder).score(pixels, present).dls, (folder / name).read_bytes()
    swapped, sha256 = [], hashlib.sha256

    class Swapping:
        def __init__(self, content=b""):
            self.digest = sha256(content)

        def update(self, content):
            self.digest.update(content)

        def hexdigest(self):
            if (found := self.digest.hexdigest()) == sha256(good).hexdigest():
                (tmp_path / "other").write_bytes(b"other")
                (tmp_path / "other").replace(folder / name)
                swapped.append(name)
            return found

    monkeypatch.setattr(files.hashlib, "sha256", Swapping)
    model = load_model(folder, CPU, streamed=streamed)
    assert (model.score(pixels, present).dls == expected).all() and swapped == [name]
    assert name != "model.json" or model.sha256 == sha256(good).hexdigest()


def test_a_copy_elsewhere_is_the_same_model(folder, tmp_path):
    original, copied = load(folder), load(shutil.copytree(folder, tmp_path / "another hospital" / "m"))
    pixels, present = random_input(original.plan)
    assert copied.sha256 == original.sha256 == sha256_of_file(folder / "model.json")
    assert (copied.score(pixels, present).dls == original.score(pixels, present).dls).all()


@pytest.mark.parametrize(
    "name",
    [
        "plan.json",
        "fingerprint.json",
        "fold_0/CE-T1WI.safetensors",
        "fold_0/fusion.safetensors",
        "fold_1/T2WI.safetensors",
    ],
)
class TestEveryFile:
    def test_is_hashed(self, folder, name):
        path = folder / name
        content = bytearray(path.read_bytes())
        content[-2] ^= 0x20 if name.endswith(".json") else 1
        path.write_bytes(bytes(content))
        refused(folder, name)

    def test_is_needed(self, folder, name):
        (folder / name).unlink()
        refused(folder, name)

    def test_is_no_link_out_of_the_folder(self, folder, name, tmp_path):
        shutil.move(folder / name, tmp_path / "elsewhere")
        (folder / name).symlink_to(tmp_path / "elsewhere")
        if name == "plan.json":  # it is read before its hash is known, and refused all the same
            assert Plan.load(folder / name, "").sequences
        refused(folder, name, "not a plain file")


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.update(cutoff=0.1),
        lambda record: record["recalibration"].update(intercept=-3.0),
        lambda record: record["target"].update(name="something else"),
        lambda record: record.update(roi_labels=[1, 2]),
        lambda record: record.update(folds=1),
        lambda record: record.update(record_sha256=""),
        lambda record: record.pop("record_sha256"),
        lambda record: record["files"].update({"fold_0/T2WI.safetensors": "0" * 64}),
    ],
    ids=["cutoff", "recalibration", "target", "roi labels", "folds", "seal emptied", "seal removed", "a hash"],
)
def test_an_edited_record_shows(folder, edit):
    record = json.loads((folder / "model.json").read_text())
    edit(record)
    (folder / "model.json").write_text(json.dumps(record))
    refused(folder, "model.json", "altered since the model was locked")


def test_the_layout_of_the_record_is_free(folder):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    assert load(folder).record == record_of(folder)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "not valid JSON"),
        ("[]", "model.json"),
        ('{"format": "autodls-model/9"}', "model.json"),
    ],
)
def test_a_record_that_is_none(folder, content, part):
    (folder / "model.json").write_text(content)
    refused(folder, part)


def test_no_record(folder):
    (folder / "model.json").unlink()
    refused(folder, "model.json", "no such file")


def test_no_folder_says_how_to_get_one(tmp_path):
    with pytest.raises(ModelFolderError, match="no such model folder; give -m MODEL, or run 'autodls train fold all'"):
        load(tmp_path / "model")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelFolderError, match="no such model folder"):
        load(tmp_path / "model")


def test_the_list_must_be_that_of_the_plan(folder):
    files = dict(record_of(folder).files)
    del files["fold_1/fusion.safetensors"]
    reseal(folder, files=files)
    refused(folder, "fold_1/fusion.safetensors", "does not fit its plan")


def test_a_file_more_in_the_list(folder):
    (folder / "more.bin").write_bytes(b"")
    reseal(folder, files={**record_of(folder).files, "more.bin": sha256_of_file(folder / "more.bin")})
    refused(folder, "more.bin")


def test_sequences_of_plan_and_record_must_agree(folder):
    reseal(folder, channel_names={"0": "T2WI", "1": "CE-T1WI"})
    refused(folder, "sequences", "T2WI")


def test_a_sequence_cannot_name_a_file_outside(folder, tmp_path):
    """A folder made to harm: consistent in itself, but one of its weights lies elsewhere."""
    outside = "../../stolen"
    plan = tiny_plan(("CE-T1WI", outside), input_size_px=64, slice_size_px=72, roi_channel="CE-T1WI")
    plan.save(folder / "plan.json")
    shutil.copyfile(folder / "fold_0" / "T2WI.safetensors", tmp_path / "stolen.safetensors")
    files = {name.replace("T2WI", outside): digest for name, digest in record_of(folder).files.items()}
    reseal(
        folder,
        files=files,
        channel_names={"0": "CE-T1WI", "1": outside},
        plan_sha256=sha256_of_file(folder / "plan.json"),
    )
    refused(folder, "channel_names", "../../stolen")


def test_a_card_may_lie_beside(folder):
    (folder / "MODEL_CARD.md").write_text("read me")
    assert len(load(folder).folds) == 2


@pytest.mark.parametrize("name", ["notes.txt", "fold_0/T9WI.safetensors", "fold_7/code.py", "segmentation/x.pth"])
def test_files_that_the_record_does_not_name_are_refused(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("stowaway")
    with pytest.raises(ModelFolderError, match=f"{name}: not a file that the model's record names"):
        load(folder)


def test_a_record_of_before_there_was_a_hash_of_the_card_is_sealed(folder):
    content = json.loads((folder / "model.json").read_text())
    del content["card_sha256"]
    old = json.dumps(content | {"record_sha256": ""}, indent=1, ensure_ascii=False) + "\n"
    content["record_sha256"] = sha256_of_bytes(old.encode())
    (folder / "model.json").write_text(json.dumps(content))
    assert record_of(folder).is_sealed


def test_a_model_without_common_scale_scores_as_before_and_one_with_it_as_its_record_says(folder):
    pixels, present = random_input(small_volume_plan())
    old = load(folder)
    content = json.loads((folder / "model.json").read_text())
    assert not {"fold_scales", "fold_correlation", "ensemble_recalibration"} & set(content)
    scales = tuple({FUSED: LogisticScale(slope=slope, intercept=-0.5)} for slope in (2.0, 0.25))
    of_mean = LogisticScale(slope=3.0, intercept=0.4)
    changes = {"fold_scales": scales, "fold_correlation": 0.7, "ensemble_recalibration": of_mean}
    old.record.model_copy(update=changes).sealed().save(folder / "model.json")
    new = load(folder)
    assert new.record.is_sealed
    single = [replace(old, folds=[fold]).score(pixels, present) for fold in old.folds]
    own = np.array([logit(one.dls) for one in single])
    common = np.array([[2.0], [0.25]]) * own - 0.5
    np.testing.assert_allclose(logit(new.score(pixels, present).dls), 3 * common.mean(axis=0) + 0.4, rtol=1e-6)
    alone = replace(new, folds=[new.folds[0]]).score(pixels, present)
    np.testing.assert_allclose(logit(alone.dls), common[0], rtol=1e-6)


def test_scales_of_other_folds_are_refused(folder):
    scales = [{FUSED: {"slope": 1.0, "intercept": 0.0}}] * 3
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | {"fold_scales": scales}))
    with pytest.raises(ModelFolderError, match="3 fold_scales for 2 folds"):
        load(folder)


class TestSeal:
    def test_covers_every_other_field(self, folder):
        record = record_of(folder)
        assert record.is_sealed and record.sealed() == record
        others = set(ModelRecord.model_fields) - {"record_sha256"}
        changes = {name: "changed" if isinstance(getattr(record, name), str | None) else None for name in others}
        changes["training_patients"] = 1
        for name, value in changes.items():
            assert record.model_copy(update={name: value})._content_sha256() != record.record_sha256, name

    def test_survives_the_file(self, folder):
        read = ModelRecord.load(ModelFolder(folder).record, "", ModelFolderError)
        assert read.is_sealed and read.plan_sha256 == small_volume_plan().sha256()
