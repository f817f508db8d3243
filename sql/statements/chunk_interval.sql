select time_interval from timescaledb_information.dimensions
where hypertable_schema = current_schema() and hypertable_name = %(table)s and dimension_number = 1
