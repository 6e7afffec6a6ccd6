"""
A shop: its staff ships orders, its customers look where they are.
"""

import os
import secrets

from flask import Flask
from flask_wtf.csrf import CSRFProtect

from . import api, commands, staff, wechat
from .models import db

csrf = CSRFProtect()


def create_app(config=None):
    """
    Return the shop's application.

    Args:
        config: Takes precedence over the environment.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        # Without a key of your own, everybody is logged out when the process ends.
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50),
        SQLALCHEMY_DATABASE_URI=os.environ.get(
            "DATABASE_URL", "sqlite:///shop.sqlite3"
        ),
        SESSION_COOKIE_SAMESITE="Lax",
        # Without one nobody gets in.
        STAFF_PASSWORD=os.environ.get("STAFF_PASSWORD", ""),
        # Of the mini-program. Several machines share its token through Redis, the
        # processes of one machine through files.
        WXLOGISTICS_APPID=os.environ.get("WXLOGISTICS_APPID", ""),
        WXLOGISTICS_SECRET=os.environ.get("WXLOGISTICS_SECRET", ""),
        WXLOGISTICS_BASE_URL=os.environ.get(
            "WXLOGISTICS_BASE_URL", "https://api.weixin.qq.com"
        ),
        REDIS_URL=os.environ.get("REDIS_URL", ""),
        CACHE_DIR=os.path.join(app.instance_path, "cache"),
        OPENID_FOR_CODE=wechat.openid_for_code,
    )
    app.config.from_mapping(config or {})

    # SQLAlchemy knows PostgreSQL by the driver's name.
    uri = app.config["SQLALCHEMY_DATABASE_URI"]
    for scheme in ("postgres://", "postgresql://"):
        if uri.startswith(scheme):
            uri = "postgresql+psycopg://" + uri.removeprefix(scheme)
    app.config["SQLALCHEMY_DATABASE_URI"] = uri

    db.init_app(app)
    wechat.init_app(app)
    csrf.init_app(app)
    # The mini-program sends no cookies: a foreign page has nothing to ride on.
    csrf.exempt(api.bp)
    app.register_blueprint(api.bp)
    app.register_blueprint(staff.bp)
    commands.init_app(app)
    return app
