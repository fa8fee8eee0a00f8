"""`.keras` zips, their groups of weights, and shards."""
