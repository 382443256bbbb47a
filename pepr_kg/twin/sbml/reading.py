"""From an SBML file to a `Model` in core form: the entrance.

The steps are modules of their own: `document` reads the XML, `composition` flattens submodels, `elements` reads what
the file says, `system` gives it its meaning, `fast` and `algebraic` turn quasi-equilibria and algebraic rules into
formulas or constraints, `rateof` replaces rates, `assembly` orders and freezes the result.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from pepr_kg.twin.errors import ModelUnreadable
from pepr_kg.twin.meaning import attach, meaning_beside, read_meaning_file
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.algebraic import solve_constraints
from pepr_kg.twin.sbml.assembly import assemble
from pepr_kg.twin.sbml.composition import flatten
from pepr_kg.twin.sbml.document import LIMIT_BYTES, child, read_bytes, read_document, two
from pepr_kg.twin.sbml.elements import read_sbml
from pepr_kg.twin.sbml.fast import settle_fast
from pepr_kg.twin.sbml.system import make_system, without_rates


def read_model(
    path_or_bytes: str | Path | bytes, *, name: str | None = None, source: str | None = None, limit: int = LIMIT_BYTES
) -> Model:
    """Return the model in an SBML file of Level 2 or 3, from a path or from the file's bytes.

    A Turtle file of the same name beside the model's says what the model means (`meaning`): labels, bounds, codes, for
    whom it holds. `name` is what messages call it (the file's stem where it is not given), `source` where it comes
    from, `limit` the largest size in bytes. The digest is the SHA-256 of the bytes, followed by those of the model
    files that it refers to. Raises `ModelUnreadable` (no file, too large, not XML, entities, not SBML),
    `ModelUnsupported` (a construct that is not evaluated, by its name), `ModelInvalid` (undefined symbols, loops,
    symbols determined twice or not at all, a meaning that does not fit) and `DataSyntaxError` for a broken Turtle file.

    >>> text = '''<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model>
    ... <listOfParameters><parameter id="k" value="2" constant="true"/></listOfParameters></model></sbml>'''
    >>> read_model(text.encode()).constants
    ('k',)
    """
    if isinstance(path_or_bytes, bytes):
        shown, data, folder, beside = name or "model", path_or_bytes, None, None
        source = source or ""
    else:
        path = Path(path_or_bytes)
        shown, folder, beside = name or path.stem, path.parent, meaning_beside(path)
        data = read_bytes(path, shown, limit)
        source = source or str(path)
    document = read_document(data, name=shown, source=source, limit=limit)
    if child(document.root, "model") is None:
        raise ModelUnreadable(model=shown, detail=two("it holds no model", "il ne contient aucun modèle"))
    flat = flatten(document, folder)
    sbml = read_sbml(flat.model, document.level, document.version, shown)
    sbml = replace(sbml, name=name or sbml.name or shown)
    system = make_system(sbml)
    settle_fast(system)
    solve_constraints(system, sbml)
    without_rates(system)
    digest = hashlib.sha256(data)
    for more in flat.files:
        digest.update(more)
    model = assemble(system, sbml, sbml.name, digest.hexdigest(), source)
    return model if beside is None else attach(model, read_meaning_file(beside))
