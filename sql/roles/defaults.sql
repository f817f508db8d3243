-- Tables that the next migrations make can be read at once; what the writer may do to them is granted when they are declared.
alter default privileges for role {owner} in schema public grant select on tables to {writer}, {reader}
