"""How the scalar results of a model are read off its trajectory, as the cases of `twin_cases` expect them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pepr_kg.twin import Model, evaluate
from pepr_kg.twin.summary import find_spikes, summarise_beat

Array = npt.NDArray[np.float64]
BEATS, PER_BEAT = 80, 1000  # the expected values of the ventricle are those of its 80th beat
SPACING_MS = 0.01  # of the samples in which spikes are looked for


@dataclass(frozen=True, slots=True)
class Figures:
    """The `outputs` to look at, the figures and their `units`, the `times` to look at, and how they are read.

    `times` takes the model, its inputs, and the inputs that say how it is run.
    """

    outputs: tuple[str, ...]
    units: Mapping[str, str]
    times: Callable[[Model, Mapping[str, object], Mapping[str, object]], Array]
    read: Callable[[Array, Mapping[str, Array]], Mapping[str, float]]


def last_beat(model: Model, inputs: Mapping[str, object], _: Mapping[str, object]) -> Array:
    """Return the times of the last beat."""
    period = float(evaluate(model, dict(inputs), outputs=["T"]).values("T").item())  # type: ignore[arg-type]
    return np.asarray(period * (BEATS - 1 + np.linspace(0.0, 1.0, PER_BEAT + 1)))


def duration(_: Model, __: Mapping[str, object], others: Mapping[str, object]) -> Array:
    """Return even times over the duration asked for."""
    end = float(str(others.get("duration_ms", 100.0)))
    return np.linspace(0.0, end, round(end / SPACING_MS) + 1)


def beat_figures(times: Array, values: Mapping[str, Array]) -> Mapping[str, float]:
    """Return volumes and pressures of a beat."""
    beat = summarise_beat(times, values["Vlv"], values["Pao"], values["Pv"])
    return {name: float(getattr(beat, name)) for name in BEAT_UNITS}


def spike_figures(times: Array, values: Mapping[str, Array]) -> Mapping[str, float]:
    """Return number, first peak and last interval of the spikes."""
    spikes = find_spikes(times, values["V"])
    found = {name: float(getattr(spikes, name)) for name in SPIKE_UNITS if name != "spikes"}
    return {"spikes": float(spikes.count), **found}


BEAT_UNITS = {
    "EDV": "mL", "ESV": "mL", "SV": "mL", "EF": "%", "CO": "L/min",
    "SBP": "mm[Hg]", "DBP": "mm[Hg]", "MAP": "mm[Hg]", "PV_mean": "mm[Hg]",
}  # fmt: skip
SPIKE_UNITS = {"spikes": "{count}", "first_peak_time": "ms", "first_peak": "mV", "last_interspike_interval": "ms"}
FIGURES = {
    "lv-windkessel": Figures(("Vlv", "Pao", "Pv"), BEAT_UNITS, last_beat, beat_figures),
    "hodgkin-huxley": Figures(("V",), SPIKE_UNITS, duration, spike_figures),
}
