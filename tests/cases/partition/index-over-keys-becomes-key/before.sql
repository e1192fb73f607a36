create table seen (id int not null, x text) partition by list (id);
create table seen_1 partition of seen (constraint one primary key (id)) for values in (1);
create table other (id int constraint to_one references seen_1);
create unique index seen_key on seen (id);
