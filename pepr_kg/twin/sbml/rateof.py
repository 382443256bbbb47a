"""The rate of change of a symbol as a formula, in the place of SBML's `rateOf`.

A state's rate is the formula that changes it. What a formula gives has the total derivative of that formula: the
partial one in the time plus those in the symbols that it reads times their rates. What only events change has the
rate zero.
"""

from collections.abc import Mapping

from pepr_kg.twin.errors import ModelUnsupported
from pepr_kg.twin.expression import CLOCK, TIME, ZERO, Expr, add, derivative, multiply, piecewise
from pepr_kg.twin.sbml.document import two
from pepr_kg.twin.sbml.mathml import rewrite
from pepr_kg.twin.sbml.ordering import loop, order


class Rates:
    """The rates of a system: `formulas` and `rates` of symbols, `unknowns` that constraints determine."""

    def __init__(
        self, model: str, formulas: Mapping[str, Expr], rates: Mapping[str, Expr], unknowns: frozenset[str]
    ) -> None:
        self._model, self._formulas, self._rates, self._unknowns = model, formulas, rates, unknowns
        # A formula that looks back may meet times before the start, when nothing changes yet (SBML Test Suite, 01401).
        self._past = any(expr.has("delay") for expr in (*formulas.values(), *rates.values()))
        self._known: dict[str, Expr] = {}
        self._open: list[str] = []

    def replace(self, expr: Expr) -> Expr:
        """Return the formula without rates.

        Raises `ModelInvalid` for rates that need each other, `ModelUnsupported` for the rate of what an algebraic
        rule or the past gives.
        """
        if not expr.has("rate"):
            return expr
        if expr.has("delay") and not self._past:
            self._past = True
            self._known.clear()
        return rewrite(expr, lambda node: self.rate(str(node.args[0].value)) if node.op == "rate" else None)

    def rate(self, name: str) -> Expr:
        """Return the formula of a symbol's rate of change. Raises like `replace`."""
        if name not in self._known:
            for read in order(self._formulas, [name], self._model):  # a long chain of formulas costs no stack
                self._rate(read)
        return self._rate(name)

    def _rate(self, name: str) -> Expr:
        if name in self._known:
            return self._known[name]
        if name in self._open:
            raise loop([f"rateOf({part})" for part in self._open[self._open.index(name) :]], self._model)
        if name in self._unknowns:
            raise self._unsupported(name, "an algebraic rule gives it", "une règle algébrique le donne")
        self._open.append(name)
        if name in self._rates:
            found = self.replace(self._rates[name])
            if self._past:
                found = piecewise(found, Expr("geq", (TIME, ZERO)), ZERO)
        elif name in self._formulas:
            found = self._total(self.replace(self._formulas[name]), name)
        else:
            found = ZERO
        self._open.pop()
        self._known[name] = found
        return found

    def _total(self, formula: Expr, name: str) -> Expr:
        if formula.has("delay"):
            raise self._unsupported(name, "its formula looks back in time", "sa formule regarde dans le passé")
        terms = [derivative(formula, CLOCK)]
        for read in sorted(formula.symbols):
            slope = self._rate(read)
            if slope != ZERO:
                terms.append(multiply(derivative(formula, read), slope))
        return add(*terms)

    def _unsupported(self, name: str, english: str, french: str) -> ModelUnsupported:
        return ModelUnsupported(model=self._model, construct=f"rateOf {name}", detail=two(english, french))
