"""The one exception that users are meant to see."""


class UserError(Exception):
    """Something the user can put right: a config value, an input table, a disk.

    The message says what is wrong, where (file, column, row, key), what was expected and what to do. It is
    printed alone, without a traceback.
    """
