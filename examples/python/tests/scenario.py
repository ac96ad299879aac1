"""Stories about one aggregate: given what has happened, when commands come in one
book, then these events follow, or it is refused."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from angzarr.angzarr_pb2 import UUID, CommandPage, ContextualCommand, Cover, EventBook, EventPage, Snapshot
from shop.messages import Refused, pack

COVER = Cover(domain="any", root=UUID(value=b"0123456789abcdef"))


def book(*events: Message | Any) -> EventBook:
    """What a coordinator sends of an aggregate's history, numbered."""
    pages = [EventPage(num=i, event=packed(event)) for i, event in enumerate(events, 1)]
    return EventBook(cover=COVER, pages=pages)


def packed(message: Message | Any) -> Any:
    return message if isinstance(message, Any) else pack(message)


def unpacked(message: Any) -> Message:
    content = GetMessageClass(Default().FindMessageTypeByName(message.TypeName()))()
    assert message.Unpack(content)
    return content


class Story:
    """What has happened to an aggregate of some business logic."""

    def __init__(self, handle: Callable[[ContextualCommand], EventBook], *events: Message | Any) -> None:
        self.handle = handle
        self.asked = ContextualCommand(events=book(*events))

    def after(self, state: Message) -> "Story":
        """The state that the pages before the given ones have led to."""
        self.asked.events.snapshot.CopyFrom(Snapshot(sequence=40, state=pack(state)))
        return self

    def when(self, *commands: Message | Any) -> "Story":
        self.asked.command.cover.CopyFrom(COVER)
        self.asked.command.pages.extend(CommandPage(command=packed(command)) for command in commands)
        return self

    def then(self, *events: Message) -> EventBook:
        answer = self.handle(self.asked)
        assert answer.cover == COVER
        assert not any(page.HasField("num") for page in answer.pages), "numbers are the coordinator's"
        assert [unpacked(page.event) for page in answer.pages] == list(events)
        return answer

    def refused(self, code: grpc.StatusCode, because: str) -> Refused:
        with pytest.raises(Refused) as refusal:
            self.handle(self.asked)
        assert refusal.value.code == code
        assert because in refusal.value.message
        return refusal.value
