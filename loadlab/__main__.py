"""`python -m loadlab` is `loadlab`."""

from loadlab.cli import main

if __name__ == "__main__":
    main()
