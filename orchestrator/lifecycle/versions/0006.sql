-- Who may do what: tokens, and what was asked of the server, also when it was refused.
create table preview_control.token (
    id text primary key,
    -- SHA-256 of the whole token: it is random with 256 bits, so nothing slower is needed.
    hash bytea not null,
    who text not null,
    role text not null,
    note text not null default '',
    created_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_by text,
    revoked_at timestamptz,
    last_used_at timestamptz
);

create table preview_control.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    who text not null,
    role text not null,
    token text not null,
    action text not null,
    object text not null,
    outcome text not null,
    note text not null
);

create function preview_control.only_added_to() returns trigger language plpgsql as
$$ begin raise exception 'preview_control.% is only added to', tg_table_name; end $$;

create trigger only_added_to before update or delete or truncate on preview_control.audit
    for each statement execute function preview_control.only_added_to();

-- Whoever listens hears of events when their transaction is committed.
create function preview_control.tell_of_event() returns trigger language plpgsql as
$$ begin perform pg_notify('preview_event', new.preview_id); return null; end $$;

create trigger tell_of_event after insert on preview_control.event
    for each row execute function preview_control.tell_of_event();
