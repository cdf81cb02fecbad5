"""The mock as a program: `python mocks/server.py segmind --port 8000 --mood busy-hour`."""

import sys

from wireproof.mock.command import main

sys.exit(main())
