"""The error of a call that the API refuses."""

__all__ = ["ApiRefusal"]


class ApiRefusal(Exception):
    """The call changed nothing. The text says what was wrong; the status is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
