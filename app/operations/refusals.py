"""Why a backup or a restore is refused."""


class BackupRefused(Exception):
    """It cannot be backed up, or restored from, as it is; the text says why and what to do."""
