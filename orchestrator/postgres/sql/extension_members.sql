-- What belongs to an extension: it comes and goes with the extension, never by itself.
select classid::int8 as class, objid::int8 as oid, refobjid::int8 as extension
from pg_depend where deptype = 'e' and refclassid = 'pg_extension'::regclass
