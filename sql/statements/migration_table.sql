create table if not exists archive_migration (
    name       text primary key,
    sha256     text not null,
    applied_at timestamptz not null default now()
)
