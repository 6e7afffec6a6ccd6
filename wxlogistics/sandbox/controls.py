"""All that one can do to a sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterable

import attrs

from ..models import WaybillStatus
from .world import state
from .world.calls import Call
from .world.carriers import CARRIERS
from .world.clock import Clock
from .world.endpoints import PATHS
from .world.faults import Fault
from .world.mint import Mint
from .world.parcels import Move
from .world.settings import Settings, SettingsArgs
from .world.tokens import LOGISTICS_PERMISSION, App, Component, Fetches
from .world.world import World

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

#: What a fault can be for.
_FALLIBLE = (*PATHS.values(), "*")

#: Seconds that a js_code and an authorization_code live.
_JS_CODE_LIFETIME = 300
_AUTHORIZATION_CODE_LIFETIME = 3600


class Controls:
    """
    A sandbox without a door: what one can do to it and what happened in it.

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
        **settings: Unpack[SettingsArgs],
    ) -> None:
        self.world = World(Settings.of(settings), clock or Clock(), Mint(seed))

    # Accounts

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

        Raises:
            ValueError: The sandbox has this appid already.
        """
        with self.world.change():
            return self.world.tokens.add_app(
                appid, secret, opened=opened, ip_whitelist=ip_whitelist
            )

    def add_component(
        self,
        appid: str | None = None,
        secret: str | None = None,
        *,
        ip_whitelist: Iterable[str] | None = None,
    ) -> Component:
        """
        Add a service provider (第三方平台), whose ``ticket`` gets it a token.

        Raises:
            ValueError: The sandbox has this appid already.
        """
        with self.world.change():
            return self.world.tokens.add_component(
                appid, secret, ip_whitelist=ip_whitelist
            )

    def authorize(
        self,
        component_appid: str,
        appid: str | None = None,
        *,
        permissions: Iterable[int] = (LOGISTICS_PERMISSION,),
    ) -> str:
        """
        Let a service provider act for the default app, or for *appid*.

        Args:
            component_appid: The service provider.

            appid: The mini-program.

            permissions: The permission sets; without 45 its calls get 61007.

        Returns:
            The authorizer_refresh_token.

        Raises:
            LookupError: One of them is not in this sandbox.
        """
        with self.world.change():
            return self.world.tokens.authorize(
                component_appid, appid or self.appid, permissions
            ).refresh_token

    def change_refresh_token(
        self, component_appid: str, appid: str | None = None
    ) -> str:
        """
        Give an authorization a new refresh token; the old one lives five minutes.
        """
        appid, tokens = appid or self.appid, self.world.tokens
        with self.world.change():
            authorization = tokens.authorizations.get((component_appid, appid))
            if authorization is None:
                raise LookupError(f"{appid!r} has not authorized {component_appid!r}")
            authorization.change(tokens.refresh_token(), self.clock.now())
            return authorization.refresh_token

    def component_access_token(self, component_appid: str) -> str:
        """
        A component_access_token that is valid now.
        """
        tokens = self.world.tokens
        with self.world.change():
            appid = tokens.component(component_appid).appid
            return tokens.issue("component", appid).value

    def authorization_code(
        self,
        component_appid: str,
        appid: str | None = None,
        *,
        permissions: Iterable[int] = (LOGISTICS_PERMISSION,),
    ) -> str:
        """
        Return an authorization_code, which api_query_auth redeems once.

        It is what a service provider gets when the administrator of the default app,
        or of *appid*, authorizes it. It lives an hour.

        Raises:
            LookupError: One of them is not in this sandbox.
        """
        world = self.world
        with world.change():
            return world.tokens.add_code(
                "queryauthcode@@@" + world.mint.text(64),
                _AUTHORIZATION_CODE_LIFETIME,
                component_appid=world.tokens.component(component_appid).appid,
                appid=world.tokens.app(appid or self.appid).appid,
                permissions=permissions,
            )

    def js_code(self, openid: str | None = None, *, appid: str | None = None) -> str:
        """
        Return a js_code as wx.login gives it, which jscode2session redeems once.

        Args:
            openid: Whose; None: of a new user.

            appid: The app of the user; None: the one that redeems the code.

        Returns:
            The code, which lives five minutes.

        Raises:
            LookupError: There is no such app.
        """
        world = self.world
        with world.change():
            if appid is not None:
                openid = world.add_user(openid, appid)
            return world.tokens.add_code(
                "0" + world.mint.text(31),
                _JS_CODE_LIFETIME,
                appid=appid or "",
                openid=world.openid(openid),
            )

    def add_user(self, openid: str | None = None, *, appid: str | None = None) -> str:
        """
        Let a user belong to the default app, or to *appid*.

        Without this an openid belongs to the app that it is first used with.

        Returns:
            The openid, made up if none was given.
        """
        with self.world.change():
            return self.world.add_user(openid, appid or self.appid)

    def add_waybill(self, waybill_id: str, *, delivery_id: str | None = None) -> None:
        """
        Let a parcel begin its route before it is registered.

        Raises:
            ValueError: There is no such carrier.
        """
        if delivery_id is not None and delivery_id not in CARRIERS:
            raise ValueError(f"delivery_id: no carrier {delivery_id!r}")
        with self.world.change():
            self.world.add_parcel(waybill_id, delivery_id)

    def access_token(self, appid: str | None = None) -> str:
        """
        A token of the default app, or of *appid*, that is valid now.

        It is the one that stable_token would hand out, but nothing is counted.
        """
        with self.world.lock:
            return self.world.tokens.stable(appid or self.appid).value

    def revoke_tokens(
        self, appid: str | None = None, *, token: str | None = None
    ) -> int:
        """
        Make all tokens, or those of *appid*, invalid at once.

        Args:
            appid: Whose; None: of all.

            token: Only this access_token.

        Returns:
            How many.
        """
        with self.world.change():
            return self.world.tokens.revoke(appid, token)

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

            status: Where it is now; a number that WeChat does not have shows how
                your program handles it.

            message: The carrier's text about it.

        Raises:
            LookupError: There is no such waybill.
        """
        world = self.world
        with world.change():
            if waybill_id not in world.parcels:
                raise LookupError(
                    f"no waybill {waybill_id!r} in the sandbox: register it first"
                )
            move = Move(world.clock.now(), status, message)
            world.parcels[waybill_id].moves.append(move)

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
        Make the next calls of *endpoint* fail.

        Args:
            endpoint: As ``query_trace``; ``*`` for all.

            errcode: WeChat refuses with this, before anything takes effect.

            errmsg: The whole errmsg, instead of WeChat's.

            status: A server on the way answers with this HTTP status and no JSON.

            body: The body of that answer.

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
        faults = self.world.faults
        with self.world.change():
            fault = Fault(
                number=faults.count + 1,
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
            faults.count += 1
            faults.active.append(fault)
            return fault

    def mend(self, fault: Fault | int | None = None) -> None:
        """
        Remove *fault*, or all faults; one that is spent already does no harm.

        Raises:
            LookupError: There never was a fault of this number.
        """
        number = fault.number if isinstance(fault, Fault) else fault
        faults = self.world.faults
        with self.world.change():
            if isinstance(fault, int) and not 1 <= fault <= faults.count:
                raise LookupError(f"fault: there never was a fault {fault}")
            faults.active = [f for f in faults.active if number not in (None, f.number)]

    @property
    def faults(self) -> list[Fault]:
        """
        The active faults, oldest first.
        """
        with self.world.lock:
            return list(self.world.faults.active)

    def reset(self) -> None:
        """
        Forget everything that happened; the default app and the time stay.
        """
        world = self.world
        with world.lock:
            settings = attrs.evolve(
                world.settings, appid=self.appid, secret=self.secret
            )
            world.become(World(settings, world.clock, world.mint))

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write everything to a JSON file, whole or not at all.
        """
        state.save(self.world, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, clock: Clock | None = None) -> Self:
        """
        Go on from a file that `save()` wrote, at the moment it was written.

        Args:
            path: The file.

            clock: A `Clock` of your own, which is set to that moment.

        Raises:
            ValueError: It is not such a file.
        """
        sandbox = cls()
        sandbox.world = state.load(path, clock or Clock())
        return sandbox

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
        with self.world.lock:
            return attrs.evolve(self.world.tokens.fetches)

    @property
    def counters(self) -> dict[str, dict[str, dict[str, int]]]:
        """
        Calls of the running day in China, for quotas.

        ``counters["apps"][appid]["query"]`` for the query component and ``"message"``
        for the message component; ``counters["users"][openid]`` likewise.
        """
        with self.world.lock:
            return self.world.quotas.today()
