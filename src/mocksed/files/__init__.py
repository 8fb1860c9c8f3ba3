"""The files of a run: columns with units, Parquet and memory-mapped tables, and where their numbers come from."""
