-- The store's mark: what is made for its previews carries it, so that a sweep leaves alone what is another store's.
alter table preview_control.version add column mark text not null default substr(md5(random()::text || clock_timestamp()::text), 1, 12);
