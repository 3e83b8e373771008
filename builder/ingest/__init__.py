"""Reading source files: from CSV, JSON lines and Parquet to clean columns, a bounded block at a time.

`sources` finds the files and picks the reader; `csv_file`, `json_lines` and `parquet_file` each read one
format into `Block`s; `values` turns raw columns into ids, times and numbers; `bad_rows` counts what could not
be read. What the columns mean is left to `builder.events` and `builder.tables`.
"""
