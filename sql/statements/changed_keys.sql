select {subject}, (extract(epoch from {time}) * 1000000)::bigint from changed
