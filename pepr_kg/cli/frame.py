"""What every command shares: the reader's language, help in it, options, how answers and patience are shown."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click

from pepr_kg.errors import ValidationRefused
from pepr_kg.language import catalogue, choose
from pepr_kg.namespaces import GRAPH
from pepr_kg.settings import Settings
from pepr_kg.store import NamedNode, View
from pepr_kg.validation import validate_graphs

_TEXTS = catalogue(Path(__file__).parents[1] / "locales")
_Command = TypeVar("_Command", bound=Callable[..., None])
PATIENCE_SECONDS = 2.0  # what takes longer says what it is doing


def _reader() -> str:
    """Return the language of the person at the terminal, from the usual variables."""
    names = ("PEPR_KG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return choose(next((os.environ[name] for name in names if os.environ.get(name)), None))


LANG = _reader()


def _(key: str, **values: object) -> str:
    """Return a text of the program in the reader's language."""
    return _TEXTS.phrase(key, LANG, **values)


class _Formatter(click.HelpFormatter):
    """Help with its headings in the reader's language; click itself speaks English."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix or _("help.usage"))

    def write_heading(self, heading: str) -> None:
        text = {"Options": _("help.options"), "Commands": _("help.commands")}.get(heading, heading)
        self.write(f"{'':>{self.current_indent}}{text}{_('help.colon')}\n")


class _Context(click.Context):
    formatter_class = _Formatter


def name_options(command: click.Command) -> None:
    """Put the word for options, in every usage line, into the reader's language."""
    command.options_metavar = _("metavar.options")


click.Command.context_class = _Context
click.Group.context_class = _Context


def by_default(key: str, value: object) -> str:
    """Return an option's help with its default; click would say it in English."""
    return f"{_(key)} {_('option.default', value=value)}"


def data_option(function: _Command) -> _Command:
    """Give a command the option `--data`."""
    return click.option(
        "--data", "data", type=click.Path(path_type=Path), default=Settings().data_dir,
        envvar="PEPR_KG_DATA_DIR", help=by_default("option.data", Settings().data_dir),
    )(function)  # fmt: skip


def format_option(*names: str) -> Callable[[_Command], _Command]:
    """Give a command the option `--format`, the first name being the default."""
    return click.option(
        "--format", "kind", type=click.Choice(names), default=names[0], help=by_default("option.format", names[0])
    )


def help_option(function: _Command) -> _Command:
    """Give a command `--help` in the reader's language."""
    return click.help_option("--help", "-h", help=_("option.help"))(function)


def show_json(value: object) -> None:
    """Write a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))



def graph_of(name: str) -> NamedNode:
    """Return the graph of a name such as cohort/example, or of an IRI. Raises click's `UsageError`."""
    try:
        return NamedNode(name if "://" in name or name.startswith("urn:") else GRAPH + name)
    except ValueError as error:
        raise click.UsageError(_("graph.bad", name=name)) from error


def tell(text: str) -> None:
    """Say what takes its time, to a person only: what a program reads stays whole."""
    if sys.stderr.isatty():
        click.echo(text, err=True)


def check_graphs(graphs: Iterable[str]) -> Callable[[View], None]:
    """Return what a commit calls: it refuses a change after which these graphs violate a shape."""

    def check(view: View) -> None:
        tell(_("progress.validate"))
        report = validate_graphs(view, [NamedNode(graph) for graph in graphs])
        if not report.conforms:
            raise ValidationRefused(violations=len(report.violations), report=report)

    return check
