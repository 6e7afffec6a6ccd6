"""The carriers of get_delivery_list: some hundred of the 1,500 that WeChat has."""

from __future__ import annotations

from .plain_json import read_resource

#: delivery_id -> delivery_name. The first was seen in a reply; the rest are the ids in
#: general use in China's parcel trade, which WeChat's follow.
CARRIERS: dict[str, str] = read_resource(__package__, "carriers.json")
