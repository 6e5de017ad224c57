"""The page of a comparison in a real Chromium; skipped without it or the extra `browser`."""

import shutil

import pytest
from page_inputs import BASELINE, OTHER, make_comparison

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no Chromium", allow_module_level=True)

TABS = ("verdict", "losses", "checks", "labels", "data", "run")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    make_comparison(labels=25).report(path)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, address):
    """Opens the page; whatever the browser complains about or asks the network for is an error."""
    told, contexts = [], []

    def open_page(*, width=1280, part="", **settings):
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:")) else told.append(request.url)
            ),
        )
        page.goto(address + part)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []


def seen(page):
    return [name for name in TABS if page.locator(f"#{name}").is_visible()]


def column(page, table, place):
    """Returns the texts of a column, without second lines and marks."""
    cells = page.locator(f"#{table} tbody.rows tr:visible > :nth-child({place})").all()
    return [cell.evaluate("c => c.firstChild?.textContent ?? ''") for cell in cells]


def test_tabs_by_mouse(opened):
    page = opened()
    assert seen(page) == ["verdict"]
    for name in TABS:
        page.click(f"#tab-{name}")
        assert seen(page) == [name]
        assert page.get_attribute(f"#tab-{name}", "aria-selected") == "true"
        assert page.evaluate("location.hash") == f"#{name}"


def test_tabs_by_keyboard(opened):
    page = opened()
    page.keyboard.press("Tab")  # the button for light and dark
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tab-verdict"
    for key, name in (
        ("ArrowRight", "losses"),
        ("End", "run"),
        ("ArrowRight", "verdict"),
        ("ArrowLeft", "run"),
        ("Home", "verdict"),
    ):
        page.keyboard.press(key)
        assert seen(page) == [name]
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus is seen
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "verdict"


def test_an_address_names_its_tab(opened):
    page = opened(part="#labels")
    assert seen(page) == ["labels"]
    page.evaluate("location.hash = '#data'")
    page.locator("#data").wait_for()  # until it can be seen
    assert seen(page) == ["data"]
    page.click("#tab-verdict")
    page.click("#verdict a[href='#checks']")
    page.locator("#checks").wait_for()
    assert seen(page) == ["checks"]


def test_headings_sort_the_rows(opened):
    page = opened(part="#losses")
    heading = page.locator("#losses-table th", has_text="mAP")
    place = 3
    for order in ("descending", "ascending"):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == order
        values = [float(value) for value in column(page, "losses-table", place)]
        assert values == sorted(values, reverse=order == "descending")
    # Lower is better for an error, so its lowest value comes first; what has none comes last.
    error = page.locator("#losses-table th", has_text="ranking loss")
    error.get_by_role("button").click()
    assert error.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") == "none"
    micro = page.locator("#losses-table th", has_text="micro-F1")
    for _ in range(2):
        micro.get_by_role("button").click()
        values = column(page, "losses-table", 6)
        assert values[-2:] == ["", ""]
        assert "" not in values[:-2]
    name = page.locator("#losses-table th", has_text="Loss").first
    name.get_by_role("button").press("Enter")
    texts = page.locator("#losses-table tbody.rows th").all_inner_texts()
    assert [text[:4] for text in texts] == sorted(text[:4] for text in texts)
    apart = page.locator("#losses-table tbody").last
    assert "prior only" in apart.inner_text()


def test_rows_are_filtered(opened):
    page = opened(part="#losses")
    count = page.locator("[data-counts=losses-table]")
    assert count.inner_text() == "6 of 6 rows"
    page.fill("[data-filters=losses-table]", "ZLPR")
    assert count.inner_text() == "2 of 6 rows"
    assert all(
        OTHER in text
        for text in page.locator("#losses-table tbody tr:visible th").all_inner_texts()
    )
    page.select_option("[data-kinds=losses-table]", "default")
    assert column(page, "losses-table", 2) == ["default"]
    page.fill("[data-filters=losses-table]", "")
    assert count.inner_text() == "2 of 6 rows"
    page.click("#tab-labels")
    page.fill("[data-filters=labels-table]", "<script>")
    assert page.locator("[data-counts=labels-table]").inner_text() == "1 of 25 rows"


def test_a_list_chooses_the_figure(opened):
    page = opened(part="#losses")
    for select, prefix in (("#metric", "intervals-"), ("#label", "threshold-")):
        page.click(f"#tab-{'losses' if select == '#metric' else 'labels'}")
        figures = page.locator(f"figure[id^={prefix}]:visible")
        assert figures.count() == 1
        before = figures.get_attribute("id")
        page.select_option(select, index=2)
        assert figures.count() == 1
        assert figures.get_attribute("id") != before


def test_lines_are_copied(opened):
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.click("#verdict .copy >> nth=0")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#verdict pre").first.inner_text()
    assert copied.splitlines()[-1].startswith("mllosses ")
    assert page.locator("#verdict .copy").first.inner_text() == "Copied"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(scheme, opened):
    page = opened(color_scheme=scheme, part="#losses")

    def brightness(selector, name):
        """Returns the mean of red, green and blue."""
        colour = page.eval_on_selector(selector, f"e => getComputedStyle(e).{name}")
        parts = colour[colour.index("(") + 1 : -1].split(",")[:3]
        return sum(map(float, parts)) / 3

    def is_dark():
        back = brightness("body", "backgroundColor")
        label = brightness("figure:not([hidden]) svg text", "fill")
        assert abs(back - label) > 150  # figures are readable too
        assert abs(back - brightness("caption", "color")) > 80
        return back < 60

    assert is_dark() == (scheme == "dark")
    page.click("#theme")
    assert is_dark() == (scheme == "light")
    page.click("#theme")
    assert is_dark() == (scheme == "dark")


def test_a_phone_shows_everything_without_scrolling_sideways(opened):
    page = opened(width=360)
    for name in TABS:
        page.click(f"#tab-{name}")
        page.evaluate(f"document.querySelectorAll('#{name} details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    page.click("#tab-losses")
    scrolls = "e => e.scrollWidth > e.clientWidth"
    assert page.locator("#losses .scroll").first.evaluate(scrolls)  # a table does, by itself
    size = page.eval_on_selector("#metric-0 svg text", "e => e.getBoundingClientRect().height")
    assert size >= 9


def test_print_shows_all_tabs_in_light_colours(opened):
    page = opened(color_scheme="dark")
    page.emulate_media(media="print")
    assert seen(page) == list(TABS)
    assert not page.locator("[role=tablist]").is_visible()
    assert not page.locator("#theme").is_visible()
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(255, 255, 255)"
    evidence = page.locator("#checks details li").first
    assert evidence.is_visible()


def test_without_a_script_everything_is_there(opened):
    page = opened(java_script_enabled=False)
    assert seen(page) == list(TABS)
    assert BASELINE in page.locator("#losses-table").inner_text()
