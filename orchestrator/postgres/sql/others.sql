-- Every other kind: looked at, compared, refused by name when it differs. "definition" holds no oid.
-- "of_*" is the relation that it goes with when that is dropped.
select 'pg_seclabel'::regclass::oid::int8 as class, 0::int8 as oid, 'security label' as kind,
       array[l.provider, l.objtype, l.objname] as path, l.label as definition, 0::int8 as of_relation
from pg_seclabels l
