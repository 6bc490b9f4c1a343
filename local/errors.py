"""What the local Azure says to people when something is wrong.

Each error has a stable code (snake_case), one sentence on what is wrong and one on what to do.
The codes, so that they can be searched for:

| code | when |
|---|---|
| `port_in_use` | a port that was asked for is taken |
| `start_failed` | a part of the local Azure ended, or was not ready in time |
| `part_ended` | a part ended by itself while it was needed |
| `part_missing` | a file that a part is made of is not there |
| `install_failed` | a package that a command needs is not installed |
| `func_missing` | `--func` without Azure Functions Core Tools on PATH |
| `setting_wrong` | a settings file cannot be read, or a value in it cannot be used |
| `data_in_use` | another run works in the same data folder |
| `folder_unusable` | a folder that was named cannot be made or written |
| `data_folder_foreign` | `--reset` on a folder that is not one of ours |
| `usage_wrong` | the command line is not understood |
| `command_failed` | a command of the product, run by a demo or a proof, ended with an error |
| `function_failed` | a function that was run by its name raised an exception |
| `port_in_use`, `cannot_listen` | of the broker: its address cannot be listened on |
| `data_unusable`, `journal_corrupt` | of the broker: the folder of its messages cannot be used |
| `usage`, `queue_missing` | of the broker: its command line is wrong, or names no queue |
| `rhea_mismatch` | of the broker: rhea is not the release whose internals it replaces |
| `answer_missing` | something that was waited for did not come in time |
"""

from pathlib import Path


class LocalError(Exception):
    """Something a person must be told: a code, what is wrong, what to do.

    Attributes:
        code: stable snake_case name, see the table above.
        what: what is wrong; the full stop that closes it is added.
        remedy: what to do about it, the same.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        # What a part said last ends with a full stop of its own.
        what, remedy = what.rstrip(". "), remedy.rstrip(". ")
        super().__init__(f"error: {code}: {what}. What to do: {remedy}.")
        self.code = code
        self.what = what
        self.remedy = remedy


class FolderError(LocalError):
    """A folder that was named cannot be made or written."""

    def __init__(self, path: Path, option: str, error: OSError) -> None:
        super().__init__(
            "folder_unusable",
            f"{path} cannot be used ({error.strerror})",
            f"give another folder with {option}",
        )


class StartError(LocalError):
    """A child process ended, or was not ready, before it could be used."""

    def __init__(self, what: str, remedy: str = "read the log named above and start again") -> None:
        super().__init__("start_failed", what, remedy)


class PortInUseError(LocalError):
    """A port that was asked for is taken by another process."""

    def __init__(self, port: int, part: str, option: str) -> None:
        super().__init__(
            "port_in_use",
            f"port {port} on 127.0.0.1, asked for {part}, is taken by another process",
            f"stop that process, or choose another port with {option}",
        )
        self.port = port
