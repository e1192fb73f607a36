-- Who needs whom, among what a user can have made.
select classid::int8 as class, objid::int8 as oid, objsubid as sub,
       refclassid::int8 as ref_class, refobjid::int8 as ref_oid, refobjsubid as ref_sub, deptype as type
from pg_depend
where objid >= 16384 and (refobjid >= 16384 or refclassid = 'pg_namespace'::regclass) and deptype <> 'e'
