-- The diary: previews and events.
create schema if not exists preview_control;

create table preview_control.version (
    version integer not null
);
insert into preview_control.version values (1);

create table preview_control.preview (
    id text primary key,
    name text not null,
    project text not null,
    wanted text not null,
    state text not null,
    facts jsonb not null default '{}',
    error jsonb,
    lease text,
    lease_taken_at timestamptz,
    created_by text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    expires_at timestamptz
);

-- A name is free again when its preview is closed; two that are asked for at once cannot both get it.
create unique index preview_live_name on preview_control.preview (name) where state <> 'closed';

create table preview_control.event (
    id bigint generated always as identity primary key,
    preview_id text not null references preview_control.preview (id),
    at timestamptz not null default clock_timestamp(),
    who text not null,
    kind text not null,
    state text not null,
    note text not null default '',
    milliseconds double precision,
    detail jsonb not null default '{}'
);
create index event_of_preview on preview_control.event (preview_id, id);
