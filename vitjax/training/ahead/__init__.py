"""What is known of a run before it begins: its data, its size, its problems."""
