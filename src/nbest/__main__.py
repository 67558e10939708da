"""`python -m nbest`."""

from nbest.cli.main import main

if __name__ == "__main__":
    main()
