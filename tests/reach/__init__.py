"""Reach: functions of third-party packages, differentiated as they stand."""
