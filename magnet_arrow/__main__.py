"""`python -m magnet_arrow` is `magnet-arrow`."""

from magnet_arrow.cli import main

if __name__ == "__main__":
    main()
