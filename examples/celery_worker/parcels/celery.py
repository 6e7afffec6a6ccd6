"""
The Celery application: ``celery -A parcels worker``.
"""

from celery import Celery
from kombu.utils.json import register_type

from wxlogistics import Trace

from . import settings

app = Celery(
    "parcels",
    broker=settings.REDIS_URL,
    backend=settings.REDIS_URL,
    include=["parcels.tasks"],
)

app.conf.update(
    # JSON, not pickle: with pickle, write access to Redis means running code in every
    # worker. The library's errors keep all fields, since their args rebuild them.
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    # A task whose worker died is delivered again. All tasks here are idempotent.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # A retry that waits longer than this would be delivered twice.
    broker_transport_options={"visibility_timeout": 3600},
    broker_connection_retry_on_startup=True,
    result_expires=24 * 3600,
    timezone="Asia/Shanghai",
    beat_schedule={
        "poll": {"task": "parcels.tasks.poll", "schedule": settings.POLL_EVERY}
    },
)

# A Trace is sent as the reply of WeChat that it was made from.
register_type(Trace, "wxlogistics.Trace", lambda trace: trace.raw, Trace.from_reply)
