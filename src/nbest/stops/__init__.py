"""Stopping rules: plug-ins that say after some draws of a prompt whether more are worth their tokens."""
