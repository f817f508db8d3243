-- Keys within the window of a batch that better sources hold.
select {subject}, (extract(epoch from {time}) * 1000000)::bigint, source from {table}
where {time} between %(low)s and %(high)s and {subject} between %(first)s and %(last)s and source = any(%(sources)s)
