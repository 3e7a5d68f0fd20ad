"""Names that people give to patients, staff, users and organisations: what may be one."""

NAME_CHARS_MAX = 128


def name_flaw(name: str, least: int = 1) -> str:
    """Return what is wrong with a name, or nothing.

    It will be shown in lists, logs and terminals, also of other organisations: no character may break a line, steer a
    terminal or be invisible.
    """
    if not name.strip():
        return "it is blank"
    if not name.isprintable():
        return "it has a control character, a line break or another one that is not printed"
    if not least <= len(name) <= NAME_CHARS_MAX:
        return f"it must have {least} to {NAME_CHARS_MAX} characters"
    return ""
