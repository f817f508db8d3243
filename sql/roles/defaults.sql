-- Tables of future migrations can be read at once; the other rights of the writer are granted once they are declared.
alter default privileges for role {owner} in schema public grant select on tables to {writer}, {reader}
