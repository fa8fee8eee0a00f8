"""A live model is trained here: batches in, edits between them, its state on disk. Knows no recipes and no files."""
