"""Figures that a clinic reads off a trajectory: of a heart beat its volumes and pressures, of a membrane its spikes.

Arrays have their times last, as `Result.values` returns them: (…, times).

>>> time, aortic = np.array([0.0, 0.5, 1.0]), np.array([80.0, 120.0, 80.0])
>>> beat = summarise_beat(time, np.array([120.0, 50.0, 120.0]), aortic, np.full(3, 8.0))
>>> float(beat.SV), float(beat.CO), float(beat.MAP)
(70.0, 4.2, 100.0)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Beat:
    """One heart beat, each figure of shape (…): end-diastolic, end-systolic and stroke volume, and so on.

    EDV, ESV, SV in mL, EF in %, CO in L/min; systolic, diastolic and mean pressure at the aortic root SBP, DBP, MAP
    and mean venous pressure PV_mean in mm[Hg].
    """

    EDV: Array
    ESV: Array
    SV: Array
    EF: Array
    CO: Array
    SBP: Array
    DBP: Array
    MAP: Array
    PV_mean: Array


def summarise_beat(time_s: Array, volume_ml: Array, aortic_mmhg: Array, venous_mmhg: Array) -> Beat:
    """Return the figures of the beat that the samples span, from its first to its last instant.

    `time_s` is (times,) or (…, times), in s, first and last one period apart; the others are (…, times). Means are
    by the trapezoidal rule; extremes are those of the samples: 500 or more a beat give 1e-3. CO is SV over the
    period.
    """
    period = time_s[..., -1] - time_s[..., 0]
    largest, smallest = volume_ml.max(axis=-1), volume_ml.min(axis=-1)
    stroke = largest - smallest
    return Beat(
        EDV=largest, ESV=smallest, SV=stroke, EF=100.0 * stroke / largest, CO=stroke / period * (60.0 / 1000.0),
        SBP=aortic_mmhg.max(axis=-1), DBP=aortic_mmhg.min(axis=-1),
        MAP=np.trapezoid(aortic_mmhg, time_s, axis=-1) / period,
        PV_mean=np.trapezoid(venous_mmhg, time_s, axis=-1) / period,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """The spikes of trajectories, each of shape (…): how many, the first, how far apart the last two.

    Times are in the unit of the times, heights in that of the trajectory; NaN where there is no spike, or only one.
    """

    count: npt.NDArray[np.intp]
    first_peak_time: Array
    first_peak: Array
    last_interspike_interval: Array


def find_spikes(time: Array, potential: Array, threshold: float = 0.0) -> Spikes:
    """Return the local maxima of `potential` (…, times) above `threshold`.

    `time` (times,) is evenly spaced. A maximum is that of the parabola through the highest sample and its neighbours;
    with spikes of 1 ms and a spacing of 0.01 ms it is right to 1e-3 ms and 1e-3 mV.

    >>> time = np.linspace(0.0, 3.0, 301)
    >>> found = find_spikes(time, np.sin(2.0 * np.pi * time))
    >>> int(found.count), round(float(found.first_peak_time), 6), round(float(found.last_interspike_interval), 6)
    (3, 0.25, 1.0)
    """
    before, middle, after = potential[..., :-2], potential[..., 1:-1], potential[..., 2:]
    peak = (middle > before) & (middle >= after) & (middle > threshold)
    count = peak.sum(axis=-1)
    first = np.argmax(peak, axis=-1)
    last = peak.shape[-1] - 1 - np.argmax(peak[..., ::-1], axis=-1)
    earlier = peak & (np.arange(peak.shape[-1]) < last[..., None])
    second_last = peak.shape[-1] - 1 - np.argmax(earlier[..., ::-1], axis=-1)
    first_time, height = _vertex(time, potential, first)
    interval = _vertex(time, potential, last)[0] - _vertex(time, potential, second_last)[0]
    return Spikes(
        np.asarray(count),
        np.where(count > 0, first_time, np.nan),
        np.where(count > 0, height, np.nan),
        np.where(count > 1, interval, np.nan),
    )


def _vertex(time: Array, potential: Array, at: npt.NDArray[np.intp]) -> tuple[Array, Array]:
    """Return time and height of the top of the parabola about the sample `at` + 1."""
    low, top, high = (np.take_along_axis(potential, (at + shift)[..., None], axis=-1)[..., 0] for shift in (0, 1, 2))
    slope, bend = (high - low) / 2.0, high - 2.0 * top + low
    with np.errstate(divide="ignore", invalid="ignore"):  # flat where there is no peak: left out by the caller
        shift = np.where(bend < 0.0, -slope / bend, 0.0)
    return time[at + 1] + shift * (time[1] - time[0]), top + slope * shift / 2.0
