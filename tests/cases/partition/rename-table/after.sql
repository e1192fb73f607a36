create table watched (id int not null, n int, constraint seen_pkey primary key (id)) partition by range (id);
create table seen_1 partition of watched for values from (0) to (10);
create index seen_n on watched (n);
