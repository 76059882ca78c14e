"""The segmenter of new cases: what it needs, what it refuses, and where its masks lie."""

import json
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
import torch
from small_volumes import anatomy, grid_around, oblique
from tiny_models import tiny_model

from autodls.errors import DatasetError, ModelFolderError
from autodls.imaging.volumes import read_geometry, write_volume
from autodls.inference.rois import automatic_rois
from autodls.records.files import sha256_of_file
from autodls.records.segmentation import training_key
from autodls.records.segmentation_folders import SegmenterFolder
from autodls.records.segmenter import SegmenterRecord
from autodls.segmentation.segmenter import Segmenter, export_segmenter

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def exported(segmented_study, tmp_path_factory):
    folder = SegmenterFolder(tmp_path_factory.mktemp("model") / "segmentation")
    export_segmenter(segmented_study.workspace, segmented_study.plan, segmented_study.splits, folder)
    return folder


@pytest.fixture(scope="module")
def segmenter(exported):
    return Segmenter.load(exported, CPU)


@pytest.fixture
def copied(exported, tmp_path):
    """A copy that may be changed: plain files, not further names of the same ones."""
    folder = SegmenterFolder(tmp_path / "segmentation")
    folder.root.mkdir()
    for path in exported.root.iterdir():
        (folder.root / path.name).write_bytes(path.read_bytes())
    return folder


def reseal(folder):
    """Put the present hashes into segmenter.json, as an attacker would."""
    content = json.loads(folder.record.read_text())
    content["files"] = {name: sha256_of_file(folder.root / name) for name in content["files"]}
    folder.record.write_text(json.dumps(content))


def test_everything_that_a_new_case_needs_is_exported(exported, segmented_study):
    names = sorted(path.name for path in exported.root.iterdir())
    assert names == ["dataset.json", "fold_0.safetensors", "fold_1.safetensors", "plans.json", "segmenter.json"]
    record = SegmenterRecord.load(exported.record, "")
    assert record.sequences == ("T2WI", "CE-T1WI") and record.roi_channel == "CE-T1WI"
    assert record.training_key == training_key(segmented_study.plan, segmented_study.splits)
    assert "dataset" not in json.loads(exported.dataset.read_text()), "it would name the training cases"
    assert not [name for name in names if str(segmented_study.root) in (exported.root / name).read_text("latin-1")]


def test_versions_are_those_of_training_and_not_of_where_it_is_exported(
    exported, segmented_study, tmp_path, monkeypatch
):
    """Else the hash of segmenter.json, by which masks of held-out cases are known, would change with an upgrade."""
    import torch as installed

    trained = SegmenterRecord.load(exported.record, "").versions
    assert trained.keys() == {"autodls", "torch", "nnunetv2"}
    monkeypatch.setattr(metadata, "version", lambda name: "9.9.9")
    monkeypatch.setattr(installed, "__version__", "9.9.9")
    folder = SegmenterFolder(tmp_path / "again")
    again = export_segmenter(segmented_study.workspace, segmented_study.plan, segmented_study.splits, folder)
    assert again.versions == trained and again.sha256() == SegmenterRecord.load(exported.record, "").sha256()


def test_ensemble_draws_on_the_grid_of_the_roi_channel(segmenter, segmented_study):
    case = segmented_study.session.training[0]
    drawn = segmenter.segment(case.id, case.images)
    assert drawn.geometry == read_geometry(case.images["CE-T1WI"])
    assert drawn.mask.array.shape == drawn.geometry.size_xyz[::-1] and drawn.mask.array.any()
    assert 0 <= drawn.mask.disagreement <= 1
    again = segmenter.segment(case.id, case.images)
    assert np.array_equal(again.mask.array, drawn.mask.array) and again.mask.confidence == drawn.mask.confidence


def test_oblique_grid_is_kept(segmenter, tmp_path):
    direction = oblique(np.eye(3)[:, [2, 0, 1]], 20, np.random.default_rng(2))
    grid = grid_around((10, -20, 5), (18, 30, 26), (5.0, 2.0, 2.5), direction)
    write_volume(tmp_path / "new_0001.nii.gz", anatomy(grid, (10, -20, 5)))
    drawn = segmenter.segment("new", {"CE-T1WI": tmp_path / "new_0001.nii.gz"})
    assert drawn.geometry.same_grid(grid) and drawn.mask.array.shape == (26, 30, 18)


def test_case_without_its_roi_channel_is_refused(segmenter, segmented_study):
    images = {"T2WI": segmented_study.session.training[0].images["T2WI"]}
    with pytest.raises(DatasetError, match=r"case new: no image of CE-T1WI.*--rois"):
        segmenter.segment("new", images)


def test_unreadable_image_is_named(segmenter, tmp_path):
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"case new: .*bad\.nii\.gz"):
        segmenter.segment("new", {"CE-T1WI": tmp_path / "bad.nii.gz"})


def test_fold_that_is_not_trained_is_not_exported(segmented_study, tmp_path):
    study = segmented_study.copy(tmp_path / "workspace")
    study.workspace.segmentation.segmenter.fold(1).unlink()
    with pytest.raises(ModelFolderError, match=r"fold 1 of this plan is missing; run 'autodls segment fold all'"):
        export_segmenter(study.workspace, study.plan, study.splits, SegmenterFolder(tmp_path / "model"))
    longer = study.run(epochs=9).plan
    with pytest.raises(ModelFolderError, match="fold 0 of this plan is missing"):
        export_segmenter(study.workspace, longer, study.splits, SegmenterFolder(tmp_path / "model"))


def test_model_of_manual_rois_says_so(tmp_path):
    with pytest.raises(ModelFolderError, match="trained on manual ROIs; give them with --rois"):
        Segmenter.load(SegmenterFolder(tmp_path / "segmentation"), CPU)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0.safetensors"])
@pytest.mark.parametrize("damage", ["altered", "missing", "link"])
def test_altered_missing_or_linked_file_is_refused(copied, tmp_path, name, damage):
    path = copied.root / name
    content = path.read_bytes()
    path.unlink()
    if damage == "altered":
        path.write_bytes(content + b" ")
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFolderError, match=f"{name}: (altered|missing, or not a plain file)"):
        Segmenter.load(copied, CPU)


@pytest.mark.parametrize("name", ["plans.json", "fold_1.safetensors"])
def test_file_of_a_terabyte_is_not_read(copied, name):
    with (copied.root / name).open("r+b") as handle:
        handle.truncate(1 << 40)
    with pytest.raises(ModelFolderError, match=rf"{name}: cannot be read \(larger than \d+ MiB"):
        Segmenter.load(copied, CPU)


HOSTILE = {
    "network": ("architecture", "network_class_name", "subprocess.Popen"),
    "operation": ("architecture", "arch_kwargs", "conv_op", "os.system"),
    "imports": ("architecture", "_kw_requires_import", ["n_stages"]),
    "preprocessor": ("preprocessor_name", "join"),
    "resampling": ("resampling_fn_probabilities", "join"),
    "normalisation": ("normalization_schemes", ["join", "join"]),
    "stages": ("architecture", "arch_kwargs", "n_stages", 10**9),
    "blocks": ("architecture", "arch_kwargs", "n_conv_per_stage", [10**9]),
    "features": ("architecture", "arch_kwargs", "features_per_stage", [10**9]),
    "nothing": ("architecture", None),
    "argument": ("resampling_fn_data_kwargs", {"evil": 1}),
    "patch of nothing": ("patch_size", [0, 0]),
    "patch of gigabytes": ("patch_size", [8192, 8192]),
    "patch of another configuration": ("patch_size", [16, 16, 16]),
    "patch that cannot be pooled": ("patch_size", [23, 31]),
    "spacing": ("spacing", [1e-4, 1e-4]),
    "spacing of one axis": ("spacing", [1.0]),
    "strides": ("architecture", "arch_kwargs", "strides", [[1, 1], [9, 9], [2, 2]]),
    "scheme for one channel": ("normalization_schemes", ["ZScoreNormalization"]),
    "field of nobody's": ("inherits_from", "2d"),
}
HOSTILE_ELSEWHERE = {
    "transposed": ("plans.json", "transpose_forward", [0, 0, 1]),
    "not transposed back": ("plans.json", "transpose_backward", [2, 0, 1]),
    "statistics": ("plans.json", "foreground_intensity_properties_per_channel", {}),
    "reader": ("plans.json", "image_reader_writer", "join"),
    "labels": ("dataset.json", "labels", {"background": 0, "tumour": 1, "more": 2}),
    "regions": ("dataset.json", "regions_class_order", [1]),
    "channels": ("dataset.json", "channel_names", {"0": "zscore"}),
    "mirrored for ever": ("segmenter.json", "mirror_axes", [0] * 40),
    "mirrored over no axis": ("segmenter.json", "mirror_axes", [0, 5]),
    "grid of nobody's": ("segmenter.json", "roi_channel", "DWI"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_plans_that_name_other_code_or_absurd_sizes_are_refused(copied, what, monkeypatch):
    """Though every hash fits; nnU-Net itself would import what the plans name."""
    import pydoc

    monkeypatch.setattr(pydoc, "locate", lambda name: pytest.fail(f"{name} was imported"))
    *path, value = HOSTILE[what]
    plans = json.loads(copied.plans.read_text())
    inner = plans["configurations"][SegmenterRecord.load(copied.record, "").configuration]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    copied.plans.write_text(json.dumps(plans))
    reseal(copied)
    with pytest.raises(ModelFolderError, match=r"plans\.json: .*copy the model folder anew"):
        Segmenter.load(copied, CPU)


@pytest.mark.parametrize("what", HOSTILE_ELSEWHERE)
def test_what_our_export_does_not_write_is_refused(copied, what):
    name, field, value = HOSTILE_ELSEWHERE[what]
    path = copied.root / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    reseal(copied)
    with pytest.raises(ModelFolderError, match=r"\.json: .*copy the model folder anew"):
        Segmenter.load(copied, CPU)


def test_an_image_that_would_be_resampled_to_terabytes_is_refused(copied, segmented_study):
    """Spacing and image are each within bounds."""
    plans = json.loads(copied.plans.read_text())
    plans["configurations"]["2d"]["spacing"] = [0.011, 0.011]
    copied.plans.write_text(json.dumps(plans))
    reseal(copied)
    case = segmented_study.session.training[0]
    with pytest.raises(DatasetError, match=rf"case {case.id}: the segmenter would resample .* crop the images"):
        Segmenter.load(copied, CPU).segment(case.id, case.images)


@pytest.mark.parametrize("failure", [TypeError("evil"), ZeroDivisionError(), KeyError("mean"), RuntimeError("inf")])
def test_what_nnunet_fails_on_is_named_by_its_case(segmenter, segmented_study, failure, monkeypatch):
    def fail(*_):
        raise failure

    monkeypatch.setattr(segmenter.maps, "of", fail)
    case = segmented_study.session.training[0]
    with pytest.raises(DatasetError, match=rf"case {case.id}: nnU-Net cannot draw its ROI \({type(failure).__name__}"):
        segmenter.segment(case.id, case.images)


@pytest.mark.parametrize("change", [{"roi_channel": "T2WI"}, {"sequences": ("CE-T1WI", "T2WI")}])
def test_the_segmenter_of_another_model_is_refused(segmenter, tmp_path, change, monkeypatch):
    names = {str(index): name for index, name in enumerate(segmenter.record.sequences)}
    locked = {"channel_names": names, "roi_channel": segmenter.record.roi_channel, "segmenter_sha256": "0" * 64}
    model = tiny_model()
    model = replace(model, record=model.record.model_copy(update=locked))

    def drawn(loaded):
        monkeypatch.setattr(Segmenter, "load", lambda *_: loaded)
        return automatic_rois(model, tmp_path, CPU, lambda case: tmp_path / case)

    assert drawn(segmenter).kind == "auto"
    with pytest.raises(ModelFolderError, match=r"segmenter\.json: sequences .*, model\.json has \['T2WI', 'CE-T1WI'\]"):
        drawn(replace(segmenter, record=segmenter.record.model_copy(update=change)))


@pytest.mark.parametrize("content", ["[]", "{}", "not JSON", '{"configurations": {}}'])
def test_plans_that_are_none_are_refused(copied, content):
    copied.plans.write_text(content)
    reseal(copied)
    with pytest.raises(ModelFolderError, match=r"plans\.json"):
        Segmenter.load(copied, CPU)


def test_weights_that_do_not_fit_the_plans_are_refused(copied):
    from safetensors.torch import load_file, save_file

    weights = load_file(copied.fold(1))
    name = sorted(weights)[0]
    for changed, message in (
        ({**weights, name: weights[name] * torch.nan}, "of finite numbers"),
        ({**weights, name: torch.zeros(3)}, r"has shape \(3,\)"),
        ({key: value for key, value in weights.items() if key != name}, "is missing or unknown"),
    ):
        save_file(changed, copied.fold(1))
        reseal(copied)
        with pytest.raises(ModelFolderError, match=rf"fold_1\.safetensors: .*{message}"):
            Segmenter.load(copied, CPU)


def test_channels_of_segmenter_and_network_must_agree(copied):
    content = json.loads(copied.record.read_text())
    copied.record.write_text(json.dumps(content | {"sequences": ["CE-T1WI"]}))
    with pytest.raises(ModelFolderError, match=r"2 channels, segmenter\.json has \['CE-T1WI'\]"):
        Segmenter.load(copied, CPU)


def test_networks_that_draw_are_those_of_the_model(copied):
    """model.json names segmenter.json by its hash, and that one all other files."""
    Segmenter.load(copied, CPU, sha256_of_file(copied.record))
    with pytest.raises(ModelFolderError, match=r"segmenter\.json: altered"):
        Segmenter.load(copied, CPU, "0" * 64)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_1.safetensors"])
def test_what_draws_is_what_was_hashed(copied, monkeypatch, name):
    """A file that is exchanged once it has been hashed is not used."""

    def exchanged(path, *_rest):
        if path.name == name:
            path.unlink()
            path.write_bytes(content[: -len(b"}")] + b" }" if name.endswith(".json") else content[:-1] + b"\x01")

    content = (copied.root / name).read_bytes().rstrip()
    monkeypatch.setattr("autodls.segmentation.segmenter.require_unaltered", exchanged)
    with pytest.raises(ModelFolderError, match=rf"{name}: altered"):
        Segmenter.load(copied, CPU)
