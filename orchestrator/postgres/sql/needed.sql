-- Every relation that a part of these relations names, and whole trees of tables of all of them: their sizes add up.
-- To be filled in: the relations, and owners.sql.
with recursive tree(oid) as (
    select unnest({relations}::oid[])
    union
    select needed.relation::oid
    from ({owners}) o
    join pg_depend d on d.classid = o.class::oid and d.objid = o.oid::oid
    join ({owners}) needed on needed.class = d.refclassid::int8 and needed.oid = d.refobjid::int8
    where o.relation = any ({relations}::int8[])
    union
    select h.oid from tree t cross join lateral (
        select inhrelid from pg_inherits where inhparent = t.oid
        union all
        select inhparent from pg_inherits where inhrelid = t.oid
    ) h(oid)
)
select oid::int8 from tree
