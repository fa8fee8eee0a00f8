"""Edits of documents: rewiring, flags, what a new layer begins with, and what an edit breaks."""
