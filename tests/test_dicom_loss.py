"""Compression with loss: said where it is imported, of a score, and in every image that is made from the images."""

import csv

import numpy as np
import pytest
from dicom_studies import RESULT, pydicom, require_valid, study_and_roi
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSNearLossless
from tiny_dicom import T1, Series, Study, edit, head

from autodls.dicom.lossy import keep_loss, loss_of, say_loss
from autodls.dicom.write_capture import captures
from autodls.dicom.write_seg import segmentation
from autodls.stages.import_dicom import import_dicom, table_rows

LOST = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "20", "LossyImageCompressionMethod": "ISO_15444_1"}
UNKNOWN = "compressed with loss (how much is not known)"


def header(syntax=ExplicitVRLittleEndian, **tags):
    one = pydicom.Dataset()
    one.file_meta = pydicom.dataset.FileMetaDataset()
    one.file_meta.TransferSyntaxUID = syntax
    for word, value in tags.items():
        setattr(one, f"LossyImageCompression{word.removeprefix('Flag')}", value)
    return one


CASES = [
    (header(), ""),
    (header(Flag="00"), ""),
    (header(Flag="YES"), ""),
    (header(Flag="00", Ratio="20"), ""),
    (header(Flag="01", Ratio="20"), "compressed with loss (20:1)"),
    (header(Flag="01", Ratio=["7.25", "2"]), "compressed with loss (7.25:1, then 2:1)"),
    (header(Flag="01"), UNKNOWN),
    (header(Flag="01", Ratio="0.1"), UNKNOWN),
    (header(JPEG2000Lossless), ""),
    (header(JPEG2000), UNKNOWN),  # it may lose, and nothing says that it did not
    (header(JPEG2000, Flag="00"), ""),
    (header(JPEGBaseline8Bit, Flag="00"), UNKNOWN),  # it always loses, whatever the header says
    (header(JPEGLSNearLossless, Flag="01", Ratio="3.0000001"), "compressed with loss (3:1)"),
]


@pytest.mark.parametrize(("one", "said"), CASES)
def test_what_a_header_says(one, said):
    assert loss_of(one) == said
    made = pydicom.Dataset()
    keep_loss(made, one)
    assert loss_of(made) == said


def test_the_method_of_a_format_is_named_where_the_header_names_none():
    made = pydicom.Dataset()
    keep_loss(made, header(JPEGBaseline8Bit))
    assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")


def test_of_several_images_the_one_that_lost_most_counts_and_none_is_forgotten():
    made = header(Flag="01", Ratio="99", Method="ISO_14495_1")
    say_loss(made, [header(), header(Flag="01", Ratio="5"), header(Flag="01", Ratio=["9", "2"], Method="ISO_15444_1")])
    assert (made.LossyImageCompressionRatio, made.LossyImageCompressionMethod) == ([9, 2], "ISO_15444_1")
    say_loss(made, [header(), header(Flag="00")])
    assert made.LossyImageCompression == "00" and len(made) == 1


def test_an_import_tells_of_it(tmp_path):
    """Series that were compressed with loss, by header or by format, beside one that was not."""
    for number, name in enumerate(("plain", "said", "format")):
        series = Series(Study(patient=name), head(number), tags=T1).write(tmp_path / "in" / name)
        for at, path in enumerate(series.files):
            one = pydicom.dcmread(path)
            if name == "format":
                one.compress(JPEGLSNearLossless, jls_error=3)
            one.save_as(path)
            if name == "said" and at == 5:  # of one plane alone
                edit(path, **LOST)
    import_dicom(tmp_path / "in", tmp_path / "DS")
    told = sorted(row["ambiguous"] for row in table_rows(tmp_path / "DS-confidential" / "series.csv"))
    assert told == ["", *(f"compressed with loss ({how}), so that its texture is not what was measured" for how in
                          ("20:1", "how much is not known"))]  # fmt: skip
    done = import_dicom(tmp_path / "in", tmp_path / "DS")
    assert sorted(note.split(": ", 1)[1] for note in done.notes) == ["compressed with loss (20:1)", UNKNOWN]
    with (tmp_path / "DS" / "acquisition.csv").open() as handle:
        assert sorted(row["loss"] for row in csv.DictReader(handle)) == ["", "compressed with loss (20:1)", UNKNOWN]


@pytest.mark.parametrize("tags", [LOST, {"LossyImageCompression": "01"}, {}], ids=["known", "unknown", "none"])
def test_results_say_it_on_and_are_valid(tmp_path, make_dataset, tags):
    study, roi = study_and_roi(tmp_path, make_dataset, **tags)
    segment = segmentation(study, roi, RESULT)
    (picture,) = captures(study, [np.zeros((20, 30, 3), dtype=np.uint8)], RESULT)
    for made in (segment, picture):
        assert {word: str(made[word].value) for word in LOST if word in made} == {"LossyImageCompression": "00", **tags}
    assert study.losses == (
        tuple(f"{name} was {loss_of(segment)}" for name in ("CE-T1WI", "T2WI")) if tags else ()
    )  # fmt: skip
    require_valid(segment, picture, folder=tmp_path)
