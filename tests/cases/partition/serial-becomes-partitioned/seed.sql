insert into s.t (old, code, at) select 'x', i::text, date '2020-12-01' + i from generate_series(1, 60) i;
