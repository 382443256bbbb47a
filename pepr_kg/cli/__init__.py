"""The command `pepr-kg`: a few verbs over the dataset.

Exit code 0 is success, 1 means findings (something to mend in the data), 2 means misuse.
"""

import os
import sys
from typing import NoReturn

import click

from pepr_kg import __version__
from pepr_kg.cli import dataset, fhir, twins
from pepr_kg.cli.frame import LANG, _, help_option, name_options
from pepr_kg.errors import PeprError, ValidationRefused

__all__ = ["cli", "main"]


@click.group(help=_("help.main"), epilog=_("help.epilog"), subcommand_metavar=_("metavar.command"))
@click.version_option(__version__, prog_name="pepr-kg", help=_("option.version"))
@help_option
def cli() -> None:
    """The group of all commands; its help is in the catalogue."""


for _command in (
    dataset.check, dataset.build_command, dataset.load, dataset.validate_command, dataset.query, dataset.export,
    dataset.serve, fhir.fhir, twins.model, twins.demo, twins.evaluate, twins.runs,
):  # fmt: skip
    cli.add_command(_command)
for _command in (
    cli, *cli.commands.values(), *fhir.fhir.commands.values(), *twins.model.commands.values(),
    *twins.runs.commands.values(),
):  # fmt: skip
    name_options(_command)


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
        click.echo(error.details["report"].to_text(LANG), err=True)  # type: ignore[attr-defined]
        click.echo(error.message(LANG), err=True)
        code = 1
    except PeprError as error:
        click.echo(f"pepr-kg: {error.message(LANG)}", err=True)
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
