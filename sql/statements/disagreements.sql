-- Disagreements between sources, by day and pair: rows compared, rows beyond the tolerance, the largest relative difference.
select day, winner, loser, compared, beyond, largest from archive_disagreement
where dataset = %(dataset)s and day >= %(first)s and day <= %(last)s
order by day, beyond desc, winner, loser
