"""A study to a real archive, from it by DICOMweb, scored, and the results back: the commands of docs/dicom.md."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import autodls
from dicom_studies import PATIENT, highdicom, places_of, pydicom, write_study
from orthanc_server import orthanc
from tiny_model_folder import SEQUENCES, small_volume_plan, write_model_folder
from tiny_models import tiny_model

from autodls.dicom.results import RESEARCH

pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed: pip install 'autodls[dicomweb]'")
pytestmark = pytest.mark.orthanc

STUDY = "1.2.3.77"
RECIPE = Path(__file__).parents[1] / "docs" / "dicom.md"


def recipe():
    """The commands of the first block of docs/dicom.md that fetches a study, each on one line."""
    (block,) = [
        block for block in re.findall(r"```sh\n(.*?)```", RECIPE.read_text(), re.DOTALL) if "retrieve studies" in block
    ]
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def client(url, *words):
    """What dicomweb-client's own command answers, as a person would run it."""
    program = str(Path(sys.executable).with_name("dicomweb_client"))
    done = subprocess.run([program, "--url", url, *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(url, what, *words):
    return json.loads(client(url, "search", what, *words) or "[]")


def run_recipe(url, names):
    """Run each line of the recipe with NAME put in for the words in capitals; the answers of autodls."""
    answers = []
    for line in recipe():
        filled = re.sub(rf"\b({'|'.join(names)})\b", lambda name: str(names[name[0]]), line)
        program, *words = shlex.split(filled)
        if program == "autodls":
            answers.append(autodls(*words))
        elif program == "dicomweb_client":
            assert words[:2] == ["--url", url]
            client(url, *(path for word in words[2:] for path in _expanded(word)))
        elif program == "mkdir":
            Path(*words).mkdir()
        else:
            raise AssertionError(f"docs/dicom.md: a command that is not tested: {line}")
    return answers


def _expanded(word):
    if "*" not in word:
        return [word]
    base = Path(word.split("*", 1)[0])
    return [str(path) for path in sorted(base.glob(word[len(str(base)) + 1 :]))]


def test_a_study_goes_round(tmp_path, make_dataset):
    dataset = make_dataset(tmp_path / "dataset", training=1, held_out=0)
    images = {name: dataset / "imagesTr" / f"case_00_{index:04d}.nii.gz" for index, name in enumerate(SEQUENCES)}
    sent = write_study(tmp_path / "scanner", images, STUDY)
    (tmp_path / "rois").mkdir()
    roi = tmp_path / "rois" / "P0001.nii.gz"
    roi.write_bytes((dataset / "labelsTr" / "case_00.nii.gz").read_bytes())
    write_model_folder(tmp_path / "model", tiny_model(small_volume_plan()))
    with orthanc(tmp_path / "orthanc") as url:
        client(url, "store", "instances", *map(str, sorted(path for path in sent.rglob("*") if path.is_file())))
        names = {"URL": url, "UID": STUDY, "MODEL": tmp_path / "model", "ROIS": roi.parent}
        names |= {name: tmp_path / name for name in ("STUDY", "SCORES", "RESULTS")}
        (scored,) = run_recipe(url, names)
        assert scored.status == 0, scored.err
        series = found(url, "series", "--study", STUDY)
        again = tmp_path / "again"
        again.mkdir()
        client(url, "retrieve", "studies", "--study", STUDY, "full", "--save", "--output-dir", str(again))
    assert len(list((tmp_path / "STUDY").iterdir())) == sum(path.is_file() for path in sent.rglob("*"))
    modalities = [one["00080060"]["Value"][0] for one in series]
    assert sorted(modalities) == ["DOC", "MR", "MR", "OT", "SEG", "SR"]
    made = [one for path in again.iterdir() if (one := pydicom.dcmread(path)).Manufacturer == "AutoDLS"]
    assert len(made) == 5 and all(RESEARCH in one.SeriesDescription for one in made)
    assert {str(one.PatientName) for one in made} == {PATIENT["PatientName"]}
    (score,) = json.loads((tmp_path / "SCORES" / "predict.json").read_text())["cases"]
    (path,) = [path for path in again.iterdir() if pydicom.dcmread(path, stop_before_pixels=True).Modality == "SR"]
    (group,) = highdicom.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    values = {one.name.meaning: one.value for one in group.get_measurements()}
    assert values["DLS: probability of the target"] == score["dls"]
    (segment,) = [path for path in again.iterdir() if pydicom.dcmread(path, stop_before_pixels=True).Modality == "SEG"]
    assert places_of(segment) == places_of(roi)


def test_the_same_result_twice_is_there_once(tmp_path, make_dataset):
    dataset = make_dataset(tmp_path / "dataset", training=1, held_out=0, sequences=SEQUENCES)
    images = {name: dataset / "imagesTr" / f"case_00_{index:04d}.nii.gz" for index, name in enumerate(SEQUENCES)}
    write_study(tmp_path / "study", images, STUDY)
    (tmp_path / "rois").mkdir()
    (tmp_path / "rois" / "P0001.nii.gz").write_bytes((dataset / "labelsTr" / "case_00.nii.gz").read_bytes())
    write_model_folder(tmp_path / "model", tiny_model(small_volume_plan()))
    with orthanc(tmp_path / "orthanc") as url:
        for run in ("one", "two"):
            answer = autodls(
                "predict", "-i", tmp_path / "study", "--rois", tmp_path / "rois", "-m", tmp_path / "model",
                "-o", tmp_path / run / "out", "--dicom", tmp_path / run / "dicom",
            )  # fmt: skip
            assert answer.status == 0, answer.err
            made = sorted((tmp_path / run / "dicom").rglob("*.dcm"))
            client(url, "store", "instances", "--study", STUDY, *map(str, made))
        assert len(found(url, "instances", "--study", STUDY)) == len(made) == 3
