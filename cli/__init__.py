"""The ``gonogo`` command, one file per group of commands."""
