-- Totals of a dataset's ledger, revisions and quarantine; one statement, so that all of them are of one moment.
select count(*), coalesce(sum(inserted), 0), coalesce(sum(replaced), 0), coalesce(sum(quarantined), 0),
       (select count(*) from archive_revision where dataset = %(dataset)s),
       (select count(*) from archive_quarantine where dataset = %(dataset)s),
       coalesce(sum(offered) filter (where origin = 'journal'), 0),
       coalesce(sum(replayed) filter (where origin = 'journal'), 0),
       coalesce(sum(missing) filter (where origin = 'journal'), 0)
from archive_ledger where dataset = %(dataset)s
