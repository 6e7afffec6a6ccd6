#!/usr/bin/env python
"""
Print where a parcel is: ``python script.py WAYBILL_TOKEN``.

The environment has WXLOGISTICS_APPID and WXLOGISTICS_SECRET, or
WXLOGISTICS_ACCESS_TOKEN.
"""

import sys

from wxlogistics import Client, WxLogisticsError

[waybill_token] = sys.argv[1:2] or sys.exit(__doc__.strip())
# Where Chinese cannot be written: a question mark, not a traceback.
sys.stdout.reconfigure(errors="replace")
try:
    with Client.from_env() as client:
        trace = client.query_trace(waybill_token)
except WxLogisticsError as error:
    sys.exit(str(error))
print(trace.waybill_id, trace.status.label)
