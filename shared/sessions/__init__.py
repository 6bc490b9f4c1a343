"""Charging sessions: what each source claims of them, and the summary folded from all claims."""
