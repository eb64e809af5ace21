"""Lithops: functions of any cloud that it knows, or this machine."""
