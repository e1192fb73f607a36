"""Assemble relations and their columns; the part of Assembly that everything else stands on. No I/O of its own."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.schema.names import HELPER_PREFIX, KEPT_PREFIX, LAST_PREFIX, Key, dotted, not_null_name
from orchestrator.schema.objects import (
    Column,
    Default,
    Leftover,
    MaterializedView,
    Object,
    Other,
    Pairs,
    Table,
    View,
)

Address = tuple[int, int, int]

#: Relations that are looked at as one: with their columns, constraints, indexes and triggers folded in.
_FOLDED = {"f": "foreign table"}
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}
_REPLICA = {"d": "DEFAULT", "f": "FULL", "n": "NOTHING"}


def pairs(options: list[str], prefix: str = "") -> Pairs:
    """``["fillfactor=70"]`` as sorted pairs."""
    if not options:
        return ()
    split = (each.partition("=") for each in options)
    return tuple(sorted((prefix + name, value) for name, _, value in split))


def column_settings(row: Mapping[str, Any]) -> Pairs:
    """STORAGE, COMPRESSION, STATISTICS and attribute options of a column that are not the default, sorted."""
    settings = list(pairs(row["options"]))
    if row["storage"]:
        settings.append(("STORAGE", _STORAGE[row["storage"]]))
    if row["compression"]:
        settings.append(("COMPRESSION", _COMPRESSION[row["compression"]]))
    if row["statistics"] is not None:
        settings.append(("STATISTICS", str(row["statistics"])))
    return tuple(sorted(settings))


class Relations:
    """The objects so far, the address of each, and what was folded into whom."""

    def __init__(self, rows: Mapping[str, list[dict[str, Any]]]) -> None:
        self.rows = rows
        self.catalog: dict[str, int] = {row["name"]: row["oid"] for row in rows["catalogs"]}
        self.members = {(row["class"], row["oid"]) for row in rows["extension_members"]}
        self.comments: dict[Address, str] = {
            (row["class"], row["oid"], row["sub"]): row["comment"] for row in rows["comments"]
        }
        self.claimed: set[Address] = set()
        self.objects: dict[Key, Object] = {}
        self.address: dict[Address, Key] = {}
        self.relations: dict[int, dict[str, Any]] = {
            row["oid"]: row for row in self.free("relations", "pg_class")
        }
        self.tables: dict[int, Key] = {}
        self.views: dict[int, Key] = {}
        self.composites: dict[int, list[dict[str, Any]]] = {}
        self.foreign: dict[int, Key] = {}
        self.folded: dict[int, Key] = {}
        self.facts: dict[int, list[str]] = {}
        self.lineage: dict[Key, str] = {}
        self.leftovers: list[Leftover] = []
        self.sizes: dict[Key, tuple[int, int]] = {}
        #: Columns that were set aside, by relation and number.
        self.kept_columns: dict[tuple[int, int], str] = {}
        self.index_options = {row["oid"]: row["options"] for row in rows["indexes"]}
        self._not_nulls = {(row["relation"], row["number"]): row for row in rows["not_nulls"]}
        self._owners: dict[Address, Address] = {
            (row["class"], row["oid"], row["sub"]): (row["ref_class"], row["ref_oid"], row["ref_sub"])
            for row in rows["dependencies"]
            if row["type"] == "i"
        }
        self._chosen: dict[
            int, dict[str, str]
        ] = {}  # relation -> what it is clustered on, its replica identity
        for row in rows["indexes"]:
            for role in ("clustered", "replica_identity"):
                if row[role]:
                    self._chosen.setdefault(row["relation"], {})[role] = row["name"]
        extensions = {row["oid"]: Key("extension", (row["name"],)) for row in rows["extensions"]}
        for row in rows["extension_members"]:
            self.address[row["class"], row["oid"], 0] = extensions[row["extension"]]

    def free(self, query: str, catalog: str) -> Iterator[dict[str, Any]]:
        """The rows of a query that belong to no extension."""
        number = self.catalog[catalog]
        return (row for row in self.rows[query] if (number, row["oid"]) not in self.members)

    def add(self, thing: Object, catalog: str, oid: int, sub: int = 0) -> None:
        """Record an object and where it lives."""
        self.objects[thing.key] = thing
        self.address[self.catalog[catalog], oid, sub] = thing.key

    def alias(self, catalog: str, oid: int, relation: int) -> None:
        """What was folded into a relation is found under that relation's key."""
        self.address[self.catalog[catalog], oid, 0] = self.folded[relation]

    def comment(self, catalog: str, oid: int, sub: int = 0) -> str | None:
        """The comment on an address, now spoken for."""
        address = (self.catalog[catalog], oid, sub)
        self.claimed.add(address)
        return self.comments.get(address)

    def fold(self, relation: int, *facts: Any) -> None:
        """Let a relation's digest depend on these facts."""
        self.facts.setdefault(relation, []).append(json.dumps(facts, ensure_ascii=True, default=str))

    def is_helper(self, name: str) -> bool:
        """Whether the name is one of ours, left by an interrupted run."""
        return name.startswith((HELPER_PREFIX, LAST_PREFIX))

    def resolve(self, address: Address) -> Key | None:
        """The object that an address belongs to, following internal dependencies upwards."""
        for _ in range(8):
            key = self.address.get(address) or self.address.get((address[0], address[1], 0))
            if key is not None:
                return key
            owner = self._owners.get(address) or self._owners.get((address[0], address[1], 0))
            if owner is None:
                return None
            address = owner
        return None

    def column_path(self, relation: int, number: int) -> tuple[str, ...]:
        """Schema, table and column of an address; empty when unknown."""
        row = self.relations.get(relation)
        for column in self.rows["columns"] if row else ():
            if row and column["relation"] == relation and column["number"] == number:
                return (row["schema"], row["name"], column["name"])
        return ()

    def read_relations(self) -> None:
        """Tables, views, and what is folded; sequences come later."""
        definitions = {row["oid"]: row["definition"].strip().removesuffix(";") for row in self.rows["views"]}
        columns: dict[int, list[dict[str, Any]]] = {}
        for row in self.rows["columns"]:
            columns.setdefault(row["relation"], []).append(row)
        for oid, row in self.relations.items():
            path = (row["schema"], row["name"])
            if row["kind"] == "S":
                continue
            if row["kind"] in {"r", "p"}:
                self._table(oid, row, path)
            elif row["kind"] in {"v", "m"}:
                self._view(oid, row, definitions[oid], columns.get(oid, []))
            elif row["kind"] == "c":
                self.composites[oid] = columns.get(oid, [])
                self.address[self.catalog["pg_class"], oid, 0] = Key("composite type", path)
            elif row["kind"] == "f" and not row["bound"] and not row["parents"]:
                self.foreign[oid] = Key("foreign table", path)
            else:
                key = Key(_FOLDED[row["kind"]], path)
                self.folded[oid] = key
                self.address[self.catalog["pg_class"], oid, 0] = key
                names = (
                    "options",
                    "toast_options",
                    "partition_key",
                    "bound",
                    "parents",
                    "of_type",
                    "access_method",
                )
                self.fold(oid, *(row[name] for name in names), definitions.get(oid))
                self.fold(oid, "unlogged", row["unlogged"], row["tablespace"], row["replica_identity"])
                self.fold(oid, "row security", row["row_security"], row["forced"])
                self.fold(oid, "comment", self.comment("pg_class", oid))

    def _table(self, oid: int, row: dict[str, Any], path: tuple[str, str]) -> None:
        key = Key("table", path)
        chosen = self._chosen.get(oid, {})
        replica = (
            _REPLICA.get(row["replica_identity"])
            or f"USING INDEX {dotted(chosen.get('replica_identity', ''))}"
        )
        thing = Table(
            key=key,
            comment=self.comment("pg_class", oid),
            unlogged=row["unlogged"],
            options=pairs(row["options"]) + pairs(row["toast_options"], "toast."),
            replica_identity=replica,
            clustered_on=chosen.get("clustered"),
            row_security=row["row_security"],
            row_security_forced=row["forced"],
            partition_key=row["partition_key"],
            partition_of=tuple(row["parents"][0]) if row["partition"] else (),
            bound=row["bound"],
            inherits=tuple(map(tuple, row["parents"])) if not row["partition"] else (),
            of_type=row["of_type"],
            access_method=row["access_method"],
            partition_check=check if "satisfies_hash" not in (check := row["partition_check"] or "") else "",
        )
        self.add(thing, "pg_class", oid)
        self.tables[oid] = key
        self.lineage[key] = str(oid)
        self.sizes[key] = (row["bytes"], row["rows"])
        if row["detaching"]:
            pending = Key("unfinished detach", path)
            self.objects[pending] = Other(key=pending, digest=_digest(row["bound"]), of=key)

    def add_up_sizes(self) -> None:
        """A partitioned or inherited table holds what those below it hold: bytes and rows summed up."""
        own = dict(self.sizes)
        for key, (more, counted) in own.items():
            thing = self.objects[key]
            seen: set[tuple[str, ...]] = set()
            above = list(thing.parents) if isinstance(thing, Table) else []
            for path in above:
                parent = self.objects.get(Key("table", path))
                if path in seen or not isinstance(parent, Table):
                    continue
                seen.add(path)
                above.extend(parent.parents)
                size, rows = self.sizes[parent.key]
                # -1 rows: never analysed; a partitioned table itself holds nothing.
                known = [each for each in (rows, counted) if each >= 0]
                self.sizes[parent.key] = (size + more, sum(known) if known else -1)

    def _view(self, oid: int, row: dict[str, Any], definition: str, columns: list[dict[str, Any]]) -> None:
        comments = [(each["name"], self.comment("pg_class", oid, each["number"])) for each in columns]
        path = (row["schema"], row["name"])
        view = View(
            key=Key("view", path),
            comment=self.comment("pg_class", oid),
            definition=definition,
            options=pairs(row["options"]) + pairs(row["toast_options"], "toast."),
            columns=tuple((each["name"], each["type"]) for each in columns),
            column_comments=tuple(sorted((name, text) for name, text in comments if text is not None)),
        )
        if row["kind"] == "m":
            view = self._materialized(oid, row, view, columns)
        self.add(view, "pg_class", oid)
        self.views[oid] = view.key

    def _materialized(
        self, oid: int, row: dict[str, Any], view: View, columns: list[dict[str, Any]]
    ) -> MaterializedView:
        key = Key("materialized view", view.key.path)
        settings = [(each["name"], *pair) for each in columns for pair in column_settings(each)]
        self.sizes[key] = (row["bytes"], max(row["rows"], 0))
        if row["tablespace"]:
            where = Key("table storage", key.path)
            self.objects[where] = Other(key=where, digest=_digest("", row["tablespace"]), of=key)
        return MaterializedView(
            key=key,
            comment=view.comment,
            definition=view.definition,
            options=view.options,
            columns=view.columns,
            column_comments=view.column_comments,
            access_method=row["access_method"],
            clustered_on=self._chosen.get(oid, {}).get("clustered"),
            column_settings=tuple(sorted(settings)),
            populated=row["populated"],
        )

    def read_columns(self) -> None:
        """Columns and defaults of tables; defaults of views; the rest is folded."""
        sequences = self._identity_sequences()
        self._sequence_of = {
            (each["relation"], each["number"]): each["oid"]
            for each in self.rows["sequences"]
            if each["owned"] == "i"
        }
        positions: dict[int, int] = {}
        for row in self.rows["columns"]:
            oid = row["relation"]
            if oid in self.folded:
                own = ("oid", "relation", "granted")
                facts = {name: value for name, value in row.items() if not name.endswith(own)}
                self.fold(oid, "column", json.dumps(facts, sort_keys=True, default=str))
                self.fold(oid, "column comment", row["name"], self.comment("pg_class", oid, row["number"]))
                self.fold(oid, "identity", row["name"], sequences.get((oid, row["number"])))
            elif oid in self.tables and row["name"].startswith(KEPT_PREFIX):
                self.kept_columns[oid, row["number"]] = row["name"]
                self.comment("pg_class", oid, row["number"])  # spoken for: it stays where it is
            elif oid in self.tables and self.is_helper(row["name"]):
                path = self.tables[oid].path
                self.leftovers.append(
                    Leftover(key=Key("column", (*path, row["name"])), table=path, valid=True)
                )
            elif oid in self.tables:
                positions[oid] = positions.get(oid, 0) + 1
                self._column(self.tables[oid], row, positions[oid], sequences.get((oid, row["number"]), ()))
            elif oid in self.views and row["default_oid"]:
                self._default(self.views[oid], row)

    def _column(self, table: Key, row: dict[str, Any], position: int, sequence: Pairs) -> None:
        key = Key("column", (*table.path, row["name"]))
        above = self.objects[table]
        partition = isinstance(above, Table) and bool(above.partition_of)
        thing = Column(
            key=key,
            comment=self.comment("pg_class", row["relation"], row["number"]),
            type=row["type"],
            collation=row["collation"],
            not_null=row["not_null"],
            # A partition shares the identity of the table above (PostgreSQL 17).
            identity={"a": "ALWAYS", "d": "BY DEFAULT"}.get(row["identity"]) if sequence else None,
            identity_sequence=sequence,
            sequence_comment=self._sequence_comment(row) if sequence else None,
            generated=row["expression"] if row["generated"] else None,
            settings=column_settings(row),
            local=row["local"] or partition,
            virtual=row["generated"] == "v",
            **self._not_null(row),
            position=position,
            granted=row["granted"],
        )
        self.add(thing, "pg_class", row["relation"], row["number"])
        self.lineage[key] = f"{row['relation']}/{row['number']}"
        if row["default_oid"] and row["generated"]:
            self.address[self.catalog["pg_attrdef"], row["default_oid"], 0] = key
        elif row["default_oid"]:
            self._default(table, row)

    def _sequence_comment(self, row: dict[str, Any]) -> str | None:
        oid = self._sequence_of.get((row["relation"], row["number"]))
        return self.comment("pg_class", oid) if oid is not None else None

    def _not_null(self, row: dict[str, Any]) -> dict[str, Any]:
        """Name and form of a column's NOT NULL constraint; an inherited one has them from above."""
        found = self._not_nulls.get((row["relation"], row["number"]))
        if found is None:
            return {}
        usual = not_null_name(self.relations[row["relation"]]["name"], row["name"])
        chosen = found["local"] and not found["above"] and found["name"] != usual
        more = "NO INHERIT" if found["no_inherit"] else "" if found["validated"] else "NOT VALID"
        return {
            "not_null_name": found["name"] if chosen else "",
            "not_null_more": more,
            "not_null_constraint": found["name"],
            "not_null_local": found["local"],
        }

    def _default(self, relation: Key, row: dict[str, Any]) -> None:
        key = Key("default", (*relation.path, row["name"]))
        self.add(Default(key=key, expression=row["expression"]), "pg_attrdef", row["default_oid"])

    def _identity_sequences(self) -> dict[tuple[int, int], Pairs]:
        """(relation, column number) -> name and options of its identity's sequence."""
        names = ("start", "increment", "minimum", "maximum", "cache", "cycle")
        found: dict[tuple[int, int], Pairs] = {}
        for row in self.rows["sequences"]:
            relation = self.relations.get(row["oid"])
            if row["owned"] == "i" and relation is not None:
                options = [(name, str(row[name])) for name in names]
                options += [("schema", relation["schema"]), ("name", relation["name"])]
                if row["unlogged"] != self.relations[row["relation"]]["unlogged"]:
                    options.append(("persistence", "UNLOGGED" if row["unlogged"] else "LOGGED"))
                found[row["relation"], row["number"]] = tuple(sorted(options))
        return found

    def close_folded(self) -> None:
        """Make one object of everything that was folded into a relation."""
        for oid, key in self.folded.items():
            self.objects[key] = Other(key=key, digest=_digest(*sorted(self.facts.get(oid, []))))


def _digest(*facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, ensure_ascii=True, default=str).encode()).hexdigest()
