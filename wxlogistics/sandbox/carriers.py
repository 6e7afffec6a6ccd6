"""Some hundred carriers as get_delivery_list tells them; WeChat has some 1,500."""

from __future__ import annotations

#: delivery_id -> delivery_name.
CARRIERS: dict[str, str] = {
    "(AU)": "Interparcel",
    "SF": "顺丰速运",
    "YTO": "圆通速递",
    "ZTO": "中通快递",
}
