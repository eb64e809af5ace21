"""Conversions of one format into another, as jobs of several steps."""
