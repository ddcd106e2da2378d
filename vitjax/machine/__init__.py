"""What surrounds a run: processes, signals, locks, the terminal, a machine's cores and memory."""
