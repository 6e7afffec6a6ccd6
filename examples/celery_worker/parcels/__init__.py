"""
Registering and polling parcels with Celery, for many shops on many machines.
"""
