"""The intake: entries between their source and the archive, as Parquet files.

`batch` is the content of a file, `store` the files, `entries` turns raw entries into a batch, `snapshot` drains the journals,
`poll_latest` reads latest values of producers that do not journal, `import_rows` takes files and vendor history. Loading is in
`archive.load`.
"""
