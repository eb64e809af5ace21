"""Dask: a cluster that is there, or one of this process."""
