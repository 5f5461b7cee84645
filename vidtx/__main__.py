"""``python -m vidtx`` is the command ``vidtx``."""

from vidtx.cli import program

if __name__ == "__main__":
    program()
