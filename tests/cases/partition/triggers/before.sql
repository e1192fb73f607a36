create table seen (id int not null, n int) partition by range (id);
create table seen_1 partition of seen for values from (0) to (10);
create table seen_2 partition of seen for values from (10) to (20);
create function bump() returns trigger language plpgsql as 'begin return new; end';
create trigger one before insert on seen for each row execute function bump();
create trigger two before insert on seen for each row execute function bump();
create trigger own before insert on seen_1 for each row execute function bump();
alter table seen_1 disable trigger two;
