"""
Register and poll parcels with Celery, for many shops on many machines.
"""
