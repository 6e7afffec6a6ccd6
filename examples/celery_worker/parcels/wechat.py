"""
Clients for many mini-programs. All workers share their access tokens through Redis.
"""

from functools import lru_cache, partial

from wxlogistics import AuthorizerToken, Client, StableToken

from . import settings
from .store import connection


class RedisCache:
    """
    Redis with the methods of a cache; it stores text as it is, without pickle.
    """

    def get(self, key):
        return connection.get(key)

    def set(self, key, value, timeout):
        return connection.set(key, value, ex=timeout)


@lru_cache(maxsize=1000)
def client_for(appid):
    """
    Return this process's client for a mini-program.
    """
    if appid == settings.APPID:
        tokens = StableToken(appid, settings.SECRET, cache=RedisCache())
    else:
        # A shop that has authorized the service provider.
        tokens = AuthorizerToken(
            settings.COMPONENT_APPID,
            # Another program receives component_verify_ticket and renews this.
            lambda: connection.get("component_access_token"),
            appid,
            # Read at each fetch: the shop may authorize again.
            partial(connection.hget, "refresh_tokens", appid),
            cache=RedisCache(),
            on_refresh_token=partial(connection.hset, "refresh_tokens", appid),
        )
    return Client(
        tokens,
        base_url=settings.WECHAT_URL,
        deadline=settings.DEADLINE,
        # Celery retries, and each attempt is counted.
        retries=0,
    )
