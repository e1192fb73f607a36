create table room (id int4range, at tstzrange not null, name text, constraint k primary key (id, at without overlaps));
create table stay (id int4range, at tstzrange, constraint s unique (id, at without overlaps), constraint r foreign key (id, period at) references room (id, period at));
