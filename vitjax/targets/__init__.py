"""Devices that need not be there: programs compiled for them, and what the compilers show."""
