"""The guard: every catalogue and every user's row in it is known, or it is named. No I/O."""

from orchestrator.postgres.relations import Relations
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Other

#: Catalogues whose rows become objects, parts of objects, or entries of the guard's own query.
MODELLED = frozenset(
    """
    pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_cast pg_class pg_collation pg_constraint
    pg_conversion pg_depend pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper
    pg_foreign_server pg_foreign_table pg_index pg_inherits pg_language pg_namespace pg_opclass pg_operator
    pg_opfamily pg_partitioned_table pg_policy pg_proc pg_publication pg_publication_namespace pg_publication_rel
    pg_range pg_rewrite pg_seclabel pg_sequence pg_statistic_ext pg_transform pg_trigger pg_ts_config
    pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user_mapping
    """.split()  # noqa: SIM905 - a list of forty quoted words is not easier to read
)

#: Catalogues that are said to be not compared: by ``uncompared.sql``, or in every plan.
OUTSIDE = frozenset(
    """
    pg_db_role_setting pg_default_acl pg_largeobject pg_largeobject_metadata pg_subscription pg_subscription_rel
    pg_authid pg_auth_members pg_database pg_parameter_acl pg_shdescription pg_shseclabel pg_tablespace
    """.split()  # noqa: SIM905 - as above
)

#: Catalogues that hold no schema: what PostgreSQL keeps for itself.
BOOKKEEPING = frozenset(
    {"pg_init_privs", "pg_replication_origin", "pg_shdepend", "pg_statistic", "pg_statistic_ext_data"}
)


def unaccounted(found: Relations) -> None:
    """Make an object, which is compared by its name alone, of every row that no other object stands for."""
    names = {oid: name for name, oid in found.catalog.items()}
    left = [
        row
        for row in found.rows["guard"]
        if (row["class"], row["oid"]) not in found.members
        and found.resolve((row["class"], row["oid"], 0)) is None
    ]
    # A trigger or a rule on an extension's table came with the extension, though it is no member of it.
    along = {
        (row["class"], row["oid"])
        for row in (found.rows["dependencies"] if left else ())
        if row["type"] in "ai" and (row["ref_class"], row["ref_oid"]) in found.members
    }
    for row in left:
        address = (row["class"], row["oid"], 0)
        if address[:2] in along:
            continue
        key = Key(f"unplanned {row['kind']}", (row["identity"],))
        found.objects[key] = Other(key=key, digest=names[row["class"]])
        found.address[address] = key


def uncompared(found: Relations) -> tuple[tuple[str, str], ...]:
    """What is not compared in this database, with how much of it there is."""
    said = [(row["what"], row["detail"]) for row in found.rows["uncompared"]]
    unknown = sorted(found.catalog.keys() - MODELLED - OUTSIDE - BOOKKEEPING)
    said += [("catalogues that this version does not know", ", ".join(unknown))] if unknown else []
    hidden = sorted(
        str(key)
        for key, thing in found.objects.items()
        if isinstance(thing, Other) and thing.digest in MODELLED
    )
    said += [("the definitions of what is of no known kind", ", ".join(hidden))] if hidden else []
    return tuple(said)
