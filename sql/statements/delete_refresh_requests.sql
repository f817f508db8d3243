-- Does not wait for the commit to reach the disk: if a crash brings these back, they are refreshed once more.
set local synchronous_commit = off;
delete from archive_refresh where refresh_id = any(%(ids)s)
