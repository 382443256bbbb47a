"""`python -m pepr_kg` is the command `pepr-kg`."""

from pepr_kg.cli import main

if __name__ == "__main__":
    main()
