-- The changed rows' own subjects and moments: an update within wider bounds decompresses more than it needs.
select array_agg(distinct {subject}), min({time}), max({time}) from changed
