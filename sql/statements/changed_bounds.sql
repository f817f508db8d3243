-- What an update has to look at: no more than the changed rows' own subjects and moments, or it unpacks what it need not.
select array_agg(distinct {subject}), min({time}), max({time}) from changed
