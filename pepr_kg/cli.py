"""The command `pepr-kg`: a few verbs over the dataset.

Exit code 0 is success, 1 means findings (something to mend in the data), 2 means misuse.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from pepr_kg import __version__
from pepr_kg.build import build, is_current, sources
from pepr_kg.checks import check_ontology
from pepr_kg.errors import GraphReserved, PeprError, PortInUse, ValidationRefused
from pepr_kg.language import LANGUAGES, catalogue, choose
from pepr_kg.namespaces import GRAPH
from pepr_kg.questions import ask, find_question, load_questions, render
from pepr_kg.rdf import SUFFIXES
from pepr_kg.resources import ontology_dir, queries_dir, read_query, shapes_dir
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset, NamedNode, View, parse_file
from pepr_kg.validation import validate

_TEXTS = catalogue(Path(__file__).parent / "locales")
_Command = TypeVar("_Command", bound=Callable[..., None])
_PATIENCE_SECONDS = 2.0  # what takes longer says what it is doing


def _reader() -> str:
    """Return the language of the person at the terminal, from the usual variables."""
    names = ("PEPR_KG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return choose(next((os.environ[name] for name in names if os.environ.get(name)), None))


_LANG = _reader()


def _(key: str, **values: object) -> str:
    return _TEXTS.phrase(key, _LANG, **values)


class _Formatter(click.HelpFormatter):
    """Help with its headings in the reader's language; click itself speaks English."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix or _("help.usage"))

    def write_heading(self, heading: str) -> None:
        text = {"Options": _("help.options"), "Commands": _("help.commands")}.get(heading, heading)
        self.write(f"{'':>{self.current_indent}}{text}{_('help.colon')}\n")


class _Context(click.Context):
    formatter_class = _Formatter


def _name_options(command: click.Command) -> None:
    """Put the word for options, in every usage line, into the reader's language."""
    command.options_metavar = _("metavar.options")


click.Command.context_class = _Context
click.Group.context_class = _Context


def _by_default(key: str, value: object) -> str:
    """Return an option's help with its default; click would say it in English."""
    return f"{_(key)} {_('option.default', value=value)}"


def _data_option(function: _Command) -> _Command:
    return click.option(
        "--data", "data", type=click.Path(path_type=Path), default=Settings().data_dir,
        envvar="PEPR_KG_DATA_DIR", help=_by_default("option.data", Settings().data_dir),
    )(function)  # fmt: skip


def _format_option(*names: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--format", "kind", type=click.Choice(names), default=names[0], help=_by_default("option.format", names[0])
    )


def _help_option(function: _Command) -> _Command:
    return click.help_option("--help", "-h", help=_("option.help"))(function)


@click.group(help=_("help.main"), epilog=_("help.epilog"), subcommand_metavar=_("metavar.command"))
@click.version_option(__version__, prog_name="pepr-kg", help=_("option.version"))
@_help_option
def cli() -> None:
    """The group of all commands; its help is in the catalogue."""


@cli.command(help=_("help.check"))
@click.option("--reason", is_flag=True, help=_("option.reason"))
@_format_option("text", "json")
@_help_option
def check(reason: bool, kind: str) -> None:
    """Check the ontology's files."""
    found = check_ontology(ontology_dir(), shapes_dir(), queries_dir())
    findings = [{"file": _nearby(item.path), "message": item.message(_LANG)} for item in found]
    if reason:
        from pepr_kg.reasoning import reason_over  # noqa: PLC0415  starts Java, an optional extra

        findings += [{"file": "ontology", "message": text} for text in reason_over(ontology_dir()).messages(_LANG)]
    if kind == "json":
        _show_json({"findings": findings})
    else:
        for finding in findings:
            click.echo(f"{finding['file']}: {finding['message']}")
        click.echo(_("check.done", count=len(findings)))
    sys.exit(1 if findings else 0)


@cli.command("build", help=_("help.build"))
@_data_option
@_format_option("text", "json")
@_help_option
def build_command(data: Path, kind: str) -> None:
    """Build the dataset from the shipped files."""
    lines = _build(Dataset(data))
    if kind == "json":
        _show_json(lines)
    else:
        _show_build(lines)


@cli.command(help=_("help.load"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar=_("metavar.files"))
@click.option("--graph", help=_("option.graph"))
@_data_option
@_format_option("text", "json")
@_help_option
def load(files: tuple[Path, ...], graph: str | None, data: Path, kind: str) -> None:
    """Load RDF files as one change: all or nothing."""
    if graph is None:
        raise click.UsageError(_("click.missing", name="--graph"))
    name = _graph(graph)
    quads = [quad for path in files for quad in parse_file(path, name)]
    graphs = sorted({quad.graph_name.value for quad in quads if isinstance(quad.graph_name, NamedNode)})
    for reserved in {name.value, *graphs} & set(sources()):
        raise GraphReserved(graph=reserved)
    with Dataset(data).change(who=os.environ.get("USER", "pepr-kg"), source=", ".join(map(str, files))) as change:
        count = change.add(quads)
        view = change.commit(_refuse)
    done = {"graphs": graphs, "new_triples": count, "version": view.version}
    if kind == "json":
        _show_json(done)
    else:
        click.echo(_("load.done", **{**done, "graphs": ", ".join(graphs) or name.value}))


@cli.command("validate", help=_("help.validate"))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar=_("metavar.files.optional"))
@_data_option
@_format_option("text", "json", "turtle")
@_help_option
def validate_command(files: tuple[Path, ...], data: Path, kind: str) -> None:
    """Validate the dataset, or what it would be with the files added."""
    view = Dataset(data).view()
    started = time.perf_counter()
    _tell(_("progress.validate"))
    if files:
        candidate = NamedNode(GRAPH + "candidate")
        view = view.plus(quad for path in files for quad in parse_file(path, candidate))
    report = validate(view)
    if kind == "json":
        _show_json(report.to_dict())
    elif kind == "turtle":
        click.echo(report.to_turtle())
    else:
        click.echo(report.to_text(_LANG))
        click.echo(_("validate.done", seconds=time.perf_counter() - started))
    sys.exit(0 if report.conforms else 1)


@cli.command(help=_("help.query"), context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
             add_help_option=False)  # fmt: skip
@click.argument("name", required=False, metavar=_("metavar.question"))
@click.option("--lang", type=click.Choice(LANGUAGES), default=_LANG, help=_by_default("option.lang", _LANG))
@click.option("--help", "-h", "asks_help", is_flag=True, help=_("option.help"))
@_data_option
@_format_option("table", "csv", "json", "markdown")
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


@cli.command(help=_("help.export"))
@click.option("--graph", help=_("option.export.graph"))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help=_("option.output"))
@_data_option
@_format_option("trig", "nq", "ttl", "nt", "jsonld", "rdf", "json")
@_help_option
def export(graph: str | None, output: Path | None, data: Path, kind: str) -> None:
    """Write a graph, or the whole dataset, to a file."""
    rdf = SUFFIXES["jsonld" if kind == "json" else kind]
    if graph is None and not rdf.supports_datasets:
        raise click.UsageError(_("export.needs.graph", kind=kind))
    view = Dataset(data).view()
    name = _graph(graph) if graph else None
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


@cli.command(help=_("help.serve"))
@click.option("--host", default=Settings().host, envvar="PEPR_KG_HOST",
              help=_by_default("option.host", Settings().host))  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=Settings().port, envvar="PEPR_KG_PORT",
              help=_by_default("option.port", Settings().port))  # fmt: skip
@_data_option
@_format_option("text", "json")
@_help_option
def serve(host: str, port: int, data: Path, kind: str) -> None:
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
    done["address"] = address
    if kind == "json":
        _show_json(done)
    else:
        _show_build(done)
        click.echo(_("serve.addresses", address=address))
    sys.stdout.flush()
    from pepr_kg.web.server import run  # noqa: PLC0415  FastAPI takes half a second that other commands do not need

    with suppress(KeyboardInterrupt):  # Ctrl+C is how a person stops it
        run(settings, dataset, listener)


for _command in (cli, *cli.commands.values()):
    _name_options(_command)


def main() -> NoReturn:
    """Run the command line; a failure is one sentence in the reader's language and exit code 2."""
    code = 2
    try:
        # Not cli.main(): it turns errors into English text and a closed pipe into exit code 1.
        with cli.make_context("pepr-kg", sys.argv[1:]) as context:
            cli.invoke(context)
        code = 0
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except ValidationRefused as error:
        click.echo(error.details["report"].to_text(_LANG), err=True)  # type: ignore[attr-defined]
        click.echo(error.message(_LANG), err=True)
        code = 1
    except PeprError as error:
        click.echo(f"pepr-kg: {error.message(_LANG)}", err=True)
    except click.ClickException as error:
        click.echo(f"pepr-kg: {_misuse(error)}", err=True)
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except BrokenPipeError:
        # The reader went away (`| head`): nothing is wrong. Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        click.echo(f"pepr-kg: {_('system.error', detail=error)}", err=True)
    sys.exit(code)


def _misuse(error: click.ClickException) -> str:
    """Return what is wrong with the command line, in the reader's language."""
    context = getattr(error, "ctx", None)
    hint = _("click.hint", command=context.command_path if context else "pepr-kg")
    match error:
        case click.NoSuchOption():
            text = _("click.no.such.option", name=error.option_name)
        case click.MissingParameter():
            text = _("click.missing", name=error.param.human_readable_name if error.param else "")
        case click.BadParameter() if error.param is not None:
            choices = getattr(error.param.type, "choices", ())
            known = _("click.choices", choices=", ".join(map(str, choices))) if choices else ""
            text = _("click.bad.value", name=error.param.opts[0]) + known
        case _ if error.message.startswith("No such command"):
            text = _("click.no.such.command", name=error.message.partition("'")[2].partition("'")[0])
        case _:
            text = error.message
    return f"{text} {hint}"


def _build(dataset: Dataset) -> dict[str, Any]:
    started = time.perf_counter()
    said: set[str] = set()

    def tell(step: str, value: object) -> None:
        late = time.perf_counter() - started > _PATIENCE_SECONDS
        if step not in said and (late or step == "validate"):
            said.add(step)
            _tell(_(f"progress.{step}", value=value))

    built = build(dataset, tell)
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


def _show_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


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


def _graph(name: str) -> NamedNode:
    try:
        return NamedNode(name if "://" in name or name.startswith("urn:") else GRAPH + name)
    except ValueError as error:
        raise click.UsageError(_("graph.bad", name=name)) from error


def _tell(text: str) -> None:
    """Say what takes its time, to a person only: what a program reads stays whole."""
    if sys.stderr.isatty():
        click.echo(text, err=True)


def _refuse(view: View) -> None:
    _tell(_("progress.validate"))
    report = validate(view)
    if not report.conforms:
        raise ValidationRefused(violations=len(report.violations), report=report)


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
