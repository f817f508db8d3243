-- Where the data are, for those who may know.
select current_setting('data_directory')
