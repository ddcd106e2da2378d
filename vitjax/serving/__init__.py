"""Trained runs as files that other programs compute with."""
