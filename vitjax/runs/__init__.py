"""The folder of a run: its files, lock, checkpoints and logs, and which epoch is the best."""
