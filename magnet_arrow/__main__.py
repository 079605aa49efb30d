"""`python -m magnet_arrow` is `magnet-arrow`."""

from magnet_arrow.cli.start import main

if __name__ == "__main__":
    main()
