"""Reference cohorts with predictions of their own: theophylline, warfarin and the disease course."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.individualise import Observation, Observations, Prior, Priors, Residual

Indices = npt.NDArray[np.intp]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Course:
    """The disease course: parameters pace = exp(xi), tau, s0, s1; predictions at the slots of `data`."""

    data: Observations
    priors: Priors
    residuals: tuple[Residual, ...]
    log_g: Array
    speed: Array
    shift: Array  # (2, slots, patients)

    @classmethod
    def read(cls, folder: Path) -> "Course":
        population = json.loads((folder / "disease-course-population.json").read_text(encoding="utf-8"))
        features = population["features"]
        data = Observations.from_rows(
            [
                Observation(row["id"], float(row["age_a"]), name, float(row[name]))
                for row in rows(folder / "disease-course-observations.csv")
                for name in features
                if row[name]
            ],
            variables=features,
        )
        g, v0 = np.array(population["g"]), np.array(population["v0"])
        steep = (1.0 + g) ** 2 / g
        priors = Priors.of(
            Prior("pace", 0.0, population["xi_std"][0], "log"),
            Prior("tau", population["tau_mean"][0], population["tau_std"][0]),
            Prior("s0", 0.0, 1.0),
            Prior("s1", 0.0, 1.0),
        )
        residuals = tuple(Residual(name, sd) for name, sd in zip(features, population["noise_std"], strict=True))
        shift = (np.array(population["A"]) * steep)[:, data.variable]
        return cls(data, priors, residuals, np.log(g)[data.variable], (steep * v0)[data.variable], shift)

    def __call__(self, theta: Array, patient: Indices) -> Array:
        delay = self.data.time[:, patient] - theta[1]
        rise = self.speed[:, patient] * theta[0] * delay
        rise += self.shift[0][:, patient] * theta[2] + self.shift[1][:, patient] * theta[3]
        with np.errstate(over="ignore"):
            found: Array = 1.0 / (1.0 + np.exp(self.log_g[:, patient] - rise))
        return found

    def derivatives(self, theta: Array, patient: Indices) -> tuple[Array, Array]:
        found = self(theta, patient)
        bend = found * (1.0 - found)
        fast = bend * self.speed[:, patient]
        delay = self.data.time[:, patient] - theta[1]
        sides = bend * self.shift[0][:, patient], bend * self.shift[1][:, patient]
        return found, np.array([fast * delay, -fast * theta[0], *sides])


@dataclass(frozen=True)
class Theophylline:
    """One compartment with absorption: parameters CL (L/h/kg), ka and ke (1/h); predictions in mg/L."""

    data: Observations
    dose: Array

    @classmethod
    def read(cls, folder: Path) -> "Theophylline":
        table = rows(folder / "theophylline-observations.csv")
        data = Observations.from_rows(
            [Observation(row["subject"], float(row["time_h"]), "conc", float(row["conc"])) for row in table]
        )
        dose = {row["subject"]: float(row["dose"]) for row in table}
        return cls(data, np.array([dose[key] for key in data.patients]))

    def __call__(self, theta: Array, patient: Indices) -> Array:
        clearance, ka, ke = theta
        time = self.data.time[:, patient]
        curve = np.exp(-ke * time) - np.exp(-ka * time)
        found: Array = self.dose[patient] * ka * ke / (clearance * (ka - ke)) * curve
        return found


@dataclass(frozen=True)
class Warfarin:
    """Transit absorption and turnover response (ktr, ka, CL, V, Emax, EC50, kout, E0), by Runge-Kutta steps."""

    data: Observations
    priors: Priors
    residuals: tuple[Residual, ...]
    dose: Array

    @classmethod
    def read(cls, folder: Path) -> "Warfarin":
        table = rows(folder / "warfarin-observations.csv")
        data = Observations.from_rows(
            [
                Observation(row["id"], float(row["time"]), row["dvid"], float(row["dv"]))
                for row in table
                if row["evid"] == "0"
            ],
            variables=["cp", "pca"],
        )
        dose = {row["id"]: float(row["amt"]) for row in table if row["evid"] == "1"}
        # typical values of the source; the spreads are round figures of this test
        priors = Priors.of(
            Prior("ktr", 0.106, 0.6, "log"),
            Prior("ka", -0.087, 0.6, "log"),
            Prior("CL", -2.03, 0.3, "log"),
            Prior("V", 2.07, 0.25, "log"),
            Prior("Emax", 3.4, 0.8, "logit"),
            Prior("EC50", 0.00724, 0.45, "log"),
            Prior("kout", -2.9, 0.15, "log"),
            Prior("E0", 4.57, 0.06, "log"),
        )
        residuals = (Residual("cp", 0.3, 0.08), Residual("pca", 4.0))
        return cls(data, priors, residuals, np.array([dose[key] for key in data.patients]))

    def __call__(self, theta: Array, patient: Indices) -> Array:
        ktr, ka, clearance, volume, emax, ec50, kout, e0 = theta

        def rates(y: Array) -> Array:
            depot, gut, amount, response = y
            level = amount / volume
            drive = kout * e0 * (1.0 - emax * level / (ec50 + level))
            taken = ktr * depot
            return np.array([-taken, taken - ka * gut, ka * gut - clearance / volume * amount, drive - kout * response])

        time, step = self.data.time[:, patient], 0.5
        y = np.array([self.dose[patient], 0.0 * ktr, 0.0 * ktr, e0])
        found = np.empty(time.shape)
        for at in range(int(self.data.time.max() / step) + 1):
            here = time == at * step
            found[here] = np.where(self.data.variable[:, patient] == 0, y[2] / volume, y[3])[here]
            one = rates(y)
            two = rates(y + 0.5 * step * one)
            three = rates(y + 0.5 * step * two)
            y = y + step / 6.0 * (one + 2.0 * two + 2.0 * three + rates(y + step * three))
        return found
