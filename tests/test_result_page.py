"""The one-page result and the heat maps as they go back: what is on them, whose they are, valid, the same bytes."""

import io
from dataclasses import replace

import numpy as np
import pytest
from dicom_studies import PATIENT, RESULT, WITHHELD, pydicom, require_valid, study_and_roi, texts_in
from matplotlib.image import imread, imsave

from autodls.dicom.results import RESEARCH, to_bytes
from autodls.dicom.write_capture import captures
from autodls.dicom.write_pdf import encapsulated_page
from autodls.imaging.geometry import Geometry, Volume
from autodls.report.result_page import CasePage, draw_page, page_pdf, picture_with_banner


@pytest.fixture(scope="module")
def case(tmp_path_factory, make_dataset):
    return study_and_roi(tmp_path_factory.mktemp("page"), make_dataset)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "map.png"
    imsave(path, np.random.default_rng(0).random((41, 333, 4)))
    return path


def page_of(case, result=RESULT, heatmap=None):
    _, roi = case
    return CasePage("P0001", result, "CE-T1WI", Volume(roi.array * 100.0, roi.geometry), roi, heatmap)


def words_on(page):
    figure = draw_page(page)
    return " | ".join(text.get_text() for of in (figure, *figure.axes) for text in of.texts)


class TestPage:
    def test_says_what_was_found_and_what_it_is_not_for(self, case):
        said = words_on(page_of(case))
        _, roi = case
        volume_ml = np.count_nonzero(roi.array) * np.prod(roi.geometry.spacing_mm) / 1000
        for text in (
            RESEARCH.upper(),
            "DLS 0.730",
            "cut-off 0.500: called high",
            "spread over folds 0.040",
            "T2WI alone 0.700",
            f"ROI {volume_ml:.1f} ml, drawn automatically",
            "flag one",
            RESULT.model_sha256,
        ):
            assert text in said

    def test_no_flag_is_said_too_and_too_many_are_not_silently_cut(self, case):
        assert "no flag was raised" in words_on(page_of(case, replace(RESULT, flags=())))
        many = replace(RESULT, flags=tuple(f"flag {number}" for number in range(40)))
        assert "more flags stand in the structured report" in words_on(page_of(case, many))

    @pytest.mark.parametrize(
        ("direction", "sides"),
        [
            ((1, 0, 0, 0, 1, 0, 0, 0, 1), "RLAP"),
            ((0, 0, 1, 1, 0, 0, 0, -1, 0), "APSI"),
            ((-1, 0, 0, 0, 1, 0, 0, 0, -1), "LRAP"),
        ],
    )
    def test_sides_of_the_patient(self, case, direction, sides):
        _, roi = case
        turned = Volume(roi.array, Geometry(roi.geometry.size_xyz, roi.geometry.spacing_mm, direction=direction))
        figure = draw_page(replace(page_of(case), image=turned, roi=turned))
        assert "".join(text.get_text() for text in figure.axes[1].texts) == sides  # left, right, top, bottom

    def test_is_one_page_and_the_same_bytes(self, case, picture):
        page = page_pdf(page_of(case, heatmap=picture))
        assert page == page_pdf(page_of(case, heatmap=picture))
        assert page.startswith(b"%PDF") and page.count(b"/Type /Page ") == 1 and b"CreationDate" not in page


class TestDocument:
    def test_holds_the_page_and_its_sources(self, case):
        study, _ = case
        page = page_pdf(page_of(case))
        made = pydicom.dcmread(io.BytesIO(to_bytes(encapsulated_page(study, page, RESULT))))
        assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == page
        named = {one.ReferencedSOPInstanceUID for one in made.SourceInstanceSequence}
        assert named == {uid for series in study.series.values() for uid in series.instance_uids}
        assert RESEARCH in made.SeriesDescription and RESEARCH in made.DocumentTitle

    def test_of_the_patient_what_files_it(self, case):
        study, _ = case
        made = encapsulated_page(study, b"%PDF", RESULT)
        assert str(made.PatientName) == PATIENT["PatientName"] and made.PatientID == PATIENT["PatientID"]
        assert made.StudyInstanceUID == study.reference.datasets[0].StudyInstanceUID
        for word in WITHHELD:
            assert PATIENT[word] not in texts_in(made)

    def test_is_valid_and_the_same_bytes(self, case, tmp_path):
        study, _ = case
        made = encapsulated_page(study, page_pdf(page_of(case)), RESULT)
        assert to_bytes(made) == to_bytes(encapsulated_page(study, page_pdf(page_of(case)), RESULT))
        require_valid(made, folder=tmp_path)


class TestCaptures:
    def test_are_the_picture_below_a_banner(self, case, picture):
        study, _ = case
        shown = picture_with_banner(picture)
        made = pydicom.dcmread(io.BytesIO(to_bytes(captures(study, [shown], RESULT)[0])))
        assert np.array_equal(made.pixel_array, shown)
        read = imread(picture)
        expected = read[..., :3] * read[..., 3:] + 1 - read[..., 3:]
        assert np.abs(made.pixel_array[-len(read) :] / 255 - expected).max() <= 0.5 / 255 + 1e-6
        banner = made.pixel_array[: -len(read)]
        assert len(banner) > 20 and (banner == 255).all(axis=2).any()  # white letters

    def test_are_one_series_with_an_id_each(self, case, picture):
        study, _ = case
        shown = picture_with_banner(picture)
        first, second = captures(study, [shown, shown[::-1].copy()], RESULT)
        assert first.SeriesInstanceUID == second.SeriesInstanceUID and first.SOPInstanceUID != second.SOPInstanceUID
        assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
        assert to_bytes(first) == to_bytes(captures(study, [shown, shown[::-1].copy()], RESULT)[0])
        assert "PixelSpacing" not in first and "ImagePositionPatient" not in first  # nothing to measure on
        assert first.BurnedInAnnotation == "NO" and RESEARCH in first.SeriesDescription

    def test_are_valid(self, case, picture, tmp_path):
        study, _ = case
        require_valid(*captures(study, [picture_with_banner(picture)], RESULT), folder=tmp_path)
