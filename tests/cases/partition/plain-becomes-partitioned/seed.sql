set session_replication_role = replica;
insert into who values (1);
insert into t (part, n, note, who) select i, i, 'note ' || i, 1 from generate_series(1, 20) i;
insert into refers select id, part from t;
reset session_replication_role;
