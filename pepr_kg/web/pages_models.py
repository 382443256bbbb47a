"""The page about a model: variables with units and bounds, scales, validity, sources, runs; and its two downloads."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from pepr_kg.errors import NotFound
from pepr_kg.models.archive import export_archive
from pepr_kg.models.registry import Registered, find_model
from pepr_kg.namespaces import ID, PEPR
from pepr_kg.store import NamedNode, Term
from pepr_kg.web.answers import etag_of, not_modified, respond, view_of
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_sheets import (
    Fact,
    Sheet,
    dataset_folder,
    facts,
    make_sheet,
    moment,
    plain,
    text,
    unit,
    values_of,
)

files: Final = APIRouter(include_in_schema=False)

_SBML: Final = "application/sbml+xml"
_OMEX: Final = "application/zip"
_WANTED: Final = (
    ("model.levels", "pepr:hasLevel"), ("model.time.scales", "pepr:hasTimeScale"), ("model.form", "pepr:hasForm"),
    ("model.time.unit", "pepr:timeUnitCode"), ("model.origin", "pepr:hasTimeOrigin"), ("model.horizon", "pepr:horizon"),
    ("model.represents", "pepr:represents"), ("model.stands.for", "pepr:standsFor"),
    ("model.described.in", "pepr:describedIn"), ("model.licence", "dcterms:license"),
    ("model.version", "pepr:modelVersion"), ("model.fast", "pepr:hasFastModel"), ("model.slow", "pepr:hasSlowModel"),
    ("model.scheme", "pepr:hasCouplingScheme"), ("model.scenarios", "pepr:hasScenario"),
    ("model.digest", "pepr:contentDigest"),
)  # fmt: skip
_VALIDITY: Final = (
    ("model.minimum.age", "pepr:minimumAge"), ("model.age.limit", "pepr:ageLimit"),
    ("model.requires", "pepr:requiresCondition"), ("model.excludes", "pepr:excludesCondition"),
    ("model.population", "pepr:population"), ("model.note", "skos:note"),
)  # fmt: skip
_CREDIBILITY: Final = (
    ("model.context", "pepr:contextOfUse"), ("model.activities", "pepr:hasCredibilityActivity"),
    ("model.evidence", "pepr:hasEvidence"),
)  # fmt: skip


def model_page(reader: Reader, iri: str, crumbs: Sequence[Crumb]) -> Response:
    """Return the page about a model."""
    said = values_of(reader, iri)
    for slow in said.get(PEPR + "hasSlowModel", ()):  # a coupled model counts in the time of its slow part
        said[PEPR + "timeUnitCode"] = values_of(reader, slow.value).get(PEPR + "timeUnitCode", [])
    label, name = reader.label(iri).text, iri.removeprefix(f"{ID}model/")
    has_file = PEPR + "modelFile" in said
    return reader.page(
        "model.html",
        label,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        iri=iri,
        label=label,
        kinds=[reader.show_iri(kind) for kind in reader.types(iri)],
        definition=[reader.show(node) for node in said.get("http://purl.org/dc/terms/description", ())],
        facts=facts(reader, said, _WANTED),
        validity=[*_below(reader, said, "hasValidity", _VALIDITY), *_rules(reader, said)],
        credibility=_below(reader, said, "hasCredibility", _CREDIBILITY),
        sheets=[sheet for sheet in (_elements(reader, iri), _priors(reader, iri), _runs(reader, iri)) if sheet.rows],
        files=[(".xml", f"/id/model/{name}.xml"), (".omex", f"/id/model/{name}.omex")] if has_file else [],
    )


def _below(
    reader: Reader, said: Mapping[str, Sequence[Term]], by: str, wanted: Sequence[tuple[str, str]]
) -> list[Fact]:
    found: list[Fact] = []
    for node in said.get(PEPR + by, ()):
        found += facts(reader, values_of(reader, node.value), wanted)
    return found


def _rules(reader: Reader, said: Mapping[str, Sequence[Term]]) -> list[Fact]:
    """Return the rules of validity: the element, and the reason that is given to whoever lies outside."""
    rules = [
        rule.value
        for node in said.get(PEPR + "hasValidity", ())
        for rule in values_of(reader, node.value).get(PEPR + "hasValidityRule", ())
    ]
    found = []
    for rule in sorted(rules):
        of = values_of(reader, rule)
        name = ", ".join(reader.label(node.value).text for node in of.get(PEPR + "appliesTo", ()))
        ends = [
            plain(reader, of[PEPR + key][0].value).text if PEPR + key in of else "…"
            for key in ("lowerBound", "upperBound")
        ]
        reasons = [Shown(node.value) for node in of.get(PEPR + "reason", ())]
        span = ends[0] if ends[0] == ends[1] else f"{ends[0]} – {ends[1]}"
        found.append(Fact(name, [Shown(span), *reasons]))
    return found


def _elements(reader: Reader, iri: str) -> Sheet:
    rows: dict[str, dict[str, Term]] = {}
    concepts: dict[str, dict[str, None]] = {}
    categories: dict[str, dict[str, None]] = {}
    for row in reader.select("model-categories", model=NamedNode(iri)).iter_dicts():
        categories.setdefault(text(row, "symbol"), {})[reader.label(text(row, "category")).text] = None
    for row in reader.select("model-elements", model=NamedNode(iri)).iter_dicts():
        rows.setdefault(text(row, "symbol"), row)
        if "quantity" in row:
            concepts.setdefault(text(row, "symbol"), {})[text(row, "quantity")] = None
    shown = [
        [
            Shown(symbol, code=True),
            reader.show_iri(text(row, "element")),
            Shown(reader.label(text(row, "role")).text if "role" in row else reader.phrase("model.parameter")),
            unit(reader, text(row, "unit")),
            plain(reader, text(row, "default")),
            Shown(", ".join(categories.get(symbol, ())) or _bounds(reader, row)),
            next((reader.show_iri(name) for name in concepts.get(symbol, ())), Shown("–")),
        ]
        for symbol, row in rows.items()
    ]
    columns = ("symbol", "name", "role", "unit", "default", "bounds", "quantity")
    return make_sheet(reader, "model.elements", columns, shown)


def _bounds(reader: Reader, row: Mapping[str, Term]) -> str:
    if "lower" not in row and "upper" not in row:
        return "–"
    low, high = (plain(reader, text(row, name)).text if name in row else "…" for name in ("lower", "upper"))
    return f"{low} – {high}"


def _priors(reader: Reader, iri: str) -> Sheet:
    shown = [
        [reader.show_iri(text(row, "element")),
         Shown(reader.label(text(row, "family")).text if "family" in row else "–"),
         plain(reader, text(row, "mean")), plain(reader, text(row, "deviation"))]
        for row in reader.select("model-priors", model=NamedNode(iri)).iter_dicts()
    ]  # fmt: skip
    return make_sheet(reader, "model.priors", ("variable", "distribution", "mean", "deviation"), shown)


def _runs(reader: Reader, iri: str) -> Sheet:
    shown = [
        [reader.show_iri(text(row, "evaluation")), moment(reader, text(row, "ended")),
         Shown(reader.label(text(row, "status")).text)]
        for row in reader.select("runs-with-model", model=NamedNode(iri)).iter_dicts()
    ]  # fmt: skip
    return make_sheet(reader, "model.runs", ("run", "date", "status"), shown)


# ---- Downloads -------------------------------------------------------------------------------------------------------


@files.get("/id/model/{name}.xml")
def sbml(request: Request, name: str) -> Response:
    """Answer with the SBML file of a model. Raises what `find_model` raises."""
    model = _model(request, name)
    etag = etag_of(request, "model", name, model.digest)
    same = not_modified(request, etag)
    return same or respond(request, model.path.read_bytes(), _SBML, etag, headers=_attached(f"{name}.xml"))


@files.get("/id/model/{name}.omex")
def archive(request: Request, name: str) -> Response:
    """Answer with a COMBINE archive of a model. Raises what `find_model` and `export_archive` raise."""
    model = _model(request, name)
    etag = etag_of(request, "model", name, "omex", model.digest, model.meaning_digest)
    if same := not_modified(request, etag):
        return same
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.omex"
        export_archive(model, path)
        content = path.read_bytes()
    return respond(request, content, _OMEX, etag, headers=_attached(f"{name}.omex"))


def _model(request: Request, name: str) -> Registered:
    model = find_model(view_of(request), f"{ID}model/{name}", dataset_folder(request))
    if not isinstance(model, Registered):
        raise NotFound(name=f"{ID}model/{name}.xml")
    return model


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
