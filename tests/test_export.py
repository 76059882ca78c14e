"""A model for other runtimes: the same scores, whatever is missing, from whole models alone; nobody's images in it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from command_line import autodls, snapshot
from guided_networks import eventful_encoder, guided_plan
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import tiny_fold, tiny_model

from autodls import Study, load_model
from autodls.errors import ArgumentError, AutoDLSError, DatasetError, ModelFolderError
from autodls.exporting import onnx_files
from autodls.exporting.bundle_network import BundleNetwork
from autodls.exporting.equality import LOG_ODDS_WITHIN, Scores, log_odds_of, require_equal, scores_of
from autodls.exporting.golden import Rows, golden_rows, patterns
from autodls.exporting.onnx_files import Runtime, require_size
from autodls.models.folded import FoldedEncoder
from autodls.records.export import ExportRecord
from autodls.records.files import sha256_of_file
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.preprocessing_plan import LesionPlan
from autodls.records.scale import LogisticScale
from autodls.records.tensors import load_tensors
from autodls.stages import export as stage
from autodls.stages.export import export

pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed: pip install 'autodls[export]'")

pytestmark = pytest.mark.long


def model_of(plan, *, fused_by="transformer", folds=2, encoder=None):
    """Folds whose scales and fusion differ; with `encoder`, of that family, all weights of which show."""
    made = []
    for seed in range(folds):
        if encoder is None:
            fold = tiny_fold(plan, seed, slope=1.5 + seed)
        else:
            net = eventful_encoder(encoder, roi_guided=plan.network.roi_guided)
            folded = FoldedEncoder.from_state(net.net.state_dict())
            fold = tiny_fold(plan, seed, lambda folded=folded: folded, folded.channels)
        common = {row: LogisticScale(slope=0.8 + seed, intercept=-0.2) for row in fold.scales}
        made.append(replace(fold, fused_by=fused_by, common=common))
    model = tiny_model(plan, made)
    changes = {
        "recalibration": LogisticScale(slope=0.9, intercept=-0.3),
        "ensemble_recalibration": LogisticScale(slope=1.2, intercept=0.4),
        "fold_scales": tuple(dict(fold.common) for fold in made),
    }
    return replace(model, record=model.record.model_copy(update=changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("model") / "model"
    write_model_folder(root, model_of(small_volume_plan()))
    return root


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    return export(tmp_path_factory.mktemp("onnx") / "out", model=folder, to="onnx")


@pytest.fixture(scope="module")
def bundle(folder, tmp_path_factory):
    return export(tmp_path_factory.mktemp("monai") / "out", model=folder, to="monai")


def run_onnx(folder, pixels, present):
    """All graphs of an export, as its README says."""
    files = sorted(folder.glob("fold_*.onnx"))
    logits = np.stack([Runtime(file)(pixels=pixels, present=present)["logits"] for file in files])
    return Runtime(folder / "ensemble.onnx")(logits=logits)


# -- golden inputs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("has", "count"), [([True], 1), ([True] * 2, 3), ([True] * 3, 7), ([True, False, True], 3)])
def test_every_pattern_of_missing_sequences_is_there_once(has, count):
    found = {tuple(pattern) for pattern in patterns(has)}
    assert len(found) == len(patterns(has)) == count
    assert all(any(pattern) and not np.any(pattern & ~np.array(has)) for pattern in found)


@pytest.mark.parametrize("guided", [False, True])
def test_golden_cases_look_like_prepared_ones_and_lack_what_they_lack(guided):
    rows = golden_rows(guided_plan(roi_guided=guided))
    planes = rows.pictures[:, :, :3]
    assert np.allclose(planes.mean(axis=(2, 3, 4)), 0, atol=1e-5) and np.allclose(
        planes.std(axis=(2, 3, 4)), 1, atol=1e-5
    )
    assert rows.pictures.shape[2] == (6 if guided else 3)
    assert set(np.unique(rows.pictures[:, :, 3:])) <= {0, 1}
    for pixels, present in rows.each():
        assert np.array_equal(pixels[0, :, :3].any(axis=(1, 2, 3)), present[0])
        assert not guided or pixels[0, :, 3:].any(axis=(1, 2, 3)).all(), "the ROI is in the samples of all sequences"
    assert np.array_equal(rows.pictures, golden_rows(guided_plan(roi_guided=guided)).pictures)


# -- what is allowed ---------------------------------------------------------------------------------------------------


def scores(log_odds, high=None, cutoff=0.5, **more):
    odds = np.array(log_odds, dtype=float)
    dls = 1 / (1 + np.exp(-odds))
    called = dls >= cutoff if high is None else np.array(high)
    return Scores(odds, called, {"dls": dls, **more})


def test_differences_are_the_largest_and_calls_in_the_band_are_counted():
    near = LOG_ODDS_WITHIN / 2
    found = require_equal(scores([1.00005, -near]), scores([1.0, near]), 0.5, "here")
    assert found.log_odds == pytest.approx(2 * near) and found.in_band == 1
    assert found.probability == pytest.approx(2 * near / 4, rel=0.01)


@pytest.mark.parametrize(
    ("found", "expected", "said"),
    [
        (scores([1.0002]), scores([1.0]), "log-odds differ by 0.0002, at most 0.0001"),
        (scores([np.nan]), scores([1.0]), "log-odds differ by nan"),
        (scores([1.0], [False]), scores([1.0]), "calls 1 cases otherwise"),
        (scores([1.0], spread=np.array([0.2])), scores([1.0], spread=np.array([0.1])), "a probability differ by 0.1"),
        (
            scores([1.0], by_sequence=np.array([[0.5, 0.2]])),
            scores([1.0], by_sequence=np.array([[0.5, np.nan]])),
            "a probability differ by inf",
        ),
    ],
)
def test_what_is_farther_is_refused(found, expected, said):
    with pytest.raises(AutoDLSError, match=said):
        require_equal(found, expected, 0.5, "here")


def test_log_odds_of_certainty_are_compared_up_to_where_they_are_rounding():
    assert log_odds_of(np.array([0.0, 0.5, 1.0])).tolist() == [-30, 0, 30]
    assert require_equal(scores([35.0]), scores([30.0]), 0.5, "here").log_odds == 0


# -- ONNX --------------------------------------------------------------------------------------------------------------


def test_onnxruntime_gives_the_scores_of_the_model_whatever_is_missing(exported, folder):
    model = load_model(folder, "cpu")
    shown = exported.record.shown
    assert shown.rows == 2 * 3 and shown.golden_pictures == 2 and shown.real_cases == 0
    assert shown.log_odds <= LOG_ODDS_WITHIN and shown.computed_in == "cpu float32"
    rows = golden_rows(model.plan)
    expected = scores_of(model._open.locked, rows)
    assert np.ptp(expected.log_odds) > 0.05, "scores that differ"
    for at, (pixels, present) in enumerate(rows.each()):
        found = run_onnx(exported.folder, pixels, present)
        assert found["log_odds"][0] == pytest.approx(expected.log_odds[at], abs=1e-4)
        for name, values in expected.probabilities.items():
            assert np.allclose(found[name][0], values[at], atol=1e-5, equal_nan=True), name
        assert found["high"][0] == expected.high[at]


def test_cases_together_score_as_alone_and_what_lies_in_a_missing_sequence_does_not_count(exported, folder):
    rows = golden_rows(load_model(folder, "cpu").plan)
    pixels, present = (np.concatenate(part) for part in zip(*rows.each(), strict=True))
    together = run_onnx(exported.folder, pixels, present)
    alone = [run_onnx(exported.folder, one, there)["log_odds"][0] for one, there in rows.each()]
    assert np.allclose(together["log_odds"], alone, atol=1e-5)
    filled = np.where(present[:, :, None, None, None], pixels, 7).astype(np.float32)
    assert np.allclose(run_onnx(exported.folder, filled, present)["log_odds"], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "guided", "fused_by"),
    [
        ("resnet8", True, "mean"),
        ("resnet8", False, "transformer"),
        ("efficientnet_lite0", False, "mean"),
    ],
)
def test_every_family_is_shown_equal(tmp_path, encoder, guided, fused_by):
    plan = guided_plan(encoder, roi_guided=guided)
    write_model_folder(tmp_path / "model", model_of(plan, fused_by=fused_by, folds=1, encoder=encoder))
    shown = export(tmp_path / "out", model=tmp_path / "model").record.shown
    assert shown.log_odds <= LOG_ODDS_WITHIN and shown.rows == 6


def test_a_plan_in_half_precision_is_exported_in_single(tmp_path, monkeypatch):
    monkeypatch.setattr("autodls.models.network.has_bf16", lambda _device: True)
    plan = small_volume_plan()
    plan = plan.model_copy(update={"training": plan.training.model_copy(update={"precision": "bf16"})})
    write_model_folder(tmp_path / "model", model_of(plan))
    assert load_model(tmp_path / "model", "cpu")._open.locked.computed_in == "cpu bfloat16"
    assert export(tmp_path / "onnx", model=tmp_path / "model").record.shown.computed_in == "cpu float32"
    assert export(tmp_path / "monai", model=tmp_path / "model", to="monai").record.shown.computed_in == "cpu bfloat16"


def test_golden_inputs_and_scores_lie_beside_it(exported):
    tensors, note = load_tensors(exported.folder / "golden.safetensors", "")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    assert "planes of each sequence that is not present set to zero" in note["input"]
    rows = Rows(arrays["pictures"], arrays["picture"], arrays["present"])
    found = [run_onnx(exported.folder, *one)["dls"][0] for one in rows.each()]
    assert np.allclose(found, arrays["dls"], atol=1e-6)
    assert np.array_equal(np.isnan(arrays["by_sequence"]), ~arrays["present"])


def test_the_record_names_every_array_every_file_and_the_model(exported, folder):
    record = ExportRecord.load(exported.folder / "export.json", "")
    assert record == exported.record
    model = load_model(folder, "cpu")
    assert record.model_sha256 == sha256_of_file(folder / "model.json") and record.cutoff == model.record.cutoff
    there = {path.name: sha256_of_file(path) for path in exported.folder.iterdir()}
    assert {name: there[name] for name in record.files} == record.files
    assert there.keys() - record.files.keys() == {"export.json", "provenance.json"}
    for graph in record.graphs:
        session = Runtime(exported.folder / graph.file)._session
        for told, real in ((graph.inputs, session.get_inputs()), (graph.outputs, session.get_outputs())):
            assert [one.name for one in told] == [one.name for one in real]
            for one, array in zip(told, real, strict=True):
                lengths = [length if isinstance(length, int) else None for length in array.shape]
                assert list(one.shape) == lengths and len(one.axes) == len(lengths), one.name
                assert array.type == f"tensor({'bool' if one.dtype == 'bool' else 'float'})"
    notes = Runtime(exported.folder / "fold_0.onnx")._session.get_modelmeta().custom_metadata_map
    assert notes["model_sha256"] == record.model_sha256 and "not a medical device" in notes["use"]


def cut_in_two(path):
    """Take a slab out of the middle of an ROI."""
    roi = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(roi)
    middle = round(np.argwhere(array)[:, 2].mean())
    array[:, :, middle] = 0
    cut = sitk.GetImageFromArray(array)
    cut.CopyInformation(roi)
    sitk.WriteImage(cut, str(path))


@pytest.fixture(scope="module")
def of_lesions(tmp_path_factory):
    """A model that scores each lesion."""
    plan, root = small_volume_plan(), tmp_path_factory.mktemp("lesions") / "model"
    told = LesionPlan(told_by="components", least_mm3=20.0, most=4)
    plan = plan.model_copy(update={"preprocessing": plan.preprocessing.model_copy(update={"lesions": told})})
    write_model_folder(root, model_of(plan))
    return root


@pytest.mark.parametrize("several", [False, True])
def test_the_readme_is_run_on_files_as_it_stands(
    folder, of_lesions, make_dataset, tmp_path, monkeypatch, capsys, several
):
    dataset, model = make_dataset(tmp_path / "dataset", training=1, held_out=0), of_lesions if several else folder
    if several:
        cut_in_two(dataset / "labelsTr" / "case_00.nii.gz")
    given = {"images": dataset / "imagesTr", "rois": dataset / "labelsTr"}
    done = export(tmp_path / "place", model=model, **given)
    assert done.record.shown.real_cases == 1 + several
    for channel, sequence in load_model(model, "cpu").record.channel_names.items():
        shutil.copyfile(dataset / f"imagesTr/case_00_{int(channel):04d}.nii.gz", done.folder / f"{sequence}.nii.gz")
    shutil.copyfile(dataset / "labelsTr" / "case_00.nii.gz", done.folder / "roi.nii.gz")
    monkeypatch.chdir(done.folder)
    words = {}
    for snippet in re.findall(r"```python\n(.*?)```", (done.folder / "README.md").read_text(), re.DOTALL):
        exec(snippet, words)
    score, call = capsys.readouterr().out.split()
    scored = load_model(model, "cpu").predict(**given).cases[0]
    assert len(scored.lesions) == 2 * several
    assert float(score) == pytest.approx(scored.dls, abs=1e-5) and call == scored.call


def test_real_cases_are_compared_and_none_is_kept(folder, make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "dataset", training=2, held_out=0, missing=(("case_01", "T2WI"),))
    given = {"images": dataset / "imagesTr", "rois": dataset / "labelsTr"}
    record = load_model(folder, "cpu").export(tmp_path / "out", **given).record
    assert record.shown.real_cases == 2 and record.shown.rows == 6 + 3 + 1
    made_up = export(tmp_path / "other", model=folder).folder / "golden.safetensors"
    assert sha256_of_file(made_up) == record.files["golden.safetensors"]
    assert b"case_0" not in b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["onnx", "monai"])
def test_scores_that_differ_are_refused_and_nothing_is_left(folder, tmp_path, monkeypatch, to):
    def other(model, rows):
        expected = scores_of(model, rows)
        return replace(expected, log_odds=expected.log_odds + 1e-3)

    monkeypatch.setattr("autodls.exporting.equality.scores_of", other)
    answer = autodls("export", "-m", folder, "-o", tmp_path / "out", "--to", to)
    assert answer.status == 1 and "log-odds differ by 0.001" in answer.complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["fold_1/T2WI.safetensors", "fold_0/fusion.safetensors", "plan.json", "model.json"])
@pytest.mark.parametrize("to", ["onnx", "monai"])
def test_an_altered_model_is_refused(folder, tmp_path, name, to):
    altered = shutil.copytree(folder, tmp_path / "model")
    content = (altered / name).read_bytes()
    (altered / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(ModelFolderError):
        export(tmp_path / "out", model=altered, to=to)
    assert not (tmp_path / "out").exists()


def test_a_locked_candidate_has_nothing_to_export(tmp_path):
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate" / CANDIDATE).write_text("{}")
    answer = autodls("export", "-m", tmp_path / "candidate", "-o", tmp_path / "out")
    assert answer.status == 2 and "no networks to export" in answer.complaint


@pytest.mark.parametrize("given", ["images", "rois"])
def test_cases_need_images_and_rois(folder, tmp_path, given):
    with pytest.raises(ArgumentError, match="give both -i and --rois"):
        export(tmp_path / "out", model=folder, **{given: tmp_path})


@pytest.mark.parametrize(
    ("gone", "said"), [("labelsTr/case_01.nii.gz", "case_01: no ROI"), ("labelsTr", "no such fold")]
)
def test_a_case_that_cannot_be_compared_is_named(folder, make_dataset, tmp_path, gone, said):
    dataset = make_dataset(tmp_path / "dataset", training=2, held_out=0)
    path = dataset / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatasetError, match=said):
        export(tmp_path / "out", model=folder, images=dataset / "imagesTr", rois=dataset / "labelsTr")
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "find_spec", lambda _name: None)
    answer = autodls("export", "-m", folder, "-o", tmp_path / "out")
    assert answer.status == 2 and "package onnx is not installed" in answer.complaint and "[export]" in answer.complaint
    assert autodls("export", "-m", folder, "-o", tmp_path / "out", "--to", "monai").status == 0


def test_a_fold_that_no_file_holds_is_refused():
    with torch.device("meta"):
        weights = [torch.empty(600_000_000)]
    with pytest.raises(ArgumentError, match=r"fold_0.onnx has 2.2 GiB .* --to monai"):
        require_size(weights, "fold_0.onnx")
    require_size([weights[0][:1000]], "fold_0.onnx")


@pytest.mark.parametrize(("place", "said"), [("inside", "read from there"), ("taken", "holds an export already")])
def test_results_lie_in_a_folder_of_their_own(folder, exported, tmp_path, place, said):
    before = snapshot(folder.parent)
    output = folder / "onnx" if place == "inside" else shutil.copytree(exported.folder, tmp_path / "out")
    answer = autodls("export", "-m", folder, "-o", output)
    assert answer.status == 2 and str(output) in answer.complaint and said in answer.complaint
    assert snapshot(folder.parent) == before


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_the_bundle_holds_the_very_model_and_scores_exactly_so(bundle, folder):
    models = bundle.folder / "models"
    assert {path.relative_to(models): path.read_bytes() for path in models.rglob("*") if path.is_file()} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert bundle.record.shown.log_odds == bundle.record.shown.probability == 0
    assert load_model(models, "cpu").verify().fits


def test_the_network_of_the_bundle_takes_a_case_without_a_sequence(bundle, folder):
    model, network = load_model(folder, "cpu")._open.locked, BundleNetwork(bundle.folder / "models")
    rows = golden_rows(model.plan)
    expected = scores_of(model, rows).probabilities["dls"]
    pixels = torch.from_numpy(np.concatenate([one for one, _ in rows.each()]))
    assert network(pixels.flatten(1, 2))[:, 0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("shape", "said"), [((1, 5, 64, 64), "channels"), ((1, 6, 64, 64), "no sequence"), ((6, 6), "\\[case")]
)
def test_other_input_of_the_network_is_one_line(bundle, shape, said):
    with pytest.raises(ArgumentError, match=said):
        BundleNetwork(bundle.folder / "models")(torch.zeros(shape))


def test_names_of_a_dataset_are_no_code_to_monai(tmp_path):
    """MONAI evaluates a text that begins with a dollar sign."""
    from monai.bundle import ConfigParser

    model = tiny_model(small_volume_plan())
    target = model.record.target.model_copy(update={"name": "$1/0"})
    write_model_folder(
        tmp_path / "model", replace(model, record=model.record.model_copy(update={"target": target, "dataset": "@x"}))
    )
    folder = export(tmp_path / "out", model=tmp_path / "model", to="monai").folder
    parser = ConfigParser()
    parser.read_meta(folder / "configs" / "metadata.json")
    parser.read_config(folder / "configs" / "inference.json")
    assert parser.get_parsed_content("_meta_")["pred_classes"] == "probability of $1/0"


def test_metadata_has_what_monais_schema_asks_for(bundle, tmp_path):
    """What the schema of 2024-07-25 requires; `verify_metadata` does not download a file that is there."""
    from monai.bundle.scripts import verify_metadata

    text, tensor = {"type": "string"}, ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
    arrays = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "object", "required": list(tensor)},
    }
    required = {
        **dict.fromkeys(("schema", "version", "monai_version", "pytorch_version", "numpy_version"), text),
        **dict.fromkeys(("task", "description", "authors", "copyright"), text),
        "required_packages_version": {"type": "object"},
        "network_data_format": {"type": "object", "required": ["inputs", "outputs"], "additionalProperties": arrays},
    }
    schema = {"type": "object", "required": list(required), "properties": required}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    metadata = bundle.folder / "configs" / "metadata.json"
    verify_metadata(meta_file=str(metadata), filepath=str(tmp_path / "schema.json"))
    content = json.loads(metadata.read_text())
    del content["authors"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="authors"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(tmp_path / "schema.json"))


@pytest.mark.slow
def test_monai_runs_the_bundle_and_its_network(bundle, folder, make_dataset, tmp_path):
    pytest.importorskip("fire")
    dataset = make_dataset(tmp_path / "dataset", training=2, held_out=0, missing=(("case_01", "T2WI"),))
    images, rois, out = dataset / "imagesTr", dataset / "labelsTr", tmp_path / "out"
    config = ("--config_file", "configs/inference.json", "--bundle_root", ".")
    for words in (
        ("run", *config, "--images", images, "--rois", rois, "--output_dir", out),
        ("verify_net_in_out", "network_def", "--meta_file", "configs/metadata.json", *config, "--device", "cpu"),
    ):
        command = [sys.executable, "-m", "monai.bundle", *map(str, words)]
        done = subprocess.run(command, cwd=bundle.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    command = ("predict", "-m", folder, "-i", images, "--rois", rois, "-o", tmp_path / "ours", "--device", "cpu")
    assert autodls(*command).status == 0
    assert (out / "scores.csv").read_bytes() == (tmp_path / "ours" / "scores.csv").read_bytes()


# -- calls -------------------------------------------------------------------------------------------------------------


def test_the_command_says_how_equal_it_is(folder, tmp_path):
    answer = autodls("export", "-m", folder, "-o", tmp_path / "out", "--to", "monai")
    assert answer.status == 0 and "6 scores, log-odds within 0 of AutoDLS (0.0001 is allowed)" in answer.out
    answer = autodls("export", "-m", folder, "-o", tmp_path / "other", "--json")
    assert ExportRecord.model_validate_json(answer.out) == ExportRecord.load(tmp_path / "other" / "export.json", "")


def test_a_study_exports_its_own_model(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "work" / "model")
    found = Study(tmp_path, tmp_path / "work").export(tmp_path / "out", "monai")
    assert found.record.model_sha256 == sha256_of_file(folder / "model.json") and found.folder == tmp_path / "out"


def test_a_stopped_export_is_made_anew(folder, tmp_path, monkeypatch):
    def stopped(*_words):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "_compare", stopped)
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "out", model=folder, to="monai")
    monkeypatch.undo()
    assert export(tmp_path / "out", model=folder, to="monai").record.to == "monai"
