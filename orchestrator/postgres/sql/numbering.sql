-- What index columns name by number: equal here means that equal numbers are equal names in both databases.
select pg_catalog.version() as version,
       (select md5(string_agg(row(oid, opcname, opcmethod, opcnamespace::regnamespace, opcdefault, opcintype::regtype)::text,
                              ',' order by oid)) from pg_opclass) as classes,
       (select md5(string_agg(row(oid, collname, collnamespace::regnamespace)::text, ',' order by oid)) from pg_collation)
           as collations,
       (select md5(string_agg(row(oid, amname)::text, ',' order by oid)) from pg_am) as methods
