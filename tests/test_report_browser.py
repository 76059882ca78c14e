"""The report in a real browser: every section, every control, no console error, no request to a network.

Needs Chromium, its driver and the package selenium; skipped, saying so, where one of them is absent.
"""

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_workspace import HOSTILE, Wish, write_workspace

from autodls.evaluation.binary import confusion_at, proportions
from autodls.records.formatting import estimate
from autodls.report.html.document import write_report
from autodls.report.reading import read_study

pytestmark = pytest.mark.long

SECTIONS = [
    "glance", "warnings", "cohorts", "learning", "performance", "cutoff", "survival", "optimism", "candidates",
    "heatmaps", "plan", "cases", "checklists", "provenance",
]  # fmt: skip
DESKTOP, PHONE = (1280, 900), (390, 844)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
Driver = Any
# How far the middle of the slider's thumb, 16 px wide, lies from the line of the cut-off in the strip above it.
_THUMB_FROM_LINE_PX = """
    const slider = document.getElementById('cutoff-slider'), line = document.querySelector('.cut');
    slider.value = arguments[0];
    slider.dispatchEvent(new Event('input'));
    const share = (slider.value - slider.min) / (slider.max - slider.min), box = slider.getBoundingClientRect();
    const drawn = line.getBoundingClientRect();
    return box.left + 8 + share * (box.width - 16) - (drawn.left + drawn.right) / 2;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no Chromium with its driver; install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=chromedriver))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A usual report, and one of a hostile cohort."""
    made = {}
    for name, wish in {"usual": Wish(), "hostile": Wish(names=HOSTILE, cohort=HOSTILE[0], column=HOSTILE[1])}.items():
        folder = tmp_path_factory.mktemp(name)
        made[name] = write_report(*write_workspace(folder / "workspace", wish), folder / "report.html")
    return made


def visit(browser: Driver, page: Path, size: tuple[int, int] = DESKTOP) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    complaints(browser)  # about pages before this one
    browser.get(page.as_uri())


def find(browser: Driver, selector: str) -> list[Driver]:
    found: list[Driver] = browser.find_elements("css selector", selector)
    return found


def shown(browser: Driver, name: str) -> str:
    return str(find(browser, f'[data-show="{name}"]')[0].text)


def visible_rows(browser: Driver, table: str) -> int:
    return int(browser.execute_script(f"return document.querySelectorAll('#{table} tbody tr:not([hidden])').length"))


def complaints(browser: Driver) -> list[str]:
    """Everything on the console, and every request that is neither the page itself nor inside it."""
    console = [entry["message"] for entry in browser.get_log("browser")]
    requests = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            requests.append(message["params"]["request"]["url"])
    return [*console, *(url[:80] for url in requests if not url.startswith(("file:", "data:")))]


@pytest.mark.parametrize("name", ["usual", "hostile"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_every_section_is_there_and_nothing_runs_over(
    browser: Driver, reports: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    visit(browser, reports[name], size)
    assert [section.get_attribute("id") for section in find(browser, "main > section")] == SECTIONS
    for link in find(browser, "nav a"):
        link.click()
        assert find(browser, f"main > section{re.sub('.*#', '#', link.get_attribute('href'))}")
    over = """
        return Array.from(document.querySelectorAll('main *, header, nav, footer')).filter((element) => {
            if (element.closest('.scroll') && !element.matches('.scroll')) return false;
            if (element.closest('svg') && !element.matches('svg')) return false;
            const box = element.getBoundingClientRect();
            return box.width > 0 && (box.right > document.documentElement.clientWidth + 1 || box.left < -1);
        }).map((element) => element.outerHTML.slice(0, 120))
    """
    assert browser.execute_script(over) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script("return window.hacked === undefined")
    broken = "return Array.from(document.images).filter((image) => !(image.complete && image.naturalWidth)).length"
    assert browser.execute_script(broken) == 0
    assert complaints(browser) == []


def test_the_cut_off_counts_as_the_package_does(browser: Driver, reports: dict[str, Path], tmp_path: Path) -> None:
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    visit(browser, reports["usual"])
    study = read_study(write_workspace(tmp_path, Wish(figures=False, heatmaps=0))[0])
    labels = [bool(case.label) for case in study.out_of_fold]
    scores = [case.score or 0.0 for case in study.out_of_fold]
    assert study.model is not None

    def agrees(cutoff: float) -> bool:
        counts = confusion_at(labels, scores, cutoff)
        rates = proportions(counts)
        numbers = {name: estimate(rate) for name, rate in rates.items()}
        numbers |= {name: str(getattr(counts, name)) for name in ("tp", "fp", "fn", "tn")}
        return {name: shown(browser, name) for name in numbers} == numbers

    assert agrees(study.model.cutoff)
    slider = find(browser, "#cutoff-slider")[0]
    before = browser.execute_script("return document.querySelector('.cut').getAttribute('x1')")
    slider.send_keys(keys.ARROW_RIGHT * 40)
    assert agrees(float(slider.get_attribute("value")))
    assert browser.execute_script("return document.querySelector('.cut').getAttribute('x1')") != before
    assert "sensitivity" in slider.get_attribute("aria-valuetext")
    for value in (0, 0.25, 1):
        assert abs(browser.execute_script(_THUMB_FROM_LINE_PX, value)) < 2
    locked, sensitive, specific = find(browser, "[data-cut]")
    sensitive.click()
    assert float(shown(browser, "sensitivity").split()[0]) >= 0.9
    specific.click()
    assert float(shown(browser, "specificity").split()[0]) >= 0.9
    locked.send_keys(keys.ENTER)
    assert agrees(study.model.cutoff)
    assert complaints(browser) == []


def test_every_table_sorts_and_every_filter_filters(browser: Driver, reports: dict[str, Path]) -> None:
    visit(browser, reports["usual"])
    for button in find(browser, "table[data-sortable] thead button"):
        head = button.find_element("xpath", "..")
        for order in ("ascending", "descending"):
            browser.execute_script("arguments[0].click()", button)
            assert head.get_attribute("aria-sort") == order
    find(browser, "#scores thead button")[3].click()
    column = (
        "return Array.from(document.querySelectorAll('#scores tbody tr')).map((row) => row.children[3].textContent)"
    )
    values = [float(text) for text in browser.execute_script(column)]
    assert values == sorted(values)
    for box in find(browser, "[data-filter]"):
        table = box.get_attribute("data-filter")
        everything = visible_rows(browser, table)
        box.send_keys("zzzz-nothing")
        assert visible_rows(browser, table) == 0
        box.clear()
        box.send_keys(" ")
        assert visible_rows(browser, table) == everything
    find(browser, "#filter-scores")[0].send_keys("false positive")
    assert visible_rows(browser, "scores") == int(shown(browser, "fp"))
    for select in find(browser, "[data-states]"):
        table = select.get_attribute("data-states")
        counts = []
        for option in select.find_elements("css selector", "option"):
            option.click()
            counts.append(visible_rows(browser, table))
        assert counts[0] == sum(counts[1:])
    assert complaints(browser) == []


def test_the_page_is_told_to_those_who_do_not_see_it(browser: Driver, reports: dict[str, Path]) -> None:
    visit(browser, reports["usual"])
    assert all(image.get_attribute("alt") for image in find(browser, "img"))
    assert all(find(browser, selector) for selector in ("header", "nav", "main", "footer", ".skip"))
    unnamed = """
        return Array.from(document.querySelectorAll('input, select')).filter((field) => !field.labels.length).length
    """
    assert browser.execute_script(unnamed) == 0
    levels = [int(heading.tag_name[1]) for heading in find(browser, "h1, h2, h3, h4")]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    doubled = (
        "const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return ids.length - new Set(ids).size"
    )
    assert browser.execute_script(doubled) == 0
