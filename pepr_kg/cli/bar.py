"""The line that shows a person at a terminal how far a command is."""

import sys
import threading
import time
from typing import TYPE_CHECKING, Self

import click

from pepr_kg.cli.frame import PATIENCE_SECONDS, _

if TYPE_CHECKING:  # NumPy and Arrow take a third of a second: only who needs them imports them
    from pepr_kg.runs.results import Progress

_WIDTH = 30  # characters
_BLOCK = 6  # characters of what moves where nothing can be counted
_BEAT_SECONDS = 0.2


class Bar:
    """A line on standard error, from when a command takes longer than one waits without a word until it is over.

    `stage` is what it begins with, a key of the texts below `stage.`. A thread draws the line, so that it moves also
    in a stage that tells nothing before it ends. Where standard error is no terminal nothing is written.
    """

    def __init__(self, stage: str = "resolve") -> None:
        self._stage = stage
        self._told: Progress | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._draw, name="bar", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def show(self, progress: "Progress") -> None:
        """Take how far an evaluation is; the line shows it at the next beat."""
        self._told = progress

    def _draw(self) -> None:
        begun = time.monotonic()
        if self._over.wait(PATIENCE_SECONDS):
            return
        while not self._over.is_set():
            click.echo(f"\r\x1b[K{self._line(time.monotonic() - begun)}", nl=False, err=True)
            self._over.wait(_BEAT_SECONDS)
        click.echo("\r\x1b[K", nl=False, err=True)

    def _line(self, seconds: float) -> str:
        """Return the line after so many seconds: a share where there is one, else a block that goes to and fro."""
        told = self._told
        line = _(f"stage.{told.stage if told else self._stage}")
        if told is None or not told.total:
            room = _WIDTH - _BLOCK
            place = room - abs(int(seconds / _BEAT_SECONDS) % (2 * room) - room)
            return f"{line} {'░' * place}{'█' * _BLOCK}{'░' * (room - place)}"
        full = "█" * round(told.done / told.total * _WIDTH)
        line += f" {full:░<{_WIDTH}} {told.done}/{told.total}"
        if told.rate:
            line += " " + _("stage.rate", rate=told.rate, left=(told.total - told.done) / told.rate)
        return line
