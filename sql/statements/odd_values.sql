-- Bars that are legal but look wrong, by kind: their number, the first of each, and their UTC days. The neighbour is the previous bar
-- of the symbol; a ratio is meaningful only for prices above zero.
with seen as (
    select {subject} as subject, {time} as moment, open, high, low, close, volume, batch_id,
           lag(close) over (partition by {subject} order by {time}) as before
    from {table}
    where {time} >= %(start)s and {time} < %(end)s
)
select kind, count(*), min(moment), (array_agg(subject order by moment, subject))[1],
       array_agg(distinct (moment at time zone 'UTC')::date)
from seen
cross join lateral (values
    ('open or close outside high and low', open not between low and high or close not between low and high),
    ('a price many times its neighbour''s', least(close, before, low, high) > 0
        and (greatest(close, before) > %(times)s * least(close, before) or high > %(times)s * low)),
    ('volume 0 and yet a range', volume = 0 and high > low)
) as judged (kind, odd)
where odd and (%(batches)s::bigint[] is null or batch_id = any(%(batches)s::bigint[]))
group by kind
order by kind
