"""Objects as JSON and back, and what equality sees of them. Pure: no I/O of any kind."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from orchestrator.schema.names import Key
from orchestrator.schema.objects import KINDS, Object

_COMPARED: dict[type[Object], tuple[str, ...]] = {}


def compared(thing: Object) -> list[Any]:
    """What equality and the fingerprint see of an object, as JSON."""
    return [type(thing).__name__, *(getattr(thing, name) for name in _names(type(thing)))]


def _names(kind: type[Object]) -> tuple[str, ...]:
    """The compared attributes of a class; looked up once for each class, not for each of 100,000 objects."""
    found = _COMPARED.get(kind)
    if found is None:
        found = _COMPARED[kind] = tuple(each.name for each in fields(kind) if each.compare)
    return found


def object_to_json(thing: Object) -> dict[str, Any]:
    """``{"is": class name, attribute: value}``; attributes with their default value are left out."""
    values = {
        each.name: getattr(thing, each.name)
        for each in fields(thing)
        if getattr(thing, each.name) != each.default
    }
    return {"is": type(thing).__name__, **values}


def object_from_json(value: Mapping[str, Any]) -> Object:
    """The reverse of object_to_json."""
    attributes = {name: tupled(each) for name, each in value.items() if name != "is"}
    for name in ("key", "of"):
        if attributes.get(name) is not None:
            kind, path = attributes[name]
            attributes[name] = Key(kind, path)
    thing: Object = _CLASSES[value["is"]](**attributes)
    return thing


def tupled(value: Any) -> Any:
    """JSON's lists as tuples, all the way down."""
    return tuple(tupled(each) for each in value) if isinstance(value, (list, tuple)) else value


_CLASSES: dict[str, Any] = {each.__name__: each for each in KINDS}
