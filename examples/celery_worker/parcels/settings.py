"""
What differs between machines comes from the environment.
"""

import os

#: Broker, results, access tokens, counters and locks.
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

WECHAT_URL = os.environ.get("WXLOGISTICS_BASE_URL", "https://api.weixin.qq.com")

#: The own mini-program.
APPID = os.environ.get("WXLOGISTICS_APPID", "")
SECRET = os.environ.get("WXLOGISTICS_SECRET", "")

#: For a service provider (服务商), who works for other people's mini-programs.
COMPONENT_APPID = os.environ.get("WXLOGISTICS_COMPONENT_APPID", "")

#: WeChat allows 100,000 calls a day for a mini-program, and 100 about one customer.
#: The rest is for people: the staff's pages, the customers' and the command line.
CALLS_PER_DAY = int(os.environ.get("CALLS_PER_DAY", 90_000))
CALLS_PER_CUSTOMER = int(os.environ.get("CALLS_PER_CUSTOMER", 90))

#: Of that, polling may use so much; the rest is kept for registrations.
POLLING_SHARE = 0.8

#: Seconds for one call to WeChat.
DEADLINE = float(os.environ.get("WECHAT_DEADLINE", 30))

#: Seconds before the first retry; they double each time.
RETRY_AFTER = float(os.environ.get("RETRY_AFTER", 4))

#: Seconds between two looks at every open order.
POLL_EVERY = 2 * 3600
