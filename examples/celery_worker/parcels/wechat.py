"""
Clients for many mini-programs, whose access tokens all workers share through Redis.
"""

import functools

from wxlogistics import AuthorizerToken, Client, StableToken

from . import settings
from .store import connection


class RedisCache:
    """
    Redis as the library wants a cache: text as it is, without pickle.
    """

    def get(self, key):
        return connection.get(key)

    def set(self, key, value, timeout):
        return connection.set(key, value, ex=timeout)

    def add(self, key, value, timeout):
        return bool(connection.set(key, value, ex=timeout, nx=True))

    def delete(self, key):
        return connection.delete(key)


def client_for(appid):
    """
    Return this process's client for a mini-program.
    """
    if appid == settings.APPID:
        return _client(appid, None)
    # A shop that has authorized the service provider; anew, perhaps, since last time.
    return _client(appid, connection.hget("refresh_tokens", appid) or "")


@functools.lru_cache(maxsize=1000)
def _client(appid, refresh_token):
    if refresh_token is None:
        tokens = StableToken(
            appid, settings.SECRET, cache=RedisCache(), base_url=settings.WECHAT_URL
        )
    else:
        tokens = AuthorizerToken(
            settings.COMPONENT_APPID,
            # Kept fresh by whatever receives WeChat's component_verify_ticket.
            lambda: connection.get("component_access_token"),
            appid,
            refresh_token,
            cache=RedisCache(),
            on_refresh_token=functools.partial(
                connection.hset, "refresh_tokens", appid
            ),
            base_url=settings.WECHAT_URL,
        )
    return Client(
        tokens,
        base_url=settings.WECHAT_URL,
        deadline=settings.DEADLINE,
        # Celery repeats, and each attempt is counted.
        retries=0,
    )
