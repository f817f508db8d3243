-- What a load and a check ask of the ledger: which batches said again what a row says, and which entries are missing.

create index archive_ledger_said_again on archive_ledger (dataset, accepted_last) where unchanged > 0;
create index archive_ledger_missing on archive_ledger (dataset, batch_id) where missing > 0;
