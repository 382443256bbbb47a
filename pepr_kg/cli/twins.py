"""The commands of the twins: model, demo, evaluate, runs."""

import getpass
import sys
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pepr_kg.cli.bar import Bar
from pepr_kg.cli.frame import (
    LANG,
    _,
    by_default,
    check_graphs,
    data_option,
    format_option,
    help_option,
    show_json,
    tell,
)
from pepr_kg.language import LANGUAGES, format_number
from pepr_kg.namespaces import COHORT, GRAPH, MODELS_GRAPH, shrink
from pepr_kg.questions import ask, find_question, render
from pepr_kg.settings import Settings
from pepr_kg.store import Dataset

if TYPE_CHECKING:  # NumPy and Arrow take a third of a second: only who needs them imports them
    from pepr_kg.runs.fitness import Fitness, Input

_PUBLISHED = ("theophylline", "warfarin")
_MOST_PATIENTS = 50_000  # of the synthetic cohort: one document, of which Arrow holds 2 GB (57 000 patients)


def _who() -> str:
    """Return who asks: the name of the account; the program's own where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "pepr-kg"


# ---- Models ----------------------------------------------------------------------------------------------------------


@click.group(help=_("help.model"), subcommand_metavar=_("metavar.command"))
@help_option
def model() -> None:
    """The group of the commands about models."""


@model.command("list", help=_("help.model.list"))
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANG, help=by_default("option.lang", LANG))
@data_option
@format_option("table", "csv", "json", "markdown")
@help_option
def model_list(lang: str, data: Path, kind: str) -> None:
    """List the models of the graph."""
    click.echo(render(ask(Dataset(data).view(), find_question("models"), {}, lang), kind).rstrip("\n"))


@model.command("add", help=_("help.model.add"))
@click.argument("file", type=click.Path(path_type=Path), metavar=_("metavar.sbml"))
@click.option("--name", help=_("option.model.name"))
@click.option("--label-fr", help=_("option.label.fr"))
@click.option("--label-en", help=_("option.label.en"))
@click.option("--project", help=_("option.project"))
@click.option("--publication", help=_("option.publication"))
@click.option("--licence", help=_("option.licence"))
@click.option("--level", "levels", multiple=True, help=_("option.level"))
@click.option("--time-scale", "time_scales", multiple=True, help=_("option.time-scale"))
@data_option
@format_option("text", "json")
@help_option
def model_add(  # noqa: PLR0917  click passes them by name
    file: Path, name: str | None, label_fr: str | None, label_en: str | None, project: str | None,
    publication: str | None, licence: str | None, levels: tuple[str, ...], time_scales: tuple[str, ...], data: Path,
    kind: str,
) -> None:  # fmt: skip
    """Put a model into the graph."""
    from pepr_kg.models import add_model  # noqa: PLC0415  NumPy and Arrow take a third of a second

    labels = {lang: text for lang, text in (("fr", label_fr), ("en", label_en)) if text}
    added = add_model(
        Dataset(data), file, name=name, label=labels or None, project=project, publication=publication,
        licence=licence, levels=levels, time_scales=time_scales, who=_who(), check=check_graphs([MODELS_GRAPH]),
    )  # fmt: skip
    if kind == "json":
        show_json({"model": added.iri, "outcome": added.outcome, "digest": added.digest, "elements": added.elements,
                   "events": added.events, "without_unit": added.without_unit, "file": str(added.path)})  # fmt: skip
        return
    click.echo(added.message(LANG))
    if added.without_unit:
        click.echo(_("model.units", symbols=", ".join(added.without_unit[:20]), count=len(added.without_unit)))


@model.command("export", help=_("help.model.export"))
@click.argument("name", metavar=_("metavar.model"))
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True, help=_("option.omex"))
@click.option("--scenario", help=_("option.scenario.one"))
@click.option("--horizon", help=_("option.horizon"))
@click.option("--points", type=click.IntRange(2), default=201, help=by_default("option.points", 201))
@click.option("--observations", type=click.Path(path_type=Path, dir_okay=False), help=_("option.observations"))
@data_option
@format_option("text", "json")
@help_option
def model_export(  # noqa: PLR0917
    name: str, output: Path, scenario: str | None, horizon: str | None, points: int, observations: Path | None,
    data: Path, kind: str,
) -> None:  # fmt: skip
    """Write a COMBINE archive."""
    from pepr_kg.models import Registered, export_archive, find_model, read_observations  # noqa: PLC0415
    from pepr_kg.runs.scenarios import plan_scenarios  # noqa: PLC0415
    from pepr_kg.twin.units import convert  # noqa: PLC0415

    found = find_model(Dataset(data).view(), name, data)
    plan, last, table = None, None, None
    if scenario and isinstance(found, Registered):
        plan = plan_scenarios((scenario,), found.model, found.scenarios)[0].scenario
    if horizon:
        last, unit = _quantity(horizon, "--horizon")
        if unit and isinstance(found, Registered) and found.model.time_unit:
            last = convert(last, unit, found.model.time_unit, symbol="horizon")
    if observations is not None:
        table = read_observations(observations, name)
    done = export_archive(found, output, scenario=plan, horizon=last, points=points, data=table)
    if kind == "json":
        show_json({"path": str(done.path), "digest": done.digest, "entries": [item.location for item in done.entries]})
    else:
        entries = ", ".join(item.location for item in done.entries)
        click.echo(_("model.exported", path=done.path, entries=entries, digest=done.digest))


@model.command("fit", help=_("help.model.fit"))
@click.argument("dataset", metavar=_("metavar.dataset"))
@click.option("--model", "names", multiple=True, help=_("option.model.fit"))
@data_option
@format_option("text", "json")
@help_option
def model_fit(dataset: str, names: tuple[str, ...], data: Path, kind: str) -> None:
    """Say how fit a dataset is for twins of each model, by its description alone."""
    from pepr_kg.runs.fitness import assess_dataset  # noqa: PLC0415

    with Bar("fit"):
        found = assess_dataset(Dataset(data).view(), dataset, names or None)
    if kind == "json":
        show_json([item.to_dict() for item in found])
    else:
        shared = [rule for rule in found[0].rules if all(rule in item.rules for item in found)] if found else []
        for rule in shared:
            click.echo(rule.sentence[LANG])
        for item in found:
            _show_fitness(item, frozenset(rule.condition for rule in shared))
        click.echo(_("fit.done", count=sum(item.fits for item in found), total=len(found)))
    sys.exit(0 if any(item.fits for item in found) else 1)


def _show_fitness(fitness: "Fitness", said: frozenset[str]) -> None:
    """Show what a dataset has for a model; what the conditions `said` ask for stands above already."""
    verdict = _("fit.complete" if fitness.complete else "fit.incomplete")
    click.echo(f"\n{shrink(fitness.model) or fitness.model}{_('help.colon')} {verdict}")
    click.echo(f"  {_('fit.permission')}{_('help.colon')} {_(f'fit.permission.{fitness.permission}')}")
    for rule in fitness.rules:
        if rule.condition not in said:
            click.echo(f"    {rule.sentence[LANG]}")
    for cover, items in groupby(sorted(fitness.inputs, key=lambda item: item.cover), key=lambda item: item.cover):
        click.echo(f"  {_(f'fit.{cover}')}{_('help.colon')}")
        for item in items:
            click.echo(f"  - {_input_text(item)}")


def _input_text(item: "Input") -> str:
    """Return an input with what is to be known of it: the conversion, what is wrong, that there is a value without."""
    label = item.label.get(LANG, item.symbol)
    if item.detail is not None:
        return f"{label} ({item.detail[LANG].rstrip('.')})"
    if item.cover == "converted":
        return f"{label} ({item.found} → {item.unit})"
    return f"{label} ({_('fit.optional')})" if item.cover == "lacking" and not item.required else label


# ---- Cohorts ---------------------------------------------------------------------------------------------------------


@click.command(help=_("help.demo"))
@click.argument("name", default="demo", type=click.Choice(["demo", *_PUBLISHED]), metavar=_("metavar.cohort"))
@click.option("--patients", type=click.IntRange(1), default=1000, help=by_default("option.patients", 1000))
@click.option("--seed", type=click.IntRange(0), help=_("option.demo.seed"))
@data_option
@format_option("text", "json")
@help_option
def demo(name: str, patients: int, seed: int | None, data: Path, kind: str) -> None:
    """Put the demonstration cohort, or a published one, into the dataset."""
    from pepr_kg.cohorts import DEMO_SEED, load_demo, load_published  # noqa: PLC0415

    def say(step: str, much: object) -> None:
        tell(_(f"demo.{step}", much=much))

    if patients > _MOST_PATIENTS:
        raise click.UsageError(_("demo.most", most=format_number(_MOST_PATIENTS, LANG)))
    dataset = Dataset(data)
    dataset.view()  # a dataset that is not there is said before anything is drawn
    if name == "demo":
        loaded = load_demo(dataset, patients, DEMO_SEED if seed is None else seed, _who(), say)
    else:
        loaded = load_published(dataset, name, _who(), say)
    done = {
        "graph": loaded.graph.value, "patients": loaded.patients, "observations": loaded.observations,
        "administrations": loaded.administrations, "triples": loaded.triples, "changed": loaded.changed,
    }  # fmt: skip
    if kind == "json":
        show_json(done)
        return
    shown = {**done, "graph": loaded.graph.value.removeprefix(GRAPH)}
    click.echo(_("demo.done" if loaded.changed else "demo.same", **shown))
    if name == "demo":
        click.echo(_("demo.synthetic"))


def show_first_twins(dataset: Dataset, patients: int) -> None:
    """Put small cohorts into a dataset that has none, and evaluate them, so that there are twins to look at."""
    from pepr_kg.cohorts import DEMO_AS_OF, load_demo, load_published  # noqa: PLC0415
    from pepr_kg.runs.evaluation import Request  # noqa: PLC0415
    from pepr_kg.runs.evaluation import evaluate as carry_out  # noqa: PLC0415

    if any(graph.value.startswith(COHORT) for graph in dataset.view().graphs):
        return
    tell(_("demo.first", count=patients))
    load_demo(dataset, patients, who=_who())
    for name in _PUBLISHED:
        load_published(dataset, name, _who())
    day = datetime.fromisoformat(f"{str(DEMO_AS_OF)[:10]}T23:59:59+00:00")
    for request in (
        Request("score2", cohort="demo", as_of=day, scenarios=("base", "smoker=0"), who=_who()),
        Request("disease-course", cohort="demo", as_of=day, samples=100, who=_who()),
        Request("theophylline", cohort="theophylline", as_of=day, samples=100, who=_who()),
        Request("warfarin-pkpd", cohort="warfarin", as_of=day, scenarios=("base", "dose*0.5"), samples=100,
                who=_who()),
    ):  # fmt: skip
        carry_out(dataset, request)


# ---- Evaluations -----------------------------------------------------------------------------------------------------


@click.command(help=_("help.evaluate"))
@click.option("--model", "name", help=_("option.model"))
@click.option("--cohort", help=_("option.cohort"))
@click.option("--entity", "entities", multiple=True, help=_("option.entity"))
@click.option("--scenario", "scenarios", multiple=True, help=_("option.scenario"))
@click.option("--horizon", help=_("option.horizon"))
@click.option("--points", type=click.IntRange(1), default=25, help=by_default("option.points", 25))
@click.option("--at", "moments", type=float, multiple=True, help=_("option.at"))
@click.option("--samples", type=click.IntRange(1), default=1, help=by_default("option.samples", 1))
@click.option("--seed", type=click.IntRange(0), default=0, help=by_default("option.seed", 0))
@click.option("--as-of", "as_of", help=_("option.as-of"))
@click.option("--fit/--no-fit", default=None, help=_("option.fit"))
@click.option("--output", "outputs", multiple=True, help=_("option.outputs"))
@click.option("--rtol", type=float, default=1e-6, help=by_default("option.rtol", "1e-6"))
@click.option("--level", type=float, default=0.9, help=by_default("option.interval", 0.9))
@click.option("--workers", type=click.IntRange(1), default=1, help=by_default("option.workers", 1))
@click.option("--scheduler", help=_("option.scheduler"))
@click.option("--replay", "run", help=_("option.replay"))
@data_option
@format_option("text", "json")
@help_option
def evaluate(  # noqa: PLR0917
    name: str | None, cohort: str | None, entities: tuple[str, ...], scenarios: tuple[str, ...], horizon: str | None,
    points: int, moments: tuple[float, ...], samples: int, seed: int, as_of: str | None, fit: bool | None,
    outputs: tuple[str, ...], rtol: float, level: float, workers: int, scheduler: str | None, run: str | None,
    data: Path, kind: str,
) -> None:  # fmt: skip
    """Evaluate a model for a cohort, or do a run again."""
    from pepr_kg.runs.evaluation import Request  # noqa: PLC0415
    from pepr_kg.runs.evaluation import evaluate as carry_out  # noqa: PLC0415
    from pepr_kg.runs.reading import outcomes  # noqa: PLC0415
    from pepr_kg.runs.request import end_of_today  # noqa: PLC0415

    place = {"executor": "pool" if workers > 1 else "serial", "workers": workers, "scheduler": scheduler}
    if scheduler:
        place["executor"] = "dask"
    if run:
        _replay(run, place, data, kind)
        return
    if name is None:
        raise click.UsageError(_("click.missing", name="--model"))
    if cohort is None and not entities:
        raise click.UsageError(_("evaluate.nobody"))
    last, unit = _quantity(horizon, "--horizon") if horizon else (None, None)
    request = Request(
        name, cohort=cohort, entities=entities, scenarios=scenarios, horizon=last, horizon_unit=unit, points=points,
        at=moments, samples=samples, seed=seed, as_of=_moment(as_of) if as_of else end_of_today(), fit=fit,
        outputs=outputs or None, rtol=rtol, level=level, who=_who(),
    )  # fmt: skip
    dataset, settings = Dataset(data), Settings.from_environment()
    with Bar() as bar:
        found = carry_out(dataset, request, tell=bar.show, settings=settings, **place)  # type: ignore[arg-type]  # kinds
    if kind == "json":
        show_json({
            "run": found.iri, "key": found.key, "reused": found.reused, "status": found.status, "model": found.model,
            "patients": found.patients, "evaluated": found.evaluated, "outcomes": dict(found.outcomes),
            "predictions": found.predictions, "triples": found.triples, "folder": str(found.folder),
            "seconds": {stage: round(value, 3) for stage, value in found.seconds.items()},
        })  # fmt: skip
    else:
        click.echo(_("evaluate.reused" if found.reused else "evaluate.done", run=shrink(found.iri) or found.iri,
                     evaluated=found.evaluated, patients=found.patients, predictions=found.predictions))  # fmt: skip
        for aside in outcomes(dataset.view(), found.id)[:_ASIDE]:
            click.echo(f"  {shrink(aside.entity) or aside.entity}: {aside.reasons.get(LANG, aside.outcome)}")
        if found.patients - found.evaluated > _ASIDE:
            click.echo(_("evaluate.more", count=found.patients - found.evaluated - _ASIDE))
        click.echo(_("evaluate.files", folder=found.folder))
        click.echo(_("notice"))
    sys.exit(0 if found.status == "finished" else 1)


_ASIDE = 10  # patients that were set aside and are named


def _replay(run: str, place: dict[str, Any], data: Path, kind: str) -> None:
    from pepr_kg.runs.replay import replay  # noqa: PLC0415

    with Bar() as bar:
        done = replay(Dataset(data), run, tell=bar.show, settings=Settings.from_environment(), **place)
    texts = [getattr(item, LANG) for item in done.differences]
    if kind == "json":
        show_json({"run": run, "same": done.same, "compared": done.compared, "differences": texts})
    else:
        click.echo(_("replay.same" if done.same else "replay.differs", run=run, compared=done.compared))
        for text in texts:
            click.echo(f"  {text}")
    sys.exit(0 if done.same else 1)


@click.group(help=_("help.runs"), subcommand_metavar=_("metavar.command"))
@help_option
def runs() -> None:
    """The group of the commands about runs."""


@runs.command("list", help=_("help.runs.list"))
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANG, help=by_default("option.lang", LANG))
@data_option
@format_option("table", "csv", "json", "markdown")
@help_option
def runs_list(lang: str, data: Path, kind: str) -> None:
    """List the runs, the latest first."""
    click.echo(render(ask(Dataset(data).view(), find_question("runs"), {}, lang), kind).rstrip("\n"))


@runs.command("stale", help=_("help.runs.stale"))
@data_option
@format_option("text", "json")
@help_option
def runs_stale(data: Path, kind: str) -> None:
    """List the runs whose ground was corrected."""
    from pepr_kg.runs.stale import stale_runs  # noqa: PLC0415

    with Bar("stale"):
        found = stale_runs(Dataset(data).view(), data, settings=Settings.from_environment())
    if kind == "json":
        show_json([{"run": item.iri, "model": item.model, "reason": item.reason(LANG), "causes": dict(item.causes)}
                   for item in found])  # fmt: skip
    else:
        for item in found:
            click.echo(f"{item.run}  {shrink(item.model) or item.model}  {item.reason(LANG)}")
        click.echo(_("runs.stale", count=len(found)))
    sys.exit(1 if found else 0)


@runs.command("withdraw", help=_("help.runs.withdraw"))
@click.argument("names", nargs=-1, metavar=_("metavar.runs"))
@click.option("--stale", is_flag=True, help=_("option.stale"))
@click.option("--reason-fr", help=_("option.reason.fr"))
@click.option("--reason-en", help=_("option.reason.en"))
@data_option
@format_option("text", "json")
@help_option
def runs_withdraw(  # noqa: PLR0917
    names: tuple[str, ...], stale: bool, reason_fr: str | None, reason_en: str | None, data: Path, kind: str
) -> None:
    """Withdraw runs; nothing is erased."""
    from pepr_kg.runs.stale import stale_runs, withdraw  # noqa: PLC0415

    if bool(reason_fr) != bool(reason_en):
        raise click.UsageError(_("runs.both.reasons"))
    if not names and not stale:
        raise click.UsageError(_("click.missing", name=_("metavar.runs")))
    dataset, settings = Dataset(data), Settings.from_environment()
    reason = {"fr": reason_fr, "en": reason_en} if reason_fr and reason_en else None
    with Bar("stale"):
        if stale:
            names = (*names, *(item.run for item in stale_runs(dataset.view(), data, settings=settings)))
        done = withdraw(dataset, names, _who(), reason, settings) if names else None
    withdrawn = done.runs if done else ()
    if kind == "json":
        show_json({"withdrawn": list(withdrawn)})
    else:
        click.echo(_("runs.withdrawn", count=len(withdrawn), names=", ".join(withdrawn) or "-"))


# ---- Reading what was typed, showing what takes its time -------------------------------------------------------------


def _quantity(text: str, option: str) -> tuple[float, str | None]:
    """Return number and unit of "48 h"; no unit means the model's."""
    number, _space, unit = text.strip().partition(" ")
    try:
        return float(number), unit.strip() or None
    except ValueError as error:
        raise click.UsageError(_("evaluate.bad.quantity", name=option, value=text)) from error


def _moment(text: str) -> datetime:
    from pepr_kg.runs.request import read_moment  # noqa: PLC0415

    try:
        return read_moment(text)
    except ValueError as error:
        raise click.UsageError(_("evaluate.bad.date", value=text)) from error
