"""PET in standardized uptake value by body weight: published factors of real headers, and what is refused by name.

REAL are headers of PET series of three makers with the factor that Cornerstone's calculate-suv publishes for each
(github.com/cornerstonejs/calculate-suv, test/calculateSUV_SampleData.test.ts, commit 12e4a62).
"""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from real_dicom import found_in
from tiny_dicom import Series, Study, head

from autodls.dicom.stacks import UnfitError
from autodls.dicom.suv import suv_factor
from autodls.dicom.volume import read_stack


def pet(private=None, **tags):
    """370 MBq of F-18 an hour before, 70 kg, unless `tags` say otherwise; `private` holds elements of the scanner."""
    one, injected = Dataset(), Dataset()
    given = {
        "RadiopharmaceuticalStartTime": "100000", "RadionuclideTotalDose": "370000000",
        "RadionuclideHalfLife": "6586.2", "Units": "BQML", "CorrectedImage": ["ATTN", "DECY"],
        "DecayCorrection": "START", "PatientWeight": "70", "SeriesDate": "20200101", "AcquisitionDate": "20200101",
        "SeriesTime": "110000", "AcquisitionTime": "110500",
    }  # fmt: skip
    for keyword, value in (given | tags).items():
        setattr(injected if keyword.startswith("Radio") else one, keyword, value)
    one.RadiopharmaceuticalInformationSequence = [injected]
    for (group, creator, element), (vr, value) in (private or {}).items():
        one.private_block(group, creator, create=True).add_new(element, vr, value)
    return one


PHILIPS, GE = "Philips PET Private Group", "GEMS_PETD_01"
SUV_OF_COUNTS, ACTIVITY_OF_COUNTS, GE_START = (0x7053, PHILIPS, 0), (0x7053, PHILIPS, 9), (0x0009, GE, 0x0D)


def on(injected, series, acquired, dose, weight, half_life="6586.2", **tags):
    """The times of a series and of its injection, on one day."""
    return {
        "SeriesDate": "20201217", "AcquisitionDate": "20201217", "SeriesTime": series, "AcquisitionTime": acquired,
        "RadiopharmaceuticalStartTime": injected, "RadionuclideTotalDose": dose, "RadionuclideHalfLife": half_life,
        "PatientWeight": weight, **tags,
    }  # fmt: skip


REAL = {
    "Siemens": (
        on("083045.000000", "104829.000000", "104830.351370", "374000000", "67",
           RadiopharmaceuticalStartDateTime="20201217083045.000000 "), None, 0.00042748316187197236,
    ),
    "GE": (
        on("084500.00", "095621", "095621", "152022720", "52", "6586.2001953125",
           RadiopharmaceuticalStartDateTime="20201217084500.00 "), None, 0.0005367387681819742,
    ),
    "Philips in activity, whose own factors are not asked": (
        on("100058", "110155", "110156", "126000000", "64", "6586.199707",
           RadiopharmaceuticalStartDateTime="20201217100058"),
        {SUV_OF_COUNTS: ("DS", "0.003515736 "), ACTIVITY_OF_COUNTS: ("DS", "4.709921")}, 0.0007463747013889488,
    ),
    "Philips in counts": (
        on("083000", "093556", "095439", "238000000", "54", "6588", Units="CNTS"),
        {SUV_OF_COUNTS: ("DS", "0.000551"), ACTIVITY_OF_COUNTS: ("DS", "1.602563")}, 0.000551,
    ),
    "Siemens, whose series begins 5 us after its first bed": (
        on("114100.000000", "123515.000000", "123514.999995", "225000000", "65"), None, 0.0004069156854009332,
    ),
    "an injection without a date": (
        on("125000.000000", "135431.843000", "141555.687000", "412000000", "102"), None, 0.0003721089202818729,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_published_factors_of_real_headers(name):
    tags, private, factor = REAL[name]
    assert suv_factor(pet(private, **tags)) == pytest.approx(factor, rel=1e-6)


def test_counts_by_the_factor_of_activity_where_there_is_none_of_suv():
    """calculate-suv's test: 1.602563 Bq/ml a count, 100 kg, 100 Bq are 1602.563."""
    tags = {"Units": "CNTS", "DecayCorrection": "ADMIN", "RadionuclideTotalDose": "100", "PatientWeight": "100"}
    for private in ({ACTIVITY_OF_COUNTS: ("DS", "1.602563")}, {SUV_OF_COUNTS: ("DS", "0")}):
        whole = {ACTIVITY_OF_COUNTS: ("DS", "1.602563"), **private}
        assert suv_factor(pet(whole, **tags)) == pytest.approx(1602.563, rel=1e-9)


def test_by_hand():
    """70,000 g / (370e6 Bq x 2^(-3600/6586.2)) = 2.763e-4 g/ml a Bq/ml."""
    assert suv_factor(pet()) == pytest.approx(70_000 / (370e6 * 2 ** (-3600 / 6586.2)), rel=1e-12)
    assert suv_factor(pet()) == pytest.approx(2.7633e-4, rel=1e-4)
    assert suv_factor(pet(DecayCorrection="ADMIN")) == pytest.approx(70_000 / 370e6)
    assert suv_factor(pet(Units="GML")) == 1.0


@pytest.mark.parametrize(
    ("tags", "hours"),
    [
        ({"RadiopharmaceuticalStartDateTime": "20191231230000"}, 12),
        ({"RadiopharmaceuticalStartDateTime": "20191231230000.00+0100"}, 12),
        ({"RadiopharmaceuticalStartTime": "233000", "SeriesTime": "003000", "AcquisitionTime": "003000"}, 1),
        ({"RadiopharmaceuticalStartTime": "100000.5", "SeriesTime": "110000.500"}, 1),
        ({"RadiopharmaceuticalStartDateTime": "none", "RadiopharmaceuticalStartTime": "103000"}, 0.5),
    ],
)
def test_the_wait_across_midnight_with_fractions_and_with_offsets(tags, hours):
    assert suv_factor(pet(**tags)) == pytest.approx(70_000 / (370e6 * 2 ** (-hours * 3600 / 6586.2)), rel=1e-9)


def test_a_reconstruction_of_ge_says_when_its_scan_began():
    late = {"SeriesTime": "150000"}
    told = pet({GE_START: ("DT", "20200101110000.00")}, **late)
    assert suv_factor(told) == pytest.approx(suv_factor(pet()), rel=1e-12)
    for value in ("", "yesterday"):
        with pytest.raises(UnfitError, match="series time is later"):
            suv_factor(pet({GE_START: ("DT", value)}, **late))
    with pytest.raises(UnfitError, match="series time is later"):
        suv_factor(pet({(0x0009, "SOMEBODY", 0x0D): ("DT", "20200101110000.00")}, **late))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PatientWeight": None}, "without body weight"),
        ({"PatientWeight": "0"}, "without body weight"),
        ({"RadionuclideTotalDose": "0"}, "without injected dose"),
        ({"RadionuclideHalfLife": None}, "without half-life"),
        ({"Units": "CNTS"}, "in counts without the scanner's factor"),
        ({"Units": "CNTS", "CorrectedImage": ["DECY"]}, "not corrected for attenuation and decay"),
        ({"Units": "PROPCPS"}, "in units 'PROPCPS'"),
        ({"Units": None}, "in units ''"),
        ({"CorrectedImage": ["DECY"]}, "not corrected for attenuation and decay"),
        ({"CorrectedImage": None}, "not corrected for attenuation and decay"),
        ({"DecayCorrection": "NONE"}, "decay correction 'NONE'"),
        ({"SeriesTime": "120000"}, "series time is later than its acquisition"),
        (on("120037", "134918", "130348.234", "388000000", "69"), "series time is later"),  # CTI, a real one
        ({"SeriesTime": None}, "without the times of series and acquisition"),
        ({"RadiopharmaceuticalStartTime": None}, "without the time of injection"),
        ({"RadiopharmaceuticalStartDateTime": "20200101120000"}, "injection is later than its scan"),
        ({"RadiopharmaceuticalStartDateTime": "20191230100000"}, "more than a day apart"),
        ({"Units": "GML", "SUVType": "LBM"}, "in SUV by 'LBM'"),
    ],
)
def test_a_pet_without_what_suv_needs(tags, said):
    with pytest.raises(UnfitError, match=said):
        suv_factor(pet(**tags))


def test_a_pet_without_its_radiopharmaceutical():
    one = pet()
    del one.RadiopharmaceuticalInformationSequence
    with pytest.raises(UnfitError, match="without the radiopharmaceutical"):
        suv_factor(one)


def written(folder, change=lambda one, plane: None):
    header = {element.keyword: element.value for element in pet()}
    tags = {**header, "RescaleSlope": "2", "RescaleIntercept": "0"}
    Series(Study(), head(), "PT", tags=tags).write(folder, change)
    (part,) = found_in(folder).parts
    return read_stack(part.stack, "PT").array


def test_it_is_written_as_suv(tmp_path):
    np.testing.assert_allclose(written(tmp_path), head() * 2 * suv_factor(pet()), rtol=1e-6)


def test_slopes_of_their_own_plane_by_plane(tmp_path):
    """As GE writes them."""

    def change(one, plane):
        one.RescaleSlope = str(plane + 1)

    slopes = np.arange(1, len(head()) + 1)[:, None, None]
    np.testing.assert_allclose(written(tmp_path, change), head() * slopes * suv_factor(pet()), rtol=1e-6)


def test_planes_of_several_injections_are_no_volume(tmp_path):
    def change(one, plane):
        one.PatientWeight = "71" if plane == 3 else "70"

    with pytest.raises(UnfitError, match="different factors of SUV"):
        written(tmp_path, change)
