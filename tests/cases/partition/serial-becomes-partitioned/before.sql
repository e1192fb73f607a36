create schema s;
create table s.t (id bigserial, old text, code varchar(9), at date not null);
alter table s.t add primary key (id);
