"""The page about a cohort: how many patients, which of them can be evaluated with which model, which runs."""

from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import Response

from pepr_kg.namespaces import PREFIXES, shrink
from pepr_kg.store import NamedNode
from pepr_kg.web.pages_evaluable import AT_ONCE, MOST, Counted, count, outcome_text
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_sheets import Fact, Sheet, facts, moment, plain, text, values_of

_COMMENT: Final = PREFIXES["rdfs"] + "comment"


def cohort_page(reader: Reader, iri: str, crumbs: Sequence[Crumb]) -> Response:
    """Return the page about a cohort; `?count=1` counts the patients that can be evaluated also where they are many."""
    said, node, label = values_of(reader, iri), NamedNode(iri), reader.label(iri).text
    sizes = [text(row, "count") for row in reader.select("cohort-size", cohort=node).iter_dicts()]
    size = int(sizes[0]) if sizes else 0
    wanted = (("twin.identifiability", "pepr:hasIdentifiability"), ("cohort.source", "dcterms:source"))
    twins = {text(row, "model"): text(row, "count") for row in reader.select("cohort-twins", cohort=node).iter_dicts()}
    runs = [
        [reader.show_iri(text(row, "evaluation")), moment(reader, text(row, "ended")),
         Shown(reader.label(text(row, "status")).text)]
        for row in reader.select("runs-of-cohort", cohort=node).iter_dicts()
    ]  # fmt: skip
    asked = size <= AT_ONCE or (size <= MOST and reader.request.query_params.get("count") == "1")
    counted = count(reader, iri, list(twins)) if asked and twins else None
    return reader.page(
        "cohort.html",
        label,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        iri=iri,
        label=label,
        kinds=[reader.show_iri(kind) for kind in reader.types(iri)],
        comments=[reader.show(item) for item in said.get(_COMMENT, ())],
        facts=[Fact(reader.phrase("cohort.patients"), [plain(reader, size)]), *facts(reader, said, wanted)],
        models=_models(reader, twins, counted),
        question=f"/{reader.lang}/questions/evaluable-patients?cohort={shrink(iri) or iri}",
        count_href=None if counted is not None or not twins or size > MOST else reader.with_query(count=1),
        busy=asked and bool(twins) and counted is None,
        runs=_sheet(reader, "model.runs", ("run", "date", "status"), runs),
        patients=[
            reader.show_iri(text(row, "patient")) for row in reader.select("cohort-patients", cohort=node).iter_dicts()
        ],
        size=size,
    )


def _models(reader: Reader, twins: Mapping[str, str], counted: Sequence[Counted] | None) -> Sheet:
    """Return the models of the twins of a cohort: how many twins, and for how many patients each can be evaluated."""
    found = {item.model: item for item in counted or ()}
    rows = [
        [
            reader.show_iri(model), plain(reader, number),
            *([plain(reader, found[model].ready), Shown(outcome_text(reader, found[model]))] if model in found else []),
        ]
        for model, number in twins.items()
    ]  # fmt: skip
    return _sheet(reader, "cohort.models", ("model", "twins", *(("ready", "aside") if counted else ())), rows)


def _sheet(reader: Reader, key: str, headings: Sequence[str], rows: Sequence[Sequence[Shown]]) -> Sheet:
    return Sheet(reader.phrase(key), tuple(reader.phrase(f"column.{name}") for name in headings), rows)
