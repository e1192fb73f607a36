-- When somebody last asked for a preview, and the links by which others may see it.
create table preview_control.visit (
    preview_id text primary key references preview_control.preview (id),
    asked_at timestamptz not null
);

create table preview_control.share (
    id text primary key,
    preview_id text not null references preview_control.preview (id),
    hash bytea not null unique,
    -- What it lets in: itself, or the token of the person who is led to the preview.
    grants text not null,
    once boolean not null default false,
    note text not null default '',
    made_by text not null,
    made_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    revoked_by text,
    revoked_at timestamptz
);
create index share_of_preview on preview_control.share (preview_id);
