-- Previews that are rehearsed again beside the one that they will replace, and who waits for a turn on production.
alter table preview_control.preview add column shadow boolean not null default false;

-- A shadow has the name of the preview that it will replace, or that it was.
drop index preview_control.preview_live_name;
create unique index preview_live_name on preview_control.preview (name) where state <> 'closed' and not shadow;

create table preview_control.promotion_line (
    id bigint generated always as identity primary key,
    project text not null,
    purpose text not null,
    who text not null,
    at timestamptz not null default clock_timestamp()
);
