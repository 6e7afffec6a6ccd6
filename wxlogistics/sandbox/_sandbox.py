"""The sandbox as its user holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable

from ..models import WaybillStatus
from .calls import Call
from .clock import Clock
from .faults import Fault
from .mint import Mint
from .settings import Settings
from .tokens import App, Fetches
from .wire import PATHS
from .world import World

if TYPE_CHECKING:
    from responses import RequestsMock

    from .mock import MockedSandbox
    from .server import Server

#: What a fault can be for.
_FALLIBLE = (*PATHS.values(), "*")


class Sandbox:
    """
    WeChat's logistics service on your desk.

    Args:
        seed: The same seed gives the same ids and tokens; None gives new ones.

        clock: A `Clock` of your own; None takes real time, which `clock.tick()` moves.

        settings: See `Settings`.
    """

    def __init__(
        self,
        *,
        seed: int | str | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.world = World(Settings(**settings), clock or Clock(), Mint(seed))

    # Who is there

    @property
    def settings(self) -> Settings:
        """
        How this sandbox behaves.
        """
        return self.world.settings

    @property
    def clock(self) -> Clock:
        """
        The sandbox's time: ``sandbox.clock.tick(hours=3)``.
        """
        return self.world.clock

    @property
    def appid(self) -> str:
        """
        appid of the default app.
        """
        return self.world.app.appid

    @property
    def secret(self) -> str:
        """
        AppSecret of the default app.
        """
        return self.world.app.secret

    def add_app(
        self,
        appid: str | None = None,
        secret: str | None = None,
        *,
        opened: bool = True,
        ip_whitelist: Iterable[str] | None = None,
    ) -> App:
        """
        Add another mini-program, as ``appid`` and ``secret`` or made up.
        """
        whitelist = None if ip_whitelist is None else tuple(ip_whitelist)
        with self.world.lock:
            return self.world.tokens.add_app(
                appid, secret, opened=opened, ip_whitelist=whitelist
            )

    def access_token(self, appid: str | None = None) -> str:
        """
        A token of the default app, or of *appid*, that is valid now.

        It is the one that stable_token would hand out, but nothing is counted.
        """
        with self.world.lock:
            return self.world.tokens.stable(appid or self.appid).value

    def revoke_tokens(self, appid: str | None = None) -> int:
        """
        Make all tokens of *appid*, or of everybody, invalid at once.

        Returns:
            How many.
        """
        with self.world.lock:
            return self.world.tokens.revoke(appid)

    # What happens

    def move(
        self,
        waybill_id: str,
        status: WaybillStatus | int,
        *,
        message: str | None = None,
    ) -> None:
        """
        Move a parcel by hand; from then on the clock does not move it.

        Args:
            waybill_id: A waybill that was registered or added.

            status: Where it is now.

            message: What the carrier says about it.

        Raises:
            LookupError: There is no such waybill.
        """
        with self.world.lock:
            self.world.move(waybill_id, int(status), message)

    def fail(
        self,
        endpoint: str = "*",
        *,
        errcode: int | None = None,
        errmsg: str | None = None,
        status: int | None = None,
        body: str | None = None,
        delay: float = 0.0,
        drop: bool = False,
        times: int | None = 1,
        openid: str | None = None,
        waybill_id: str | None = None,
    ) -> Fault:
        """
        Let the next calls of *endpoint* go wrong.

        Args:
            endpoint: As ``query_trace``; ``*`` for all.

            errcode: WeChat refuses with this, before anything takes effect.

            errmsg: The whole errmsg, instead of WeChat's.

            status: A server on the way answers with this HTTP status and no JSON.

            body: What that server says.

            delay: Seconds until the answer goes out. In process nothing sleeps: the
                clock moves, or the call times out at once.

            drop: The call takes effect, but the connection breaks before the answer.

            times: For how many calls; None: until `mend()`.

            openid: Only for calls about this user.

            waybill_id: Only for calls about this waybill.

        Returns:
            The fault, for `mend()`.
        """
        if endpoint not in _FALLIBLE:
            raise ValueError(
                f"no endpoint {endpoint!r}; there are: {', '.join(_FALLIBLE)}"
            )
        if errcode is None and status is None and not delay and not drop:
            raise ValueError("say what goes wrong: errcode, status, delay or drop")
        if errmsg is not None and errcode is None:
            raise ValueError("errmsg goes with an errcode")
        if times is not None and times < 1:
            raise ValueError("times must be at least 1, or None for always")
        with self.world.lock:
            return self.world.faults.add(
                endpoint=endpoint,
                errcode=errcode,
                errmsg=errmsg,
                status=status,
                body=body,
                delay=delay,
                drop=drop,
                times=times,
                openid=openid,
                waybill_id=waybill_id,
            )

    def mend(self, fault: Fault | int | None = None) -> None:
        """
        Take back *fault*, or all faults.
        """
        number = fault.number if isinstance(fault, Fault) else fault
        with self.world.lock:
            self.world.faults.remove(number)

    def reset(self) -> None:
        """
        Forget everything that happened; the default app stays.
        """
        with self.world.lock:
            self.world.clear()

    # What happened

    @property
    def calls(self) -> list[Call]:
        """
        The last calls, oldest first.
        """
        with self.world.lock:
            return list(self.world.calls)

    @property
    def token_fetches(self) -> Fetches:
        """
        How often the token endpoints were called.
        """
        return self.world.tokens.fetches

    # The doors

    def mock(
        self, rsps: RequestsMock | None = None, *, strict: bool = True
    ) -> MockedSandbox:
        """
        Answer in this process what `requests` sends to WeChat's hosts.

        Used as a context manager, it gives this sandbox with a ready ``client``.

        Args:
            rsps: A `responses.RequestsMock` of your own that is in force; None takes
                the one behind ``responses.activate``, ``responses.post`` and so on.

            strict: Whether a URL of WeChat's that the sandbox does not know raises an
                AssertionError; False answers 40066 as WeChat would.
        """
        from .mock import MockedSandbox

        return MockedSandbox(self, rsps, strict=strict)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Server:
        """
        Answer over HTTP, from a thread of its own.

        Used as a context manager, it gives the server with its ``url``.

        Raises:
            OSError: The port is taken.
        """
        from .server import Server

        return Server(self, host, port)
