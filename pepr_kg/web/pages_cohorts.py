"""The page about a cohort: how many patients, whose they are, which twins, which runs."""

from collections.abc import Sequence
from typing import Final

from fastapi import Response

from pepr_kg.namespaces import PREFIXES
from pepr_kg.store import NamedNode
from pepr_kg.web.pages_frame import Crumb, Reader, Shown, twin_addresses
from pepr_kg.web.pages_sheets import Fact, Sheet, facts, moment, plain, text, values_of

_COMMENT: Final = PREFIXES["rdfs"] + "comment"


def cohort_page(reader: Reader, iri: str, crumbs: Sequence[Crumb]) -> Response:
    """Return the page about a cohort."""
    said, node, label = values_of(reader, iri), NamedNode(iri), reader.label(iri).text
    sizes = [text(row, "count") for row in reader.select("cohort-size", cohort=node).iter_dicts()]
    size = Fact(reader.phrase("cohort.patients"), [plain(reader, sizes[0] if sizes else "0")])
    wanted = (("twin.identifiability", "pepr:hasIdentifiability"), ("cohort.source", "dcterms:source"))
    twins = [
        [reader.show_iri(text(row, "model")), plain(reader, text(row, "count"))]
        for row in reader.select("cohort-twins", cohort=node).iter_dicts()
    ]
    runs = [
        [reader.show_iri(text(row, "evaluation")), moment(reader, text(row, "ended")),
         Shown(reader.label(text(row, "status")).text)]
        for row in reader.select("runs-of-cohort", cohort=node).iter_dicts()
    ]  # fmt: skip
    sheets = [_sheet(reader, "cohort.twins", ("model", "count"), twins),
              _sheet(reader, "model.runs", ("run", "date", "status"), runs)]  # fmt: skip
    return reader.page(
        "cohort.html",
        label,
        crumbs=crumbs,
        twins=twin_addresses(iri),
        iri=iri,
        label=label,
        kinds=[reader.show_iri(kind) for kind in reader.types(iri)],
        comments=[reader.show(item) for item in said.get(_COMMENT, ())],
        facts=[size, *facts(reader, said, wanted)],
        sheets=[sheet for sheet in sheets if sheet.rows],
        patients=[
            reader.show_iri(text(row, "patient")) for row in reader.select("cohort-patients", cohort=node).iter_dicts()
        ],
    )


def _sheet(reader: Reader, key: str, headings: Sequence[str], rows: Sequence[Sequence[Shown]]) -> Sheet:
    return Sheet(reader.phrase(key), tuple(reader.phrase(f"column.{name}") for name in headings), rows)
