"""Assemble catalogue rows into a Snapshot: every row becomes part of exactly one object. No I/O of its own."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.postgres import guard
from orchestrator.postgres.further import read_stated
from orchestrator.postgres.hidden import hidden
from orchestrator.postgres.owned import privileges_of
from orchestrator.postgres.relations import Relations, pairs
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import TYPES, Key, dotted
from orchestrator.schema.objects import (
    Composite,
    Constraint,
    Domain,
    Enum,
    Extension,
    Function,
    Index,
    Leftover,
    Object,
    Other,
    Schema,
    Sequence,
    Stated,
    Table,
    Trigger,
)

Rows = Mapping[str, list[dict[str, Any]]]
Address = tuple[int, int, int]

_CONSTRAINTS = {"p": "primary", "u": "unique", "f": "foreign", "c": "check", "x": "exclusion"}


def digest(*texts: Any) -> str:
    """SHA-256 (hex) of texts."""
    return hashlib.sha256(json.dumps(texts, ensure_ascii=True, default=str).encode()).hexdigest()


class Assembly(Relations):
    """One pass over all rows; afterwards ``snapshot()`` is the result."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.inherited: dict[Key, Constraint] = {}
        self._schemas()
        self._extensions()
        self.read_relations()
        self.read_columns()
        self.add_up_sizes()
        self._types()
        self._sequences()
        self._functions()
        self._constraints()
        self._indexes()
        self._triggers()
        read_stated(self)
        self._others()
        self.close_folded()
        guard.unaccounted(self)
        self._unclaimed_comments()

    def snapshot(self, *, whole: bool = True) -> Snapshot:
        """Everything read, as a value; ``whole`` says whether that is all there is."""
        origin = self.rows["origin"][0]
        system = self.rows["system"]
        needs = self._needs()
        return Snapshot(
            objects=self.objects,
            needs={key: tuple(sorted(found)) for key, found in needs.items()},
            privileges=privileges_of(self),
            inherited=self.inherited,
            lineage=self.lineage,
            origin=f"{system[0]['system']}/{origin['database']}" if system else "",
            sizes=self.sizes,
            writes={
                self.tables[row["relation"]]: row["writes"]
                for row in self.rows["traffic"]
                if row["relation"] in self.tables
            },
            leftovers=tuple(sorted(self.leftovers, key=lambda each: each.key)),
            hidden=hidden(self),
            role=origin["role"],
            roles=tuple(origin["roles"]),
            superuser=origin["superuser"],
            uncompared=guard.uncompared(self),
            whole=whole,
        )

    def _schemas(self) -> None:
        for row in self.free("schemas", "pg_namespace"):
            key = Key("schema", (row["name"],))
            self.add(
                Schema(key=key, comment=self.comment("pg_namespace", row["oid"])), "pg_namespace", row["oid"]
            )

    def _extensions(self) -> None:
        for row in self.rows["extensions"]:
            thing = Extension(
                key=Key("extension", (row["name"],)),
                comment=self.comment("pg_extension", row["oid"]),
                version=row["version"],
                schema=row["schema"],
                members=tuple(sorted(row["members"])),
                relocatable=row["relocatable"],
            )
            self.add(thing, "pg_extension", row["oid"])

    def _types(self) -> None:
        for row in self.free("types", "pg_type"):
            path = (row["schema"], row["name"])
            comment = self.comment("pg_type", row["oid"])
            thing: Object
            if row["kind"] == "e":
                thing = Enum(key=Key("enum", path), labels=tuple(row["labels"]), comment=comment)
            elif row["kind"] == "d":
                thing = self._domain(Key("domain", path), row, comment)
            elif row["kind"] == "c" and row["relation"] in self.composites:
                attributes = tuple(
                    (
                        each["name"],
                        each["type"],
                        each["collation"] or "",
                        self.comment("pg_class", row["relation"], each["number"]) or "",
                    )
                    for each in self.composites[row["relation"]]
                )
                thing = Composite(key=Key("composite type", path), attributes=attributes, comment=comment)
            elif row["kind"] == "r":
                thing = Stated(
                    key=Key("range type", path),
                    noun="TYPE",
                    create=f"CREATE TYPE {dotted(*path)} AS RANGE ({row['definition']})",
                    subject=dotted(*path),
                    more_names=(row["multirange"],),
                    comment=comment,
                )
            elif row["kind"] in {"b", "p"}:
                thing = self._base_type(path, row, comment)
            else:
                continue
            self.add(thing, "pg_type", row["oid"])

    def _base_type(self, path: tuple[str, str], row: dict[str, Any], comment: str | None) -> Stated:
        """A base type stands on its own shell, as the functions do that read and write its values."""
        name = dotted(*path)
        shell = Stated(key=Key("shell type", path), noun="TYPE", create=f"CREATE TYPE {name}", subject=name)
        if row["kind"] == "p":
            return replace(shell, comment=comment)
        self.objects[shell.key] = shell
        return Stated(
            key=Key("base type", path),
            noun="TYPE",
            create=f"CREATE TYPE {name} ({row['definition']})",
            subject=name,
            # Type and functions stand on each other: PostgreSQL has no other word that drops them.
            drop=f"DROP TYPE {name} CASCADE",
            comment=comment,
        )

    def _domain(self, key: Key, row: dict[str, Any], comment: str | None) -> Domain:
        rules = []
        for oid, name, definition, validated in row["rules"]:
            self.address[self.catalog["pg_constraint"], oid, 0] = key
            said = self.comment("pg_constraint", oid) or ""
            rules.append((name, definition.removesuffix(" NOT VALID"), validated, said))
        return Domain(
            key=key,
            comment=comment,
            base=row["base"],
            collation=row["collation"],
            not_null=row["not_null"],
            default=row["default"],
            rules=tuple(rules),
        )

    def _sequences(self) -> None:
        for row in self.rows["sequences"]:
            relation = self.relations.get(row["oid"])
            if relation is None or row["owned"] == "i":
                continue  # an identity's sequence is part of its column
            owner = self.address.get((self.catalog["pg_class"], row["relation"] or 0, row["number"] or 0))
            key = Key("sequence", (relation["schema"], relation["name"]))
            numbers = {
                name: row[name]
                for name in ("type", "start", "increment", "minimum", "maximum", "cache", "cycle")
            }
            owned_by = owner.path if owner is not None and owner.kind == "column" else ()
            if row["owned"] and not owned_by:
                owned_by = self.column_path(row["relation"], row["number"])
            thing = Sequence(
                key=key,
                comment=self.comment("pg_class", row["oid"]),
                unlogged=relation["unlogged"],
                owned_by=owned_by,
                **numbers,
            )
            self.add(thing, "pg_class", row["oid"])

    def _functions(self) -> None:
        for row in self.free("functions", "pg_proc"):
            if self.is_helper(row["name"]):
                key = Key("function", (row["schema"], row["name"], row["arguments"]))
                self.leftovers.append(Leftover(key=key, table=(row["schema"],), valid=True))
                continue
            path = (row["schema"], row["name"], row["arguments"])
            comment = self.comment("pg_proc", row["oid"])
            if row["kind"] == "a":
                aggregate = Stated(
                    key=Key("aggregate", path),
                    comment=comment,
                    noun="AGGREGATE",
                    create=row["definition"],
                    subject=f"{dotted(*path[:2])}({row['identity']})",
                )
                self.add(aggregate, "pg_proc", row["oid"])
                continue
            key = Key("function", path)
            thing = Function(
                key=key,
                comment=comment,
                routine="procedure" if row["kind"] == "p" else "function",
                definition=row["definition"].strip(),
                shape=row["shape"],
            )
            self.add(thing, "pg_proc", row["oid"])

    def _constraints(self) -> None:
        for row in self.rows["constraints"]:
            definition = row["definition"].removesuffix(" NOT VALID")
            comment = self.comment("pg_constraint", row["oid"])
            if row["relation"] in self.folded:
                self.fold(row["relation"], "constraint", row["name"], row["definition"], comment)
                self.alias("pg_constraint", row["oid"], row["relation"])
                continue
            table = self.tables.get(row["relation"])
            if table is None:
                continue
            if self.is_helper(row["name"]):
                if not row["local"]:
                    continue  # goes with the one above
                key = Key("constraint", (*table.path, row["name"]))
                self.leftovers.append(Leftover(key=key, table=table.path, valid=row["validated"]))
                continue
            referenced = self.relations.get(row["referenced"])
            thing = Constraint(
                key=Key("constraint", (*table.path, row["name"])),
                comment=comment,
                type=_CONSTRAINTS[row["type"]],
                definition=definition,
                columns=tuple(row["columns"]),
                references=(referenced["schema"], referenced["name"]) if referenced else (),
                reference_columns=tuple(row["reference_columns"]),
                validated=row["validated"] or definition.endswith(" NOT ENFORCED"),
                index_options=pairs(self.index_options.get(row["index"], [])) if row["type"] in "pux" else (),
                index_comment=self.comment("pg_class", row["index"]) if row["type"] in "pux" else None,
                part_of=row["part_of"] or "" if row["type"] in "pux" else "",
                valid=row["valid"],
            )
            if row["type"] in "fc" and not row["local"]:
                self.inherited[thing.key] = thing
                continue
            self.add(thing, "pg_constraint", row["oid"])

    def _indexes(self) -> None:
        for row in self.free("indexes", "pg_class"):
            if row["relation"] in self.folded:
                fact = (
                    row["definition"],
                    row["valid"],
                    row["statistics"],
                    row["clustered"],
                    row["replica_identity"],
                )
                self.fold(row["relation"], "index", row["name"], *fact, self.comment("pg_class", row["oid"]))
                self.alias("pg_class", row["oid"], row["relation"])
                continue
            table = self.tables.get(row["relation"]) or self.views.get(row["relation"])
            if table is None or row["owner"]:
                continue
            key = Key("index", (row["schema"], row["name"]))
            if self.is_helper(row["name"]):
                self.leftovers.append(Leftover(key=key, table=table.path, valid=row["valid"]))
                continue
            thing = Index(
                key=key,
                comment=self.comment("pg_class", row["oid"]),
                table=table.path,
                on=table.kind,
                unique=row["unique"],
                definition=row["definition"].removeprefix(row["head"]),
                valid=row["valid"],
                part_of=row["part_of"] or "",
                statistics=tuple((number, target) for number, target in row["statistics"]),
            )
            self.add(thing, "pg_class", row["oid"])

    def _triggers(self) -> None:
        for row in self.rows["triggers"]:
            comment = self.comment("pg_trigger", row["oid"])
            if row["relation"] in self.folded:
                self.fold(row["relation"], "trigger", row["name"], row["definition"], row["enabled"], comment)
                self.alias("pg_trigger", row["oid"], row["relation"])
                continue
            owner = self.tables.get(row["relation"]) or self.views.get(row["relation"])
            if owner is None:
                continue
            key = Key("trigger", (*owner.path, row["name"]))
            if self.is_helper(row["name"]):
                self.leftovers.append(Leftover(key=key, table=owner.path, valid=True))
                continue
            thing = Trigger(
                key=key,
                comment=comment,
                definition=row["definition"],
                enabled=row["enabled"],
                cloned=row["cloned"],
            )
            self.add(thing, "pg_trigger", row["oid"])

    def _others(self) -> None:
        names = {oid: name for name, oid in self.catalog.items()}
        for row in self.rows["others"]:
            if (row["class"], row["oid"]) in self.members:
                continue
            catalog = names[row["class"]]
            key = Key(row["kind"], tuple(row["path"]))
            comment = self.comment(catalog, row["oid"])
            of = self.tables.get(row["of_relation"]) or self.views.get(row["of_relation"])
            self.add(Other(key=key, digest=digest(row["definition"], comment), of=of), catalog, row["oid"])

    def _unclaimed_comments(self) -> None:
        """Comments on what has no object of its own here must not get lost in silence."""
        for address, text in sorted(self.comments.items()):
            if address in self.claimed or address[:2] in self.members:
                continue
            owner = self.resolve(address)
            if owner is not None and owner.kind != "extension":
                key = Key("comment", (str(owner), str(address[2])))
                self.objects[key] = Other(key=key, digest=digest(text), of=owner)

    def _needs(self) -> dict[Key, set[Key]]:
        """Who needs whom: pg_depend between the objects, and what it does not say (a column needs its table)."""
        needs: dict[Key, set[Key]] = {key: set() for key in self.objects}
        for row in self.rows["dependencies"]:
            user = self.resolve((row["class"], row["oid"], row["sub"]))
            needed = self.resolve((row["ref_class"], row["ref_oid"], row["ref_sub"]))
            if user is None or needed is None or user == needed or user not in needs:
                continue
            if user.kind == "sequence" and needed.kind == "column":
                continue  # OWNED BY is a statement of its own; the column's default needs the sequence
            if row["type"] in "PS" and {user.kind, needed.kind} <= {"index", "constraint"}:
                continue  # being a part of the index above is a statement of its own
            needs[user].add(needed)
        for key, thing in self.objects.items():
            for above in self._above(key, thing):
                needs[key].add(above)
            parent = key.parent if key.kind in {"column", "constraint", "trigger"} else None
            if isinstance(thing, Index):
                parent = Key(thing.on, thing.table)
            elif isinstance(thing, Stated):
                parent = thing.of
            if parent is not None and parent in self.objects:
                needs[key].add(parent)
        self._on_shells(needs)
        self._needed_casts(needs)
        return needs

    def _on_shells(self, needs: dict[Key, set[Key]]) -> None:
        """The functions that a base type is made of, and the type itself, need no more of it than its shell."""
        for key in [each for each in needs if each.kind == "base type"]:
            shell = Key("shell type", key.path)
            for function in needs[key]:
                if key in needs.get(function, ()):
                    needs[function] = needs[function] - {key} | {shell}
            needs[key].add(shell)

    def _above(self, key: Key, thing: Object) -> Iterator[Key]:
        """The columns and triggers of the tables above that a column or trigger is inherited from."""
        table = self.objects.get(key.parent) if key.kind in {"column", "trigger"} else None
        if not isinstance(table, Table) or (isinstance(thing, Trigger) and not thing.cloned):
            return
        for path in table.parents:
            above = Key(key.kind, (*path, key.path[-1]))
            if above in self.objects:
                yield above

    def _needed_casts(self, needs: dict[Key, set[Key]]) -> None:
        """What calls a cast's function may be written as the cast, which pg_depend does not say."""
        casts = {
            function: key
            for key, thing in self.objects.items()
            if isinstance(thing, Stated) and thing.noun == "CAST"
            for function in needs[key]
            if function.kind == "function"
        }
        for key, found in needs.items() if casts else ():
            if key.kind not in {"function", "aggregate", "operator", "cast", "base type", *TYPES}:
                found |= {casts[each] for each in found & casts.keys()}
