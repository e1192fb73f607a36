create table room (id int4range, at tstzrange not null, name text);
create table stay (id int4range, at tstzrange);
