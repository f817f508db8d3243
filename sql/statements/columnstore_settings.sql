select segmentby, orderby from timescaledb_information.hypertable_columnstore_settings
where hypertable = to_regclass(%(table)s)
