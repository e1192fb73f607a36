"""The Snapshot: the catalogue of one database as a value, with its fingerprint. Pure: no I/O of any kind."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.schema.names import Key
from orchestrator.schema.objects import Column, Constraint, Hidden, Leftover, Object, table_of
from orchestrator.schema.privileges import Privileges
from orchestrator.schema.stored import compared, object_from_json, object_to_json, tupled


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The catalogue of one database as a value.

    Attributes:
        objects: every object by key. Only this is compared and hashed.
        needs: which objects each object needs (pg_depend), for ordering.
        privileges: owners and grants that are not PostgreSQL's own defaults; compared only where asked.
        inherited: constraints that a table has only because its parent has them (foreign keys and checks).
        lineage: physical identity of tables and columns, e.g. ``"16390"`` and ``"16390/2"``.
        origin: system identifier and database oid; lineage means something only between equal origins.
        sizes: bytes and estimated rows of each table; -1 rows: never analysed.
        writes: rows inserted, updated and deleted per second, of tables where that is known.
        leftovers: helper objects of an interrupted run.
        hidden: what earlier promotions set aside.
        role: who inspected.
        roles: the server's roles, as SQL; empty when nobody looked.
        superuser: whether that role is one: only then are grants on PostgreSQL's own objects known.
        uncompared: what is in the database and not compared, with how much of it or its names.
        whole: False where objects were left out that are equal in another snapshot: it has no fingerprint.
    """

    objects: Mapping[Key, Object]
    needs: Mapping[Key, tuple[Key, ...]] = field(default_factory=dict, compare=False)
    privileges: Mapping[Key, Privileges] = field(default_factory=dict, compare=False)
    inherited: Mapping[Key, Constraint] = field(default_factory=dict, compare=False)
    lineage: Mapping[Key, str] = field(default_factory=dict, compare=False)
    origin: str = field(default="", compare=False)
    sizes: Mapping[Key, tuple[int, int]] = field(default_factory=dict, compare=False)
    writes: Mapping[Key, float] = field(default_factory=dict, compare=False)
    leftovers: tuple[Leftover, ...] = field(default=(), compare=False)
    hidden: tuple[Hidden, ...] = field(default=(), compare=False)
    role: str = field(default="", compare=False)
    roles: tuple[str, ...] = field(default=(), compare=False)
    superuser: bool = field(default=False, compare=False)
    uncompared: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    whole: bool = field(default=True, compare=False)

    def fingerprint(self, *, privileges: bool = False) -> str:
        """SHA-256 (hex) of all objects; independent of oids, order and the database's name.

        With ``privileges`` owners and grants count too.

        Raises:
            ValueError: objects were left out.
        """
        if not self.whole:
            raise ValueError("a snapshot that is not whole has no fingerprint: use inspect()")
        if not privileges:
            return self._fingerprint
        owned = [[key, asdict(self.privileges[key])] for key in sorted(self.privileges)]
        return hashlib.sha256(json.dumps([self._fingerprint, owned]).encode()).hexdigest()

    @cached_property
    def _fingerprint(self) -> str:
        content = [compared(self.objects[key]) for key in sorted(self.objects)]
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()

    def of_kind(self, kind: str) -> tuple[Key, ...]:
        """The keys of one kind, sorted."""
        return self._by_kind.get(kind, ())

    @cached_property
    def _by_kind(self) -> dict[str, tuple[Key, ...]]:
        kinds: dict[str, list[Key]] = {}
        for key in sorted(self.objects):
            kinds.setdefault(key.kind, []).append(key)
        return {kind: tuple(keys) for kind, keys in kinds.items()}

    def members(self, table: Key) -> tuple[Key, ...]:
        """Columns, defaults, constraints, triggers and indexes of a table, sorted."""
        return self._members.get(table.path, ())

    @cached_property
    def _members(self) -> dict[tuple[str, ...], tuple[Key, ...]]:
        members: dict[tuple[str, ...], list[Key]] = {}
        for key in sorted(self.objects):
            owner = table_of(self.objects[key])
            if owner is not None:
                members.setdefault(owner.path, []).append(key)
        return {path: tuple(keys) for path, keys in members.items()}

    def columns_of(self, table: Key) -> tuple[Column, ...]:
        """A table's columns in their order."""
        found = [self.objects[key] for key in self.members(table) if key.kind == "column"]
        return tuple(sorted((c for c in found if isinstance(c, Column)), key=lambda c: (c.position, c.key)))

    @cached_property
    def users(self) -> Mapping[Key, tuple[Key, ...]]:
        """The reverse of ``needs``: who needs each object, sorted."""
        users: dict[Key, list[Key]] = {}
        for key in sorted(self.needs):
            for needed in self.needs[key]:
                users.setdefault(needed, []).append(key)
        return {key: tuple(found) for key, found in users.items()}

    def to_json(self) -> dict[str, Any]:
        """A JSON object that from_json reads back, in a fixed order."""
        return {
            "objects": [object_to_json(self.objects[key]) for key in sorted(self.objects)],
            "needs": [[key, list(self.needs[key])] for key in sorted(self.needs)],
            "privileges": [[key, asdict(self.privileges[key])] for key in sorted(self.privileges)],
            "inherited": [object_to_json(self.inherited[key]) for key in sorted(self.inherited)],
            "lineage": [[key, self.lineage[key]] for key in sorted(self.lineage)],
            "origin": self.origin,
            "sizes": [[key, self.sizes[key]] for key in sorted(self.sizes)],
            "writes": [[key, self.writes[key]] for key in sorted(self.writes)],
            "leftovers": [asdict(leftover) for leftover in self.leftovers],
            "hidden": [asdict(each) for each in self.hidden],
            "role": self.role,
            "roles": list(self.roles),
            "superuser": self.superuser,
            "uncompared": [list(each) for each in self.uncompared],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Snapshot":
        """The reverse of to_json, also of what went through json.dumps and json.loads."""
        objects = [object_from_json(each) for each in value["objects"]]
        return cls(
            objects={each.key: each for each in objects},
            needs={_key(key): tuple(_key(each) for each in needed) for key, needed in value["needs"]},
            privileges={
                _key(key): Privileges(**{name: tupled(each) for name, each in owned.items()})
                for key, owned in value["privileges"]
            },
            inherited={
                each.key: each
                for each in map(object_from_json, value.get("inherited", ()))
                if isinstance(each, Constraint)
            },
            lineage={_key(key): line for key, line in value["lineage"]},
            origin=value["origin"],
            sizes={_key(key): (size[0], size[1]) for key, size in value["sizes"]},
            writes={_key(key): rate for key, rate in value.get("writes", ())},
            leftovers=tuple(
                Leftover(key=_key(each["key"]), table=tuple(each["table"]), valid=each["valid"])
                for each in value["leftovers"]
            ),
            hidden=tuple(
                Hidden(
                    name=each["name"],
                    table=tuple(each["table"]),
                    column=each["column"],
                    needs=tuple(map(_key, each["needs"])),
                )
                for each in value.get("hidden", ())
            ),
            role=value["role"],
            roles=tuple(value["roles"]),
            superuser=value.get("superuser", False),
            uncompared=tuple((what, detail) for what, detail in value.get("uncompared", ())),
        )


def _key(value: Any) -> Key:
    """A key from ``[kind, [part, ...]]``."""
    return Key(value[0], tuple(value[1]))
