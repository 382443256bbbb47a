"""The published subjects stand in the graph with their numbers, their hours and their source."""

import csv
from datetime import datetime
from pathlib import Path

import pytest

from pepr_kg.cohorts import BadCohortFile, UnknownPublication, load_published, published_cohort
from pepr_kg.namespaces import expand
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Dataset, Literal, NamedNode, View

MEASURED = """PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/>
PREFIX sosa: <http://www.w3.org/ns/sosa/>
PREFIX dcterms: <http://purl.org/dc/terms/>
SELECT ?who ?what ?value ?unit ?time WHERE {
  ?observation a pepr:Observation ; sosa:hasFeatureOfInterest/dcterms:identifier ?who ; sosa:observedProperty ?what ;
    pepr:numericValue ?value ; pepr:unitCode ?unit ; pepr:observedAt ?time .
}"""
GIVEN = """PREFIX pepr: <https://w3id.org/pepr-santenum/ontology/>
PREFIX sosa: <http://www.w3.org/ns/sosa/>
PREFIX dcterms: <http://purl.org/dc/terms/>
SELECT ?who ?value ?unit ?time WHERE {
  ?dose a pepr:Administration ; sosa:hasFeatureOfInterest/dcterms:identifier ?who ; pepr:quantity ?what ;
    pepr:numericValue ?value ; pepr:unitCode ?unit ; pepr:administeredAt ?time .
} ORDER BY ?who ?time"""


def load(tmp_path: Path, document: bytes) -> View:
    dataset = Dataset(tmp_path / "data")
    with dataset.change(who="test", source="test") as change:
        change.bulk(document, NamedNode("urn:g"))
        return change.commit()


def hours(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.fromisoformat("2000-01-01T00:00:00+00:00")).total_seconds() / 3600


def measured(view: View, quantity: str) -> set[tuple[str, float, float]]:
    rows = view.select(MEASURED).rows
    return {
        (str(who.value), round(hours(str(time.value)), 4), float(value.value))
        for who, what, value, _, time in rows
        if who and what and value and time and what.value.endswith(f"/{quantity}")
    }


def read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((ontology_dir() / "cohorts" / f"{name}.csv").open(encoding="utf-8")))


def test_the_files_are_those_of_the_reference(shared: Path) -> None:
    for name in ("theophylline", "warfarin"):
        ours = (ontology_dir() / "cohorts" / f"{name}.csv").read_bytes()
        assert ours == (shared / "twin" / "reference" / f"{name}-observations.csv").read_bytes()


def test_every_theophylline_concentration_is_there(tmp_path: Path) -> None:
    view = load(tmp_path, published_cohort("theophylline").document)
    rows = read("theophylline")
    wanted = {
        (f"theophylline-{int(row['subject']):04d}", round(float(row["time_h"]), 4), float(row["conc"])) for row in rows
    }
    assert measured(view, "plasma-concentration-theophylline") == wanted
    assert len(wanted) == 132
    doses = view.select(GIVEN).rows
    given = [(float(row[1].value), row[2].value) for row in doses if row[1] and row[2]]
    assert given[:2] == [(4.02, "mg/kg"), (4.4, "mg/kg")]
    assert len(doses) == 12
    assert len(measured(view, "body-weight")) == 12


def test_every_warfarin_measurement_is_there_and_a_dose_is_no_measurement(tmp_path: Path) -> None:
    view = load(tmp_path, published_cohort("warfarin").document)
    rows = read("warfarin")
    for text, quantity in (("cp", "plasma-concentration-warfarin"), ("pca", "prothrombin-complex-activity")):
        wanted = {
            (f"warfarin-{int(row['id']):04d}", round(float(row["time"]), 4), float(row["dv"]))
            for row in rows
            if row["dvid"] == text and row["evid"] == "0"
        }
        assert measured(view, quantity) == wanted
    doses = {(str(row[0].value), float(row[1].value)) for row in view.select(GIVEN).rows if row[0] and row[1]}
    assert doses == {(f"warfarin-{int(row['id']):04d}", float(row["amt"])) for row in rows if row["evid"] == "1"}
    ages = measured(view, "age")
    assert ("warfarin-0002", 0.0, 50.0) in ages
    woman = NamedNode(expand("patient:warfarin-0015"))
    assert list(view.quads(woman, NamedNode(expand("pepr:hasSex")), NamedNode(expand("sex:female"))))


@pytest.mark.parametrize(("name", "people"), [("theophylline", 12), ("warfarin", 21)])
def test_a_published_cohort_names_its_source_and_its_nominal_day_and_passes_the_shapes(
    dataset_copy: Dataset, name: str, people: int
) -> None:
    done = load_published(dataset_copy, name, who="test")
    assert done.report is not None
    assert done.report.findings == ()
    assert (done.patients, done.changed) == (people, True)
    cohort = NamedNode(f"https://w3id.org/pepr-santenum/id/cohort/{name}")
    sources = list(done.view.quads(cohort, NamedNode("http://purl.org/dc/terms/source"), None, done.graph))
    assert len(sources) == 2
    comments = done.view.quads(cohort, NamedNode("http://www.w3.org/2000/01/rdf-schema#comment"), None, done.graph)
    texts = {quad.object.language: quad.object.value for quad in comments if isinstance(quad.object, Literal)}
    assert "1 January 2000" in texts["en"]
    assert "1ᵉʳ janvier 2000" in texts["fr"]
    again = load_published(dataset_copy, name, who="test")
    assert (again.changed, again.triples) == (False, done.triples)
    assert again.view is done.view


def test_another_file_of_the_same_layout_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "subject,weight_kg,dose,time_h,conc,note\nB,70,4,1,8.5,x\nA,60,5,0.5,2,y\nB,70,4,2,7.5,z\n", encoding="utf-8"
    )
    cohort = published_cohort("theophylline", file)
    assert (cohort.patients, cohort.observations, cohort.administrations) == (2, 5, 2)
    view = load(tmp_path, cohort.document)
    assert measured(view, "plasma-concentration-theophylline") == {
        ("theophylline-000B", 1.0, 8.5), ("theophylline-000B", 2.0, 7.5), ("theophylline-000A", 0.5, 2.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("theophylline", "subject,weight_kg,dose,time_h\n1,70,4,1\n", "conc"),
        ("theophylline", "subject,weight_kg,dose,time_h,conc\n1,70,4,1,\n", "conc"),
        ("theophylline", "subject,weight_kg,dose,time_h,conc\n", "subject"),
        ("theophylline", "subject,weight_kg,dose,time_h,conc\n1,70,four,1,8\n", "four"),
        ("theophylline", "subject,weight_kg,dose,time_h,conc\n<a>,70,4,1,8\n", "letters"),
        ("warfarin", "id,time,amt,dv,dvid,evid,wt,age,sex\n1,0,0,1,inr,0,70,40,male\n", "inr"),
        ("theophylline", "", "Empty"),
    ],
)
def test_a_file_that_is_no_cohort_is_refused_with_its_reason(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(BadCohortFile, match=said) as caught:
        published_cohort(name, file)
    assert str(file) in caught.value.message("fr")


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCohortFile):
        published_cohort("warfarin", tmp_path / "none.csv")


def test_an_unknown_publication_lists_those_that_are_known() -> None:
    with pytest.raises(UnknownPublication, match="theophylline, warfarin"):
        published_cohort("aspirin")
