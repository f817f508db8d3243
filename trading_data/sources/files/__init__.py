"""CSV and Parquet files as a source of rows: their form, their values, and what is wrong with them."""
