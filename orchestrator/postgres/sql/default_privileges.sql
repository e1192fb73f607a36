-- What PostgreSQL gives by itself, by kind of object: to everybody (PUBLIC) and to the owner (empty).
select kind::text as type, x.privilege_type as privilege, case x.grantee when 0 then 'PUBLIC' else '' end as grantee
from unnest('{r,s,f,T,n,l,F,S}'::"char"[]) kind, aclexplode(acldefault(kind, 10)) x
