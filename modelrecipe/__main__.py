"""`python -m modelrecipe` is the command `modelrecipe`."""

from modelrecipe.cli import main

if __name__ == "__main__":
    main()
