-- Run by a superuser in the archive's database: who may connect, and the rights that no owner of tables can give.
revoke all on database {database} from public;
grant connect, temporary on database {database} to {owner}, {writer};
grant connect on database {database} to {reader};
alter schema public owner to {owner};
revoke create on schema public from public;
grant usage on schema public to {writer}, {reader};

-- TimescaleDB lets nobody refresh an aggregate but members of the role that owns it. So the aggregates belong to a role of
-- their own, which the writer inherits from and cannot become; the raw rows and the books stay with the owner.
grant usage on schema public to {aggregates};
grant {aggregates} to {owner};
grant {aggregates} to {writer} with inherit true, set false;
grant pg_monitor to {writer};
alter role {reader} set default_transaction_read_only = on;
alter role {reader} set statement_timeout = '15min'
