-- What was asked of the team's server: jobs, what they say while they run, and the sources that came with them.
create table preview_control.job (
    id text primary key,
    project text not null,
    act text not null,
    preview_name text not null,
    preview_id text,
    arguments jsonb not null,
    who text not null,
    role text not null,
    token text not null,
    -- The same request sent again is the same job.
    request text,
    state text not null default 'waiting',
    attempts integer not null default 0,
    result jsonb,
    error jsonb,
    created_at timestamptz not null default now(),
    began_at timestamptz,
    ended_at timestamptz,
    unique (who, request)
);
create index job_not_ended on preview_control.job (created_at) where ended_at is null;
create index job_of_preview on preview_control.job (preview_name, created_at);

create table preview_control.job_line (
    id bigint generated always as identity primary key,
    job_id text not null references preview_control.job (id) on delete cascade,
    line jsonb not null
);
create index line_of_job on preview_control.job_line (job_id, id);

create table preview_control.context (
    digest text primary key,
    bytes bigint not null,
    who text not null,
    created_at timestamptz not null default now(),
    used_at timestamptz not null default now()
);

create table preview_control.context_part (
    digest text not null references preview_control.context (digest) on delete cascade,
    number integer not null,
    content bytea not null,
    primary key (digest, number)
);

create function preview_control.tell_of_job() returns trigger language plpgsql as
$$ begin
    if tg_table_name = 'job' then
        perform pg_notify('preview_job', new.id);
    else
        perform pg_notify('preview_job', new.job_id);
    end if;
    return null;
end $$;

create trigger tell_of_job after insert or update on preview_control.job
    for each row execute function preview_control.tell_of_job();
create trigger tell_of_job after insert on preview_control.job_line
    for each row execute function preview_control.tell_of_job();
