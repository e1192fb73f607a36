-- Every comment on an object of the user.
select classoid::int8 as class, objoid::int8 as oid, objsubid as sub, description as comment
from pg_description
where objoid >= 16384 or classoid in ('pg_namespace'::regclass, 'pg_extension'::regclass)
