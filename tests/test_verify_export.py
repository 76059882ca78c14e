"""`verify` of a folder that `export` wrote: a changed byte, a file that is gone, an edited record, a file of ours."""

import json
import shutil

import pytest
from command_line import autodls
from tiny_model_folder import write_model_folder

from autodls.errors import ArgumentError
from autodls.records.provenance import Provenance
from autodls.stages.export import export
from autodls.stages.verify import verify

FORMS = ("onnx", "monai")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The exports of one model, each made when it is asked for first."""
    root = tmp_path_factory.mktemp("exports")
    write_model_folder(root / "model")

    def of(to):
        if to == "onnx":
            pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
        if not (root / to).exists():
            export(root / to, model=root / "model", to=to)
        return root / to

    return of


@pytest.fixture(params=FORMS)
def folder(request, written, tmp_path):
    """A copy of an export, to be damaged."""
    return shutil.copytree(written(request.param), tmp_path / "out")


def faults(folder):
    found = verify(folder)
    assert found.fits == (not found.faults)
    return "\n".join(found.faults)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def files_of(folder):
    return sorted(json.loads((folder / "export.json").read_text())["files"])


def test_a_whole_export_fits_and_what_is_not_repeated_is_named(folder):
    answer = autodls("verify", folder)
    assert answer.status == 0 and "does not fit" not in answer.out
    assert "fits          provenance.json -> export.json\nfits          export.json -> files\n" in answer.out
    assert "not checked   scores: shown equal to those of AutoDLS by" in answer.out and "not repeated" in answer.out
    assert "hashes are no signature" in answer.out and "no part of" not in answer.out


@pytest.mark.parametrize("damage", [flip, lambda path: path.unlink()], ids=["byte", "gone"])
def test_every_file_is_held_to_its_hash(folder, damage):
    """Of a bundle also those of the model, by its own record."""
    for name in (*files_of(folder), "export.json", "provenance.json"):
        kept = (folder / name).read_bytes()
        damage(folder / name)
        assert name in faults(folder), name
        assert autodls("verify", folder).status == 2
        (folder / name).write_bytes(kept)
    assert faults(folder) == ""


@pytest.mark.parametrize(("field", "value"), [("cutoff", 0.25), ("model_sha256", "0" * 64), ("graphs", [])])
def test_an_edited_record_is_named(folder, field, value):
    edit(folder / "export.json", lambda record: record.update({field: value}))
    assert "export.json: SHA-256 is" in faults(folder)


def seal_again(folder):
    """What somebody does who knows of the hashes: no signature holds him off, the model of a bundle does."""
    path = folder / "provenance.json"
    noted = Provenance.load(path, "")
    path.unlink()
    from autodls.stages.provenance import note_output

    made = [folder / name for name in noted.commands["export"].files]
    note_output(["autodls", "export"], folder, "export", None, [], made)


@pytest.mark.parametrize("written_as", ["../outside", "/etc/hostname"])
def test_a_file_outside_is_not_read(folder, written_as):
    edit(folder / "export.json", lambda record: record["files"].update({written_as: "0" * 64}))
    seal_again(folder)
    assert faults(folder).count("which lies outside") == 1


def test_a_bundle_holds_the_model_that_was_exported(written, tmp_path):
    """Also where all hashes of the export were made anew around another model."""
    folder = shutil.copytree(written("monai"), tmp_path / "out")
    edit(folder / "export.json", lambda record: record.update(model_sha256="0" * 64))
    seal_again(folder)
    assert faults(folder).count("models/model.json: SHA-256 is") == 1
    flip(folder / "models" / "fold_0" / "fusion.safetensors")
    (folder / "models" / "notes.txt").write_text("mine")
    shutil.copyfile(written("monai") / "export.json", folder / "export.json")
    assert "notes.txt: not a file that the model's record names" in faults(folder)


def test_a_link_is_no_plain_file(folder, tmp_path):
    name = files_of(folder)[0]
    (folder / name).rename(tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    assert f"{name}: a link" in faults(folder)


def test_what_is_no_part_of_it_is_named(folder):
    for name in ("eval/scores.csv", "eval/rois/A.nii.gz", "docs/mine.md", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    found = verify(folder)
    docs = "docs/mine.md" if (folder / "configs").exists() else "docs/"
    assert (
        found.fits and f"{docs}, eval/, notes.txt: no part of the export, so no hash of it is kept" in found.unchecked
    )


def test_without_its_record_it_is_still_an_export(folder):
    """Its plan.json makes no workspace of it."""
    (folder / "export.json").unlink()
    assert "export.json: missing; run 'autodls export' again" in faults(folder)
    (folder / "export.json").write_text("{}")
    assert "export.json: SHA-256 is" in faults(folder)


def test_it_takes_no_dataset_and_no_key(folder, tmp_path):
    with pytest.raises(ArgumentError, match="an export is checked by itself"):
        verify(folder, tmp_path)
    with pytest.raises(ArgumentError, match="models are signed, not exports"):
        verify(folder, key=tmp_path / "public.pem")
