-- The commit is not waited for: should a crash bring these back, they are refreshed once more.
set local synchronous_commit = off;
delete from archive_refresh where refresh_id = any(%(ids)s)
