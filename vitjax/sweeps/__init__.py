"""Sweeps: many runs planned, trained together where they can, and ranked."""
