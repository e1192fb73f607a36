-- Every relation that stands on the seeds, through whatever else; column by column where a column is what is used.
-- To be filled in: the seeds by class and oid, and owners.sql.
with recursive reached(class, oid, sub) as (
    select s.class, s.oid, 0 from unnest({classes}::oid[], {oids}::oid[]) s(class, oid)
    union
    select x.class, x.oid, x.sub
    from reached r cross join lateral (
        select d.classid, d.objid, d.objsubid from pg_depend d
        where d.refclassid = r.class and d.refobjid = r.oid and (r.sub = 0 or d.refobjsubid = r.sub)
        union all
        -- what is a part of something speaks for it: a rule for its view, an index for its constraint
        select d.refclassid, d.refobjid, d.refobjsubid from pg_depend d
        where d.classid = r.class and d.objid = r.oid and d.deptype = 'i'
    ) x(class, oid, sub)
    where x.oid >= 16384
)
select distinct o.relation from reached r join ({owners}) o on o.class = r.class::int8 and o.oid = r.oid::int8
