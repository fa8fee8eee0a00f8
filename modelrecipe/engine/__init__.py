"""Goes through a recipe's steps, writes what they ask for, and proves it."""
