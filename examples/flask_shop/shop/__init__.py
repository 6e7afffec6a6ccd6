"""
A shop: the staff ships orders, customers see where their parcels are.
"""

import os
import secrets

from flask import Flask
from flask_wtf.csrf import CSRFProtect

from . import api, commands, staff, wechat, words
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
        # Without a key of your own, all sessions end with the process.
        SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50),
        SQLALCHEMY_DATABASE_URI=os.environ.get(
            "DATABASE_URL", "sqlite:///shop.sqlite3"
        ),
        SESSION_COOKIE_SAMESITE="Lax",
        # Without a password all logins fail.
        STAFF_PASSWORD=os.environ.get("STAFF_PASSWORD", ""),
        # The mini-program's. Machines share its token through Redis, the processes of
        # one machine through files.
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

    # SQLAlchemy wants the driver's name.
    uri = app.config["SQLALCHEMY_DATABASE_URI"]
    for scheme in ("postgres://", "postgresql://"):
        if uri.startswith(scheme):
            uri = "postgresql+psycopg://" + uri.removeprefix(scheme)
    app.config["SQLALCHEMY_DATABASE_URI"] = uri

    db.init_app(app)
    wechat.init_app(app)
    csrf.init_app(app)
    # The mini-program sends no cookies, so there is nothing to forge.
    csrf.exempt(api.bp)
    app.register_blueprint(api.bp)
    app.register_blueprint(staff.bp)
    commands.init_app(app)
    app.jinja_env.globals.update(_=words._, language=words.language)

    @app.after_request
    def vary(response):
        response.vary.add("Accept-Language")
        return response

    return app
