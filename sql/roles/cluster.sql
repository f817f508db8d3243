-- Run by a superuser in the database of the archive: who may connect, and rights that a table owner cannot grant.
revoke all on database {database} from public;
grant connect, temporary on database {database} to {owner}, {writer};
grant connect on database {database} to {reader};
alter schema public owner to {owner};
revoke create on schema public from public;
grant usage on schema public to {writer}, {reader};

-- In TimescaleDB only members of the owning role may refresh an aggregate. So the aggregates belong to a role of their own. The
-- writer inherits its rights but cannot switch to it; the raw rows and the bookkeeping tables stay with the owner.
grant usage on schema public to {aggregates};
grant {aggregates} to {owner};
grant {aggregates} to {writer} with inherit true, set false;
grant pg_monitor to {writer};
alter role {reader} set default_transaction_read_only = on;
alter role {reader} set statement_timeout = '15min'
