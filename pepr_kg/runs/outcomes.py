"""What may become of an entity in an evaluation: the concepts of `scheme:outcome-statuses`, as codes of an array.

>>> Outcome.UNIT_UNMET.iri
'https://w3id.org/pepr-santenum/id/outcome-status/unit-unmet'
"""

from enum import IntEnum

from pepr_kg.namespaces import ID


class Outcome(IntEnum):
    """0 is a prediction; of several reasons the one that stands first in `PRECEDENCE` is the entity's."""

    EVALUATED = 0
    BINDING_MISSING = 1
    BINDING_AMBIGUOUS = 2
    UNIT_UNMET = 3
    OUTSIDE_VALIDITY = 4
    NOT_PERMITTED = 5
    NOT_FINITE = 6
    NOT_CONVERGED = 7

    @property
    def iri(self) -> str:
        """Return the concept, whose labels stand in the ontology."""
        return f"{ID}outcome-status/{self.name.lower().replace('_', '-')}"


PRECEDENCE = (
    Outcome.NOT_PERMITTED, Outcome.BINDING_MISSING, Outcome.BINDING_AMBIGUOUS, Outcome.UNIT_UNMET,
    Outcome.OUTSIDE_VALIDITY,
)  # fmt: skip
