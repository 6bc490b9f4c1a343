"""The tables of record as files in the blob container `backups`, taken, kept and brought back."""
