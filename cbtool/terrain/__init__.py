"""Elevation models from point clouds. Pure: arrays in, arrays out; the job over chunks is `cbtool.terrain.job`."""
