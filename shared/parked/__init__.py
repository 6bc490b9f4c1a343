"""Parked messages: their rows, looking through them, bringing them back, putting them away."""
