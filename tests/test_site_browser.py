"""The site in a browser: quiet, wide and narrow, light and dark, by mouse, by keyboard and on paper."""

import os
import shutil

import browser as chromium
import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from common import paths, report, verdict_tables

SVG = "http://www.w3.org/2000/svg"
REPORTS = paths.ROOT / "reports"
COMMITTED = [page for page in sorted(REPORTS.rglob("*.html")) if page.parent.name != "demo"]
SHOWN = "[...document.querySelectorAll('.ledger tbody tr')].filter(row => getComputedStyle(row).display !== 'none')"
# WCAG's contrast of everything that has text of its own with the nearest background that is not transparent.
CONTRAST = """(() => {
  const light = colour => {
    const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = colour.match(/[\\d.]+/g).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (!colour.startsWith('rgba') && colour !== 'transparent') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const bad = {};
  for (const element of document.querySelectorAll('body *:not(.highlight *):not(script)')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) bad[`${element.tagName}.${element.className}`] = ratio;
  }
  return bad;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests. Where there is none they are skipped, but not on CI, where a skip would hide them."""
    if chromium.EXECUTABLE is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium; .ci/run installs it")
        pytest.skip("chromium is not installed")
    started = chromium.Browser(tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


def _shown(data):
    return new_output("display_data", data=data)


@pytest.mark.parametrize("page", COMMITTED, ids=lambda page: page.stem)
def test_a_page_is_quiet_fits_and_can_be_read(browser, page):
    browser.problems.clear()
    for width in (1280, 390):
        browser.open(page.as_uri(), width)
        for scheme in ("light", "dark"):
            browser.show(scheme)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme)
            assert not browser.evaluate(CONTRAST), (width, scheme)
        # A figure that is wider than the screen scrolls in its own box; it does not shrink beyond reading.
        drawn = "[...document.images].every(i => i.naturalWidth > 0 && i.width >= Math.min(300, i.naturalWidth))"
        assert browser.evaluate(drawn), width
        inside = (
            "[...document.images].every(image => image.closest('figure').getBoundingClientRect().right <= innerWidth)"
        )
        assert browser.evaluate(inside), width
    assert not browser.problems


def test_on_a_narrow_screen_verdicts_are_stacked_and_figures_shrink_as_far_as_they_can_be_read(browser, tmp_path):
    row = {"id": "a", "statement": "It helps.", "where": "section 4", "test": "difference", "n": 5, "effect": 0.02,
           "low": 0.01, "high": 0.03, "margin": 0.0, "verdict": "supported"}  # fmt: skip
    cells = [
        new_code_cell("1", outputs=[_shown({"text/html": str(verdict_tables.verdict_table(pd.DataFrame([row])))})])
    ]
    cells += [
        new_code_cell("1", outputs=[_shown({"image/svg+xml": f'<svg xmlns="{SVG}" width="{width}" height="90"/>'})])
        for width in (400, 1000)
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "in.ipynb")
    page = report.render(tmp_path / "in.ipynb", tmp_path / "demo" / "4_a.html", title="a", profile="demo")
    boxes = "[...document.querySelectorAll('.verdicts tbody tr > *')].map(cell => cell.getBoundingClientRect())"
    browser.open(page.as_uri(), 390)
    left = f"{boxes}.every(box => box.left < 30 && box.right <= innerWidth)"
    assert browser.evaluate(left)
    small, large = browser.evaluate("[...document.images].map(image => image.width)")
    assert small < 390 and large == 650
    browser.open(page.as_uri(), 1280)
    assert not browser.evaluate(left) and browser.evaluate("document.images[0].width") == 400


@pytest.mark.parametrize("width", [1280, 390])
def test_the_ledgers_filter(browser, width):
    browser.problems.clear()
    browser.open((REPORTS / "ledger.html").as_uri(), width)
    total = browser.evaluate("document.querySelectorAll('.ledger tbody tr').length")
    assert browser.evaluate(f"{SHOWN}.length") == total > 100

    def click(name, value):
        browser.evaluate(f"document.querySelector('#filter [name={name}][value=\"{value}\"]').click()")

    def agrees(papers, verdicts):
        """The rows that are shown are those asked for, and their number is said."""
        test = f"row => {papers}.includes(row.dataset.paper) && {verdicts}.includes(row.dataset.verdict)"
        wanted = browser.evaluate(f"[...document.querySelectorAll('.ledger tbody tr')].filter({test}).length")
        browser.wait(f"{SHOWN}.length === {wanted} && {SHOWN}.every({test})")
        assert browser.evaluate("document.getElementById('shown').value") == f"{wanted} of {total} claims"
        return wanted

    every = ["supported", "not supported", "undecided", "no data"]
    click("paper", "4")
    only = agrees(["4"], every)
    assert 0 < only < total
    click("verdict", "not supported")
    click("verdict", "undecided")
    both = agrees(["4"], ["not supported", "undecided"])
    assert 0 < both < only
    click("paper", "5")
    assert agrees(["4", "5"], ["not supported", "undecided"]) > both
    # The filter is in the address: whoever opens it sees the same.
    address = browser.evaluate("location.href")
    browser.open(address, width)
    agrees(["4", "5"], ["not supported", "undecided"])
    assert browser.evaluate("document.querySelectorAll('#filter :checked').length") == 4
    browser.evaluate("document.querySelector('#filter a').click()")
    browser.wait(f"{SHOWN}.length === {total}")
    assert not browser.problems


def test_the_filter_by_keyboard(browser):
    browser.open((REPORTS / "ledger.html").as_uri())
    browser.evaluate("document.querySelector('#filter input').focus()")
    for _ in range(3):
        browser.press("Tab")
    assert browser.evaluate("document.activeElement.value") == "4"
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(" ", " ")
    browser.wait(f"{SHOWN}.every(row => row.dataset.paper === '4')")
    assert browser.evaluate("location.hash") == "#paper=4"


def test_the_index_leads_to_the_filtered_ledger_and_to_a_claim(browser):
    browser.open((REPORTS / "index.html").as_uri())
    browser.evaluate("document.querySelector('#paper-4 .bar .supported a').click()")
    browser.wait(
        f"location.pathname.endsWith('ledger.html') && document.readyState === 'complete' && {SHOWN}.length > 0"
    )
    browser.wait(f"{SHOWN}.every(row => row.dataset.paper === '4' && row.dataset.verdict === 'supported')")
    browser.open((REPORTS / "index.html").as_uri())
    browser.evaluate("document.querySelector('#paper-4 .headlines a').click()")
    browser.wait("location.pathname.endsWith('ledger.html') && document.querySelector(':target')")
    top = "document.querySelector(':target').getBoundingClientRect().top"
    browser.wait(f"{top} >= 0 && {top} < innerHeight")


def test_skip_link_comes_first_and_can_be_seen(browser):
    browser.open((REPORTS / "index.html").as_uri())
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    browser.press("Enter", "\r")
    browser.wait("location.hash === '#main'")


def test_on_paper_navigation_goes_and_what_is_folded_comes(browser):
    browser.open((REPORTS / "comparison.html").as_uri())
    seen = "['nav.site', 'details .table'].map(name => document.querySelector(name).checkVisibility())"
    assert browser.evaluate(seen) == [True, False]
    browser("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(seen) == [False, True]
    browser("Emulation.setEmulatedMedia", media="")


def test_a_browser_notices_what_a_page_must_not_do(browser, tmp_path):
    """The test of the test: a refused script, a remote image and too wide a page are seen."""
    page = shutil.copy(REPORTS / "ledger.html", tmp_path / "ledger.html")
    text = page.read_text(encoding="utf-8").replace(
        "</main>", "<script>let a = 1</script><p style='width:90rem'>x</main>"
    )
    page.write_text(text, encoding="utf-8")
    browser.problems.clear()
    browser.open(page.as_uri(), 390)
    assert any("Content Security Policy" in problem for problem in browser.problems)
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
    browser.problems.clear()
