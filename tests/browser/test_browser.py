"""Each kind of page in a real browser: quiet console, no request to others, nothing too wide, all by keyboard."""

import shutil
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from pepr_kg import Settings
from pepr_kg.cohorts import load_published
from pepr_kg.runs.evaluation import Request, evaluate
from pepr_kg.store import Dataset
from pepr_kg.web.app import create_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the browser tests need Chromium; install it with: apt-get install chromium"
)

ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip
DESKTOP, PHONE = (1280, 900), (390, 844)
PAGES = {
    "home": "/",
    "ontology": "/ontology",
    "class": "/ontology/Project",
    "property": "/ontology/hasProject",
    "outside term": "/ontology/foaf:Person",
    "shape": "/ontology/shape/Project",
    "module": "/ontology/module/programme",
    "programme": "/id/programme/pepr-sante-numerique",
    "project": "/id/project/smatch",
    "organisation": "/id/organisation/inserm",
    "person": "/id/person/hugues-berry",
    "concept": "/id/level/organ",
    "statement": "/id/statement/seed-007",
    "document": "/id/document/anr-page",
    "locator": "/id/locator/anr-page-L7",
    "disagreement": "/id/disagreement/conflict-01",
    "graph": "/graph/programme",
    "questions": "/questions",
    "question": "/questions/projects-of-programme?programme=research-programme:3",
    "wide answer": "/questions/disagreements",
    "search": "/search",
    "found": "/search?q=programme",
    "not found": "/search?q=anevrsme",
    "sparql": "/sparql",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_pages_are_quiet_and_fit(page: Page, server: str, lang: str) -> None:
    console: list[str] = []
    abroad: list[str] = []
    page.on("console", lambda message: console.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: console.append(f"{page.url}: {error}"))
    page.on("request", lambda request: abroad.append(request.url) if not request.url.startswith(server) else None)
    wide = []
    for name, path in PAGES.items():
        response = page.goto(f"{server}/{lang}{path}")
        assert response is not None
        assert response.status == 200, name
        assert page.locator("h1").count() == 1, name
        if page.evaluate("document.scrollingElement.scrollWidth > innerWidth"):
            wide.append(name)
    assert not console
    assert not abroad
    assert not wide, "pages that scroll sideways"


def test_the_error_page_fits_and_leads_on(page: Page, server: str) -> None:
    response = page.goto(f"{server}/fr/id/project/nothing")
    assert response is not None
    assert response.status == 404
    assert not page.evaluate("document.scrollingElement.scrollWidth > innerWidth")
    page.get_by_role("main").get_by_role("link", name="Accueil").click()
    assert page.url == f"{server}/fr/"


def test_the_keyboard_reaches_the_content_and_the_search_box(page: Page, server: str) -> None:
    page.goto(f"{server}/en/ontology")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box() is not None
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.goto(f"{server}/en/ontology")
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "q":
            break
    page.keyboard.type("smatch")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{server}/en/search?q=smatch")
    assert page.locator('a[href="/en/id/project/smatch"]').count() == 1


def test_focus_is_seen(page: Page, server: str) -> None:
    page.goto(f"{server}/fr/questions")
    for _ in range(6):
        page.keyboard.press("Tab")
        outline, shadow = page.evaluate(FOCUSED)
        assert outline != "none" or shadow != "none", page.evaluate("document.activeElement.outerHTML")


def test_the_language_switch_keeps_the_place(page: Page, server: str) -> None:
    page.goto(f"{server}/fr/questions/projects-of-programme?programme=research-programme:3")
    page.get_by_role("link", name="English").click()
    assert page.url == f"{server}/en/questions/projects-of-programme?programme=research-programme:3"
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("select").input_value() == "research-programme:3"


def test_a_tree_opens_and_a_question_is_asked_without_script(browser: Browser, server: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server}/en/ontology")
    closed = page.locator("details:not([open]) > summary").first
    closed.click(position={"x": 4, "y": 8})
    page.goto(f"{server}/en/questions/projects-of-programme")
    page.get_by_label("Research programme").select_option("research-programme:4")
    page.get_by_role("button", name="Ask").click()
    assert "research-programme%3A4" in page.url
    assert page.get_by_role("row").count() == 5
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/fr/", "/en/id/project/m4di", "/fr/ontology/Project", "/en/questions/disagreements"])
def test_text_stands_out_from_its_ground(browser: Browser, server: str, scheme: str, path: str) -> None:
    """WCAG AA: 4.5 to 1, or 3 to 1 for large text."""
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(server + path)
    assert page.evaluate(CONTRAST) == []
    context.close()


# The search field shows its focus on the box around it and its button.
FOCUSED = """() => {
  const node = document.activeElement;
  const style = getComputedStyle(node.id === 'q' ? node.parentElement : node);
  return [style.outlineStyle, style.boxShadow];
}"""

CONTRAST = """() => {
  const parts = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.body.querySelectorAll('*')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest('.hidden, .skip, option')) continue;
    const style = getComputedStyle(node);
    const [high, low] = [light(parts(style.color)), light(ground(node))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${ratio.toFixed(2)} ${node.outerHTML.slice(0, 90)}`);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def twin_server(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on a dataset with patients and a run."""
    folder = tmp_path_factory.mktemp("twins") / "data"
    shutil.copytree(dataset.path, folder)
    own = Dataset(folder)
    load_published(own, "theophylline")
    evaluate(own, Request("theophylline", cohort="theophylline", samples=10))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(create_app(Settings(), own), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_twin_fits_and_its_form_compares(page: Page, twin_server: str, lang: str) -> None:
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    for path in ("/id/model/theophylline", "/id/cohort/theophylline", "/id/twin/theophylline-0001"):
        page.goto(f"{twin_server}/{lang}{path}")
        assert not page.evaluate("document.scrollingElement.scrollWidth > innerWidth"), path
    pictures = page.locator("svg.chart").count()
    page.locator("#operation").select_option("scale")
    page.locator("#value").fill("0.5")
    page.locator("form.ask button").click()
    assert page.locator("svg.chart").count() == pictures + 1
    assert not page.evaluate("document.scrollingElement.scrollWidth > innerWidth")
    page.locator(".predicted table td:nth-child(3) a").first.click()
    assert "/id/evaluation/" in page.url
    assert not page.evaluate("document.scrollingElement.scrollWidth > innerWidth")
    assert not console
