"""`python -m nbest`."""

from nbest.cli import main

if __name__ == "__main__":
    main()
