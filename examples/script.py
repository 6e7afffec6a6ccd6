#!/usr/bin/env python
"""
Print where a parcel is: ``python script.py WAYBILL_TOKEN``.

The environment has WXLOGISTICS_APPID and WXLOGISTICS_SECRET, or
WXLOGISTICS_ACCESS_TOKEN.
"""

import sys

from wxlogistics import Client, WxLogisticsError

if len(sys.argv) != 2:
    sys.exit(__doc__.strip())
try:
    with Client.from_env() as client:
        trace = client.query_trace(sys.argv[1])
except WxLogisticsError as error:
    sys.exit(str(error))
print(trace.waybill_id, trace.status.label)
