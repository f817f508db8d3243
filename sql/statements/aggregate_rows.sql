select {columns} from {view} where bucket >= %(start)s and bucket < %(end)s
