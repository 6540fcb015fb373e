"""Brings our database up to date, and makes the first key when there is none; a part that ends.

Prints `{"key": ...}` when it made one, else `{}`: on a pipe to the supervisor, never into a log.
"""

import json

FIRST_NAME = "first"


def main() -> None:
    """Works on the database of the settings."""
    from storage import accounts
    from storage.database import database

    opened = database()
    opened.migrate()
    made = {}
    if not accounts.list_keys(opened):
        _, _, made["key"] = accounts.create_key(opened, name=FIRST_NAME)
    opened.close()
    print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main()
