"""The hosts of the WeChat API."""

#: WeChat's hosts, each good for every call.
MAIN_URL = "https://api.weixin.qq.com"
SECOND_URL = "https://api2.weixin.qq.com"
SHANGHAI_URL = "https://sh.api.weixin.qq.com"
SHENZHEN_URL = "https://sz.api.weixin.qq.com"
HONG_KONG_URL = "https://hk.api.weixin.qq.com"

#: All five, in the order in which to try them.
WECHAT_URLS = (MAIN_URL, SECOND_URL, SHANGHAI_URL, SHENZHEN_URL, HONG_KONG_URL)
