"""The commands over the dataset: check, build, load, validate, query, export, serve."""

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pepr_kg.build import build, is_current, sources
from pepr_kg.checks import check_ontology
from pepr_kg.cli.fhir import KEEPS, RELEASES, load_fhir
from pepr_kg.cli.frame import (
    LANG,
    PATIENCE_SECONDS,
    _,
    by_default,
    check_graphs,
    data_option,
    format_option,
    graph_of,
    help_option,
    show_json,
    tell,
)
from pepr_kg.cli.twins import show_first_twins
from pepr_kg.errors import GraphReserved, PortInUse
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import GRAPH
from pepr_kg.questions import ask, find_question, load_questions, render
from pepr_kg.rdf import SUFFIXES
from pepr_kg.resources import ontology_dir, queries_dir, read_query, shapes_dir
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, NamedNode, View, parse_file
from pepr_kg.validation import validate


@click.command(help=_("help.check"))
@click.option("--reason", is_flag=True, help=_("option.reason"))
@format_option("text", "json")
@help_option
def check(reason: bool, kind: str) -> None:
    """Check the ontology's files."""
    found = check_ontology(ontology_dir(), shapes_dir(), queries_dir())
    findings = [{"file": _nearby(item.path), "message": item.message(LANG)} for item in found]
    if reason:
        from pepr_kg.reasoning import reason_over  # noqa: PLC0415  starts Java, an optional extra

        findings += [{"file": "ontology", "message": text} for text in reason_over(ontology_dir()).messages(LANG)]
    if kind == "json":
        show_json({"findings": findings})
    else:
        for finding in findings:
            click.echo(f"{finding['file']}: {finding['message']}")
        click.echo(_("check.done", count=len(findings)))
    sys.exit(1 if findings else 0)


@click.command("build", help=_("help.build"))
@data_option
@format_option("text", "json")
@help_option
def build_command(data: Path, kind: str) -> None:
    """Build the dataset from the shipped files."""
    lines = _build(Dataset(data))
    if kind == "json":
        show_json(lines)
    else:
        _show_build(lines)


@click.command(help=_("help.load"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar=_("metavar.files"))
@click.option("--graph", help=_("option.graph"))
@click.option("--fhir", "is_fhir", is_flag=True, help=_("option.fhir"))
@click.option("--cohort", help=_("option.fhir.cohort"))
@click.option("--keep", type=click.Choice(KEEPS), default="both", help=by_default("option.fhir.keep", "both"))
@click.option("--base", help=_("option.fhir.load.base"))
@click.option("--release", type=click.Choice(RELEASES), default="R4", help=by_default("option.fhir.release", "R4"))
@data_option
@format_option("text", "json")
@help_option
def load(  # noqa: PLR0917  click passes them by name
    files: tuple[Path, ...], graph: str | None, is_fhir: bool, cohort: str | None, keep: str, base: str | None,
    release: str, data: Path, kind: str,
) -> None:  # fmt: skip
    """Load files as one change: all or nothing."""
    who = os.environ.get("USER", "pepr-kg")
    if is_fhir:
        if cohort is None or graph is not None:
            raise click.UsageError(_("load.fhir.cohort"))
        load_fhir(files, cohort, keep=keep, base=base, release=release, data=data, who=who, kind=kind)
    if cohort is not None or base is not None:
        raise click.UsageError(_("load.fhir.only", name="--base" if cohort is None else "--cohort"))
    if graph is None:
        raise click.UsageError(_("click.missing", name="--graph"))
    name = graph_of(graph)
    quads = [quad for path in files for quad in parse_file(path, name)]
    graphs = sorted({quad.graph_name.value for quad in quads if isinstance(quad.graph_name, NamedNode)})
    for reserved in {name.value, *graphs} & set(sources()):
        raise GraphReserved(graph=reserved)
    with Dataset(data).change(who=who, source=", ".join(map(str, files))) as change:
        count = change.add(quads)
        view = change.commit(check_graphs(graphs))
    done = {"graphs": graphs, "new_triples": count, "version": view.version}
    if kind == "json":
        show_json(done)
    else:
        click.echo(_("load.done", **{**done, "graphs": ", ".join(graphs) or name.value}))


@click.command("validate", help=_("help.validate"))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar=_("metavar.files.optional"))
@data_option
@format_option("text", "json", "turtle")
@help_option
def validate_command(files: tuple[Path, ...], data: Path, kind: str) -> None:
    """Validate the dataset, or what it would be with the files added."""
    view = Dataset(data).view()
    started = time.perf_counter()
    tell(_("progress.validate"))
    if files:
        candidate = NamedNode(GRAPH + "candidate")
        view = view.plus(quad for path in files for quad in parse_file(path, candidate))
    report = validate(view)
    if kind == "json":
        show_json(report.to_dict())
    elif kind == "turtle":
        click.echo(report.to_turtle())
    else:
        click.echo(report.to_text(LANG))
        click.echo(_("validate.done", seconds=time.perf_counter() - started))
    sys.exit(0 if report.conforms else 1)


@click.command(help=_("help.query"), context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
             add_help_option=False)  # fmt: skip
@click.argument("name", required=False, metavar=_("metavar.question"))
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANG, help=by_default("option.lang", LANG))
@click.option("--help", "-h", "asks_help", is_flag=True, help=_("option.help"))
@data_option
@format_option("table", "csv", "json", "markdown")
@click.pass_context
def query(  # noqa: PLR0917  click passes them by name
    context: click.Context, name: str | None, lang: str, asks_help: bool, data: Path, kind: str
) -> None:
    """Answer a stored query, or list them all."""
    if name is not None and name.startswith("-"):
        raise click.UsageError(_("query.bad.parameter", argument=name))
    if name is None:
        click.echo(context.get_help() if asks_help else _list_questions(lang, kind))
        return
    question = find_question(name)
    if asks_help:
        click.echo(question.to_help(lang))
        return
    table = ask(Dataset(data).view(), question, _parameters(context.args), lang)
    click.echo(render(table, kind).rstrip("\n"))


@click.command(help=_("help.export"))
@click.option("--graph", help=_("option.export.graph"))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help=_("option.output"))
@data_option
@format_option("trig", "nq", "ttl", "nt", "jsonld", "rdf", "json")
@help_option
def export(graph: str | None, output: Path | None, data: Path, kind: str) -> None:
    """Write a graph, or the whole dataset, to a file."""
    rdf = SUFFIXES["jsonld" if kind == "json" else kind]
    if graph is None and not rdf.supports_datasets:
        raise click.UsageError(_("export.needs.graph", kind=kind))
    view = Dataset(data).view()
    name = graph_of(graph) if graph else None
    if name is not None and name not in view.graphs:
        known = ", ".join(item.value.removeprefix(GRAPH) for item in view.graphs)
        raise click.UsageError(_("export.unknown.graph", graph=graph, known=known))
    document = view.dump(rdf, name)
    if output is None:
        sys.stdout.buffer.write(document)
        return
    try:
        output.write_bytes(document)
    except OSError as error:
        raise click.UsageError(_("export.unwritable", path=output, detail=error.strerror)) from error


@click.command(help=_("help.serve"))
@click.option("--host", default=Settings().host, envvar="PEPR_KG_HOST",
              help=by_default("option.host", Settings().host))  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=Settings().port, envvar="PEPR_KG_PORT",
              help=by_default("option.port", Settings().port))  # fmt: skip
@click.option("--twins", type=click.IntRange(0, 1000), default=0, help=by_default("option.twins", 0))
@data_option
@format_option("text", "json")
@help_option
def serve(host: str, port: int, twins: int, data: Path, kind: str) -> None:
    """Serve the dataset; build it first where it is missing or its files have changed."""
    settings = replace(Settings.from_environment(), host=host, port=port, data_dir=data)
    listener = _listen(host, port)  # before the build: a port in use is said at once
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}"
    dataset = Dataset(data)
    if is_current(dataset):
        view = dataset.view()
        done: dict[str, Any] = {"reused": True, **_describe(view)}
    else:
        done = {"reused": False, **_build(dataset)}
    if twins:
        show_first_twins(dataset, twins)
    # FastAPI takes half a second that other commands do not need; the address is said once it can be answered.
    from pepr_kg.web.server import run  # noqa: PLC0415

    done["address"] = address
    if kind == "json":
        show_json(done)
    else:
        _show_build(done)
        click.echo(_("serve.addresses", address=address))
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):  # Ctrl+C is how a person stops it
        run(settings, dataset, listener)


def _build(dataset: Dataset) -> dict[str, Any]:
    started = time.perf_counter()
    said: set[str] = set()

    def say(step: str, value: object) -> None:
        late = time.perf_counter() - started > PATIENCE_SECONDS
        if step not in said and (late or step == "validate"):
            said.add(step)
            tell(_(f"progress.{step}", value=value))

    built = build(dataset, say)
    return {
        **_describe(built.view),
        "seconds": round(built.seconds, 2),
        "shapes": built.report.shapes,
        "constraints": built.report.constraints,
        "quality_queries": built.report.queries,
        "violations": len(built.report.violations),
        "warnings": sum(finding.severity == "warning" for finding in built.report.findings),
        "remarks": sum(finding.severity == "info" for finding in built.report.findings),
    }


def _describe(view: View) -> dict[str, Any]:
    page, everything = view.select(read_query("pages/page-statements")).rows[0]
    return {
        "version": view.version,
        "page_statements": int(page.value) if page else 0,
        "statements": int(everything.value) if everything else 0,
        "graphs": view.counts(),
    }


def _show_build(done: Mapping[str, Any]) -> None:
    click.echo(_("build.statements", **done))
    for graph, count in done["graphs"].items():
        click.echo(_("build.graph", graph=graph.removeprefix(GRAPH), count=count))
    if "shapes" in done:
        click.echo(_("build.shapes", **done))
        click.echo(_("build.done", **done))
    else:
        click.echo(_("build.reused", version=done["version"][:12]))


def _list_questions(lang: str, kind: str) -> str:
    questions = load_questions()
    if kind == "json":
        return json.dumps({name: question.title for name, question in questions.items()}, indent=2, ensure_ascii=False)
    width = max(map(len, questions))
    return "\n".join(f"{name:{width}}  {question.title[lang]}" for name, question in questions.items())


def _nearby(path: Path) -> str:
    """Return a path as it is shorter to read: from here, where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _parameters(arguments: list[str]) -> dict[str, str]:
    """Return `--name value` and `--name=value` as a mapping."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or not (equals or rest):
            raise click.UsageError(_("query.bad.parameter", argument=name))
        found[name[2:]] = value if equals else rest.pop(0)
    return found


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortInUse(host=host, port=port, detail=error.strerror or error) from error
    return listener
