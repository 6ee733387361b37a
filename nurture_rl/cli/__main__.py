"""`python -m nurture_rl.cli` is the command `nurture`."""

from nurture_rl.cli.main import main

raise SystemExit(main())
