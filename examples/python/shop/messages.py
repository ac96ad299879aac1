"""Reading and packing messages, and refusing them."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status


class Refused(Exception):
    """What is not accepted; who asked gets the code and the message as they are."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def invalid(field: str, why: object) -> Refused:
    """Refuses what no state could accept, and names the field."""
    violation = BadRequest.FieldViolation(field=field, description=str(why))
    return Refused(
        grpc.StatusCode.INVALID_ARGUMENT, f"{field}: {why}", BadRequest(field_violations=[violation])
    )


@contextmanager
def refusals(context: grpc.ServicerContext) -> Iterator[None]:
    """Answers a call with what is refused within it."""
    try:
        yield
    except Refused as refused:
        status = Status(code=refused.code.value[0], message=refused.message, details=map(pack, refused.details))
        context.abort_with_status(rpc_status.to_status(status))


def by_name(*types: type[Message]) -> dict[str, type[Message]]:
    return {kind.DESCRIPTOR.full_name: kind for kind in types}


def unpack(packed: Any, types: dict[str, type[Message]]) -> Message | None:
    """Reads a message of one of the types; None, if it is of another. Raises
    ValueError, where it can't be read."""
    kind = types.get(packed.TypeName())
    if kind is None:
        return None
    message = kind()
    try:
        message.ParseFromString(packed.value)
    except DecodeError as error:
        raise ValueError(f'cannot read "{packed.type_url}": {error}') from error
    return message


def pack(message: Message) -> Any:
    packed = Any()
    packed.Pack(message, deterministic=True)
    return packed
