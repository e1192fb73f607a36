-- The oldest program version that may go on working with this store: old workers beside new ones.
alter table preview_control.version add column oldest integer not null default 1;
