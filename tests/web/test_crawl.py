"""Every internal link of the pages leads somewhere, in both languages; nothing is asked of anybody else."""

import http.client
import re
from collections import Counter, deque
from collections.abc import Iterator
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest

from pepr_kg.namespaces import BASE
from pepr_kg.store import NamedNode, View

LINK = re.compile(r'(?:href|action|src)="([^"]+)"')
# Pages of one kind that are opened in each language; a link to one more is looked up in the graph. In French that is
# every term, question and thing but for the two kinds that come in hundreds; the English pages come from the same code.
MOST = {"fr": 400, "en": 30}
MOST_OF = {"id/statement": 50, "ontology/shape": 50}


class Visitor:
    """Opens pages over one connection that stays open."""

    def __init__(self, server: str) -> None:
        self.host = server.removeprefix("http://")
        self.connection = http.client.HTTPConnection(self.host, timeout=30)

    def open(self, path: str) -> tuple[int, str, str]:
        """Return status, media type and text; a redirect's text is where it leads."""
        self.connection.request("GET", path, headers={"Accept": "text/html, */*;q=0.5"})
        response = self.connection.getresponse()
        text = response.read().decode("utf-8", errors="replace")
        if response.status in {302, 303, 307}:
            text = response.getheader("Location", "") or ""
        return response.status, (response.getheader("Content-Type") or "").partition(";")[0], text


@pytest.fixture(scope="module")
def visitor(server: str) -> Iterator[Visitor]:
    found = Visitor(server)
    yield found
    found.connection.close()


def kind_of(path: str) -> str:
    """The kind of an address: `fr/id/project`, `fr/questions`, `fr/ontology/shape`; `id .ttl` of a machine twin."""
    parts = urlsplit(path).path.strip("/").split("/")
    if parts[0] not in {"fr", "en"}:
        return f"{parts[0]} {parts[-1].rpartition('.')[2] if '.' in parts[-1] else ''}"
    return "/".join(parts[: 3 if len(parts) > 3 or parts[1:2] == ["id"] else 2])


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_no_link_is_dead(visitor: Visitor, view: View, lang: str) -> None:
    waiting = deque([f"/{lang}/"])
    found_on = {f"/{lang}/": "the start"}
    opened: Counter[str] = Counter()
    others: Counter[str] = Counter()
    dead, abroad, unseen = [], set(), set()
    while waiting:
        path = waiting.popleft()
        if opened[kind_of(path)] >= min(MOST[lang], MOST_OF.get(kind_of(path).removeprefix(f"{lang}/"), MOST[lang])):
            unseen.add(path)
            continue
        opened[kind_of(path)] += 1
        status, media_type, text = visitor.open(path)
        if status in {302, 303, 307}:
            links = [text]
        elif status != 200:
            dead.append((status, path, found_on[path]))
            continue
        else:
            links = [unescape(link) for link in LINK.findall(text)] if media_type == "text/html" else []
        for link in links:
            target = urlsplit(link.partition("#")[0])
            if target.netloc and target.netloc != visitor.host:
                abroad.add(link)
                continue
            address = target.path + (f"?{target.query}" if target.query else "")
            # Machine twins and the other language have tests of their own: one of each kind is enough here.
            other = not address.startswith(f"/{lang}/")
            if not address or address in found_on or (other and others[kind_of(address)] >= 3):
                continue
            others[kind_of(address)] += other
            found_on[address] = path
            if not other or not address.startswith(("/fr/", "/en/")):
                waiting.append(address)
    assert not dead
    assert sum(opened.values()) > 300
    subjects = {subject.value for subject in subjects_of(view)}
    lost = [
        path for path in unseen
        if path.startswith((f"/{lang}/id/", f"/{lang}/ontology/")) and ":" not in path
        and BASE + unquote(urlsplit(path).path).removeprefix(f"/{lang}/") not in subjects
    ]  # fmt: skip
    assert not lost, "links to things of which the graph says nothing"


def subjects_of(view: View) -> set[NamedNode]:
    return {quad.subject for quad in view.quads() if isinstance(quad.subject, NamedNode)}
