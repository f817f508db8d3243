-- Whether a compressed chunk has rows written after its compression: only these lie in the table itself.
select exists (select from only {chunk})
