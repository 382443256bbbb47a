"""What this machine can do at most: `python -m benchmarks.limits` prints memory bandwidth, matrix product, and
element-wise rates.

The numbers are upper bounds for any evaluator that is made of NumPy calls: bandwidth for what does not fit the cache,
the rate of element-wise calls for what does, the matrix product for arithmetic without any traffic.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

BLOCK = 10_000  # lanes in a block that stays in the cache
# These two choose an older kernel of OpenBLAS on some machines, which halves the matrix product.
KERNEL = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """`bandwidth` GB/s on one core; `product` GFLOP/s of a matrix product on one core and `product_all` on all;
    nanoseconds an element of `multiply`, `exp`, `power` on one core, in a block that stays in the cache; `call`
    microseconds of the smallest call; `cores`.
    """

    bandwidth: float
    product: float
    product_all: float
    multiply: float
    exp: float
    power: float
    call: float
    cores: int

    def sentence(self) -> str:
        """Return the limits as a sentence."""
        return (
            f"Limits of one core: memory {self.bandwidth:.1f} GB/s, matrix product {self.product:.0f} GFLOP/s "
            f"({self.product_all:.0f} on all), and in the cache {self.multiply:.2f} ns a multiplication, "
            f"{self.exp:.2f} ns an exponential, {self.power:.2f} ns a power; {self.call:.2f} µs a call."
        )


def main() -> None:
    """Print the limits, as JSON with `--json`."""
    if "--json" in sys.argv[1:]:
        print(json.dumps(asdict(measure())))
        return
    found = measure_apart()
    print(f"{found.cores} cores. {found.sentence()}")


def measure_apart() -> Limits:
    """Return the limits measured in a process of its own, with the kernel that OpenBLAS itself chooses."""
    product_all = _child(os.cpu_count() or 1).product
    found = _child(1)
    return Limits(**{**asdict(found), "product_all": product_all})


def _child(threads: int) -> Limits:
    environment = {name: value for name, value in os.environ.items() if name not in KERNEL}
    environment["OPENBLAS_NUM_THREADS"] = str(threads)
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.limits", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Limits(**json.loads(said.stdout))


def measure() -> Limits:
    """Return the limits of this process; `product` uses as many threads as OpenBLAS does."""
    rng = np.random.default_rng(0)
    size = 10_000_000
    a, b, c = np.zeros(size), rng.random(size), rng.random(size)

    def triad() -> None:  # 5 arrays of 8 bytes are read or written: c, a; a, b, a
        np.multiply(c, 1.5, out=a)
        np.add(a, b, out=a)

    side = 1500
    left, right, result = rng.random((side, side)), rng.random((side, side)), np.zeros((side, side))
    x, y, out = rng.random(BLOCK) + 0.5, rng.random(BLOCK) + 0.5, np.zeros(BLOCK)
    one = np.ones(1)
    product = 2 * side**3 / best(lambda: np.matmul(left, right, out=result)) / 1e9
    return Limits(
        bandwidth=5 * 8 * size / best(triad) / 1e9,
        product=product,
        product_all=product,
        multiply=best(lambda: np.multiply(x, y, out=out)) / BLOCK * 1e9,
        exp=best(lambda: np.exp(x, out=out)) / BLOCK * 1e9,
        power=best(lambda: np.power(x, y, out=out)) / BLOCK * 1e9,
        call=best(lambda: np.multiply(one, one, out=one)) * 1e6,
        cores=os.cpu_count() or 1,
    )


def best(function: Callable[[], object], seconds: float = 0.5) -> float:
    """Return the shortest time of a call, over about `seconds`; calls that are short are timed in groups."""
    began = time.perf_counter()
    function()
    group = max(1, int(1e-3 / max(time.perf_counter() - began, 1e-9)))
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        for _ in range(group):
            function()
        shortest = min(shortest, (time.perf_counter() - began) / group)
    return shortest


if __name__ == "__main__":
    main()
