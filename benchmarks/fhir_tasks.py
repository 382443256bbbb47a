"""One measurement of `benchmarks.fhir`, in a process of its own: `python -m benchmarks.fhir_tasks NAME FILE [MORE...]`.

Prints one line of JSON: seconds, resources, triples, bytes of JSON, and memory at most (VmHWM, in MB). Reading the file
and importing what is measured is not timed. Seconds are those of the processor, so that what else runs on the machine
does not count; of a stream from the disk (`converted`) and of an intake they are those of the clock.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from pepr_kg.fhir.dialect import R4
from pepr_kg.fhir.writing import Writer

BASE = "https://fhir.example.org/"
Result = dict[str, float]


def memory() -> float:
    """Return the most memory that this process had, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e3


def lines_of(path: str) -> list[bytes]:
    """Return the resources of an NDJSON file."""
    return Path(path).read_bytes().splitlines()


def written(path: str, syntax: str, target: str = "") -> Result:
    """Write every resource once with our writer, to nowhere, as the peers do; then into a file, if one is named."""
    lines, triples = lines_of(path), 0
    writer = Writer(R4, BASE, syntax=syntax)  # type: ignore[arg-type]
    writer.write(lines[0])  # the tables are loaded
    with open(os.devnull, "wb") as file:
        started = time.process_time()
        for line in lines:
            found = writer.write(line)
            triples += found.triples
            file.write(found.text)
        seconds = time.process_time() - started
    if target:
        with open(target, "wb") as file:
            file.write(writer.head)
            file.writelines(writer.write(line).text for line in lines)
    return {"seconds": seconds, "resources": len(lines), "triples": triples, "bytes": sum(map(len, lines)) + len(lines)}


def converted(path: str, syntax: str, workers: str, target: str = "") -> Result:
    """Convert a file as `pepr-kg fhir rdf` does, from the disk to a file, or to nowhere."""
    from pepr_kg.fhir.conversion import Plan, convert

    with open(target or os.devnull, "wb") as file:
        started = time.perf_counter()
        done = convert([(path, Path(path))], Plan(R4, BASE, syntax), file, workers=int(workers))  # type: ignore[arg-type]
        seconds = time.perf_counter() - started
    if done.has_errors:
        raise SystemExit(f"{path}: {done.findings[0].message('en')}")
    return {
        "seconds": seconds,
        "resources": done.resources,
        "triples": done.triples,
        "bytes": Path(path).stat().st_size,
    }


def parsed_json(path: str, library: str) -> Result:
    """Parse the JSON of every resource, and nothing else."""
    if library == "msgspec":
        import msgspec

        decode = msgspec.json.Decoder().decode
    else:
        decode = json.loads
    lines = lines_of(path)
    started = time.process_time()
    for line in lines:
        decode(line)
    seconds = time.process_time() - started
    return {"seconds": seconds, "resources": len(lines), "bytes": sum(map(len, lines)) + len(lines)}


def parsed_rdf(path: str, syntax: str, lenient: str = "") -> Result:
    """Parse RDF with Oxigraph, each triple handed to Python and forgotten."""
    from pyoxigraph import RdfFormat, parse

    text = Path(path).read_bytes()
    kind = RdfFormat.TURTLE if syntax == "turtle" else RdfFormat.N_TRIPLES
    if lenient:
        return {"triples": sum(1 for _ in parse(text, kind, base_iri=BASE, lenient=True))}
    started = time.process_time()
    deque(parse(text, kind), maxlen=0)
    seconds = time.process_time() - started
    return {"seconds": seconds, "triples": sum(1 for _ in parse(text, kind))}


def rdflib(path: str, count: str) -> Result:
    """Parse Turtle of ours with rdflib and serialise it, a graph for each resource."""
    from rdflib import Graph

    lines, writer = lines_of(path)[: int(count)], Writer(R4, BASE)
    texts = [(writer.head + writer.write(line).text).decode() for line in lines]
    triples = 0
    started = time.process_time()
    for text in texts:
        graph = Graph().parse(data=text, format="turtle")
        graph.serialize(format="turtle")
        triples += len(graph)
    return {
        "seconds": time.process_time() - started,
        "resources": len(lines),
        "triples": triples,
        "bytes": sum(map(len, lines)) + len(lines),
    }


def fhir_resources(path: str, count: str) -> Result:
    """Parse resources with fhir.resources and write them back: JSON to JSON, validated. R4B is the nearest to R4."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    lines = lines_of(path)[: int(count)]
    classes = {}
    for line in lines:
        kind = json.loads(line)["resourceType"]
        if kind not in classes:
            classes[kind] = get_fhir_model_class(kind)
            with contextlib.suppress(ValidationError):
                classes[kind].model_validate_json(line)  # the class is compiled
    work = [(classes[json.loads(line)["resourceType"]], line) for line in lines]
    good = 0
    started = time.process_time()
    for kind, line in work:
        with contextlib.suppress(ValidationError):
            kind.model_validate_json(line).model_dump_json()
            good += 1
    return {
        "seconds": time.process_time() - started,
        "resources": len(lines),
        "valid": good,
        "bytes": sum(map(len, lines)) + len(lines),
    }


def taken_in(path: str, keep: str) -> Result:
    """Take NDJSON into a cohort of a fresh dataset, then bulk-load the same triples into a fresh Oxigraph store."""
    from pyoxigraph import DefaultGraph, RdfFormat, Store

    from pepr_kg.build import build
    from pepr_kg.fhir.documents import open_documents
    from pepr_kg.fhir.intake import intake
    from pepr_kg.store import Dataset, NamedNode

    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        dataset = Dataset(Path(folder) / "data")
        build(dataset)
        started = time.perf_counter()
        faults: list = []  # type: ignore[type-arg]
        documents = open_documents(Path(path), faults=faults.append)
        report = intake(dataset, documents, cohort="bench", keep=keep, faults=faults)  # type: ignore[arg-type]
        seconds = time.perf_counter() - started
        peak = memory()
        view = dataset.view()
        graphs = [f"https://w3id.org/pepr-santenum/graph/{kind}/bench" for kind in ("cohort", "fhir")]
        triples = sum(view.counts().get(graph, 0) for graph in graphs)
        same = Path(folder) / "same.nt"
        with same.open("wb") as file:
            for graph in graphs:
                for quad in view.quads(graph=NamedNode(graph)):
                    file.write(f"{quad.triple} .\n".encode())
        store = Store(Path(folder) / "peer")
        started = time.perf_counter()
        store.bulk_load(path=str(same), format=RdfFormat.N_TRIPLES, to_graph=DefaultGraph())
        store.flush()
        bulk = time.perf_counter() - started
        if len(store) != triples:
            raise SystemExit(f"{len(store)} triples were bulk-loaded of {triples}")
    stages = {f"stage {name}": value for name, value in report.seconds.items()}
    return {
        "seconds": seconds,
        "resources": report.received,
        "refused": report.refused,
        "triples": triples,
        "bulk": bulk,
        "bytes": Path(path).stat().st_size,
        "memory": peak,
        **stages,
    }


TASKS = {
    "written": written,
    "converted": converted,
    "json": parsed_json,
    "rdf": parsed_rdf,
    "rdflib": rdflib,
    "fhir.resources": fhir_resources,
    "intake": taken_in,
}

if __name__ == "__main__":
    result = TASKS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({"memory": memory(), **result}))
