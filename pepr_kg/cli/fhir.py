"""The commands about FHIR: rdf, json, export; and what `load --fhir` does."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

import click

from pepr_kg.cli.frame import (
    LANG,
    PATIENCE_SECONDS,
    _,
    by_default,
    data_option,
    format_option,
    help_option,
    show_json,
    tell,
)
from pepr_kg.errors import DataUnreadable
from pepr_kg.language import LANGUAGES
from pepr_kg.rdf import SUFFIXES, RdfFormat
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset

if TYPE_CHECKING:
    from pepr_kg.fhir.conversion import Conversion, Finding
    from pepr_kg.fhir.dialect import Dialect
    from pepr_kg.fhir.documents import Document
    from pepr_kg.fhir.sources import Source

RELEASES: Final = ("R4", "R4B", "R5", "R6")
KEEPS: Final = ("terms", "fhir", "both")
_SYNTAXES: Final = {"turtle": ".ttl", "ntriples": ".nt", "nquads": ".nq"}
_FORMS: Final = ("ndjson", "json", "ttl", "nt")
_SHOWN: Final = 20  # findings in the text for a person
_DASH: Final = Path("-")


@click.group(help=_("help.fhir"), subcommand_metavar=_("metavar.command"))
@help_option
def fhir() -> None:
    """The group of the commands about FHIR."""


# ---- JSON to RDF -----------------------------------------------------------------------------------------------------


@fhir.command("rdf", help=_("help.fhir.rdf"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True),
                metavar=_("metavar.files"))  # fmt: skip
@click.option("--base", help=_("option.fhir.base"))
@click.option("--release", type=click.Choice(RELEASES), default="R4", help=by_default("option.fhir.release", "R4"))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help=_("option.output"))
@click.option("--syntax", type=click.Choice(tuple(_SYNTAXES)), help=_("option.fhir.syntax"))
@click.option("--graph", help=_("option.fhir.graph"))
@click.option("--lines", is_flag=True, help=_("option.fhir.lines"))
@click.option("--concepts", type=click.Choice(("coding", "codeable-concept", "none")), help=_("option.fhir.concepts"))
@click.option("--stems", type=click.Choice(("standard", "all")), help=_("option.fhir.stems"))
@click.option("--links", type=click.Choice(("link", "l")), help=_("option.fhir.links"))
@click.option("--exponents", type=click.Choice(("double", "expand")), help=_("option.fhir.exponents"))
@click.option("--underscore/--no-underscore", default=None, help=_("option.fhir.underscore"))
@click.option("--workers", type=click.IntRange(1), default=1, help=by_default("option.workers", 1))
@click.option("--scheduler", help=_("option.scheduler"))
@format_option("text", "json")
@help_option
def rdf(  # noqa: PLR0917  click passes them by name
    files: tuple[Path, ...], base: str | None, release: Any, output: Path | None, syntax: str | None,
    graph: str | None, lines: bool, concepts: str | None, stems: str | None, links: str | None, exponents: str | None,
    underscore: bool | None, workers: int, scheduler: str | None, kind: str,
) -> None:  # fmt: skip
    """Write FHIR JSON, or FHIR RDF of another style, as FHIR RDF."""
    from pepr_kg.fhir.conversion import Plan, convert, restyle_files  # noqa: PLC0415  half a second of tables
    from pepr_kg.fhir.dialect import DIALECTS  # noqa: PLC0415
    from pepr_kg.fhir.sources import Limits  # noqa: PLC0415

    if base is None:
        raise click.UsageError(_("click.missing", name="--base"))
    syntax = syntax or _syntax_of(output)
    if (graph is not None) != (syntax == "nquads"):
        raise click.UsageError(_("fhir.graph.quads"))
    dialect = _dressed(DIALECTS[release], concepts=concepts, stems=stems, links=links, exponents=exponents,
                       underscore=underscore)  # fmt: skip
    plan = Plan(dialect, base, "turtle" if syntax == "turtle" else "ntriples", graph,
                Limits.of(Settings.from_environment()))  # fmt: skip
    are_rdf = [_is_rdf(path) for path in files]
    if any(are_rdf) and not all(are_rdf):
        raise click.UsageError(_("fhir.mixed"))
    meter, started = _Meter(), time.perf_counter()
    try:
        with _written(output) as file:
            if all(are_rdf):
                done = restyle_files(files, plan, file, said=meter.show)
            else:
                done = convert(_opened(files), plan, file, form="ndjson" if lines else "auto", workers=workers,
                               scheduler=scheduler, said=meter.show)  # fmt: skip
    finally:
        meter.clear()
    seconds = time.perf_counter() - started
    numbers = {"resources": done.resources, "triples": done.triples, "seconds": round(seconds, 2)}
    _report(done, numbers, "fhir.rdf.done", output, kind)
    sys.exit(1 if done.has_errors else 0)


@fhir.command("json", help=_("help.fhir.json"))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True),
                metavar=_("metavar.files"))  # fmt: skip
@click.option("--release", type=click.Choice(RELEASES[:3]), help=_("option.fhir.read"))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help=_("option.output"))
@click.option("--lines", is_flag=True, help=_("option.fhir.lines.out"))
@format_option("text", "json")
@help_option
def read_back(files: tuple[Path, ...], release: str | None, output: Path | None, lines: bool, kind: str) -> None:
    """Read FHIR RDF back to JSON."""
    from pepr_kg.fhir.conversion import read_files  # noqa: PLC0415

    tell(_("fhir.reading"))
    sources = [(_name(path), _bytes(path), _format_of(path)) for path in files]
    started = time.perf_counter()
    with _written(output) as file:
        done = read_files(sources, file, release=release, lines=lines)
    numbers = {"resources": done.resources, "seconds": round(time.perf_counter() - started, 2)}
    _report(done, numbers, "fhir.json.done", output, kind)
    sys.exit(1 if done.has_errors else 0)


@fhir.command("export", help=_("help.fhir.export"))
@click.argument("what", metavar=_("metavar.fhir.what"))
@click.option("--release", type=click.Choice(("R4", "R5")), help=_("option.fhir.offered"))
@click.option("--base", help=_("option.fhir.export.base"))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help=_("option.output"))
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANG, help=by_default("option.lang", LANG))
@data_option
@format_option(*_FORMS)
@help_option
def export(  # noqa: PLR0917
    what: str, release: str | None, base: str | None, output: Path | None, lang: Any, data: Path, kind: Any
) -> None:
    """Write a cohort, a twin, a run or the programme as FHIR."""
    from pepr_kg.fhir.iris import check_base  # noqa: PLC0415
    from pepr_kg.fhir.offer import BASE_OF_EXPORTS  # noqa: PLC0415
    from pepr_kg.fhir.offer import export as offered  # noqa: PLC0415

    base = BASE_OF_EXPORTS if base is None else check_base(base)
    pieces = offered(Dataset(data).view(), what, release, form=kind, lang=lang, base=base)
    meter, taken = _Meter(), 0
    try:
        with _written(output) as file:
            for piece in pieces:
                file.write(piece)
                taken += len(piece)
                meter.show(taken, None)
    finally:
        meter.clear()


# ---- Into the dataset ------------------------------------------------------------------------------------------------


def load_fhir(
    files: Sequence[Path], cohort: str, *, keep: Any, base: str | None, release: str, data: Path, who: str, kind: str
) -> NoReturn:
    """Take FHIR JSON into a cohort, all files as one change; end with the exit code 1 where something was refused."""
    from pepr_kg.fhir.answering import Faults  # noqa: PLC0415
    from pepr_kg.fhir.documents import open_documents  # noqa: PLC0415
    from pepr_kg.fhir.intake import Into, take_in  # noqa: PLC0415
    from pepr_kg.fhir.sources import Limits  # noqa: PLC0415

    limits, faults, meter = Limits.of(Settings.from_environment()), Faults(), _Meter()

    def documents() -> Iterator["Document"]:
        taken = count = 0
        for name, source in _opened(files):
            for document in open_documents(source, limits, name=name, faults=faults.append):
                taken, count = taken + len(document.data), count + 1
                meter.show(taken, count)
                yield document
        meter.clear()
        tell(_("progress.load"))

    into = Into(cohort, release=release, base=base, keep=keep, who=who)
    try:
        report = take_in(Dataset(data), documents(), into, faults)
    finally:
        meter.clear()
    if kind == "json":
        show_json(report.to_dict() | {
            "version": report.view.version if report.view else None, "unread_more": faults.more
        })  # fmt: skip
    else:
        click.echo(report.to_text(LANG))
        if faults.more:
            click.echo(_("fhir.unread.more", count=faults.more))
        if report.committed and report.view is not None:
            click.echo(_("load.done", new_triples=report.triples, graphs=report.graph, version=report.view.version))
    sys.exit(1 if report.refused or any(item.severity == "error" for item in report.problems) else 0)


# ---- Files, and what a person sees -----------------------------------------------------------------------------------


def _opened(files: Iterable[Path]) -> Iterator[tuple[str, "Source"]]:
    """Yield name and source of each file; `-` is the standard input."""
    for path in files:
        yield _name(path), sys.stdin.buffer if path == _DASH else path


def _name(path: Path) -> str:
    return _("fhir.stdin") if path == _DASH else str(path)


def _bytes(path: Path) -> bytes:
    if path == _DASH:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataUnreadable(path=path, detail=error.strerror or error) from error


def _is_rdf(path: Path) -> bool:
    return path.suffix.lower().lstrip(".") in SUFFIXES


def _format_of(path: Path) -> RdfFormat:
    """Return the RDF format of a file; Turtle, which N-Triples are too, where its name says none."""
    return SUFFIXES.get(path.suffix.lower().lstrip("."), RdfFormat.TURTLE)


def _syntax_of(output: Path | None) -> str:
    suffix = "" if output is None else output.suffix.lower()
    return next((name for name, known in _SYNTAXES.items() if known == suffix), "turtle")


def _dressed(
    dialect: "Dialect", *, concepts: Any, stems: Any, links: Any, exponents: Any, underscore: bool | None
) -> "Dialect":
    """Return a dialect with the switches that were turned. The values are those that click lets through."""
    chosen = {"concept_iris": concepts, "concept_stems": stems, "links": links, "exponents": exponents,
              "underscore": underscore}  # fmt: skip
    return replace(dialect, **{name: value for name, value in chosen.items() if value is not None})


@contextmanager
def _written(output: Path | None) -> Iterator[BinaryIO]:
    """Give a file to write, which bears its name only once it is complete; the standard output where there is none."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # A device or a pipe is written as it is: it must not be replaced.
    is_plain = output.is_file() or not output.exists()
    part = output.with_name(f".{output.name}.part") if is_plain else output
    try:
        file = part.open("w+b" if is_plain else "wb")
    except OSError as error:
        raise click.UsageError(_("export.unwritable", path=output, detail=error.strerror)) from error
    try:
        with file:
            yield file
        if is_plain:
            part.replace(output)
    finally:
        if is_plain:
            part.unlink(missing_ok=True)


def _report(done: "Conversion", numbers: dict[str, Any], key: str, output: Path | None, kind: str) -> None:
    """Show what was done; beside the output where that is the standard one."""
    beside = output is None
    if kind == "json":
        shown = {**numbers, "output": None if beside else str(output), "counts": dict(done.counts),
                 "findings": [_as_dict(finding) for finding in done.findings]}  # fmt: skip
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False), err=beside)
        return
    for finding in done.findings[:_SHOWN]:
        click.echo(finding.message(LANG), err=beside)
    more = sum(done.counts.values()) - _SHOWN
    if more > 0:
        click.echo(_("fhir.more", count=more), err=beside)
    click.echo(_(key, **numbers), err=beside)


def _as_dict(finding: "Finding") -> dict[str, Any]:
    return {
        "source": finding.source, "where": finding.where["en"].removeprefix(", "), "severity": finding.severity,
        "code": finding.code, "path": finding.path, "en": finding.text["en"], "fr": finding.text["fr"],
    }  # fmt: skip


class _Meter:
    """A line that says how much was read, to a person, once it takes longer than one waits without a word."""

    def __init__(self) -> None:
        self._started, self._shown = time.monotonic(), 0.0

    def show(self, taken: int, resources: int | None) -> None:
        """Show bytes and resources so far."""
        now = time.monotonic()
        if now - self._shown < 0.2 or now - self._started < PATIENCE_SECONDS or not sys.stderr.isatty():
            return
        self._shown = now
        key = "fhir.meter" if resources is not None else "fhir.meter.bytes"
        rate = taken / 1e6 / (now - self._started)
        line = _(key, much=taken / 1e6, resources=resources, rate=rate)
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._shown = 0.0
            click.echo("\r\x1b[K", nl=False, err=True)
