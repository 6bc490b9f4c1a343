"""What nobody documents about eMabler's reads, as switches, and the permissions of the key.

| habit | default | meaning |
|---|---|---|
| `bounds` | `closed` | which bounds of a time filter belong to it: `closed` both, `half_open` the first only, `open` none |
| `permissions` | all | what the operator who made the key may do |
| `v2_calls_a_minute` | none | more calls of `POST /v2/transactions` in a minute are answered 429 |
| `v3_calls_a_minute` | none | the same for `POST /v3/transactions` |
"""  # noqa: E501 - rows of a table

from typing import Annotated, Literal, get_args

import msgspec

from local.emabler.views import Span

type Bounds = Literal["closed", "half_open", "open"]
type Permission = Literal[
    "ReadSessions", "ReadTags", "ReadChargers", "ReadSites", "ReadIntegrations"
]

BOUNDS: tuple[Bounds, ...] = get_args(Bounds.__value__)
PERMISSIONS: tuple[Permission, ...] = get_args(Permission.__value__)


class Habits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The switches; the module's table tells the meaning of each."""

    bounds: Bounds = "closed"
    permissions: tuple[Permission, ...] = PERMISSIONS
    v2_calls_a_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None
    v3_calls_a_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def span(self, span: Span) -> Span:
        """Give a range with the bounds that belong to it by these habits."""
        return msgspec.structs.replace(
            span, first_included=self.bounds != "open", last_included=self.bounds == "closed"
        )

    def become(self, others: "Habits") -> None:
        """Take over the habits of others, so that all who hold these see them."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(others, name))
