"""Brings our database up to date and ends: `splatflow part migrate`. Makes no key, whose secret would stand in a log."""


def main() -> None:
    """Works on the database of the settings."""
    from storage.database import database

    opened = database()
    opened.migrate()
    opened.close()
    print("The tables are up to date.", flush=True)


if __name__ == "__main__":
    main()
