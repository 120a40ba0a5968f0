"""`python -m drover_worker` is `drover-worker`."""

import sys

from .cli import main

sys.exit(main())
