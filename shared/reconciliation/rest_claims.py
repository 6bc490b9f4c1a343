"""What REST says of a finished session, as a claim of that session."""

from __future__ import annotations

from datetime import datetime

from shared.emabler.models.sessions import FinishedSession, canonical
from shared.identifiers import normalise_tag
from shared.sessions.claims import MOST_BODY_CHARACTERS, Claim, Source


def rest_claim(session: FinishedSession, observed: datetime) -> Claim:
    """The claim, with REST's whole answer (prices included), named by REST's own id.

    `observed` is the instant before the request was sent.
    """
    body = canonical(session.item)
    return Claim(
        source=Source.REST,
        charger=session.charger,
        transaction=session.transaction,
        name=session.rest_id,
        digest=session.digest,
        socket=session.socket,
        start=session.start,
        end=session.end,
        tag=normalise_tag(session.tag) if session.tag else None,
        energy_wh=session.energy_wh,
        site=session.site,
        observed=observed,
        body=body if len(body) <= MOST_BODY_CHARACTERS else None,
    )
