"""Ask a region which models it has."""

from __future__ import annotations

from datetime import UTC, datetime

import oci
from oci.generative_ai import GenerativeAiClient

from sightline.oci.access import Access
from sightline.oci.faults import told
from sightline.oci.offer import Listed, Offer, judge


def look(access: Access, model: str, tries: int = 4, now: datetime | None = None) -> Offer:
    """What the region of `access` says of `model`. Raises OciTrouble."""
    client = access.client(GenerativeAiClient, tries)
    with told(model, access.region):
        response = oci.pagination.list_call_get_all_results(
            client.list_models, access.compartment, capability=["CHAT"]
        )
    listed = [
        Listed(entry.display_name, entry.lifecycle_state == "ACTIVE", entry.time_on_demand_retired)
        for entry in response.data
    ]
    return judge(listed, model, access.region, now or datetime.now(UTC))
