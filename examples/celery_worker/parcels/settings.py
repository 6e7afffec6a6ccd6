"""
Settings from the environment.
"""

import os

#: Broker, results, access tokens, counters and locks.
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

WECHAT_URL = os.environ.get("WXLOGISTICS_BASE_URL", "https://api.weixin.qq.com")

#: Your mini-program.
APPID = os.environ.get("WXLOGISTICS_APPID", "")
SECRET = os.environ.get("WXLOGISTICS_SECRET", "")

#: For a service provider (服务商), which calls for mini-programs that authorized it.
COMPONENT_APPID = os.environ.get("WXLOGISTICS_COMPONENT_APPID", "")

#: WeChat allows 100,000 calls a day for a mini-program, and 100 about one customer.
#: The difference is for calls from pages and from the command line.
CALLS_PER_DAY = int(os.environ.get("CALLS_PER_DAY", 90_000))
CALLS_PER_CUSTOMER = int(os.environ.get("CALLS_PER_CUSTOMER", 90))

#: The part that polling may use; the rest is reserved for registrations.
POLLING_SHARE = 0.8

#: Seconds for one call to WeChat.
DEADLINE = float(os.environ.get("WECHAT_DEADLINE", 30))

#: Seconds before the first retry; they double each time.
RETRY_AFTER = float(os.environ.get("RETRY_AFTER", 4))

#: Seconds between two polls of the open orders.
POLL_EVERY = 2 * 3600
