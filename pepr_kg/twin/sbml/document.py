"""An SBML file as a tree of XML elements: bounded, without entities, of a level and with packages that are known.

The standard library's expat reads it. A document type is refused as soon as it is seen, so that no entity is ever
expanded; the size is looked at before the file is opened, and the depth while it is read.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pepr_kg.twin.errors import ModelUnreadable, ModelUnsupported
from pepr_kg.twin.sbml.mathml import local

# Bounds of a file: bytes, and elements within elements.
LIMIT_BYTES = 32 * 1024 * 1024
LIMIT_DEPTH = 400

_LEVEL2 = {
    "http://www.sbml.org/sbml/level2": 1,
    **{f"http://www.sbml.org/sbml/level2/version{version}": version for version in (2, 3, 4, 5)},
}
_LEVEL3 = {f"http://www.sbml.org/sbml/level3/version{version}/core": version for version in (1, 2)}
COMP = "http://www.sbml.org/sbml/level3/version1/comp/version1"
# Packages that say nothing of the values of a model; what they hold is passed over.
_SILENT = ("layout", "render", "groups", "annot")


@dataclass(frozen=True, slots=True)
class Document:
    """An SBML file: its name for messages, its bytes' origin, its root element, level and version."""

    name: str
    source: str
    data: bytes
    root: Element
    level: int
    version: int

    @property
    def core(self) -> str:
        """Return the namespace of the core elements in braces."""
        return self.root.tag.rpartition("}")[0] + "}"


def two(english: str, french: str) -> dict[str, str]:
    """Return the detail of an error in both languages."""
    return {"en": english, "fr": french}


def read_bytes(path: Path, name: str, limit: int = LIMIT_BYTES) -> bytes:
    """Return the content of a file. Raises `ModelUnreadable` where there is none or where it is larger than `limit`."""
    try:
        size = os.stat(path).st_size
        if size > limit:
            raise too_large(name, size, limit)
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise ModelUnreadable(model=name, detail=two(f"{path}: {reason}", f"{path} : {reason}")) from failure
    if len(data) > limit:
        raise too_large(name, len(data), limit)
    return data


def too_large(name: str, size: int, limit: int) -> ModelUnreadable:
    """Return the error of a file above the bound."""
    return ModelUnreadable(
        model=name,
        detail=two(
            f"it has {size} bytes, more than the {limit} allowed", f"il fait {size} octets, plus que les {limit} admis"
        ),
    )


def read_document(data: bytes, *, name: str, source: str, limit: int = LIMIT_BYTES) -> Document:
    """Return the SBML document in these bytes.

    Raises `ModelUnreadable` (too large, not XML, entities, too deep, not SBML) and `ModelUnsupported` (Level 1, a
    required package that is not evaluated).
    """
    if len(data) > limit:
        raise too_large(name, len(data), limit)
    root = _parse(data, name)
    namespace, _, tag = root.tag[1:].rpartition("}") if root.tag.startswith("{") else ("", "", root.tag)
    if tag != "sbml":
        raise ModelUnreadable(
            model=name, detail=two(f"its root is {tag}, not sbml", f"sa racine est {tag} et non sbml")
        )
    if namespace == "http://www.sbml.org/sbml/level1" or root.get("level") == "1":
        raise ModelUnsupported(
            model=name,
            construct="SBML Level 1",
            detail=two("convert it to Level 3 first", "convertissez-le d’abord au niveau 3"),
        )
    if namespace in _LEVEL2:
        level, version = 2, _LEVEL2[namespace]
    elif namespace in _LEVEL3:
        level, version = 3, _LEVEL3[namespace]
    else:
        detail = two(f'"{namespace}" is no namespace of SBML', f"« {namespace} » n’est pas un espace de noms de SBML")
        raise ModelUnreadable(model=name, detail=detail)
    document = Document(name, source, data, root, level, version)
    _check_packages(document)
    return document


def _parse(data: bytes, name: str) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def open_element(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > LIMIT_DEPTH:
            raise ModelUnreadable(
                model=name,
                detail=two(
                    f"its elements nest deeper than {LIMIT_DEPTH}",
                    f"ses éléments s’imbriquent au-delà de {LIMIT_DEPTH}",
                ),
            )
        builder.start(_tag(tag), {_tag(key): value for key, value in attributes.items()})

    def close_element(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_tag(tag))

    def refuse(*_: object) -> int:
        raise ModelUnreadable(
            model=name,
            detail=two(
                "it declares a document type or entities, which SBML does not have",
                "il déclare un type de document ou des entités, que SBML n’a pas",
            ),
        )

    parser.StartElementHandler = open_element
    parser.EndElementHandler = close_element
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except expat.ExpatError as failure:
        reason = expat.ErrorString(failure.code)
        where = two(
            f"it is not well-formed XML (line {failure.lineno}, column {failure.offset + 1}: {reason})",
            f"ce n’est pas du XML bien formé (ligne {failure.lineno}, colonne {failure.offset + 1} : « {reason} »)",
        )
        raise ModelUnreadable(model=name, detail=where) from failure
    except (ValueError, LookupError) as failure:  # an encoding that Python does not know
        if isinstance(failure, ModelUnreadable):
            raise
        raise ModelUnreadable(model=name, detail=two(str(failure), str(failure))) from failure


def _tag(name: str) -> str:
    return "{" + name if "}" in name else name


def _check_packages(document: Document) -> None:
    """Refuse what a package says must be understood; `comp` is flattened later."""
    for key, value in document.root.attrib.items():
        namespace, _, attribute = key[1:].rpartition("}")
        if attribute != "required" or not namespace:
            continue
        package = package_name(namespace)
        unknown = value in ("true", "1") and package not in ("comp", *_SILENT)
        if unknown or (package == "fbc" and _has_fluxes(document)):
            raise ModelUnsupported(
                model=document.name,
                construct=f"SBML package {package}",
                detail=two("it changes what the model means", "il change le sens du modèle"),
            )


def package_name(namespace: str) -> str:
    """Return the short name of a package of Level 3 ("comp"), or its namespace where it has none."""
    tail = re.sub(r"^http://www\.sbml\.org/sbml/level3/version\d/", "", namespace)
    return tail.partition("/")[0] if tail != namespace else namespace


def _has_fluxes(document: Document) -> bool:
    """Return whether flux bounds or objectives are given: the model is then a linear programme and no time course."""
    return any(
        ("/fbc/" in node.tag and local(node) in ("fluxBound", "objective"))
        or any("/fbc/" in key and "FluxBound" in key for key in node.attrib)
        for node in document.root.iter()
    )


def children(parent: Element | None, *names: str) -> Iterator[Element]:
    """Yield the child elements of these names whatever their namespace; all where none is given."""
    if parent is not None:
        for child in parent:
            if not names or local(child) in names:
                yield child


def child(parent: Element | None, name: str) -> Element | None:
    """Return the first child element of this name, None where there is none."""
    return next(children(parent, name), None)


def listed(parent: Element, name: str) -> list[Element]:
    """Return the elements of a `listOf…` child, for example "listOfSpecies"."""
    return [item for group in children(parent, name) for item in group]
