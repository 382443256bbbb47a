"""COMBINE archives: other programs open them, read them without a complaint, and run them to the same numbers."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import libcombine
import libsedml
import numpy as np
import pyarrow as pa
import pytest
import roadrunner
from pyarrow import csv

from pepr_kg.models.addition import add_model
from pepr_kg.models.archive import export_archive
from pepr_kg.models.errors import ModelChanged, ModelNotExported
from pepr_kg.models.registry import Registered, find_model
from pepr_kg.store import Dataset, View
from pepr_kg.twin import Scenario, builtin_models, evaluate
from pepr_kg.twin.errors import BadScenario
from tests.models.small_sbml import glucose

SEDML = "{http://sed-ml.org/sed-ml/level1/version4}"
DATA = pa.table({"time": [1.0, 2.5, 4.0], "conc_central": [0.5, 1.25, None], "patient": ["a", "a", "b"]})


def found(view: View, name: str, folder: Path) -> Registered:
    model = find_model(view, name, folder)
    assert isinstance(model, Registered)
    return model


def applied(sbml: bytes, changes: Element | None) -> str:
    """Return the SBML with the changes of a SED-ML model, as any reader of SED-ML makes them."""
    root = ElementTree.fromstring(sbml)
    space = root.tag.rpartition("}")[0] + "}"
    names = {"sbml": space[1:-1]}

    def place(target: str) -> Element:
        node = root.find("." + target.removeprefix("/sbml:sbml"), names)
        assert node is not None, target
        return node

    for change in changes if changes is not None else []:
        target = change.get("target", "")
        kind = change.tag.removeprefix(SEDML)
        if kind == "changeAttribute":
            path, _, attribute = target.rpartition("/@")
            node = place(path)
            assert attribute in node.attrib, target
            node.set(attribute, change.get("newValue", ""))
            continue
        new = change.find(f"{SEDML}newXML")
        parents = {below: above for above in root.iter() for below in above}
        node = place(target)
        if kind == "addXML":
            node.extend(list(new) if new is not None else [])
        else:
            home = parents[node]
            at = list(home).index(node)
            home.remove(node)
            for item in new if new is not None else []:
                home.insert(at, item)
    return ElementTree.tostring(root, encoding="unicode")


def run(path: Path) -> Mapping[str, np.ndarray]:
    """Return what libroadrunner gives for an archive: its time course or step, its changes, its outputs by label."""
    archive = zipfile.ZipFile(path)
    sedml = ElementTree.fromstring(archive.read("simulation.sedml"))
    model = sedml.find(f"{SEDML}listOfModels/{SEDML}model")
    course, step = sedml.find(f".//{SEDML}uniformTimeCourse"), sedml.find(f".//{SEDML}oneStep")
    assert model is not None
    assert (course is None) != (step is None)
    sbml = applied(archive.read(model.get("source", "")), model.find(f"{SEDML}listOfChanges"))
    runner = roadrunner.RoadRunner(sbml)
    runner.integrator.setValue("relative_tolerance", 1e-10)
    runner.integrator.setValue("absolute_tolerance", 1e-14)
    labels, selections = [], []
    for item in sedml.findall(f".//{SEDML}dataGenerator"):
        variable = item.find(f".//{SEDML}variable")
        assert variable is not None
        labels.append("time" if variable.get("symbol") else item.get("name", ""))
        selections.append("time" if variable.get("symbol") else _selection(variable.get("target", ""), sbml))
    if course is None:
        assert step is not None
        runner.oneStep(0.0, float(step.get("step", "")))
        return {label: np.array([runner.getValue(name)]) for label, name in zip(labels, selections, strict=True)}
    runner.timeCourseSelections = selections
    table = runner.simulate(
        float(course.get("outputStartTime", "")), float(course.get("outputEndTime", "")),
        steps=int(course.get("numberOfSteps", "")),
    )  # fmt: skip
    return {label: np.array(table[:, at]) for at, label in enumerate(labels)}


def _selection(target: str, sbml: str) -> str:
    match = re.search(r"sbml:(\w+)\[@id='(\w+)'\]$", target)
    assert match is not None
    amount = re.search(rf'<\S*species [^>]*id="{match[2]}"[^>]*hasOnlySubstanceUnits="true"', sbml)
    return f"[{match[2]}]" if match[1] == "species" and not amount else match[2]


def compare(registered: Registered, path: Path, scenario: Scenario) -> None:
    table = run(path)
    symbols = [name for name in table if name != "time"]
    times = table["time"]
    result = evaluate(registered.model, {}, [scenario], times, outputs=symbols, rtol=1e-9, allow_undefined=True)
    assert not result.failures
    for symbol in symbols:
        ours = result.values(symbol)[0, 0, 0]
        assert np.all(np.isfinite(table[symbol])), symbol
        assert ours == pytest.approx(table[symbol], rel=1e-5, abs=1e-5 * np.max(np.abs(ours))), symbol


def _given(**values: float) -> Scenario:
    """Return what a patient gives to a score, as a scenario."""
    return sum((Scenario.set(symbol, value) for symbol, value in values.items()), Scenario.base())


RUNS = [
    ("pk2-oral", Scenario.base(), None),
    ("pk2-oral", Scenario.scale("CL", 0.5) + Scenario.set("tau_h", 12.0), None),
    ("pk2-oral", Scenario.dose("amount_gut", 100.0, [10.0, 30.0]) + Scenario.set("V1", 20.0, at=50.0), None),
    ("warfarin-pkpd", Scenario.base(), None),
    ("warfarin-pkpd", Scenario.scale("dose", 0.5) + Scenario.scale("CL", 2.0, at=60.0), None),
    ("hodgkin-huxley", Scenario.base(), 30.0),
    ("hodgkin-huxley", Scenario.set("V", -60.0) + Scenario.set("I_uA_per_cm2", 0.0, at=10.0), 30.0),
    ("lv-windkessel", Scenario.base(), 3.0),
    ("lv-windkessel", Scenario.scale("Emax", 0.5) + Scenario.add("Vv", 100.0, at=1.5), 3.0),
    ("ckd-epi-2021", _given(scr_mg_dL=1.2, age_a=50.0, sex=1.0), None),
    ("ckd-epi-2021", _given(scr_mg_dL=1.2, age_a=50.0, sex=0.0) + Scenario.scale("scr_mg_dL", 1.5), 2.0),
    (
        "cha2ds2-vasc",
        _given(age_a=70.0, sex=1.0, chf=0.0, hypertension=1.0, diabetes=0.0, stroke_tia_te=0.0, vascular=1.0),
        None,
    ),
]


@pytest.mark.parametrize(("name", "scenario", "horizon"), RUNS)
def test_libroadrunner_runs_an_archive_to_our_numbers(
    name: str, scenario: Scenario, horizon: float | None, made: Dataset, tmp_path: Path
) -> None:
    registered, path = found(made.view(), name, made.path), tmp_path / "run.omex"
    export_archive(registered, path, scenario=scenario, horizon=horizon)
    compare(registered, path, scenario)


def test_every_scenario_of_the_graph_can_be_exported_and_is_read_without_a_complaint(
    seen: View, made: Dataset, tmp_path: Path
) -> None:
    for name in builtin_models():
        registered = found(seen, name, made.path)
        for plan in registered.scenarios.values():
            if registered.required and any(item.action != "set" for item in plan.interventions):
                continue  # a score has no value of its own to change
            path = tmp_path / f"{name}.omex"
            export_archive(registered, path, scenario=plan, points=11)
            text = zipfile.ZipFile(path).read("simulation.sedml").decode()
            document = libsedml.readSedMLFromString(text)
            said = [document.getError(at).getMessage() for at in range(document.getNumErrors())]
            assert not said, (name, plan.name, said)
            assert document.getNumModels() == document.getNumTasks() == document.getNumOutputs() == 1
            assert document.getNumDataGenerators() == len(registered.model.outputs) + 1


def test_a_formula_is_one_step_to_a_horizon_that_may_be_zero(seen: View, made: Dataset, tmp_path: Path) -> None:
    formula, path = found(seen, "ckd-epi-2021", made.path), tmp_path / "x.omex"
    assert formula.horizon == 0.0

    def simulation(horizon: float | None, scenario: Scenario) -> dict[str, str]:
        export_archive(formula, path, horizon=horizon, scenario=scenario, points=11)
        sedml = ElementTree.fromstring(zipfile.ZipFile(path).read("simulation.sedml"))
        (course,) = sedml.findall(f"{SEDML}listOfSimulations/*")
        return {"kind": course.tag.removeprefix(SEDML), **course.attrib}

    nothing = Scenario.base()
    assert simulation(None, nothing) == {"kind": "oneStep", "id": "course", "step": "0.0"}
    assert simulation(2.0, nothing) == {"kind": "oneStep", "id": "course", "step": "2.0"}
    later = Scenario.set("scr_mg_dL", 2.0, at=1.0)
    assert simulation(2.0, later)["numberOfSteps"] == "10", "what changes at a time takes a time course"
    with pytest.raises(ModelNotExported, match="horizon"):
        export_archive(formula, path, scenario=later)


def test_libcombine_opens_it_and_lists_four_kinds(seen: View, made: Dataset, tmp_path: Path) -> None:
    registered, path = found(seen, "pk2-oral", made.path), tmp_path / "pk.omex"
    exported = export_archive(registered, path, data=DATA, horizon=12.0, points=13)
    archive = libcombine.CombineArchive()
    assert archive.initializeFromArchive(str(path))
    entries = [archive.getEntry(at) for at in range(archive.getNumEntries())]
    kinds = {entry.getLocation(): entry.getFormat().rpartition("/")[2] for entry in entries}
    assert kinds["./model.xml"] == "sbml.level-3.version-2"
    assert kinds["./simulation.sedml"] == "sed-ml.level-1.version-4"
    assert kinds["./data.csv"] == "csv"
    assert archive.getMasterFile().getLocation() == "./simulation.sedml"
    about = archive.getMetadataForLocation(".")
    assert not about.isEmpty()
    assert about.getDescription() == "For research, not medical advice."
    assert about.getNumCreators() == 0
    assert [entry.location for entry in exported.entries][-1] == "./metadata.rdf"
    metadata = zipfile.ZipFile(path).read("metadata.rdf").decode()
    assert "https://creativecommons.org/licenses/by/4.0/" in metadata
    assert registered.digest in metadata
    # The model is the registered file, to the byte; the data come back as they went in.
    assert zipfile.ZipFile(path).read("model.xml") == registered.path.read_bytes()
    table = csv.read_csv(pa.BufferReader(zipfile.ZipFile(path).read("data.csv")))
    assert table.column_names == DATA.column_names
    assert table["time"].to_pylist() == DATA["time"].to_pylist()
    archive.cleanUp()


def test_the_same_content_gives_the_same_bytes(seen: View, made: Dataset, tmp_path: Path) -> None:
    registered = found(seen, "lv-windkessel", made.path)
    plan = Scenario.scale("Rp", 0.75)
    first = export_archive(registered, tmp_path / "a.omex", scenario=plan, data=DATA)
    second = export_archive(registered, tmp_path / "b.omex", scenario=plan, data=DATA)
    assert first.digest == second.digest
    assert first.path.read_bytes() == second.path.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.omex", "b.omex"]
    other = export_archive(registered, tmp_path / "c.omex", scenario=Scenario.scale("Rp", 0.8), data=DATA)
    assert other.digest != first.digest


def test_the_method_and_its_tolerance_are_terms_of_kisao(seen: View, made: Dataset, tmp_path: Path) -> None:
    def kisao(name: str) -> list[str]:
        export_archive(found(seen, name, made.path), tmp_path / "x.omex", rtol=1e-6)
        return re.findall(r'kisaoID="([^"]+)"', zipfile.ZipFile(tmp_path / "x.omex").read("simulation.sedml").decode())

    assert kisao("hodgkin-huxley") == ["KISAO:0000087", "KISAO:0000209"]
    assert kisao("lv-remodelling") == ["KISAO:0000033", "KISAO:0000209"]


ADDED = [
    Scenario.set("glucose", 8.0),
    Scenario.dose("glucose", 5.0, [10.0, 20.0]),
    Scenario.set("half", 3.0) + Scenario.scale("k", 2.0, at=30.0),
    Scenario.set("given", 2.0) + Scenario.add("factor", 1.0, at=5.0) + Scenario.scale("factor", 2.0, at=5.0),
    Scenario.set("insulin", 0.6) + Scenario.set("use.rate", 0.5),
]


@pytest.mark.parametrize("scenario", ADDED, ids=lambda plan: plan.name)
def test_an_added_model_is_exported_too(own: Dataset, tmp_path: Path, scenario: Scenario) -> None:
    """Concentrations, amounts, computed starts, values that the file lacks, parameters of one reaction."""
    source = tmp_path / "glucose.xml"
    source.write_bytes(glucose())
    add_model(own, source, who="test", check=lambda view: None)
    registered = found(own.view(), "glucose", own.path)
    path = tmp_path / "glucose.omex"
    plan = scenario if "given" in scenario.name else scenario + Scenario.set("given", 1.0)
    export_archive(registered, path, scenario=plan, horizon=90.0, points=91)
    compare(registered, path, plan)


def test_what_cannot_be_exported_is_a_sentence(seen: View, own: Dataset, made: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "x.omex"
    pk = found(seen, "pk2-oral", made.path)
    with pytest.raises(ModelNotExported, match="lv-windkessel"):
        export_archive(find_model(seen, "heart-over-years", made.path), path)
    for horizon, points in ((0.0, 11), (0.0, 1), (float("nan"), 11), (12.0, 1)):
        with pytest.raises(ModelNotExported, match="horizon"):
            export_archive(pk, path, horizon=horizon, points=points)
    with pytest.raises(BadScenario):
        export_archive(pk, path, scenario=Scenario.set("conc_central", 1.0))
    with pytest.raises(ModelNotExported, match="nowhere"):
        export_archive(pk, tmp_path / "nowhere" / "x.omex")
    source = tmp_path / "glucose.xml"
    source.write_bytes(glucose())
    added = add_model(own, source, who="test", check=lambda view: None)
    registered = found(own.view(), "glucose", own.path)
    with pytest.raises(ModelNotExported, match="horizon"):
        export_archive(registered, path)
    with pytest.raises(ModelNotExported) as error:
        export_archive(registered, path, scenario=Scenario.set("use.rate", 2.0, at=1.0), horizon=2.0)
    assert "paramètre local" in error.value.message("fr")
    added.path.write_bytes(glucose(k="0.1"))
    with pytest.raises(ModelChanged):
        export_archive(registered, path, horizon=2.0)
    assert not path.exists()
