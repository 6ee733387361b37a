"""`python -m nurture_rl.cli` is the command `nurture`."""

from nurture_rl.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
