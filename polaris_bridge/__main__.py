"""``python -m polaris_bridge`` is the command ``polaris-bridge``."""

from polaris_bridge.cli import main

if __name__ == "__main__":
    main()
