-- Whether a compressed chunk has rows that were written after it was compressed: only they lie in the table itself.
select exists (select from only {chunk})
