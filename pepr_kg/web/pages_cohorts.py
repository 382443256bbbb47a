"""The page about a cohort: how many patients, which of them can be evaluated with which model, which runs."""

from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import Response

from pepr_kg.namespaces import PREFIXES, shrink
from pepr_kg.store import NamedNode
from pepr_kg.web.pages_evaluable import AT_ONCE, BUSY, MOST, Counted, count, outcome_text
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_sheets import Fact, Sheet, facts, make_sheet, moment, plain, text, values_of

_SECONDS: Final = 0.7  # that are spent on counting without being asked, and when asked
_ASKED_SECONDS: Final = 20.0
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
    asked = size <= MOST and reader.request.query_params.get("count") == "1"
    looked = bool(twins) and (asked or size <= AT_ONCE)
    counted = count(reader, iri, list(twins), seconds=_ASKED_SECONDS if asked else _SECONDS) if looked else {}
    busy, left = counted is None, size <= MOST and len(counted or ()) < len(twins)
    return reader.page(
        "cohort.html",
        label,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        headers=BUSY if busy else None,
        keep=not (looked and left),
        iri=iri,
        label=label,
        kinds=[reader.show_iri(kind) for kind in reader.types(iri)],
        comments=[reader.show(item) for item in said.get(_COMMENT, ())],
        facts=[Fact(reader.phrase("cohort.patients"), [plain(reader, size)]), *facts(reader, said, wanted)],
        models=_models(reader, twins, counted or {}, known=size <= MOST),
        question=f"/{reader.lang}/questions/evaluable-patients?cohort={shrink(iri) or iri}",
        count_href=reader.with_query(count=1) if left else None,
        busy=busy,
        runs=make_sheet(reader, "model.runs", ("run", "date", "status"), runs),
        patients=[
            reader.show_iri(text(row, "patient")) for row in reader.select("cohort-patients", cohort=node).iter_dicts()
        ],
        size=size,
    )


def _models(reader: Reader, twins: Mapping[str, str], counted: Mapping[str, Counted], *, known: bool) -> Sheet:
    """Return the models of the twins of a cohort: how many twins, and for how many patients each can be evaluated.

    known: whether the twins of all patients were counted.
    """
    rows = []
    for model, number in twins.items():
        row = [reader.show_iri(model), *([plain(reader, number)] if known else [])]
        if model in counted:
            row += [plain(reader, counted[model].ready), Shown(outcome_text(reader, counted[model]))]
        elif counted:
            row += [Shown("–"), Shown(reader.phrase("cohort.uncounted"))]
        rows.append(row)
    columns = ("model", *(("twins",) if known else ()), *(("ready", "aside") if counted else ()))
    note = "" if known else reader.phrase("cohort.sample", number=plain(reader, MOST).text)
    return make_sheet(reader, "cohort.models", columns, rows, note)
