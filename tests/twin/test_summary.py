"""Figures read off trajectories, against curves whose answer is known."""

import numpy as np
import pytest

from pepr_kg.twin.summary import find_spikes, summarise_beat


def test_a_beat_of_each_lane_has_its_own_period() -> None:
    phase = np.linspace(0.0, 1.0, 1001)
    periods = np.array([[0.8], [1.2]])
    volume = 100.0 + 40.0 * np.cos(2.0 * np.pi * phase) * np.ones_like(periods)
    aortic = 90.0 + 30.0 * np.sin(2.0 * np.pi * phase) * np.ones_like(periods)
    beat = summarise_beat(phase * periods, volume, aortic, np.full_like(volume, 7.0))
    for symbol, expected in {
        "EDV": (140.0, 140.0), "ESV": (60.0, 60.0), "SV": (80.0, 80.0), "EF": (400.0 / 7.0, 400.0 / 7.0),
        "CO": (0.08 * 60.0 / 0.8, 0.08 * 60.0 / 1.2), "SBP": (120.0, 120.0), "DBP": (60.0, 60.0),
        "MAP": (90.0, 90.0), "PV_mean": (7.0, 7.0),
    }.items():  # fmt: skip
        assert getattr(beat, symbol) == pytest.approx(expected), symbol


def test_spikes_of_several_lanes_are_counted_apart() -> None:
    time = np.linspace(0.0, 100.0, 10_001)
    lanes = np.full((3, time.size), -65.0)
    for lane, centres in enumerate([[], [20.003], [10.0013, 40.0, 73.3337]]):
        for at in centres:
            lanes[lane] += (100.0 + at / 10.0) * np.exp(-((time - at) ** 2) / 0.5)
    found = find_spikes(time, lanes)
    assert found.count.tolist() == [0, 1, 3]
    assert np.isnan(found.first_peak_time[0])
    assert found.first_peak_time[1:] == pytest.approx([20.003, 10.0013], abs=1e-5)
    assert found.first_peak[1:] == pytest.approx([-65.0 + 102.0003, -65.0 + 101.00013], abs=1e-4)
    assert np.isnan(found.last_interspike_interval[:2]).all()
    assert found.last_interspike_interval[2] == pytest.approx(33.3337, abs=1e-5)


def test_a_maximum_below_the_threshold_or_at_the_edge_is_no_spike() -> None:
    time = np.linspace(0.0, 1.0, 101)
    assert find_spikes(time, np.sin(4.0 * np.pi * time) - 2.0).count == 0
    assert find_spikes(time, time).count == 0
    assert find_spikes(time, np.sin(4.0 * np.pi * time) - 2.0, threshold=-1.5).count == 2


def test_a_flat_top_is_one_spike() -> None:
    time = np.linspace(0.0, 0.5, 6)
    found = find_spikes(time, np.array([-1.0, 1.0, 1.0, -1.0, -1.0, -1.0]))
    assert found.count == 1
    assert float(found.first_peak_time) == pytest.approx(0.15)
