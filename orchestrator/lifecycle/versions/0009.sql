-- Words to others: what is to be said to whom, until it was taken.
create table preview_control.letter (
    id bigint generated always as identity primary key,
    project text not null,
    key text not null,
    target text not null,
    what text not null,
    name text not null,
    body jsonb not null,
    state text not null default 'waiting',
    attempts integer not null default 0,
    next_at timestamptz not null default now(),
    why text not null default '',
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    -- Of one thing a target hears once, whoever collects it.
    unique (project, target, key)
);
create index letter_due on preview_control.letter (project, next_at) where state = 'waiting';

-- How far the events of a project were read, and from when on.
create table preview_control.letter_cursor (
    project text primary key,
    event_id bigint not null,
    since timestamptz not null
);
