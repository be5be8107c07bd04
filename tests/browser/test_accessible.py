"""Every page in a real browser: read aloud, by keyboard, in two themes, on a telephone.

axe-core (Deque) finds what a machine can find: contrast, names of controls, structure. One server and one browser walk
through all pages with the finished example open.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from driving import FLAGS, find_chromium, open_page
from waiting import LIMIT

pytestmark = pytest.mark.browser
pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (`pip install -e .[dev]`)")

TITLES = ("Start", "Texts", "Clusters", "Pre-training", "Few-shot", "Compare", "Errors", "Prompt lens", "Export")
#: What Streamlit itself gets wrong, by axe's rule and a part of the element's HTML: (rule, HTML, reason).
STREAMLITS_OWN: tuple[tuple[str, str, str], ...] = ()
#: Of a page's address Streamlit's frontend asks for the server's health below the page first, then at the root.
PROBES = ("/_stcore/health", "/_stcore/host-config")
#: The script has ended, nothing is stale, and figures are drawn.
SETTLED = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')
    && [...document.querySelectorAll('.stPlotlyChart')].every(chart => chart.querySelector('.main-svg'))"""
OPEN = "() => document.querySelectorAll('[data-testid=stMain] details:not([open]) > summary').forEach(e => e.click())"
#: The theme follows the system's at once, without a new run; figures are drawn anew. Colours fade for a moment.
DARK = """() => getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme === 'dark'
    && !document.getAnimations().some(each => each instanceof CSSTransition)
    && [...document.querySelectorAll('.stPlotlyChart')].every(chart => chart.querySelector('.main-svg'))"""
HEADINGS = """() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].filter(e => e.checkVisibility())
    .map(e => [Number(e.tagName[1]), e.innerText])"""
#: Figures without words for those who do not see them.
MUTE = """() => [...document.querySelectorAll('.stPlotlyChart')]
    .filter(e => !e.querySelector('[aria-label]') && !e.ariaLabel).length"""
#: Elements that reach over the right edge of the window, the widest first.
FITS = """() => { const main = document.querySelector('[data-testid=stMain]');
    return main.scrollWidth <= main.clientWidth }"""
TOO_WIDE = """() => { const main = document.querySelector('[data-testid=stMain]');
    return [...main.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > main.clientWidth + 1)
        .map(e => `${e.dataset.testid ?? e.tagName}: ${e.getBoundingClientRect().right}`).slice(0, 5) }"""
#: Legends that lie over the panels of their figure.
OVER = """() => [...document.querySelectorAll('.js-plotly-plot')].filter(e => e.checkVisibility()).flatMap(plot => {
    const legend = plot.querySelector('.legend'), box = legend?.getBoundingClientRect();
    return !box ? [] : [...plot.querySelectorAll('.nsewdrag')].map(e => e.getBoundingClientRect())
        .filter(panel => box.left < panel.right - 2 && panel.left < box.right - 2
            && box.top < panel.bottom - 2 && panel.top < box.bottom - 2)
        .map(() => `a legend lies over a panel: ${legend.textContent.slice(0, 60)}`) })"""
#: Tables that go on to the right without a sign of it (`style.css` draws it while there is more to see).
CUT = """() => [...document.querySelectorAll('[data-testid=stDataFrame]')].filter(e => {
    const rows = e.checkVisibility() && e.querySelector('.dvn-scroller');
    const sign = getComputedStyle(e, '::after');
    return rows && rows.scrollWidth > rows.clientWidth + 8 && (sign.content === 'none' || sign.opacity === '0') })
    .map(e => `a table is cut and does not show it: ${e.className}`)"""
#: What stands at the top of the page, under Streamlit's bar.
COVERED = """() => { document.querySelector('[data-testid=stMain]').scrollTo(0, 0);
    const bar = document.querySelector('[data-testid=stHeader]').getBoundingClientRect().bottom;
    return [...document.querySelectorAll('[data-testid=stMainBlockContainer] :is(p, h1, a, button)')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().height > 0)
        .filter(e => e.getBoundingClientRect().top < bar - 1)
        .map(e => `lies under the bar: ${e.textContent.slice(0, 60)}`) }"""
#: Steps of a study that stand in uneven rows, at the width that the window has.
UNEVEN = """() => { const tops = [...document.querySelectorAll('.st-key-steps [data-testid=stColumn]')]
    .map(e => Math.round(e.getBoundingClientRect().top));
    const rows = [...new Set(tops)].map(top => tops.filter(each => each === top).length);
    return rows.some(row => row !== rows[0]) ? [`steps stand in rows of ${rows}`] : [] }"""
#: Signs of Markdown that are seen: `code`, *words*, escapes; not in code, which may hold anything.
SIGNS = """() => [...document.querySelectorAll('[data-testid=stApp] *')]
    .filter(e => !e.children.length && e.checkVisibility() && !e.closest('pre, code, canvas, table'))
    .map(e => e.textContent).filter(text => /`[^`]+`|(^|\\s)\\*\\w[^*]*\\*|\\\\[:.()$_*[]/.test(text))
    .map(text => `signs of Markdown are seen: ${text.slice(0, 100)}`)"""
#: Words of figures (axe reads none of SVG's) below 4.5 to 1 against the page; numbers on coloured fields apart.
PALE = """() => {
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
    const page = light(getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor);
    const behind = e => { const plate = e.closest('.annotation')?.querySelector('rect.bg');
        const style = plate && getComputedStyle(plate);
        return style && parseFloat(style.fillOpacity) > 0.5 ? light(style.fill) : page };
    const ratio = e => { const own = light(getComputedStyle(e).fill), back = behind(e);
        return (Math.max(own, back) + 0.05) / (Math.min(own, back) + 0.05) };
    return [...document.querySelectorAll('.js-plotly-plot text')]
        .filter(e => !e.closest('.heatmap-label') && e.textContent && ratio(e) < 4.5)
        .map(e => `${e.textContent}: ${ratio(e).toFixed(1)}`) }"""
#: Whether what has the focus shows it; past the last control of a page nothing has it.
SEEN = """() => { const style = getComputedStyle(document.activeElement);
    return document.activeElement === document.body
        || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1 }"""


def findings(page: Any, *rules: str) -> list[str]:
    """Serious and critical findings of axe-core that are not Streamlit's own; of all rules, if none is named."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    return [
        f"{violation['id']}: {node['html'][:200]} {[check['message'] for check in node['any']][:1]}"
        for violation in Axe().run(page, options=options).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
        if not any(rule == violation["id"] and part in node["html"] for rule, part, _ in STREAMLITS_OWN)
    ]


def shape(page: Any, title: str) -> list[str]:
    """What is wrong with a page's title, headings and figures."""
    headings = page.evaluate(HEADINGS)
    levels = [level for level, _ in headings]
    faults = []
    if page.title() != f"{title} · metapt_explore":
        faults.append(f"the browser's tab is called {page.title()}")
    if levels.count(1) != 1 or levels[:1] != [1] or any(b > a + 1 for a, b in pairwise(levels)):
        faults.append(f"headings jump: {headings}")
    if mute := page.evaluate(MUTE):
        faults.append(f"{mute} figures without words")
    return faults


def by_keyboard(page: Any) -> list[str]:
    """What has the focus after a few steps of the Tab key, and does not show it."""
    page.locator("h1").click()
    faults = []
    for _ in range(5):
        page.keyboard.press("Tab")
        if not page.evaluate(SEEN):
            faults.append("no sign of the focus on " + page.evaluate("document.activeElement.outerHTML.slice(0, 150)"))
    return faults


def on_a_telephone(page: Any) -> list[str]:
    """What does not fit into 390 pixels; the window is as it was before, afterwards."""
    from playwright.sync_api import TimeoutError as Late

    before = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    faults: list[str] = []
    try:
        page.wait_for_function(FITS, timeout=10_000)  # tables follow the window after a moment
    except Late:
        faults = [f"wider than 390 pixels: {element}" for element in page.evaluate(TOO_WIDE)]
    with suppress(Late):
        page.wait_for_function(f"() => !({CUT})().length", timeout=10_000)
    faults += page.evaluate(OVER) + page.evaluate(CUT) + page.evaluate(COVERED)
    page.set_viewport_size(before)
    return faults


def in_even_rows(page: Any) -> list[str]:
    """Widths at which the steps of a study stand in uneven rows."""
    before, faults = page.viewport_size, []
    for width in (390, 768, 1024, 1280, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        faults += [f"{width} pixels: {fault}" for fault in page.evaluate(UNEVEN)]
    page.set_viewport_size(before)
    return faults


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace of `address` with the finished example in it, and a study that waits, of which each page tells."""
    from metapt_explore.config import load_study
    from metapt_explore.jobs import queue
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.example import open_example

    monkeypatch.setenv("METAPT_WORKERS", "0")  # it waits for good
    workspace = Workspace(tmp_path / "workspace")
    open_example(workspace)
    queue.enqueue(workspace, load_study("tour"))


def test_every_page_is_for_everybody(opened: None, address: str) -> None:
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light")
        page.set_default_timeout(1000 * LIMIT)
        errors: list[str] = []
        page.on("console", lambda said: said.type == "error" and errors.append(f"{said.text} {said.location['url']}"))
        page.on("requestfailed", lambda request: errors.append(f"{request.url}: {request.failure}"))
        page.goto(f"{address}/?study=tour-example")
        page.wait_for_selector("h1")
        for number, title in enumerate(TITLES):
            if number:
                open_page(page, title)
            page.wait_for_function(SETTLED)
            page.evaluate(OPEN)
            page.wait_for_function(SETTLED)
            here = shape(page, title) + findings(page) + page.evaluate(PALE) + page.evaluate(SIGNS)
            page.emulate_media(color_scheme="dark")
            page.wait_for_function(DARK)
            here += [f"dark: {fault}" for fault in findings(page, "color-contrast") + page.evaluate(PALE)]
            page.emulate_media(color_scheme="light")
            here += on_a_telephone(page) + by_keyboard(page)  # tooltips of what has the focus fade in
            if not number:
                here += in_even_rows(page)
            faults += [f"{title}: {fault}" for fault in here]
        browser.close()
    faults += [error for error in errors if not any(probe in error for probe in PROBES)]
    assert not faults, "\n".join(faults)
