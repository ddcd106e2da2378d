"""Weights from elsewhere: reading, converting and fitting them, a catalogue, and the way back."""
