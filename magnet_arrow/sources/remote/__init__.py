"""Dumps in a bucket. In: URLs of folders. Out: what is there, from one listing of each, and copies of single files."""
